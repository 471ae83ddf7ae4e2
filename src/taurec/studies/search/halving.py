"""Successive halving by time: every contestant is trained a little, the better ones longer.

After every round the best third goes on, until there are two. Every round has the same time, divided equally among
its contestants, so that a slow one must be better for its cost. Source: the rounds of Jamieson and
Talwalkar, AISTATS 2016, arXiv 1502.07943, with seconds for the resource and a third instead of a half.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

KEPT = 3
"""One in three goes on after a round."""
FINALISTS = 2

Advance = Callable[[int, float], tuple[float, bool]]
"""Trains a contestant for about the seconds given; returns its best value so far and whether it has ended."""


@dataclass
class Contestant:
    """The state of a contestant.

    Attributes:
        number: its index.
        value: the best so far; -inf before its first turn.
        seconds: measured time of all its turns.
        rounds: number of rounds it took part in.
        ended: whether more time would not change it.
    """

    number: int
    value: float = -math.inf
    seconds: float = 0.0
    rounds: int = 0
    ended: bool = False


def sizes(n: int) -> list[int]:
    """Number of contestants in each round.

    >>> sizes(18), sizes(4), sizes(2)
    ([18, 6, 2], [4, 2], [2])
    """
    rounds = [n]
    while rounds[-1] > FINALISTS:
        rounds.append(max(FINALISTS, math.ceil(rounds[-1] / KEPT)))
    return rounds


def halve(
    n: int,
    advance: Advance,
    seconds: float,
    clock: Callable[[], float],
    on_turn: Callable[[int, int, int], None] | None = None,
) -> list[Contestant]:
    """All contestants, the best of the last round first, those that left earlier after them.

    Args:
        n: number of contestants.
        advance: trains a contestant; where it takes longer than it was given, those after it have less.
        seconds: for all rounds together. Every contestant has a turn in the first round; later rounds end when
            the time is over, and a contestant without a turn keeps the value of the round before.
        clock: a monotonic clock in seconds.
        on_turn: called before a turn with the round from 1, the number of rounds, and the contestant.
    """
    contestants, end = [Contestant(number) for number in range(n)], clock() + seconds
    rounds, still = sizes(n), list(range(n))
    for turn, count in enumerate(rounds, start=1):
        still = sorted(still, key=lambda i: -contestants[i].value)[:count]
        round_end = clock() + (end - clock()) / (len(rounds) - turn + 1)
        waiting = [i for i in still if not contestants[i].ended]
        for n_before, i in enumerate(waiting):
            started = clock()
            if turn > 1 and started >= end:
                break
            if on_turn is not None:
                on_turn(turn, len(rounds), i)
            value, ended = advance(i, max(0.0, round_end - started) / (len(waiting) - n_before))
            one = contestants[i]
            one.value, one.ended = max(value, one.value), ended
            one.seconds, one.rounds = one.seconds + clock() - started, one.rounds + 1
    last = set(still)
    return sorted(contestants, key=lambda s: (s.number not in last, 0 if s.number in last else -s.rounds, -s.value))
