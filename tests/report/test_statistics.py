import io

from rich.console import Console

from taurec.data.check import check
from taurec.data.interactions import Interactions
from taurec.report.statistics import day, finding_lines, statistics_tables


def test_figures_of_a_small_log():
    log = Interactions.from_pairs([0, 0, 1], [0, 1, 0], time=[0.0, 86400.0, 3.0])
    stream = io.StringIO()
    for part in statistics_tables(check(log), "a.csv"):
        Console(file=stream, width=80).print(part)
    lines = [" ".join(line.split()) for line in stream.getvalue().splitlines()]
    assert lines[0] == "a.csv"
    assert "pairs 3 (75.000% of all user-item pairs)" in lines
    assert "times 1970-01-01 to 1970-01-02" in lines
    assert "a user 1 1 1 1 1 1 2" in lines


def test_warnings_come_first_and_are_counted():
    log = Interactions.from_pairs([0, 1, 1], [0, 0, 1], time=[7.0, 7.0, 7.0])
    lines = list(finding_lines(check(log)))
    levels = [line.split()[0] for line in lines[:-1]]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == "warning"
    assert lines[-1] == "1 warning in all"


def test_days_no_calendar_has():
    assert (day(-86400.0), day(float("1e300"))) == ("1969-12-31", "1e+300")
