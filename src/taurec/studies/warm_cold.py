"""Results of users with training rows (warm) and without (cold) apart, and by what the cold ones were ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from taurec.studies.result import Cell, Column, Table
from taurec.studies.words import count

if TYPE_CHECKING:
    from taurec.evaluation.ranking import Evaluation

EXACT, MEAN = "the exact fold-in", "the mean of the item vectors"
"""How a model ranks a history, by ``folds_in``."""


@dataclass(frozen=True)
class WarmCold:
    """The means of both kinds of users on a part that has both.

    Attributes:
        warm, cold: metric -> mean over users with, and without, training rows.
        users: number of evaluated users by what they were ranked by: ``user`` are the warm ones, ``history`` and
            ``popularity`` the cold ones.
    """

    warm: Mapping[str, float]
    cold: Mapping[str, float]
    users: Mapping[str, int]

    @classmethod
    def of(cls, found: Evaluation) -> Self | None:
        """Of an evaluation; None unless it has users of both kinds."""
        apart = found.warm_and_cold()
        return cls(apart["warm"].means(), apart["cold"].means(), found.sources()) if apart else None


def apart_of(found: Mapping[str, Evaluation]) -> dict[str, WarmCold]:
    """By label, of the evaluations with users of both kinds."""
    return {label: one for label, result in found.items() if (one := WarmCold.of(result)) is not None}


def tables(apart: Mapping[str, WarmCold], section: str = "") -> list[Table]:
    """The table of all metrics; none if nothing is apart."""
    metrics = next((list(one.warm) for one in apart.values()), [])
    return [table(apart, metrics, section)] if apart else []


def table(apart: Mapping[str, WarmCold], metrics: Sequence[str], section: str = "") -> Table:
    """A row for each model and kind of users.

    Args:
        apart: by the label of the model, all of one part.
        metrics: the columns.
    """
    rows: list[list[Cell]] = []
    for label, one in apart.items():
        warm, cold = one.users["user"], one.users["history"] + one.users["popularity"]
        rows.append([label, "warm", warm, *(one.warm[name] for name in metrics)])
        rows.append([label, "cold", cold, *(one.cold[name] for name in metrics)])
    columns = [Column("model", whole=True), Column("users"), Column("number")]
    columns += [Column(name, better="higher", spec=".4f") for name in metrics]
    narrow = [[name] for name in reversed(metrics[1:])]
    note = "warm: users with training rows; cold: users without."
    return Table("Warm and cold users", columns, rows, note, section=section, narrow=narrow)


def cold_words(sources: Mapping[str, int], folds_in: bool, part: str = "test") -> str:
    """A sentence on the users without training rows; an empty text if there are none.

    Args:
        sources: number of users by what they were ranked by, :meth:`Evaluation.sources`.
        folds_in: of the ranker.

    >>> print(cold_words({"user": 9, "history": 0, "popularity": 1}, True))
    1 user without training rows: 1 by popularity.
    """
    history, popularity = sources.get("history", 0), sources.get("popularity", 0)
    if not history + popularity:
        return ""
    how = f"{history:,} ranked from their rows before the {part} part ({EXACT if folds_in else MEAN})"
    said = [how] if history else []
    said += [f"{popularity:,} by popularity"] if popularity else []
    return f"{count(history + popularity, 'user')} without training rows: {', '.join(said)}."
