"""Items without interactions: scored from their attributes by a ridge regression on the vectors of known items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.evaluation.users import UserScorer
from taurec.ranker import BlockScorer, Float
from taurec.recommendations import Recommendations, as_list, encode, recommend
from taurec.recommender import Recommender
from taurec.sampling.semantic import TfIdf

__all__ = ["AttributeRidge", "NewItemScorer", "hold_out_items", "recommend_with_new_items"]

L2 = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Strengths that :meth:`AttributeRidge.choose` tries."""
AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class AttributeRidge:
    """A ridge regression from attributes x to item vectors q, with an intercept that is not penalised.

        q_new = mean(q) + (x_new - mean(x))' (Xc'Xc + l2 I)^-1 Xc' Qc = sum_i a_i q_i

    over the n items that a model was trained on, with Xc and Qc centred. The weights a, which sum to 1, depend on the
    attributes alone; so the score of a new item is the same weighted sum of a user's scores of known items, for every
    model whose scores are linear in item vectors, and no vector need be known.

    Args:
        known: [n, F] attributes of the items trained on. Rows are scaled to length 1; a row of zeros means that nothing
            is known and counts as the mean.
        new: [m, F] attributes of the others, likewise.

    >>> ridge = AttributeRidge(np.array([[1, 0], [1, 0], [0, 1]]), np.array([[1, 0], [0, 0]]))
    >>> ridge.weights(l2=1e-6).T.round(2)
    array([[0.5 , 0.5 , 0.  ],
           [0.33, 0.33, 0.33]], dtype=float32)
    """

    known: NDArray[np.floating]
    new: NDArray[np.floating]

    @cached_property
    def _parts(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """U [n, r] and S [r] of the centred attributes Xc = U S V', and the new items' rows times V [m, r]."""
        known, new = _unit(self.known), _unit(self.new)
        mean = known.mean(axis=0)
        known, new = (np.where(x.any(axis=1, keepdims=True), x - mean, 0.0) for x in (known, new))
        u, s, vt = np.linalg.svd(known, full_matrices=False)
        kept = s > 1e-9 * max(s.max(initial=0.0), 1e-30)
        return u[:, kept], s[kept], new @ vt[kept].T

    def weights(self, l2: float) -> Float:
        """[n, m] the weights a of each new item, in a column.

        Args:
            l2: above 0, in units of squared attributes, whose rows have length 1.
        """
        if not l2 > 0:
            raise UsageError(f"l2 must be above 0, got {l2}")
        u, s, new = self._parts
        return np.asarray(1 / len(self.known) + (u * (s / (s * s + l2))) @ new.T, dtype=np.float32)

    def error(self, vectors: Float | csr_array, l2: float) -> float:
        """The mean squared error of the vectors [n, D] of known items, each predicted from the other items alone,
        relative to the error of their mean."""
        u, s, _ = self._parts
        n, shrunk = len(self.known), s * s / (s * s + l2)
        left = np.maximum(1 - 1 / n - (u * u) @ shrunk, 1e-9)
        inner, mean = u.T @ vectors, np.asarray(vectors.sum(axis=0)).ravel() / n
        found = base = 0.0
        for first in range(0, n, AT_ONCE):
            rows = slice(first, first + AT_ONCE)
            own = vectors[rows].toarray() if isinstance(vectors, csr_array) else vectors[rows]
            off = np.asarray(own, np.float64) - mean
            miss = (off - (u[rows] * shrunk) @ inner) / left[rows, None]
            found, base = found + float((miss * miss).sum()), base + float((off * off).sum())
        return found / max(base, 1e-30)

    def choose(self, vectors: Float | csr_array, tried: Sequence[float] = L2) -> float:
        """The strength with the smallest :meth:`error`."""
        return min(tried, key=lambda l2: self.error(vectors, l2))


class NewItemScorer(BlockScorer):
    """Scores of the items that a model was trained on, and of others by :class:`AttributeRidge`.

    Args:
        scorer: scores I items.
        trained: [I] whether the model was trained on rows of the item.
        attributes: [J, F] of all items, J >= I; those after the first I are unknown to the scorer.
        l2: strength of the ridge.
    """

    def __init__(self, scorer: BlockScorer, trained: NDArray[np.bool_], attributes: Float, l2: float):
        if len(attributes) < len(trained):
            raise UsageError(f"got attributes of {len(attributes)} items, the model has {len(trained)}")
        self._scorer, self._known = scorer, np.flatnonzero(trained)
        self.new = np.ones(len(attributes), dtype=bool)
        self.new[self._known] = False
        self._weights = AttributeRidge(attributes[self._known], attributes[self.new]).weights(l2)

    @property
    def n_users(self) -> int:
        return self._scorer.n_users

    @property
    def n_items(self) -> int:
        return len(self.new)

    def block(self, users: NDArray[np.int64]) -> Float:
        scores = self._scorer.block(users)
        found = np.empty((len(users), self.n_items), dtype=np.float32)
        found[:, self._known] = known = scores[:, self._known]
        found[:, self.new] = known @ self._weights
        return found


def _unit(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows of length 1; a row of zeros stays."""
    rows = np.asarray(x, dtype=np.float64)
    length = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return rows / np.where(length > 0, length, 1.0)


def hold_out_items(log: Interactions, share: float = 0.2, seed: int = 0) -> tuple[Interactions, Interactions]:
    """The log without the rows of a random share of its items, and those rows, to measure new items on.

    >>> kept, held = hold_out_items(Interactions.from_pairs([0] * 10, range(10)))
    >>> len(kept), len(held)
    (8, 2)
    """
    drawn = draw.permutation(draw.key(seed, "new items"), log.n_items)[: round(share * log.n_items)]
    held = np.isin(log.indices, drawn)
    return log.take(~held), log.take(held)


def recommend_with_new_items(
    model: Recommender,
    users: str | Iterable[object],
    texts: Mapping[str, str],
    k: int = 10,
    *,
    encoder: Callable[[Sequence[str]], Float] | None = None,
    only_new: bool = False,
) -> Recommendations:
    """The k best items for users of the log, among them items without training rows by their texts.

    Args:
        model: fitted; its ranker has item vectors, on which the strength of the ridge is chosen.
        users: raw ids.
        texts: item id -> text, of items trained on and of others, see
            :func:`taurec.data.item_texts.read_item_texts`; ids that the log does not have are new items.
        k: length of the lists.
        encoder: texts to vectors; :class:`taurec.sampling.semantic.TfIdf` by default.
        only_new: recommend items without training rows alone.
    Returns: lists whose ``source`` is ``attributes`` for items without training rows. Items of the user in any part of
        the log are left out.
    Raises: UsageError for an unknown user, a ranker without item vectors, and fewer than two trained items with texts.
    """
    parts, vectors = model.split, model.ranker.item_vectors()
    if vectors is None:
        raise UsageError(f"{model.run.label} has no item vectors, from which vectors of new items could be found")
    items = model.items.extended(Vocabulary(list(texts)))
    trained = parts.train.item_counts > 0
    told = sum(bool(texts.get(name)) for name in model.items.decode(np.flatnonzero(trained)))
    if told < 2:
        raise UsageError(
            f"{told} items with training rows have a text; give the texts of known items too, by their ids"
        )
    attributes = (encoder or TfIdf())([texts.get(name, "") for name in items.ids.to_list()])
    known = np.flatnonzero(trained)
    l2 = AttributeRidge(attributes[known], attributes[:0]).choose(vectors[known])
    raw, everything = as_list(users), parts.everything
    by_user = UserScorer.of_log(model.ranker, parts.train, everything)
    scorer = NewItemScorer(by_user, trained, attributes, l2)
    seen = Interactions.from_pairs(everything.user_of, everything.indices, everything.users, items)
    index = encode(model.users, raw, "user")
    only = items.decode(np.flatnonzero(scorer.new)) if only_new else None
    found = recommend(scorer, index, raw, k, items, seen, only)
    of_user = {str(name): by_user.source_of(int(i)) for name, i in zip(raw, index, strict=True)}
    is_new = scorer.new[items.encode(found.item)]
    named = zip(found.user, is_new, strict=True)
    return replace(found, source=["attributes" if new else of_user[user] for user, new in named])
