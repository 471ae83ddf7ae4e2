"""What is said of a search: cases made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from taurec.evaluation.significance import Interval, Paired
from taurec.studies.search.results import SearchResult, Trial, best_of_each
from taurec.training.presets import resolve

EASE, SL = resolve(model="ease"), resolve(loss="sl")
TRIALS = [
    Trial("ease", "l2=100", "baseline", 0.28, 0, 1.0, True, EASE),
    Trial("ease", "l2=500", "baseline", 0.30, 0, 1.0, True, EASE),
    Trial("mf:sl", "tau=0.1", "probe", 0.25, 3, 4.0, False, SL),
    Trial("mf:sl", "tau=0.2", "probe", None, 0, 0.5, True, SL),
]


def found(chosen: str, valid: float, trials: list[Trial], **more: Any) -> SearchResult:
    run = EASE if chosen == "ease" else SL
    model: Any = SimpleNamespace(run=run, best=SimpleNamespace(metrics={"ndcg@20": valid}))
    return SearchResult(
        **{
            "source": "log", "budget": 60.0, "seconds": 58.0, "metric": "ndcg@20", "trials": trials, "share": 0.5,
            "chosen": model, "ended": True, "second": None, "paired": None, "chance": {chosen: 0.9},
            "settings_tested": (), "settings_paired": None, "test": {}, "test_paired": None, "n_users": 9,
            "notes": ["ials left out: no time"],
            **more,
        }
    )  # fmt: skip


def test_a_baseline_without_a_rival_is_not_called_better() -> None:
    words = found("ease", 0.30, TRIALS).verdict()
    assert words[0].startswith("Chosen for this log: ease with l2=500, a baseline; there was no time to train")
    assert words[1] == (
        "The search used 58.0 s of 1:00 min: 2 settings of baselines 2.0 s, 2 settings in the rounds 4.5 s. "
        "The rounds used a random 50% of the users."
    )
    assert words[-1] == "Note: ials left out: no time."


def test_a_baseline_that_won() -> None:
    whole = Trial("mf:sl", "tau=0.1", "whole", 0.29, 9, 20.0, True, SL)
    assert (
        "no trained model was better on validation within this time"
        in found("ease", 0.30, [*TRIALS, whole]).verdict()[0]
    )


def test_a_trained_model_that_the_clock_ended() -> None:
    whole = Trial("mf:sl", "tau=0.1", "whole", 0.31, 9, 20.0, False, SL)
    same = Paired(Interval(0.002, -0.01, 0.02), 0.4, 9)
    words = found("mf:sl", 0.31, [*TRIALS, whole], ended=False, second="ease", paired=same, test_paired=same).verdict()
    assert words[0] == (
        "Chosen for this log: mf:sl with tau=0.1; the budget stopped its training, so more time may improve it."
    )
    assert "mf:sl and ease do not differ significantly on validation: +0.0020" in words[1]
    assert "the best model in 90% of the bootstrap resamples of the users. Both numbers are optimistic" in words[1]
    assert words[3] == "ease is a simpler choice and costs less."


def test_the_best_setting_of_each_model() -> None:
    assert [(t.label, t.setting) for t in best_of_each(TRIALS)] == [("ease", "l2=500"), ("mf:sl", "tau=0.1")]
