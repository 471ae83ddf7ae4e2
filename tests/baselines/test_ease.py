from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import lapack
from scipy.sparse import csr_array
from threadpoolctl import threadpool_info

from taurec.baselines import EASE, closed_form, memory
from taurec.data.interactions import Interactions
from taurec.errors import ResourceError, UsageError


def test_two_items_in_closed_form() -> None:
    """With one other item, ridge regression is B_ij = c_ij / (c_ii + l2): here 2 / (3 + 4) and 2 / (2 + 4)."""
    log = Interactions.from_pairs([0, 0, 1, 1, 2], [0, 1, 0, 1, 0])
    np.testing.assert_allclose(EASE(l2=4.0).fit(log).weights(), [[0, 2 / 7], [2 / 6, 0]], rtol=1e-6)


def test_three_items_by_hand() -> None:
    """Users {0,1}, {1,2}, {0,1,2}, l2 = 1: column 1 solves [[3,1],[1,3]] b = [2,2], so b = (1/2, 1/2)."""
    log = Interactions.from_pairs([0, 0, 1, 1, 2, 2, 2], [0, 1, 1, 2, 0, 1, 2])
    model = EASE(l2=1.0).fit(log)
    np.testing.assert_allclose(model.weights()[:, 1], [0.5, 0, 0.5], rtol=1e-6)
    # Column 0: [[4,2],[2,3]] b = [2,1], so b = (1/2, 0); column 2 mirrors it.
    np.testing.assert_allclose(model.weights()[:, 0], [0, 0.5, 0], atol=1e-7)
    np.testing.assert_allclose(model.block(np.array([0])), [[0.5, 0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("items", [7, 600])
def test_each_column_is_a_ridge_regression_on_the_other_items(items) -> None:
    x = (np.random.default_rng(0).random((90, items)) < 0.2).astype(float)
    x[0] = 1
    b = EASE(l2=2.5).fit(Interactions.from_pairs(*np.nonzero(x))).weights()
    for j in (0, 3, items - 1):
        others = np.delete(np.arange(items), j)
        a = x[:, others]
        expected = np.linalg.solve(a.T @ a + 2.5 * np.eye(items - 1), a.T @ x[:, j])
        np.testing.assert_allclose(b[others, j], expected, rtol=2e-5, atol=1e-7)
    assert (np.diagonal(b) == 0).all()


@pytest.mark.parametrize("l2", [1e-3, 10.0])
def test_users_and_items_give_the_same_weights(l2) -> None:
    """Users and items are several blocks each; the inverse over the users is held to the one over the items."""
    x = np.random.default_rng(1).random((530, 600)) < np.linspace(0.01, 0.3, 600)
    seen = csr_array(x.astype(np.float32))
    by_item = csr_array(seen.T.tocsr())
    over_users, over_items = closed_form._over_users(seen, by_item, l2), closed_form._over_items(by_item, seen, l2)
    np.testing.assert_allclose(over_users, over_items, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("users", "items", "side"), [(9, 8, 8), (8, 8, 8), (7, 8, 7)])
def test_the_inverse_has_the_shorter_side(users, items, side, monkeypatch) -> None:
    sides, plain = [], lapack.dpotri
    monkeypatch.setattr(lapack, "dpotri", lambda p, **kwargs: (sides.append(len(p)), plain(p, **kwargs))[1])
    EASE().fit(Interactions.from_pairs([0, users - 1], [0, items - 1]))
    assert sides == [side]


@pytest.mark.parametrize("threads", [1, 2])
def test_lapack_takes_the_threads_that_torch_is_set_to(threads, monkeypatch) -> None:
    seen = []
    plain = lapack.dpotrf

    def looked_at(*args, **kwargs):
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return plain(*args, **kwargs)

    monkeypatch.setattr(lapack, "dpotrf", looked_at)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        EASE().fit(Interactions.from_pairs([0, 0, 1], [0, 1, 1]))
    finally:
        torch.set_num_threads(before)
    assert seen
    assert set(seen) <= {threads}


def test_a_catalogue_too_large_is_refused_with_the_figure(monkeypatch) -> None:
    log = Interactions.from_pairs([0, 1], [0, 1])
    monkeypatch.setattr(memory, "available_bytes", lambda: 47)
    with pytest.raises(ResourceError, match=r"EASE on 2 items needs 0\.0 GB of memory"):
        EASE().fit(log)
    monkeypatch.setattr(memory, "available_bytes", lambda: 48)
    assert EASE().fit(log).n_items == 2


def test_available_memory_is_read() -> None:
    assert memory.available_bytes() > 1 << 20


def test_l2_must_be_positive() -> None:
    with pytest.raises(UsageError, match="l2"):
        EASE(l2=0.0)
