from __future__ import annotations

import re

import pytest
from rich.console import Console

from taurec.data.planted import planted
from taurec.data.split import split
from taurec.report.terminal import fit_to_width
from taurec.studies.audit.temperature.audit import audit_training
from taurec.studies.audit.temperature.results import TemperatureAudit
from taurec.training.presets import resolve


@pytest.fixture(scope="module")
def found() -> TemperatureAudit:
    fields = {"epochs": 2, "threads": 1, "kernel": "torch", "settings": {"backbone": {"dim": 8}}}
    return audit_training(resolve(loss="bsl", **fields), split(planted(n_users=40, n_items=30, seed=1).log), users=20)


def test_the_sentence_has_the_numbers_and_their_range(found: TemperatureAudit) -> None:
    said = found.verdict()[0]
    n = found.negatives
    assert f"With tau 0.1 a user's gradient is spread over {n.effective.median:.3g} of 30 negatives" in said
    assert f"{n.effective.quantiles[0]:.3g} to {n.effective.quantiles[-1]:.3g} for 80 % of 20 of 40 users" in said
    assert f"the KL radius is {n.radius.median:.2f} nats" in said
    assert "With tau_pos 1 it is spread over" in said


def test_rows_ascend_and_the_model_s_own_is_strong(found: TemperatureAudit) -> None:
    negatives, _, curve = found.tables()
    assert [row[0] for row in negatives.rows] == [0.025, 0.05, 0.1, 0.2, 0.4]
    assert negatives.strong == [2]
    assert len(curve.rows) == 2
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in found.tables():
        console.print(fit_to_width(table))
    text = console.export_text()
    assert "negatives (all items alike)" in text
    assert "along training" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_the_page(found: TemperatureAudit) -> None:
    pytest.importorskip("matplotlib")
    from taurec.report.page import render
    from taurec.report.result_page import result_page

    html = render(result_page(found, "taurec audit temperature debian", {"cpu": "x"}))
    assert html.count("<svg") == 6
    assert "taurec audit temperature debian" in html
    assert re.search(r"<h2[^>]*>The positive side", html)
    assert "median over users, with the range of the middle 80 %" in html
    assert len(html.encode()) < 400_000
