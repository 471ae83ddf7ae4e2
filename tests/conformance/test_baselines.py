"""Laws that every registered baseline keeps."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load, save
from scipy.sparse import csr_array, issparse

from taurec.baselines import BASELINES, Baseline
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Ranker

NAMES = sorted(BASELINES)
SMALL = {"ials": {"dim": 8}, "ease": {"l2": 5.0}}


def fitted(name: str, train: Interactions) -> Baseline:
    return BASELINES.build(name, given=SMALL.get(name, {}), seed=3).fit(train)


@pytest.fixture(scope="module")
def log() -> Interactions:
    rng = np.random.default_rng(0)
    return Interactions.from_pairs(rng.integers(0, 50, 500), (30 * rng.random(500) ** 1.5).astype(int))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_ranker(name, log) -> None:
    model = fitted(name, log)
    assert isinstance(model, Ranker)
    assert isinstance(model, Baseline)
    assert (model.n_users, model.n_items) == (log.n_users, log.n_items)
    scores = model.block(np.array([4, 0, 4]))
    assert scores.shape == (3, log.n_items)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores[0], scores[2])
    vectors = model.item_vectors()
    assert vectors.shape[0] == log.n_items
    assert isinstance(vectors, csr_array) or not issparse(vectors)


@pytest.mark.parametrize("name", NAMES)
def test_a_known_history_scores_as_its_user(name, log) -> None:
    model, users = fitted(name, log), np.arange(log.n_users)
    np.testing.assert_allclose(model.from_history(log.csr()[users]), model.block(users), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_it_scores_the_same(name, log) -> None:
    model, users = fitted(name, log), np.arange(log.n_users)
    again = BASELINES[name].from_state(load(save(model.state())))
    np.testing.assert_array_equal(again.block(users), model.block(users))
    np.testing.assert_array_equal(again.from_history(log.csr()[:3]), model.from_history(log.csr()[:3]))
    settings = {k: v for k, v in vars(model).items() if not k.startswith("_")}
    assert {k: v for k, v in vars(again).items() if not k.startswith("_")} == settings
    assert again.state().keys() == model.state().keys()


@pytest.mark.parametrize("name", NAMES)
def test_renaming_items_renames_the_scores(name, log) -> None:
    new = np.random.default_rng(1).permutation(log.n_items)
    # ItemKNN keeps all 29 neighbours here: which of two equal ones is the k-th depends on the index.
    renamed = fitted(name, Interactions.from_pairs(log.user_of, new[log.indices], log.users, log.items))
    users = np.arange(log.n_users)
    np.testing.assert_allclose(renamed.block(users)[:, new], fitted(name, log).block(users), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"ials"}))
def test_renaming_users_renames_the_rows(name, log) -> None:
    new = np.random.default_rng(1).permutation(log.n_users)
    renamed = fitted(name, Interactions.from_pairs(new[log.user_of], log.indices, log.users, log.items))
    np.testing.assert_allclose(
        renamed.block(new), fitted(name, log).block(np.arange(log.n_users)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"popularity"}))
def test_planted_answers_are_found(name) -> None:
    """Three blocks of 8 users and 8 items; each user lacks one item of the own block: that is the answer."""
    size, n = 8, 24
    user, item = np.divmod(np.arange(n * size), size)
    item = item + (user // size) * size
    withheld = np.arange(n)
    keep = item != withheld[user]
    train = Interactions.from_pairs(user[keep], item[keep])
    scores = fitted(name, train).block(np.arange(n))
    own = withheld[:, None] // size == np.arange(n)[None, :] // size
    assert scores[own].min() > scores[~own].max()  # seen items are scored like any other
    scores[train.csr().toarray() > 0] = -np.inf
    np.testing.assert_array_equal(scores.argmax(1), withheld)


@pytest.mark.parametrize("name", NAMES)
def test_the_grid_is_made_of_settings(name) -> None:
    grid = BASELINES[name].GRID
    assert grid
    for point in grid:
        BASELINES.build(name, given=point, seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_users_and_items_without_pairs(name, log) -> None:
    part = log.take(log.user_of < 20)
    scores = fitted(name, part).block(np.arange(log.n_users))
    assert np.isfinite(scores).all()
    if name != "popularity":
        assert (scores[20:] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_before_fitting_it_says_what_to_do(name) -> None:
    model = BASELINES.build(name, seed=0)
    for use in (lambda: model.block(np.array([0])), lambda: model.n_items, model.state, model.item_vectors):
        with pytest.raises(UsageError, match=r"not fitted; call fit\(train\)"):
            use()


@pytest.mark.parametrize("name", NAMES)
def test_the_formula_for_pages_scores_as_from_history(name, log) -> None:
    """Over the whole catalogue, and over some of its items in another order."""
    model = fitted(name, log)
    form = model.fold_in()
    assert form is not None
    items = np.random.default_rng(5).permutation(log.n_items)[:20]
    for history in ([3], [1, 4, 9]):
        row = csr_array((np.ones(len(history), "f4"), (np.zeros(len(history), int), items[history])), (1, log.n_items))
        exact = model.from_history(row)[0]
        atol = 1e-5 * np.abs(exact).max()
        np.testing.assert_allclose(form.scores(items[history].tolist()), exact, rtol=1e-5, atol=atol)
        np.testing.assert_allclose(form.restricted(items).scores(history), exact[items], rtol=1e-5, atol=atol)


@pytest.mark.parametrize("name", NAMES)
def test_a_declared_cost_is_not_negative(name, log) -> None:
    cost = BASELINES.build(name, seed=0).fit_cost(log)
    assert cost is None or (cost.seconds >= 0 and cost.bytes > 0)
