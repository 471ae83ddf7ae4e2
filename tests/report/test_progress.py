import io

from rich.console import Console

from taurec.report.progress import live_line, log_line, show
from taurec.training.records import EpochRecord, Progress

FIRST = EpochRecord(1, 0.5, 2.0, metrics={"ndcg@20": 0.25})
SECOND = EpochRecord(2, 0.4, 2.0, metrics={"ndcg@20": 0.125})


def at(epoch, step, record=None, best=FIRST):
    return Progress(epoch, 10, step, 4, 0.5, 45600.0, record, best)


def test_a_line_of_the_log():
    assert log_line(at(1, 4, FIRST), 75.0) == (
        "epoch  1/10  loss 0.50000  ndcg@20 0.2500  best  45.6k rows/s  at most 1:15 min left"
    )
    assert (
        log_line(at(2, 4, SECOND)) == "epoch  2/10  loss 0.40000  ndcg@20 0.1250  best 0.2500 in epoch 1  45.6k rows/s"
    )
    assert log_line(at(3, 4, EpochRecord(3, 0.3, 1.0), None)) == "epoch  3/10  loss 0.30000  45.6k rows/s"


def test_the_live_line_fits_whatever_the_width():
    for width in range(10, 140):
        line = live_line(at(5, 2), SECOND, 75.0, width)
        assert len(line) <= width
        assert "epoch 5" in line or width < 40
        assert width < 60 or line.endswith((" (1)", " left", " rows/s"))  # parts are whole or absent
    assert "rows/s" in line
    assert "best 0.2500 (1)  ≤ 1:15 min left" in line
    assert line.startswith("━")


def test_the_bar_shows_the_share_of_all_epochs():
    line = live_line(Progress(6, 10, 0, 4, 0.5, 1.0), None, None, 79)
    bar = line.split("  ")[0]
    assert (bar.count("━"), bar.count("─")) == (15, 15)


def test_a_log_has_one_line_an_epoch():
    stream = io.StringIO()
    with show(Console(file=stream, width=60)) as hook:
        for epoch, record in ((1, FIRST), (2, SECOND)):
            for step in range(1, 5):
                hook(at(epoch, step))
            hook(at(epoch, 4, record))
    lines = stream.getvalue().splitlines()
    assert [line.split("  loss")[0] for line in lines] == ["epoch  1/10", "epoch  2/10"]


def test_quiet_shows_nothing():
    stream = io.StringIO()
    with show(Console(file=stream), quiet=True) as hook:
        hook(at(1, 4, FIRST))
    assert stream.getvalue() == ""


def test_a_terminal_is_redrawn_and_left_clean():
    stream = io.StringIO()
    with show(Console(file=stream, force_terminal=True, width=100)) as hook:
        hook(at(1, 4, FIRST))
        hook(at(2, 4, SECOND))
    text = stream.getvalue()
    assert "epoch 2/10" in text
    assert text.rstrip().endswith("\x1b[2K") or "\x1b[2K" in text.split("epoch 2/10")[-1]
