"""Blocks of checked rows to one log, with every row accounted for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import VocabularyBuilder


@dataclass(frozen=True)
class ReadReport:
    """What happened to the rows of a source: ``rows == kept + merged + below_rating``.

    Attributes:
        source: the path, or what kind of frame it was.
        format: name of the format.
        columns: role -> name of the column it was read from.
        rows: rows in the source; of a LightGCN list, the pairs it names.
        kept: distinct user-item pairs.
        merged: rows beyond the first of their pair. The rule: the earliest time, the sum of the weights.
        exact: of these, the rows that repeat another in everything that was read.
        below_rating: rows rejected by ``min_rating``.
        notes: remarks a person should see, in order.
    """

    source: str
    format: str
    columns: dict[str, str]
    rows: int
    kept: int
    merged: int
    exact: int
    below_rating: int
    notes: tuple[str, ...] = ()


@dataclass
class Assembler:
    """Gathers blocks of rows as indices, so that no raw id is held twice.

    >>> a = Assembler()
    >>> a.add(pl.DataFrame({"user": ["u", "u"], "item": ["x", "x"]}), {"time": pl.Series([5.0, 3.0])})
    >>> log = a.log(); (len(log), log.merged, log.time.tolist())
    (1, 1, [3.0])
    """

    min_rating: float | None = None
    users: VocabularyBuilder = field(default_factory=VocabularyBuilder)
    items: VocabularyBuilder = field(default_factory=VocabularyBuilder)
    rows: int = 0
    below: int = 0
    _parts: dict[str, list[NDArray[np.generic]]] = field(default_factory=dict)

    def add(self, ids: pl.DataFrame, values: dict[str, pl.Series]) -> None:
        """Take a block: text columns ``user`` and ``item``; Float64 ``time``, ``rating``, ``weight`` where read."""
        self.rows += ids.height
        if self.min_rating is not None:
            keep = values["rating"] >= self.min_rating
            self.below += ids.height - int(keep.sum())
            ids, values = ids.filter(keep), {role: v.filter(keep) for role, v in values.items()}
        self._append("user", self.users.add(ids["user"]))
        self._append("item", self.items.add(ids["item"]))
        if "time" in values:
            self._append("time", values["time"].to_numpy())
        if "weight" in values:
            self._append("weight", values["weight"].cast(pl.Float32).to_numpy())

    def _append(self, role: str, part: NDArray[np.generic]) -> None:
        self._parts.setdefault(role, []).append(part)

    def log(self) -> Interactions:
        """The interactions gathered; hands its blocks over, so call it once."""
        pairs = (self._join("user", np.int32), self._join("item", np.int32))
        return Interactions.from_pairs(
            *pairs,
            self.users.build(),
            self.items.build(),
            self._join("time", np.float64) if "time" in self._parts else None,
            self._join("weight", np.float32) if "weight" in self._parts else None,
        )

    def _join(self, role: str, kind: type[np.generic]) -> NDArray[np.generic]:
        parts = self._parts.pop(role, [])
        return np.concatenate([np.empty(0, dtype=kind), *parts]) if parts else np.empty(0, dtype=kind)
