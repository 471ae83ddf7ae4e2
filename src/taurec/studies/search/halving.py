"""Successive halving by the clock: many contestants get a little time each, the better ones more of it.

After every round the best third goes on, until there are two. Every round has the same time, and every contestant of
a round the same share of it, so that slow ones must be better for their cost. Source: the rounds of Jamieson and
Talwalkar, AISTATS 2016, arXiv 1502.07943, with seconds for the resource and a third instead of a half.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

KEPT = 3
"""One in so many goes on after a round."""
FINALISTS = 2

Advance = Callable[[int, float], tuple[float, bool]]
"""Goes on with a contestant for about so many seconds; returns its best value so far and whether it has ended."""


@dataclass(frozen=True)
class Standing:
    """Where a contestant was left.

    Attributes:
        number: its place among the contestants.
        value: its best so far; -inf before its first time.
        seconds: what it was given in all, as measured.
        rounds: in how many it took part.
        ended: whether more time would change nothing.
    """

    number: int
    value: float = -math.inf
    seconds: float = 0.0
    rounds: int = 0
    ended: bool = False


def sizes(n: int) -> list[int]:
    """How many take part in each round.

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
) -> list[Standing]:
    """All contestants, the best of the last round first, those that left earlier after them.

    Args:
        n: how many there are.
        advance: does the work; it may take longer than it was told, and what it takes too long is missing to those
            after it, not added.
        seconds: for all rounds together. Everybody has a turn in the first round, whatever the time; later rounds
            end when it is over, and who had no turn keeps the value of the round before.
        clock: seconds that only grow.
        on_turn: called before a turn with the round from 1, the number of rounds, and the contestant.
    """
    standings, end = [Standing(number) for number in range(n)], clock() + seconds
    rounds, still = sizes(n), list(range(n))
    for turn, count in enumerate(rounds, start=1):
        still = sorted(still, key=lambda i: -standings[i].value)[:count]
        round_end = clock() + (end - clock()) / (len(rounds) - turn + 1)
        waiting = [i for i in still if not standings[i].ended]
        for place, i in enumerate(waiting):
            started = clock()
            if turn > 1 and started >= end:
                break
            if on_turn is not None:
                on_turn(turn, len(rounds), i)
            value, ended = advance(i, max(0.0, round_end - started) / (len(waiting) - place))
            now = standings[i]
            spent = now.seconds + clock() - started
            standings[i] = replace(now, value=max(value, now.value), seconds=spent, rounds=now.rounds + 1, ended=ended)
    last = set(still)
    return sorted(standings, key=lambda s: (s.number not in last, 0 if s.number in last else -s.rounds, -s.value))
