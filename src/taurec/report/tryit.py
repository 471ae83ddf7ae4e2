"""The try-it panel: pick a few items and see the lists of two models, worked out by the page itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.baselines import EASE, ItemKNN
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.evaluation.topk import tie_ranks
from taurec.ranker import Ranker
from taurec.report.folded import Folded, Weights, fixed_bytes, fold

BUDGET = 1_400_000
"""Bytes of the panel's data, so that a page keeps below 2 MB."""

FEWEST = 100
"""Weights an item that an item-to-item model must be left with; rather than fewer, items are left out."""

ENTRY = 8 / 3
"""Bytes of a weight: two, in base64."""

SAMPLE = 100
"""Histories on which the rounded lists are compared with the exact ones."""

AT_ONCE = 20
"""Histories that the exact ranker scores at a time."""


@dataclass(frozen=True)
class TryItModel:
    """A model of the panel.

    Attributes:
        label: its name.
        form: what the page holds of it.
        agreement: mean share of its k best items that are among the exact k best, over histories of the log.
    """

    label: str
    form: Folded
    agreement: float


@dataclass(frozen=True, eq=False)
class TryIt:
    """A block of a page, made by :func:`try_it`.

    Attributes:
        items: names, one an item, in the order that settles ties.
        models: two or more give two lists side by side, one gives one.
        catalogue: items of the whole catalogue.
        start: positions of the items that are picked when the page opens.
        k: length of the lists.
    """

    items: Sequence[str]
    models: Sequence[TryItModel]
    catalogue: int
    start: Sequence[int] = ()
    k: int = 10
    kind: ClassVar[str] = "tryit"

    def best(self, model: int, history: Sequence[int]) -> list[int]:
        """Positions of the items that the page lists for a history, the best first.

        The k largest scores without those of the history; of equal ones the earlier item. Empty without a history.
        """
        if not history:
            return []
        scores = self.models[model].form.scores(history)
        scores[list(history)] = -np.inf
        order = np.argsort(-scores, kind="stable")[: self.k]
        return [int(i) for i in order if scores[i] > -np.inf]

    def data(self) -> str:
        """All the page needs, as JSON that can stand inside a script element."""
        models = [{"label": m.label, "kind": m.form.kind, **m.form.plain()} for m in self.models]
        content = {"items": list(self.items), "models": models, "start": list(self.start), "k": self.k}
        return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")

    @property
    def note(self) -> str:
        """What is rounded and what is left out, with figures."""
        shown = f"{len(self.items):,} most popular of {self.catalogue:,} items"
        which = f"all {self.catalogue:,} items" if len(self.items) == self.catalogue else f"the {shown}"
        agreed = ", ".join(f"{m.label} {m.agreement:.0%}" for m in self.models)
        thinned = any(isinstance(m.form, Weights) for m in self.models)
        more = ", item-to-item models without their smallest weights" if thinned else ""
        return (
            f"Computed in this page from {which}, with numbers rounded to eight bits{more}. "
            f"Share of the exact lists that is kept, on {SAMPLE} histories of the log: {agreed}."
        )


def try_it(
    rankers: Mapping[str, Ranker],
    train: Interactions,
    names: Mapping[str, str] | None = None,
    *,
    start: Sequence[str] = (),
    k: int = 10,
    budget: int = BUDGET,
) -> TryIt:
    """A panel for models of one log.

    Where the catalogue is too large for the budget, the most popular items that fit are taken, and the panel says so.

    Args:
        rankers: by label; embedding models and baselines, see :func:`taurec.report.folded.fold`.
        train: the log they were fitted to.
        names: what to show for raw item ids, such as titles or hashes; the ids themselves by default.
        start: raw ids picked at first; the three most popular items by default.
        k: length of the lists.
        budget: bytes at most.
    Raises: UsageError for a ranker of another kind or of another log, or a budget too small for 2 k items.

    >>> from taurec.baselines import Popularity
    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> panel = try_it({"popularity": Popularity().fit(log)}, log, k=1, start=["0"])
    >>> [panel.items[i] for i in panel.best(0, panel.start)]
    ['1']
    """
    if not rankers:
        raise UsageError("a try-it panel needs at least one model")
    for label, ranker in rankers.items():
        if ranker.n_items != train.n_items:
            raise UsageError(f"{label} knows {ranker.n_items:,} items and the log has {train.n_items:,}")
    raw = train.items.ids.to_list()
    shown = _distinct(raw, names or {})
    popular = np.argsort(-train.item_counts, kind="stable")
    n = _how_many(rankers, [shown[i] for i in popular], budget)
    if n < min(2 * k, train.n_items):
        raise UsageError(f"a budget of {budget:,} bytes has room for {n} items; a panel needs {2 * k}")
    chosen = popular[:n]
    chosen = chosen[np.argsort(tie_ranks(train.items)[chosen])]
    items = [shown[i] for i in chosen]
    place = {raw[i]: at for at, i in enumerate(chosen)}
    forms = _forms(rankers, chosen, budget - _names_size(items))
    models = [
        TryItModel(label, form, _agreement(form, ranker, train, chosen, k))
        for (label, ranker), form in zip(rankers.items(), forms, strict=True)
    ]
    first = [place[r] for r in start if r in place] or [place[raw[i]] for i in popular[: min(3, n - 1)]]
    return TryIt(items, models, train.n_items, first, k)


