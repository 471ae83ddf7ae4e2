"""Laws of baselines: they are rankers, fold histories in exactly, and survive saving."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from safetensors.numpy import load, save
from scipy.sparse import csr_array, issparse

from taurec.baselines import Baseline
from taurec.data.interactions import Interactions
from taurec.ranker import Ranker
from taurec.registry import Registry
from taurec.testing.backbones import blocks_log
from taurec.testing.laws import Exceptions, Laws, NotApplicable, require, require_class, require_refused


@dataclass(frozen=True)
class BaselineCase:
    """A baseline class to check, with the settings to build it with.

    Attributes:
        cls: the class; it is called with the settings, and with ``seed`` if its signature has it.
        settings: settings by name.
    """

    cls: type[Baseline]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def build(self, seed: int = 3, settings: Mapping[str, Any] | None = None) -> Baseline:
        """The unfitted baseline; with other settings if they are given."""
        registry: Registry[Baseline] = Registry("model", {"checked": self.cls}, runtime=frozenset({"seed"}))
        return registry.build("checked", given=self.settings if settings is None else settings, seed=seed)

    def fit(self, train: Interactions) -> Baseline:
        """The baseline fitted to this log."""
        return self.build().fit(train)


def baseline_log() -> Interactions:
    """50 users, 30 items, 500 random pairs; items with low numbers are popular."""
    rng = np.random.default_rng(0)
    return Interactions.from_pairs(rng.integers(0, 50, 500), (30 * rng.random(500) ** 1.5).astype(int))


def check_baseline(
    cls: type[Baseline], *, settings: Mapping[str, Any] | None = None, exceptions: Exceptions = ()
) -> None:
    """Check that a baseline keeps the laws that every baseline of TauRec keeps.

    Args:
        cls: the class.
        settings: settings to build it with, by name; choose small ones, the logs have some dozen users and items.
        exceptions: pairs (law, reason) for laws that it breaks on purpose; an exception that is not needed is an error.
    Raises: AssertionError naming every broken law; UsageError for what is no class with ``fit`` and ``from_state``.

    >>> from taurec.baselines import EASE
    >>> check_baseline(EASE, settings={"l2": 5.0})
    """
    require_class(cls, "baseline", ("fit", "from_state"), "a subclass of taurec.Baseline")
    BASELINE_LAWS.check(BaselineCase(cls, settings or {}), exceptions)


BASELINE_LAWS: Laws[BaselineCase] = Laws("baseline")
law = BASELINE_LAWS.law


@law("it is a ranker with finite float32 scores; its item vectors, if it has any, are one per item")
def _is_a_ranker(case: BaselineCase) -> None:
    log = baseline_log()
    model = case.fit(log)
    require(isinstance(model, Ranker), "it lacks methods of taurec.Ranker")
    require(isinstance(model, Baseline), "it lacks methods of taurec.Baseline")
    require((model.n_users, model.n_items) == (log.n_users, log.n_items), "n_users or n_items is wrong")
    scores = model.block(np.array([4, 0, 4]))
    require(scores.shape == (3, log.n_items), f"block of 3 users is {scores.shape}, expected (3, {log.n_items})")
    require(scores.dtype == np.float32, f"scores must be float32, got {scores.dtype}")
    require(np.isfinite(scores).all(), "a score is not finite")
    np.testing.assert_array_equal(scores[0], scores[2])
    vectors = model.item_vectors()
    if vectors is None:
        return
    require(vectors.shape[0] == log.n_items, f"there are {vectors.shape[0]} item vectors for {log.n_items} items")
    require(isinstance(vectors, csr_array) or not issparse(vectors), "sparse item vectors must be a csr_array")


@law("the history of a known user gives the scores of that user")
def _fold_in(case: BaselineCase) -> None:
    log = baseline_log()
    model, users = case.fit(log), np.arange(log.n_users)
    if not model.folds_in:
        raise NotApplicable("folds_in is False: a history is scored in another way than a known user")
    np.testing.assert_allclose(model.from_history(log.csr()[users]), model.block(users), rtol=1e-5, atol=1e-6)


@law("the formula for pages, if it has one, scores as from_history does")
def _formula_for_pages(case: BaselineCase) -> None:
    """Over the whole catalogue, and over some of its items in another order."""
    log = baseline_log()
    model = case.fit(log)
    form = model.fold_in()
    if form is None:
        raise NotApplicable("it has no formula for pages")
    items = np.random.default_rng(5).permutation(log.n_items)[:20]
    for history in ([3], [1, 4, 9]):
        row = csr_array((np.ones(len(history), "f4"), (np.zeros(len(history), int), items[history])), (1, log.n_items))
        exact = model.from_history(row)[0]
        atol = 1e-5 * np.abs(exact).max()
        np.testing.assert_allclose(form.scores(items[history].tolist()), exact, rtol=1e-5, atol=atol)
        np.testing.assert_allclose(form.restricted(items).scores(history), exact[items], rtol=1e-5, atol=atol)


@law("a declared cost is not negative")
def _declared_cost(case: BaselineCase) -> None:
    cost = case.build().fit_cost(baseline_log())
    require(cost is None or (cost.seconds >= 0 and cost.bytes > 0), f"fit_cost gives {cost}")


@law("saved and loaded, it has the same scores, settings and state")
def _saved_and_loaded(case: BaselineCase) -> None:
    """With the settings of the case, and with each point of the grid on top of them: a default hides what is lost."""
    log = baseline_log()
    users = np.arange(log.n_users)
    for point in ({}, *case.cls.GRID):
        settings = {**case.settings, **point}
        model = case.build(settings=settings).fit(log)
        again = case.cls.from_state(load(save(model.state())))
        before, after = (_public(m) for m in (model, again))
        for name in sorted(before.keys() | after.keys()):
            if name not in before or name not in after or not _equal(before[name], after[name]):
                was, became = before.get(name, "missing"), after.get(name, "missing")
                raise AssertionError(f"with settings {settings}, {name} {was!r} became {became!r}")
        np.testing.assert_array_equal(again.block(users), model.block(users))
        np.testing.assert_array_equal(again.from_history(log.csr()[:3]), model.from_history(log.csr()[:3]))
        require(again.state().keys() == model.state().keys(), "the state has other keys")


def _public(model: Baseline) -> dict[str, Any]:
    return {name: value for name, value in vars(model).items() if not name.startswith("_")}


def _equal(one: Any, other: Any) -> bool:
    """Whether two attributes are equal; arrays and sparse matrices by their entries."""
    if issparse(one) or issparse(other):
        both = issparse(one) and issparse(other) and one.shape == other.shape
        return both and np.array_equal(one.toarray(), other.toarray())
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and one.dtype == other.dtype and np.array_equal(one, other)
    return bool(one == other)


@law("renumbering the items renumbers the scores")
def _renumbered_items(case: BaselineCase) -> None:
    log = baseline_log()
    new = np.random.default_rng(1).permutation(log.n_items)
    # ItemKNN keeps all 29 neighbours here: which of two equal ones is the k-th depends on the index.
    renumbered = case.fit(Interactions.from_pairs(log.user_of, new[log.indices], log.users, log.items))
    users = np.arange(log.n_users)
    np.testing.assert_allclose(renumbered.block(users)[:, new], case.fit(log).block(users), rtol=1e-4, atol=1e-5)


@law("renumbering the users renumbers the rows")
def _renumbered_users(case: BaselineCase) -> None:
    log = baseline_log()
    new = np.random.default_rng(1).permutation(log.n_users)
    renumbered = case.fit(Interactions.from_pairs(new[log.user_of], log.indices, log.users, log.items))
    np.testing.assert_allclose(renumbered.block(new), case.fit(log).block(np.arange(log.n_users)), rtol=1e-4, atol=1e-5)


@law("fitted to three blocks of users and items, it puts a user's one withheld item first")
def _planted_answers(case: BaselineCase) -> None:
    train, withheld = blocks_log()
    n, size = train.n_users, 8
    scores = case.fit(train).block(np.arange(n))
    own = withheld[:, None] // size == np.arange(n)[None, :] // size
    require(scores[own].min() > scores[~own].max(), "an item of another block scores above one of the own block")
    scores[train.csr().toarray() > 0] = -np.inf
    np.testing.assert_array_equal(scores.argmax(1), withheld)


@law("every point of its grid can be built")
def _grid(case: BaselineCase) -> None:
    require(case.cls.GRID, "GRID is empty; give at least one point, {} for the defaults")
    for point in case.cls.GRID:
        case.build(seed=0, settings=point)


@law("users and items without pairs have finite scores")
def _finite_without_pairs(case: BaselineCase) -> None:
    log = baseline_log()
    scores = case.fit(log.take(log.user_of < 20)).block(np.arange(log.n_users))
    require(np.isfinite(scores).all(), "a score is not finite")


@law("users without pairs have the score 0 for all items")
def _zero_without_pairs(case: BaselineCase) -> None:
    log = baseline_log()
    scores = case.fit(log.take(log.user_of < 20)).block(np.arange(log.n_users))
    require((scores[20:] == 0).all(), "a score is not 0")


@law("before it is fitted, it says that fit comes first")
def _before_fitting(case: BaselineCase) -> None:
    model = case.build(seed=0)
    uses: list[Callable[[], object]] = [lambda: model.block(np.array([0])), lambda: model.n_items, model.state]
    if case.cls.item_vectors is not Baseline.item_vectors:
        uses.append(model.item_vectors)
    for use in uses:
        require_refused(use, r"not fitted; call fit\(train\)")
