import io
from dataclasses import dataclass

import pytest
from rich.console import Console

from taurec.report.console import console
from taurec.report.tables import metric_table, pairs, table
from taurec.studies.words import interval, number, rate, seconds


def drawn(renderable, width=80):
    stream = io.StringIO()
    Console(file=stream, width=width).print(renderable)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_numbers_to_the_right_text_to_the_left():
    lines = drawn(table(["name", "n"], [["a", 5], ["bcd", None], ["e", 1000]], right=["n"]))
    assert lines == ["name      n", "───────────", "a         5", "bcd", "e      1000"]


def test_markup_in_names_is_text():
    assert drawn(table(["id"], [["[bold]x[/bold]"]]))[-1] == "[bold]x[/bold]"


def test_long_text_folds_and_numbers_stay_whole():
    lines = drawn(table(["text", "n"], [["word " * 20, "123456"]], right=["n"]), width=40)
    assert max(map(len, lines)) <= 40
    assert sum("123456" in line for line in lines) == 1


def test_pairs():
    assert drawn(pairs([("users", "5"), ("a longer name", "6")], "log")) == [
        "log",
        "users          5",
        "a longer name  6",
    ]


@dataclass
class Value:
    mean: float
    low: float | None
    high: float | None


def test_metric_table_and_a_value_without_interval():
    lines = drawn(metric_table({"ndcg@5": Value(0.5, 0.25, 0.75), "mrr@5": Value(1.0, None, None)}, "t"))
    assert lines[0] == "t"
    assert lines[3:] == ["ndcg@5   0.5000   0.2500 to 0.7500", "mrr@5    1.0000   -"]


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
