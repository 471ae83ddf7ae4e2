"""Remarks of the library while it works."""

from __future__ import annotations

import logging

import pytest

from taurec import notices


def test_progress_is_told_after_a_while_and_not_at_the_end(monkeypatch, caplog):
    clock = iter([0.0, 4.0, 11.0, 12.0, 22.0, 40.0])
    monkeypatch.setattr(notices.time, "monotonic", lambda: next(clock))
    tell = notices.Steps("texts encoded", 1000)
    with caplog.at_level("INFO", logger="taurec"):
        for done in (10, 250, 300, 500, 1000):
            tell(done)
    assert caplog.messages == [
        "texts encoded: 250 of 1,000, about 33 s left",
        "texts encoded: 500 of 1,000, about 22 s left",
    ]


def test_a_remark_is_made_once(caplog):
    with caplog.at_level("INFO", logger="taurec"):
        for _ in range(2):
            notices.once("a remark of test_notices")
    assert caplog.messages == ["a remark of test_notices"]


@pytest.mark.parametrize(("level", "shown"), [(logging.INFO, "said"), (logging.WARNING, "warning: said")])
def test_the_command_line_shows_remarks_as_notes(capsys, level, shown):
    from taurec.cli.output import Output

    Output(quiet=level == logging.WARNING)
    notices.log.log(level, "said")
    logging.getLogger("taurec").handlers.clear()
    assert capsys.readouterr().err.strip() == shown
