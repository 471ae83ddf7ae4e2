"""The front of quality and cost, by hand and against a slow loop."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from taurec.evaluation.significance import Interval
from taurec.studies.compare.display import on_front, undominated


@dataclass
class Row:
    label: str
    quality: float
    seconds: float
    tune_seconds: float = 1.0
    peak_mb: float | None = 1.0

    @property
    def metrics(self):
        return {"ndcg@20": Interval(self.quality, None, None)}


ROWS = [Row("slow", 0.5, 9.0, peak_mb=1.0), Row("middle", 0.4, 3.0, peak_mb=9.0), Row("poor", 0.3, 4.0, peak_mb=0.5)]


def test_by_hand() -> None:
    # poor is slower than middle and worse; with memory counted it is the smallest, so it stands
    assert on_front(ROWS, "ndcg@20") == ["middle", "slow"]
    assert on_front(ROWS, "ndcg@20", ("seconds", "peak_mb")) == ["middle", "poor", "slow"]


def test_memory_that_is_not_known_of_one_counts_for_none() -> None:
    rows = [*ROWS[:2], Row("poor", 0.3, 4.0, peak_mb=None)]
    assert on_front(rows, "ndcg@20", ("seconds", "peak_mb")) == ["middle", "slow"]


def test_equal_points_stand_together() -> None:
    assert undominated([0.5, 0.5, 0.5], [1.0, 1.0, 2.0]) == [True, True, False]


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=9))
def test_as_the_definition_says(points: list[tuple[int, int, int]]) -> None:
    found = undominated(*[[float(p[axis]) for p in points] for axis in range(3)])
    for mine, kept in zip(points, found, strict=True):
        beaten = False
        for other in points:
            as_good = other[0] >= mine[0] and other[1] <= mine[1] and other[2] <= mine[2]
            better = other[0] > mine[0] or other[1] < mine[1] or other[2] < mine[2]
            beaten = beaten or (as_good and better)
        assert kept is not beaten