def _distinct(raw: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """The names, with the id behind those that several items share."""
    shown = [names.get(r, r) for r in raw]
    counts: dict[str, int] = {}
    for name in shown:
        counts[name] = counts.get(name, 0) + 1
    return [name if counts[name] == 1 else f"{name} ({r})" for r, name in zip(raw, shown, strict=True)]


def _how_many(rankers: Mapping[str, Ranker], shown: Sequence[str], budget: int) -> int:
    """How many of the items fit."""
    sizes = np.cumsum([len(json.dumps(name, ensure_ascii=False).encode()) + 2 for name in shown])
    n = len(shown)
    while n > 0:
        least = sum(_entries_at_least(r, n) for r in rankers.values()) * ENTRY
        if sizes[n - 1] + sum(fixed_bytes(r, n) for r in rankers.values()) + least <= budget:
            break
        n = n * 19 // 20
    return n


def _entries_at_least(ranker: Ranker, n: int) -> int:
    return min(FEWEST * n, _entries_at_most(ranker, n))


def _entries_at_most(ranker: Ranker, n: int) -> int:
    if isinstance(ranker, ItemKNN):
        return min(ranker.k, n) * n
    return n * n if isinstance(ranker, EASE) else 0


def _forms(rankers: Mapping[str, Ranker], chosen: NDArray[np.int64], budget: int) -> list[Folded]:
    """Each model's form; what the others leave is shared by item-to-item models, those with fewer weights first."""
    n = len(chosen)
    room = budget - sum(fixed_bytes(r, n) for r in rankers.values())
    made: dict[str, Folded] = {}
    waiting = sorted(rankers, key=lambda label: _entries_at_most(rankers[label], n))
    for position, label in enumerate(waiting):
        most = _entries_at_most(rankers[label], n)
        if not most:
            made[label] = fold(rankers[label], chosen, 0)
            continue
        allowed = room / (len(waiting) - position)
        keep = max(1, min(most, int(allowed / ENTRY)))
        form = fold(rankers[label], chosen, keep)
        spent = _weights_size(form)
        while spent > allowed and keep > 1:  # entries that bridge wide gaps are not known beforehand
            keep = max(1, int(keep * 0.9 * allowed / spent))
            form = fold(rankers[label], chosen, keep)
            spent = _weights_size(form)
        made[label] = form
        room -= spent
    return [made[label] for label in rankers]


def _weights_size(form: Any) -> int:
    return int(len(form.gap) * ENTRY) + 8


def _names_size(items: Sequence[str]) -> int:
    return len(json.dumps(list(items), ensure_ascii=False).encode())


def _agreement(form: Folded, ranker: Ranker, train: Interactions, chosen: NDArray[np.int64], k: int) -> float:
    """Mean overlap of the rounded and the exact k best, over histories spread evenly over the log's users."""
    own = csr_array(train.csr()[:, chosen])
    users = np.flatnonzero(np.diff(own.indptr) < len(chosen))
    users = users[np.diff(own.indptr)[users] > 0]
    users = users[np.unique(np.linspace(0, len(users) - 1, min(SAMPLE, len(users))).astype(np.int64))]
    histories = csr_array(own[users])
    columns = csr_array((histories.data, chosen[histories.indices], histories.indptr), (len(users), train.n_items))
    columns.data = np.ones(len(columns.data), dtype=np.float32)
    shares = []
    for first in range(0, len(users), AT_ONCE):
        scored = ranker.from_history(columns[first : first + AT_ONCE])[:, chosen].astype(np.float64)
        for exact, position in zip(scored, range(first, len(users)), strict=False):
            history = histories.indices[histories.indptr[position] : histories.indptr[position + 1]]
            rounded = form.scores(history.tolist())
            exact[history] = rounded[history] = -np.inf
            length = min(k, len(chosen) - len(history))
            best = [set(np.argsort(-s, kind="stable")[:length].tolist()) for s in (exact, rounded)]
            shares.append(len(best[0] & best[1]) / length)
    return float(np.mean(shares)) if shares else 1.0
