import io
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from taurec.evaluation.significance import Spread
from taurec.report.terminal import fit_to_width
from taurec.studies.compare import Comparison
from taurec.studies.compare.display import ranking


@dataclass
class Value:
    mean: float
    low: float
    high: float


@dataclass
class Row:
    label: str
    metrics: dict[str, Value]
    p_value: float | None
    epochs: int = 3
    seconds: float = 12.0
    peak_mb: float | None = 100.0
    tried: int = 1
    spread: dict[str, Spread] = field(default_factory=dict)

    @property
    def has_settings(self):
        return self.label != "popularity"


def compared(rows, seeds=2):
    return Comparison("log", rows, "ndcg@20", seeds, n_users=50, split=None, chosen=None)


NAMES = ["recall@20", "ndcg@20", "mrr@20", "map@20"]


def found(*cases):
    rows = [Row(label, {n: Value(mean, mean - 0.01, mean + 0.01) for n in NAMES}, p) for label, mean, p in cases]
    return compared(rows)


THREE = found(("ease", 0.5, None), ("mf:bsl", 0.49, 0.3), ("popularity", 0.1, 0.001))


def drawn(renderable, width):
    stream = io.StringIO()
    Console(file=stream, width=width).print(renderable)
    return stream.getvalue().splitlines()


def test_marks_of_the_best_and_of_what_is_not_told_from_it():
    lines = drawn(fit_to_width(ranking(THREE, NAMES[:2])), 80)
    assert lines[0].rstrip() == "log: test part, 50 users, 2 seeds"
    assert [line[0] for line in lines[3:]] == ["*", "=", " "]
    assert "0.5000 ±.0100" in lines[3]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_every_width_shows_every_value_whole(width, n):
    lines = drawn(fit_to_width(ranking(THREE, NAMES[:n]), width), width)
    assert max(map(len, lines)) <= width
    assert len(lines) == 6  # title, heading, rule and three rows: nothing is folded
    assert lines[3].count("0.5000") == n


def test_the_spread_over_seeds_has_a_column_of_its_own():
    rows = [Row("ease", THREE.rows[0].metrics, None), Row("mf:sl", THREE.rows[1].metrics, 0.2)]
    rows[1].spread = {"ndcg@20": Spread(0.49, 0.00123, 2)}
    lines = drawn(fit_to_width(ranking(compared(rows), NAMES[:2]), 100), 100)
    assert "sd of seeds" in lines[1]
    assert "0.0012" in lines[4]
    assert "sd of seeds" not in drawn(fit_to_width(ranking(compared(rows, seeds=1), NAMES[:2]), 100), 100)[1]


def test_the_interval_that_stays_longest_is_that_of_the_choosing_metric():
    lines = drawn(fit_to_width(ranking(THREE, NAMES), 90), 90)
    heading, best = lines[1], lines[3]
    assert 1 <= best.count("±") < 4
    assert heading.index("ndcg@20") > heading.index("recall@20")
    start = best.index("±")
    assert abs(start - heading.index("ndcg@20")) < 10


def test_the_sentence():
    assert THREE._best_on_test().startswith(
        "Best by ndcg@20: ease; not significantly different (paired test, p >= 0.05, Holm): mf:bsl."
    )
    clear = found(("ease", 0.5, None), ("popularity", 0.1, 0.001))
    assert "ease, ahead of every other model" in clear._best_on_test()
    assert found(("ease", 0.5, None))._best_on_test().startswith("Best by ndcg@20: ease. Epochs")


def test_what_validation_chose_is_said_as_it_was():
    assert "Epochs were chosen on validation" in THREE._best_on_test()
    some = found(("ease", 0.5, None), ("mf:bsl", 0.49, 0.3), ("popularity", 0.1, 0.001))
    some.rows[0].tried = 7
    assert "Settings of ease and all epochs were chosen on validation" in some._best_on_test()
    some.rows[1].tried = 3
    assert "Settings and epochs were chosen on validation" in some._best_on_test()
