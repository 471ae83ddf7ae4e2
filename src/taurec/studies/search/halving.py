"""Successive halving by time: all candidates are trained for a short time, the better ones for longer.

After every round the best third stays, until two are left. Every round has the same time, divided equally among its
candidates, so a slow candidate must be better to stay. Source: the rounds of Jamieson and Talwalkar, AISTATS 2016,
arXiv 1502.07943, with seconds as the resource and a third instead of a half.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

REDUCTION = 3
"""One in this many candidates stays after a round."""
FINALISTS = 2

Advance = Callable[[int, float], tuple[float, bool]]
"""Trains a candidate for about the given seconds; returns its best value so far and whether its training finished."""


@dataclass
class Candidate:
    """The state of one candidate of successive halving.

    Attributes:
        number: its index.
        value: the best so far; -inf before it was trained.
        seconds: measured training time in all rounds.
        rounds: number of rounds in which it was trained.
        ended: whether its training finished, so that more time would change nothing.
    """

    number: int
    value: float = -math.inf
    seconds: float = 0.0
    rounds: int = 0
    ended: bool = False


def sizes(n: int) -> list[int]:
    """Number of candidates in each round.

    >>> sizes(18), sizes(4), sizes(2)
    ([18, 6, 2], [4, 2], [2])
    """
    rounds = [n]
    while rounds[-1] > FINALISTS:
        rounds.append(max(FINALISTS, math.ceil(rounds[-1] / REDUCTION)))
    return rounds


def halve(
    n: int,
    advance: Advance,
    seconds: float,
    clock: Callable[[], float],
    on_training: Callable[[int, int, int], None] | None = None,
) -> list[Candidate]:
    """Run successive halving; returns all candidates, those of the last round first, the best of them first.

    Args:
        n: number of candidates.
        advance: trains a candidate; if it takes longer than its time, the candidates after it have less.
        seconds: for all rounds together. Every candidate is trained in the first round. Later rounds end when the
            time is over, and a candidate that was not trained keeps the value of the round before.
        clock: a monotonic clock in seconds.
        on_training: called before a candidate is trained, with the round from 1, the number of rounds, and the
            candidate.
    """
    candidates, end = [Candidate(number) for number in range(n)], clock() + seconds
    rounds, remaining = sizes(n), list(range(n))
    for round_number, count in enumerate(rounds, start=1):
        remaining = sorted(remaining, key=lambda i: -candidates[i].value)[:count]
        round_end = clock() + (end - clock()) / (len(rounds) - round_number + 1)
        waiting = [i for i in remaining if not candidates[i].ended]
        for n_before, i in enumerate(waiting):
            started = clock()
            if round_number > 1 and started >= end:
                break
            if on_training is not None:
                on_training(round_number, len(rounds), i)
            value, ended = advance(i, max(0.0, round_end - started) / (len(waiting) - n_before))
            one = candidates[i]
            one.value, one.ended = max(value, one.value), ended
            one.seconds, one.rounds = one.seconds + clock() - started, one.rounds + 1
    last = set(remaining)
    return sorted(candidates, key=lambda s: (s.number not in last, 0 if s.number in last else -s.rounds, -s.value))
