"""The try-it panel: pick a few items and see the lists of two models, worked out by the page itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.evaluation.topk import tie_ranks
from taurec.foldin import FoldIn
from taurec.ranker import Ranker
from taurec.report.folded import Folded, fixed_bytes, fold, most_entries

BUDGET = 1_400_000
"""Bytes of the panel's data, which keep a page below 2 MB."""

FEWEST = 100
"""Smallest number of weights for each item of an item-to-item model; items are left out before it falls below."""

ENTRY = 8 / 3
"""Bytes of one weight: two, in base64."""

SAMPLE = 100
"""Histories on which the rounded lists are compared with the exact ones."""

AT_ONCE = 20
"""Histories that the exact ranker scores at a time."""


@dataclass(frozen=True)
class TryItModel:
    """A model of the panel.

    Attributes:
        label: its name.
        form: its formula with rounded numbers.
        agreement: mean share of its k best items that are among the exact k best, over histories of the log.
    """

    label: str
    form: Folded
    agreement: float


@dataclass(frozen=True, eq=False)
class TryIt:
    """A block of a page, made by :func:`try_it`.

    Attributes:
        items: names of the items, in the order that settles ties.
        models: two or more give two lists side by side, one gives one list.
        catalogue: size of the whole catalogue.
        start: positions of the items that are picked when the page opens.
        k: length of the lists.
        left_out: labels of models that a page cannot compute.
    """

    items: Sequence[str]
    models: Sequence[TryItModel]
    catalogue: int
    start: Sequence[int] = ()
    k: int = 10
    left_out: Sequence[str] = ()

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
        models = [{"label": m.label, "kind": m.form.kind, **m.form.plain} for m in self.models]
        content = {"items": list(self.items), "models": models, "start": list(self.start), "k": self.k}
        return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")

    @property
    def note(self) -> str:
        """What is rounded and what is left out, with figures."""
        shown = f"{len(self.items):,} most popular of {self.catalogue:,} items"
        which = f"all {self.catalogue:,} items" if len(self.items) == self.catalogue else f"the {shown}"
        agreed = ", ".join(f"{m.label} {m.agreement:.0%}" for m in self.models)
        thinned = any(m.form.entries for m in self.models)
        more = ", item-to-item models without their smallest weights" if thinned else ""
        return (
            f"Computed in this page from {which}, with numbers rounded to eight bits{more}. "
            f"Share of the exact lists that is kept, on {SAMPLE} histories of the log: {agreed}."
            + (f" {without_form(self.left_out)}" if self.left_out else "")
        )


def without_form(labels: Sequence[str]) -> str:
    """The sentence on models that a page cannot compute."""
    be = "is" if len(labels) == 1 else "are"
    return f"{', '.join(labels)} {be} not shown here: no formula is known by which a page could compute the lists."


def try_it(
    rankers: Mapping[str, Ranker],
    train: Interactions,
    names: Mapping[str, str] | None = None,
    *,
    start: Sequence[str] = (),
    k: int = 10,
    budget: int = BUDGET,
) -> TryIt | None:
    """A panel for models of one log; None where no model has a formula that a page can compute.

    Where the catalogue is too large for the budget, the most popular items that fit are taken, and the panel says so.
    Models without a formula (:meth:`taurec.ranker.Ranker.fold_in`) are left out, and the panel names them.

    Args:
        rankers: by label.
        train: the log they were fitted to.
        names: what to show for raw item ids, such as titles or hashes; the ids themselves by default.
        start: raw ids picked at first; the three most popular items by default.
        k: length of the lists.
        budget: upper bound in bytes.
    Raises: UsageError for no rankers, a ranker of another log, or a budget too small for 2 k items.

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
    found = {label: ranker.fold_in() for label, ranker in rankers.items()}
    exact = {label: form for label, form in found.items() if form is not None}
    if not exact:
        return None
    raw = train.items.ids.to_list()
    shown = _distinct(raw, names or {})
    popular = np.argsort(-train.item_counts, kind="stable")
    n = _how_many(list(exact.values()), [shown[i] for i in popular], budget)
    if n < min(2 * k, train.n_items):
        raise UsageError(f"a budget of {budget:,} bytes has room for {n} items; a panel needs {2 * k}")
    chosen = popular[:n]
    chosen = chosen[np.argsort(tie_ranks(train.items)[chosen])]
    items = [shown[i] for i in chosen]
    position = {raw[i]: at for at, i in enumerate(chosen)}
    room = budget - len(json.dumps(items, ensure_ascii=False).encode())
    models = [
        TryItModel(label, form, _agreement(form, rankers[label], train, chosen, k))
        for label, form in _forms(exact, chosen, room).items()
    ]
    first = [position[r] for r in start if r in position] or [position[raw[i]] for i in popular[: min(3, n - 1)]]
    return TryIt(items, models, train.n_items, first, k, [label for label in rankers if label not in exact])


def _distinct(raw: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """The names, with the id behind those that several items share."""
    shown = [names.get(r, r) for r in raw]
    counts = Counter(shown)
    return [name if counts[name] == 1 else f"{name} ({r})" for r, name in zip(raw, shown, strict=True)]


def _how_many(forms: Sequence[FoldIn], shown: Sequence[str], budget: int) -> int:
    """The number of items that fit."""
    sizes = np.cumsum([len(json.dumps(name, ensure_ascii=False).encode()) + 2 for name in shown])
    n = len(shown)
    while n > 0:
        least = sum(min(FEWEST * n, most_entries(form, n)) for form in forms) * ENTRY
        if sizes[n - 1] + sum(fixed_bytes(form, n) for form in forms) + least <= budget:
            break
        n = n * 19 // 20
    return n


def _forms(exact: Mapping[str, FoldIn], chosen: NDArray[np.int64], budget: int) -> dict[str, Folded]:
    """Each model's rounded form; item-to-item models share the rest of the budget, those with fewer weights first."""
    n = len(chosen)
    room = budget - sum(fixed_bytes(form, n) for form in exact.values())
    made: dict[str, Folded] = {}
    waiting = sorted(exact, key=lambda label: most_entries(exact[label], n))
    for position, label in enumerate(waiting):
        most = most_entries(exact[label], n)
        allowed = room / (len(waiting) - position)
        keep = max(1, min(most, int(allowed / ENTRY)))
        form = fold(exact[label], chosen, keep)
        while _entries_bytes(form) > allowed and keep > 1:  # entries that split wide gaps are not known beforehand
            keep = max(1, int(keep * 0.9 * allowed / _entries_bytes(form)))
            form = fold(exact[label], chosen, keep)
        made[label] = form
        room -= _entries_bytes(form)
    return {label: made[label] for label in exact}


def _entries_bytes(form: Folded) -> int:
    """Bytes in a page of the weights of item-to-item models; 0 for others."""
    return int(form.entries * ENTRY) + 16 if form.entries else 0


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
