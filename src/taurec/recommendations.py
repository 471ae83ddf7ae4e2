"""Lists of recommended items with raw ids, and the way from raw ids to indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError, did_you_mean
from taurec.evaluation.ranking import TopK, top_k
from taurec.evaluation.users import SOURCES, UserScorer
from taurec.ranker import BlockScorer

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Recommendations:
    """Ranked lists as flat columns, best first within each user; a list is short where candidates run out.

    Attributes:
        user: raw user id of each row (the history's number, as text, for lists from histories).
        item: raw item id.
        score: the model's score; comparable within a user only.
        rank: 1 for the best.
        source: what the list of the row's user was made from: ``user``, the user as trained; ``history``, only the
            user's items; ``popularity``, since no item of the user was trained on. None for similar items;
            ``attributes`` for an item without training rows. It is the column ``from`` of a frame.
    """

    user: list[str]
    item: list[str]
    score: NDArray[np.float32]
    rank: NDArray[np.int64]
    source: list[str] | None = None

    def __len__(self) -> int:
        return len(self.item)

    def to_frame(self) -> pl.DataFrame:
        """A polars frame with the columns user, item, score, rank, from."""
        source = {} if self.source is None else {"from": self.source}
        return pl.DataFrame({"user": self.user, "item": self.item, "score": self.score, "rank": self.rank, **source})

    def to_pandas(self) -> Any:
        """A pandas frame with the same columns; needs the extra ``taurec[pandas]``."""
        return self.to_frame().to_pandas()


def recommend(
    ranker: BlockScorer,
    users: Index,
    names: Sequence[object],
    k: int,
    items: Vocabulary,
    seen: Interactions | None = None,
    only: Iterable[object] | None = None,
    without: Iterable[object] | None = None,
) -> Recommendations:
    """The k best items for each user, with raw ids.

    Args:
        ranker: scores all items; the lists of a :class:`taurec.evaluation.users.UserScorer` tell their source.
        users: [n] indices.
        names: [n] what to call them.
        k: length of the lists, at least 1.
        items: raw item ids.
        seen: pairs to leave out.
        only, without: raw item ids to choose from, or to leave out.
    Raises: UsageError for an unknown item, or k < 1.
    """
    chosen, removed = (None if raw is None else encode(items, as_list(raw), "item") for raw in (only, without))
    found = top_k(ranker, users, checked_k(k), seen=seen, only=chosen, without=removed, item_ids=items)
    return _named(found, names, items, ranker.source[users] if isinstance(ranker, UserScorer) else None)


def encode(vocabulary: Vocabulary, raw: Sequence[object], kind: str) -> Index:
    """[n] indices of raw ids.

    Raises: UsageError naming the unknown ones and the nearest known id.
    """
    index = vocabulary.encode(raw)
    if (index < 0).any():
        unknown = [str(r) for r, i in zip(raw, index, strict=True) if i < 0]
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        near = did_you_mean(unknown[0], vocabulary.ids.to_list()).split(" (accepted")[0].rstrip(";")
        raise UsageError(
            f"unknown {kind} {', '.join(map(repr, unknown[:5]))}{more}{near}; "
            f"the model knows {len(vocabulary):,} {kind}s"
        )
    return index


def as_list(values: Any) -> list[Any]:
    """One id or several, as a list."""
    return [values] if isinstance(values, str | int) else list(values)


def checked_k(k: int) -> int:
    """The length of a list; UsageError unless it is a whole number of at least 1."""
    if isinstance(k, bool) or int(k) != k or k < 1:
        raise UsageError(f"k must be a whole number of at least 1, got {k!r}")
    return int(k)


def histories_of(given: Sequence[Any], items: Vocabulary) -> Interactions:
    """One history, or a list of histories, as pairs; an item that a history names twice counts once.

    Raises: UsageError for an unknown item or an empty history.
    """
    several = given if given and not isinstance(given[0], str | int) else [given]
    rows = [encode(items, as_list(history), "item") for history in several]
    if not all(len(row) for row in rows):
        raise UsageError("a history is empty; give at least one item")
    user, item = np.repeat(np.arange(len(rows)), [len(row) for row in rows]), np.concatenate(rows)
    return Interactions.from_pairs(user, item, Vocabulary.numbered(len(rows)), items)


def _named(found: TopK, names: Sequence[object], items: Vocabulary, source: NDArray[np.int8] | None) -> Recommendations:
    rows, columns = np.nonzero(found.items >= 0)
    return Recommendations(
        [str(names[int(r)]) for r in rows],
        items.decode(found.items[rows, columns]),
        found.scores[rows, columns],
        columns + 1,
        None if source is None else [SOURCES[source[row]] for row in rows],
    )
