"""Noise curves in words and as a page: which findings are said, and how sure."""

from __future__ import annotations

from typing import Any

import pytest

from taurec.report.page import render
from taurec.report.result_page import result_page
from taurec.report.terminal import fit_to_width
from taurec.studies.audit.noise.fits import Step
from taurec.studies.audit.noise.kinds import LEVELS as LEVELS_OF
from taurec.studies.audit.noise.results import Curve, Difference, NoiseCurves, Point, estimate, slope
from taurec.studies.audit.noise.verdict import verdict

LEVELS = (0.0, 0.2)


def curve(label: str, clean: list[float], noisy: list[float], *, baseline: bool = False, epochs: float = 4.0) -> Curve:
    points = tuple(
        Point(level, tuple(v), estimate(v), 100.0, 100 * level, 0.0, epochs, 1.0)
        for level, v in zip(LEVELS, (clean, noisy), strict=True)
    )
    slopes = [0.01 * slope(LEVELS, pair) for pair in zip(clean, noisy, strict=True)]
    shares = [s / c for s, c in zip(slopes, clean, strict=True)]
    return Curve(label, "ndcg@20", baseline, False, points, estimate(slopes), estimate(shares), {"epochs": 10})


def made(curves: list[Curve], p_value: float = 0.001, **given: Any) -> NoiseCurves:
    differences = tuple(Difference(level, "mf:sl", "mf:bpr", 0.1, 0.05, 0.15, p_value) for level in LEVELS)
    fields = {"source": "toy", "split": "ratio", "data_hash": "0a", "kind": "positives", "metrics": ("ndcg@20",)}
    fields |= {"levels": LEVELS, "seeds": 2, "n_users": 50, "tune": "none", "differences": differences}
    return NoiseCurves(**{**fields, "curves": tuple(curves), **given})


SL = curve("mf:sl", [0.30, 0.32], [0.20, 0.21])
BPR = curve("mf:bpr", [0.20, 0.20], [0.19, 0.1902])
EASE = curve("ease", [0.31, 0.31], [0.305, 0.305], baseline=True, epochs=0)


def test_the_verdict_names_the_ends_the_slopes_and_the_better_baseline() -> None:
    ends, falls, baselines, basis = verdict(made([SL, BPR, EASE]))
    assert ends.startswith("At 0 %, mf:sl has the best ndcg@20 of the losses (0.3100), ahead of every other loss")
    # (0.205 - 0.31) / 20 points = -0.525 points of ndcg each; as shares -0.01667 and -0.01719: -1.69 %
    assert "mf:bpr changes by -0.25 %" in falls
    assert "mf:sl by -1.69 %" in falls
    assert "mf:bpr loses the smallest share of its accuracy; its interval overlaps no other." in falls
    assert "ease with 0.3050; the best loss is below it (0.2050), so ease is the better choice on this log" in baselines
    assert basis.startswith("Based on 2 seeds and 50 users")


def test_what_is_not_sure_is_said_so() -> None:
    ends, falls, *_ = verdict(made([SL, curve("mf:bpr", [0.2, 0.2], [0.15, 0.19])], p_value=0.4))
    assert "not significantly different from mf:bpr (paired test" in ends
    assert "overlaps that of mf:sl" in falls
    one = [curve("mf:sl", [0.3], [0.2]), curve("mf:bpr", [0.2], [0.19])]
    assert "One seed gives no interval" in verdict(made(one, seeds=1))[1]


def test_curves_that_are_not_finished_are_warned_about() -> None:
    said = " ".join(verdict(made([SL, curve("mf:bpr", [0.2, 0.2], [0.19, 0.2], epochs=10)])))
    assert "the best epoch of mf:bpr was the last one" in said
    assert "was the last one" not in " ".join(verdict(made([SL, BPR, EASE])))


def test_levels_and_steps_in_words() -> None:
    assert [LEVELS_OF["negatives-held-out"].text(0.05), LEVELS_OF["negatives"].text(0.5)] == ["5 %", "weight 0.5"]
    step = Step(6, 40, "mf:sl", 0.2, 1, 75.0, "epoch 3 of at most 9")
    assert step.text("positives") == "fit 7 of 40: mf:sl, 20 %, seed 1, epoch 3 of at most 9; about 1:15 min left"


@pytest.mark.parametrize("width", [80, 60])
def test_the_table_fits(width: int) -> None:
    table = fit_to_width(made([SL, BPR, EASE]).tables()[0], width)
    assert [c.header for c in table.columns] == ["model", "0 %", "20 %", "slope", "of clean"]
    cells = [str(cell) for cell in table.columns[1].cells]
    assert ("±" in cells[0]) == (width == 80)


def test_the_page_holds_curves_slopes_and_protocol() -> None:
    html = render(result_page(made([SL, BPR, EASE], notes=("ials is left out",)), command="taurec audit noise toy"))
    for text in ("<svg", "Bands are 95 % t intervals over 2 seeds", "-1.69", "ials is left out", "split first"):
        assert text in html
    flat = curve("ease", [0.3, 0.3], [0.3, 0.3], baseline=True)
    flat = Curve(**{**vars(flat), "constant": True, "slope": None, "relative": None})
    assert "<svg" in render(result_page(made([SL, flat], kind="negatives", differences=())))
