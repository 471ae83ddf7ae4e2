"""Raw ids and their dense indices, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Vocabulary:
    """The raw ids of users or items; index i stands for ``ids[i]``. Immutable; ids are distinct strings.

    >>> v = Vocabulary(["numpy", "scipy"])
    >>> v.encode(["scipy", "pandas"]).tolist(), v.decode([0])
    ([1, -1], ['numpy'])
    """

    def __init__(self, ids: pl.Series | Sequence[str]):
        series = ids if isinstance(ids, pl.Series) else pl.Series(list(ids), dtype=pl.String)
        self._ids = series.cast(pl.String).alias("id").rechunk()
        self._index: dict[str, int] | None = None
        if self._ids.n_unique() != len(self._ids) or self._ids.null_count():
            raise ValueError("the ids of a vocabulary must be distinct and present")

    @classmethod
    def numbered(cls, n: int) -> Vocabulary:
        """The ids 0..n-1 as text, for indices without names."""
        return cls([str(i) for i in range(n)])

    def __len__(self) -> int:
        return len(self._ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._ids.equals(other._ids)

    def __hash__(self) -> int:
        return hash((len(self), self._ids[0] if len(self) else None))

    def __contains__(self, raw: str) -> bool:
        return str(raw) in self._lookup()

    @property
    def ids(self) -> pl.Series:
        """All raw ids in index order."""
        return self._ids

    def encode(self, raw: Iterable[object] | pl.Series) -> NDArray[np.int64]:
        """Indices of raw ids, compared as strings; -1 for an unknown one. A polars series is looked up at once."""
        if isinstance(raw, pl.Series):
            table = pl.DataFrame({"id": self._ids, "index": np.arange(len(self))})
            return _look_up(raw.cast(pl.String), table).fill_null(-1).to_numpy()
        lookup = self._lookup()
        return np.array([lookup.get(str(r), -1) for r in raw], dtype=np.int64)

    def extended(self, other: Vocabulary) -> Vocabulary:
        """This vocabulary followed by the ids that only ``other`` has."""
        new = other.ids.filter(pl.Series(self.encode(other.ids) < 0))
        return Vocabulary(pl.concat([self.ids, new])) if len(new) else self

    def decode(self, index: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """Raw ids of indices; a negative index is refused, not wrapped."""
        i = np.asarray(index, dtype=np.int64)
        if i.size and (i.min() < 0 or i.max() >= len(self)):
            raise IndexError(f"index outside 0..{len(self) - 1}")
        return self._ids.gather(i).to_list()

    def _lookup(self) -> dict[str, int]:
        if self._index is None:
            self._index = {raw: i for i, raw in enumerate(self._ids.to_list())}
        return self._index


class VocabularyBuilder:
    """A vocabulary that grows as blocks of raw ids arrive; indices follow first appearance.

    >>> b = VocabularyBuilder()
    >>> b.add(pl.Series(["x", "y", "x"])).tolist(), b.add(pl.Series(["z", "y"])).tolist()
    ([0, 1, 0], [2, 1])
    >>> b.build().ids.to_list()
    ['x', 'y', 'z']
    """

    def __init__(self, ids: pl.Series | None = None) -> None:
        known = pl.Series("id", [], dtype=pl.String) if ids is None else ids.alias("id")
        self._known = known.to_frame().with_columns(index=pl.int_range(known.len(), dtype=pl.Int32))

    def __len__(self) -> int:
        return self._known.height

    def add(self, raw: pl.Series) -> NDArray[np.int32]:
        """[B] index of each id of a block; ids not met before get the next indices."""
        codes = np.array(_look_up(raw, self._known).fill_null(-1).to_numpy())
        missing = np.flatnonzero(codes < 0)
        if len(missing):
            strange = raw.gather(missing)
            new = strange.unique(maintain_order=True)
            index = pl.int_range(len(self), len(self) + len(new), dtype=pl.Int32, eager=True)
            table = pl.DataFrame({"id": new, "index": index})
            codes[missing] = _look_up(strange, table).to_numpy()
            self._known = pl.concat([self._known, table])
        return codes

    def build(self) -> Vocabulary:
        """The vocabulary so far."""
        return Vocabulary(self._known["id"])


def _look_up(raw: pl.Series, table: pl.DataFrame) -> pl.Series:
    """The index of each id in a table of ids, null for one that is not there."""
    return raw.alias("id").to_frame().join(table, on="id", how="left", maintain_order="left")["index"]
