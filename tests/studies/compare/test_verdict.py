"""What is said of a comparison: cases made by hand, one for each thing that can be said."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from taurec.data.interactions import Interactions
from taurec.data.split import split
from taurec.evaluation.significance import Interval, Paired, Spread
from taurec.studies.compare import Comparison, PairedTest

PARTS = split(Interactions.from_pairs([0], [0]), "none")


@dataclass
class Row:
    label: str
    mean: float
    p_value: float | None
    seconds: float
    tune_seconds: float = 10.0
    peak_mb: float | None = 5.0
    tried: int = 1
    spread: dict[str, Spread] = field(default_factory=dict)

    @property
    def metrics(self):
        return {"ndcg@20": Interval(self.mean, self.mean - 0.01, self.mean + 0.01)}

    @property
    def closed_form(self):
        return self.label == "ease"

    @property
    def valid(self):
        return self.mean

    @property
    def has_settings(self):
        return self.label != "popularity"


def found(trained: float, p: float, chosen: str = "mf:sl", seeds: int = 1):
    rows = [
        Row("ease", 0.5, 0.2, 2.0),
        Row("mf:sl", trained, 0.2, 30.0, 90.0, tried=3),
        Row("popularity", 0.1, 0.001, 1.0, 1.0),
    ]
    best = max(rows, key=lambda row: row.mean)
    best.p_value = None
    d = trained - 0.5
    paired = Paired(Interval(d, d - 0.005, d + 0.005), p, 9)
    used = SimpleNamespace(run=SimpleNamespace(label=chosen))
    return Comparison("log", rows, "ndcg@20", seeds, 9, PARTS, used, versus=PairedTest("mf:sl", "ease", paired))


@pytest.mark.parametrize(
    ("trained", "p", "said"),
    [
        (0.52, 0.001, "mf:sl is ahead of ease on test by 0.0200 ndcg@20 (95 % interval 0.0150 to 0.0250, p = 0.001)"),
        (
            0.52,
            0.001,
            "So training a model improves accuracy on this log; one fit takes 30.0 s for mf:sl, 2.0 s for ease.",
        ),
        (0.48, 0.001, "mf:sl is behind ease on test by 0.0200 ndcg@20 (95 % interval 0.0150 to 0.0250, p = 0.001)"),
        (0.48, 0.001, "So ease is the better choice on this log; one fit takes 30.0 s for mf:sl, 2.0 s for ease."),
        (0.501, 0.4, "mf:sl and ease do not differ significantly on test: +0.0010"),
        (0.501, 0.4, "So ease is the better choice, because it is cheaper: one fit takes"),
    ],
)
def test_when_a_baseline_is_the_better_choice(trained: float, p: float, said: str) -> None:
    assert said in " ".join(found(trained, p).verdict())


def test_the_best_closed_form_is_named() -> None:
    said = "Best trained model (mf:sl) against the best closed form (ease), both by validation: mf:sl is ahead of"
    assert said in " ".join(found(0.52, 0.001).verdict())
    case = found(0.52, 0.001)
    case.rows.append(Row("itemknn", 0.51, 0.2, 1.0))
    other = replace(case, versus=PairedTest("mf:sl", "itemknn", case.versus.paired))
    text = " ".join(other.verdict())
    assert "against the best baseline (itemknn), both by validation" in text
    assert "The best closed form by validation is ease." in text
    assert "closed form" not in " ".join(replace(case, versus=None).verdict())


def test_the_front_and_what_was_spent() -> None:
    text = " ".join(found(0.52, 0.001).verdict())
    assert "Pareto front of ndcg@20 and seconds of one fit (no other model is both better and cheaper): " in text
    assert "cheaper): popularity, ease, mf:sl; the same if the cost includes tuning." in text
    assert "ease 1 in 10.0 s, mf:sl 3 in 1:30 min, popularity 1 in 1.0 s." in text
    assert "cheaper): popularity, ease; the" in " ".join(found(0.48, 0.001).verdict())


def test_the_model_to_use_is_named_if_it_is_not_the_best_on_test() -> None:
    assert "Use mf:sl: it is the best on validation" in " ".join(found(0.48, 0.001).verdict())
    assert "best on validation" not in " ".join(found(0.52, 0.001).verdict())


def test_the_spread_over_seeds() -> None:
    case = found(0.52, 0.001, seeds=3)
    assert "standard deviation" not in " ".join(case.verdict())
    case.row("mf:sl").spread = {"ndcg@20": Spread(0.52, 0.002, 3)}
    case.row("ease").spread = {"ndcg@20": Spread(0.5, None, 1)}
    assert "The standard deviation of ndcg@20 over 3 seeds is at most 0.0020 (mf:sl)" in case.verdict()[-1]


def test_without_a_trained_model_there_is_no_duel() -> None:
    case = replace(found(0.52, 0.001), versus=None)
    assert "trained" not in " ".join(case.verdict())
