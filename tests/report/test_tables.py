import io

import pytest
from rich.console import Console

from taurec.report.terminal import console, fit_to_width, pairs
from taurec.studies.result import Column, Table
from taurec.studies.words import interval, number, rate, seconds


def drawn(renderable, width=80):
    stream = io.StringIO()
    Console(file=stream, width=width).print(renderable)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_numbers_to_the_right_text_to_the_left():
    lines = drawn(fit_to_width(Table("", ["name", "n"], [["a", 5], ["bcd", None], ["e", 1000]])))
    assert lines == ["name       n", "────────────", "a          5", "bcd", "e      1,000"]


def test_markup_in_names_is_text():
    assert drawn(fit_to_width(Table("", ["id"], [["[bold]x[/bold]"]])))[-1] == "[bold]x[/bold]"


def test_long_text_folds_and_numbers_stay_whole():
    lines = drawn(fit_to_width(Table("", ["text", "n"], [["word " * 20, "123456"]])), width=40)
    assert max(map(len, lines)) <= 40
    assert sum("123456" in line for line in lines) == 1


def test_pairs():
    assert drawn(pairs([("users", "5"), ("a longer name", "6")], "log")) == [
        "log",
        "users          5",
        "a longer name  6",
    ]


def test_a_column_of_lesser_importance_is_dim():
    made = fit_to_width(Table("", ["name", Column("settings", dim=True)], [["a", "tau=0.1"]]))
    assert [column.style for column in made.columns] == [None, "dim"] or made.columns[1].style == "dim"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 ms"),
        (0.0004, "0 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1:00 min"),
        (3599.6, "1:00:00 h"),
    ],
)
def test_seconds_at_the_borders(value, text):
    assert seconds(value) == text


def test_forms_of_numbers():
    assert (number(0.5), number(float("nan"))) == ("0.5000", "-")
    assert (interval(0.0, 1.0), interval(None, 1.0)) == ("0.0000 to 1.0000", "-")
    assert (rate(999.0), rate(1000.0), rate(2_500_000.0)) == ("999", "1k", "2.5M")


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured, plain = io.StringIO(), io.StringIO()
    console(coloured).print("x", style="yellow")
    monkeypatch.setenv("NO_COLOR", "1")
    console(plain).print("x", style="yellow")
    assert "\x1b[33m" in coloured.getvalue()
    assert "\x1b[33m" not in plain.getvalue()
