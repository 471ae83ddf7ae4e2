"""Successive halving on a clock that only moves when somebody works."""

from __future__ import annotations

import itertools
import math

import pytest

from taurec.studies.search.halving import halve, sizes


class World:
    """Candidates whose values rise to a limit; ``seconds`` is the time of an epoch of each."""

    def __init__(self, worth, epoch, end=math.inf):
        self.worth, self.epoch, self.end = worth, epoch, end
        self.now, self.used, self.turns = 100.0, [0.0] * len(worth), []

    def clock(self):
        return self.now

    def advance(self, i, seconds):
        whole = max(1, math.ceil(seconds / self.epoch[i])) * self.epoch[i]
        self.now += whole
        self.used[i] += whole
        self.turns.append(i)
        return self.worth[i] * (1 - math.exp(-self.used[i])), self.used[i] >= self.end


def test_by_hand() -> None:
    """Nine, three, two: 30 seconds make three rounds of 10, and an epoch is a tenth of a second."""
    world = World([n / 10 for n in range(9)], [0.1] * 9)
    found = halve(9, world.advance, 30.0, world.clock)
    assert [s.number for s in found][:3] == [8, 7, 6]
    assert [s.rounds for s in found] == [3, 3, 2, 1, 1, 1, 1, 1, 1]
    assert found[0].seconds == pytest.approx(10 / 9 + 10 / 3 + 10 / 2, abs=0.4)
    assert found[-1].seconds == pytest.approx(10 / 9, abs=0.2)
    assert world.now - 100 == pytest.approx(30, abs=0.5)


def test_one_that_overruns_takes_time_from_those_after_it_not_more() -> None:
    world = World([0.5, 0.6, 0.7, 0.8], [7.0, 0.1, 0.1, 0.1])
    halve(4, world.advance, 40.0, world.clock)
    assert world.now - 100 <= 40 + 7


def test_everybody_has_one_turn_and_late_rounds_are_left_out() -> None:
    world = World([0.1, 0.2, 0.3, 0.4], [5.0] * 4)
    found = halve(4, world.advance, 1.0, world.clock)
    assert sorted(world.turns) == [0, 1, 2, 3]
    assert [s.number for s in found] == [3, 2, 1, 0]


def test_who_has_ended_takes_no_more_time() -> None:
    world = World([0.1, 0.9], [1.0, 1.0], end=3.0)
    found = halve(2, world.advance, 100.0, world.clock)
    assert all(s.ended for s in found)
    early = World([0.9, 0.5, 0.4], [1.0, 0.1, 0.1], end=0.5)
    assert halve(3, early.advance, 3.0, early.clock)[0].number == 0
    assert halve(1, lambda i, seconds: (1.0, True), 1.0, world.clock)[0].rounds == 1


@pytest.mark.parametrize("n", range(1, 40))
def test_rounds_shrink_to_the_finalists(n: int) -> None:
    rounds = sizes(n)
    assert rounds[0] == n
    assert rounds[-1] == min(n, 2)
    assert all(a > b for a, b in itertools.pairwise(rounds))
