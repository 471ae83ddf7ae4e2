"""Blends: two models as one, their scores standardised per user and added."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack, issparse

from taurec.baselines import BASELINES, fitted, pack, unpack
from taurec.baselines.protocol import Composite, FittedPart, State
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.evaluation.scores import scores_of
from taurec.foldin import Blended
from taurec.ranker import Float, HistoryScorer, Ranker, trained_class, unit_rows
from taurec.run import Run

AUTO: Literal["auto"] = "auto"
"""A weight that is chosen on validation."""

WEIGHTS = (0.0, 0.2, 1 / 3, 0.5, 2 / 3, 0.8, 1.0)
"""The grid of the second half's weight; the ratios of the two weights are 0, 1/4, 1/2, 1, 2, 4 and infinity."""

KEPT_BYTES = 1 << 30
"""Memory for standardised scores of validation users, so that the grid computes them once."""

Index = NDArray[np.int64]


class Blend(Composite):
    """The weighted sum of two models' scores, standardised per user.

        score_ui = (1 - weight) z(a_ui) + weight z(b_ui),      z(s_ui) = (s_ui - mean_u) / sd_u

    with a and b the scores of the first and the second half, and mean_u and sd_u over the items that are not among the
    user's training pairs, or not in the history that is given. z is 0 for a user to whom all these items have the same
    score. With weight 0 the scores are those of the first half as they are, with weight 1 those of the second.

    ``weight="auto"`` takes the weight of :data:`WEIGHTS` with the highest value of the run's metric on validation, the
    smallest of equal ones. Both ends are in the grid, so a blend can be one of its halves.

    A half is a baseline or a trained model, not a blend. Known users are scored by both halves as known users,
    histories by the fold-in of each. Similar items have a high weighted mean of the cosines of the halves.

    Args:
        parts: the complete runs of the two halves, as documents.
        weight: of the second half, 0 to 1, or ``"auto"``.
    Raises: UsageError for another number of halves, two equal ones, a blend as a half, or a weight out of range.
    Source: a weighted sum of standardised scores (CombSUM of z-scores: Montague and Aslam, CIKM 2001). They standardise
    over the retrieved documents, here over the catalogue without the user's known items.
    """

    def __init__(self, parts: tuple[dict[str, Any], ...] = (), weight: float | Literal["auto"] = AUTO):
        if len(parts) != 2:
            raise UsageError(f"a blend has two halves, got {len(parts)}; write blend:A+B, as in blend:ease+mf:sl")
        self.parts, self.weight = tuple(parts), weight
        self._runs = tuple(Run.from_document(part) for part in parts)
        if any(run.parts for run in self._runs):
            raise UsageError("a half of a blend is a blend itself; give two baselines or trained models")
        if self._runs[0] == self._runs[1]:
            raise UsageError(f"both halves of the blend are the same run of {self._runs[0].label}; give two models")
        if weight != AUTO and not 0 <= weight <= 1:
            raise UsageError(f"the weight of a blend is that of its second half, 0 to 1 or auto; got {weight}")
        self._halves: tuple[Ranker, ...] | None = None
        self._seen: csr_array | None = None
        self._values: list[float] = []

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs of the two halves."""
        return self._runs

    @property
    def halves(self) -> tuple[Ranker, ...]:
        """The two fitted models."""
        return fitted(self._halves, self)

    def fit(self, train: Interactions) -> Self:
        """Fit a blend of two baselines with a given weight; any other needs :class:`taurec.Recommender`."""
        made = []
        for run in self._runs:
            if run.model is None:
                raise UsageError(
                    f"{run.label} is trained with a validation part; fit the blend by taurec.Recommender(model=...)"
                )
            ranker: Ranker = BASELINES.build(run.model.name, given=run.model.settings, seed=run.seed).fit(train)
            made.append(FittedPart(run, ranker))
        return self.join(train, made)

    def join(
        self, train: Interactions, parts: Sequence[FittedPart], value: Callable[[HistoryScorer], float] | None = None
    ) -> Self:
        """Take the fitted halves; choose the weight on validation if it is ``"auto"``.

        Raises: UsageError if the weight is ``"auto"`` and there is no validation part.
        """
        self._runs = tuple(part.run for part in parts)
        self.parts = tuple(run.model_dump(mode="json") for run in self._runs)
        self._halves, self._seen = tuple(part.ranker for part in parts), train.csr()
        if self.weight == AUTO:
            if value is None:
                raise UsageError(
                    "the weight of a blend is chosen on validation, and there is no validation part; give a number "
                    "(--set model.weight=0.5), or a split with a validation part"
                )
            kept = _Kept(self)
            self._values = [value(_AtWeight(kept, weight)) for weight in WEIGHTS]
            self.weight = WEIGHTS[int(np.argmax(self._values))]
        return self

    def found(self) -> dict[str, str]:
        """How the weight was chosen; empty if it was given."""
        if not self._values:
            return {}
        tried = ", ".join(f"{w:.3g}: {v:.4f}" for w, v in zip(WEIGHTS, self._values, strict=True))
        return {"model.weight": f"model.weight {self.weight:.3g} chosen on validation ({tried})"}

    @property
    def n_users(self) -> int:
        return self.halves[0].n_users

    @property
    def n_items(self) -> int:
        return self.halves[0].n_items

    @property
    def folds_in(self) -> bool:
        """Whether both halves rank a user as they rank the same items as a history."""
        return all(half.folds_in for half in self.halves)

    def block(self, users: Index) -> Float:
        return self._scores(lambda half: scores_of(half, users), self._known()[users])

    def from_history(self, histories: csr_array) -> Float:
        return self._scores(lambda half: half.from_history(histories), histories)

    def contributions(self, histories: csr_array) -> tuple[Float, Float]:
        """[h, I] twice: what each half adds to the scores of these histories; their sum is the score."""
        w = self._number()
        first, second = (standardised(half.from_history(histories), histories) for half in self.halves)
        return np.float32(1 - w) * first, np.float32(w) * second

    def item_vectors(self) -> Float | csr_array | None:
        """Unit vectors of both halves side by side, whose cosine is the weighted mean of the two cosines."""
        w = self._number()
        found = [half.item_vectors() for half in self.halves]
        if w in (0, 1):
            return found[int(w)]
        first, second = found
        if first is None or second is None:
            return None
        one, other = _unit(first) * np.float32(np.sqrt(1 - w)), _unit(second) * np.float32(np.sqrt(w))
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            return np.hstack([one, other])
        return csr_array(hstack([csr_array(one), csr_array(other)], format="csr"))

    def fold_in(self) -> Blended | None:
        """The formula of both halves; None where one of them has none."""
        first, second = (half.fold_in() for half in self.halves)
        if first is None or second is None:
            return None
        one, other = (run.label for run in self._runs)
        return Blended(first, second, self._number(), (one, other))

    def state(self) -> State:
        halves = zip(("first", "second"), self.halves, strict=True)
        arrays = {f"{side}.{name}": array for side, half in halves for name, array in half.state().items()}
        text = np.frombuffer(json.dumps(self.parts).encode(), dtype=np.uint8)
        return {"weight": np.array([self._number()]), "parts": text, **pack(self._known(), "seen"), **arrays}

    @classmethod
    def from_state(cls, state: State) -> Self:
        return cls.from_parts(state, _class_of)

    @classmethod
    def from_parts(cls, state: State, class_of: Callable[[Run, State], type[Ranker]]) -> Self:
        model = cls(tuple(json.loads(state["parts"].tobytes())), float(state["weight"][0]))
        sides = [f"{side}." for side in ("first", "second")]
        arrays = [{k.removeprefix(side): v for k, v in state.items() if k.startswith(side)} for side in sides]
        model._halves = tuple(class_of(run, own).from_state(own) for run, own in zip(model._runs, arrays, strict=True))
        model._seen = unpack(state, "seen")
        return model

    def _known(self) -> csr_array:
        return fitted(self._seen, self)

    def _number(self) -> float:
        """The weight, which fitting turns into a number."""
        _ = self.halves
        assert self.weight != AUTO
        return float(self.weight)

    def _scores(self, score: Callable[[Ranker], Float], histories: csr_array) -> Float:
        w, (first, second) = self._number(), self.halves
        if w in (0, 1):
            return score(second if w else first)
        return weighted(standardised(score(first), histories), standardised(score(second), histories), w)


def standardised(scores: Float, known: csr_array) -> Float:
    """Scores with mean 0 and standard deviation 1 in each row, over the items that are not in a row of ``known``.

        z_ui = (s_ui - mean_u) / sd_u,   mean_u and sd_u (with divisor n) over the items i without a pair (u, i)

    Computed in float64, row by row, so that a row's bits depend on nothing else. A row is 0 where these items have all
    the same score, or where there are none.

    Args:
        scores: [b, I] float32.
        known: [b, I], the pairs to leave out; their items are scaled alike.

    >>> known = csr_array(np.array([[1, 0, 0], [0, 0, 1]]))
    >>> standardised(np.array([[9, 1, 3], [2, 2, 5]], "f4"), known).tolist()
    [[7.0, -1.0, 1.0], [0.0, 0.0, 0.0]]
    """
    found = np.zeros_like(scores)
    candidate = np.ones(scores.shape[1], dtype=bool)
    for row, own in enumerate(scores):
        items = known.indices[known.indptr[row] : known.indptr[row + 1]]
        candidate[items] = False
        over = own[candidate].astype(np.float64)
        candidate[items] = True
        if len(over) and over.min() < over.max():
            found[row] = (own.astype(np.float64) - over.mean()) / over.std()
    return found


def weighted(first: Float, second: Float, weight: float) -> Float:
    """(1 - weight) first + weight second, in float32."""
    return np.float32(1 - weight) * first + np.float32(weight) * second


class _Kept:
    """The standardised scores of both halves of a blend, kept as far as memory for them is given."""

    def __init__(self, blend: Blend):
        self.blend = blend
        self._blocks: dict[bytes, tuple[Float, Float]] = {}
        self._bytes = 0

    def of_users(self, users: Index) -> tuple[Float, Float]:
        """[b, I] twice, of known users."""
        return self._of(users.tobytes(), lambda half: scores_of(half, users), self.blend._known()[users])

    def of_histories(self, histories: csr_array) -> tuple[Float, Float]:
        """[h, I] twice, of histories."""
        key = b"".join(part.tobytes() for part in (histories.indptr, histories.indices))
        return self._of(b"histories" + key, lambda half: half.from_history(histories), histories)

    def _of(self, key: bytes, score: Callable[[Ranker], Float], known: csr_array) -> tuple[Float, Float]:
        if key not in self._blocks:
            first, second = (standardised(score(half), known) for half in self.blend.halves)
            if self._bytes + 2 * first.nbytes > KEPT_BYTES:
                return first, second
            self._bytes += 2 * first.nbytes
            self._blocks[key] = first, second
        return self._blocks[key]


class _AtWeight(HistoryScorer):
    """The scores of a blend at one weight."""

    def __init__(self, kept: _Kept, weight: float):
        self._kept, self._weight = kept, weight

    @property
    def n_users(self) -> int:
        return self._kept.blend.n_users

    @property
    def n_items(self) -> int:
        return self._kept.blend.n_items

    def block(self, users: Index) -> Float:
        if self._weight in (0, 1):
            return scores_of(self._kept.blend.halves[int(self._weight)], users)
        return weighted(*self._kept.of_users(users), self._weight)

    def from_history(self, histories: csr_array) -> Float:
        if self._weight in (0, 1):
            return self._kept.blend.halves[int(self._weight)].from_history(histories)
        return weighted(*self._kept.of_histories(histories), self._weight)


def _class_of(run: Run, state: State) -> type[Ranker]:
    """The class of a half's ranker, for which no code is imported."""
    if run.model is None:
        return trained_class(run.rank_score, state)
    found: Any = BASELINES.imported(run.model.name)
    if found is None:
        raise ValueError(f"the baseline {run.model.name} is not imported")
    made: type[Ranker] = found
    return made


def _unit(vectors: Float | csr_array) -> Float | csr_array:
    """Rows of length 1; a zero row stays zero."""
    if not issparse(vectors):
        return unit_rows(np.asarray(vectors, dtype=np.float32))
    rows = csr_array(vectors, dtype=np.float32)
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return csr_array(rows.multiply(1 / np.maximum(length, 1e-12)[:, None]))
