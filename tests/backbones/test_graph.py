from __future__ import annotations

import copy
from math import sqrt

import numpy as np
import pytest
import torch

from taurec.backbones.graph import Adjacency, hop, normalised
from taurec.data.interactions import Interactions
from taurec.errors import UsageError

KINDS = ("symmetric", "row_self", "row")


def tiny() -> Interactions:
    """User 0 has items 0 and 1, user 1 has item 1: degrees 2, 1 | 1, 2."""
    return Interactions.from_pairs([0, 0, 1], [0, 1, 1])


def random_log(users: int = 9, items: int = 7, seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    known = np.argwhere(rng.random((users, items)) < 0.4)
    part = Interactions.from_pairs(known[:, 0], known[:, 1])
    return Interactions.from_pairs(
        part.user_of,
        part.indices,
        Interactions.from_pairs([users], [items]).users,
        Interactions.from_pairs([users], [items]).items,
    )


def test_symmetric_by_hand() -> None:
    a, b, c = 1 / sqrt(2 * 1), 1 / sqrt(2 * 2), 1 / sqrt(1 * 2)
    expected = [[0, 0, a, b], [0, 0, 0, c], [a, 0, 0, 0], [b, c, 0, 0]]
    np.testing.assert_allclose(normalised(tiny(), "symmetric").toarray(), expected, rtol=1e-15)


def test_row_self_by_hand() -> None:
    t, h = 1 / 3, 1 / 2
    expected = [[t, 0, t, t], [0, h, 0, h], [h, 0, h, 0], [t, t, 0, t]]
    np.testing.assert_allclose(normalised(tiny(), "row_self").toarray(), expected, rtol=1e-15)


def test_row_by_hand() -> None:
    h = 1 / 2
    expected = [[0, 0, h, h], [0, 0, 0, 1], [1, 0, 0, 0], [h, h, 0, 0]]
    np.testing.assert_allclose(normalised(tiny(), "row").toarray(), expected, rtol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_without_edges_gets_nothing_and_no_nan(kind) -> None:
    log = random_log()  # its last user and item have no pair
    dense = normalised(log, kind).toarray()
    assert np.isfinite(dense).all()
    for node in (log.n_users - 1, log.n_users + log.n_items - 1):
        assert dense[node].sum() == (1.0 if kind == "row_self" else 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_log_has_an_empty_graph(kind) -> None:
    log = random_log()
    log = log.take(np.zeros(len(log), dtype=bool))
    assert hop(Adjacency(log, kind), torch.ones(log.n_users + log.n_items, 2)).shape == (18, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_hop_is_the_dense_product_and_its_gradient_the_transpose(kind) -> None:
    log = random_log()
    adjacency = Adjacency(log, kind).double()
    adjacency.value.copy_(torch.from_numpy(normalised(log, kind).data))
    if not adjacency.symmetric:
        adjacency.value_t.copy_(torch.from_numpy(normalised(log, kind).T.tocsr().data))
    dense = torch.from_numpy(normalised(log, kind).toarray())
    torch.manual_seed(0)
    x = torch.randn(adjacency.n, 3, dtype=torch.float64, requires_grad=True)
    g = torch.randn(adjacency.n, 3, dtype=torch.float64)
    y = hop(adjacency, x)
    torch.testing.assert_close(y, dense @ x, rtol=1e-14, atol=1e-14)
    (grad,) = torch.autograd.grad(y, x, g)
    torch.testing.assert_close(grad, dense.T @ g, rtol=1e-14, atol=1e-14)
    assert torch.autograd.gradcheck(lambda v: hop(adjacency, v), x)
    assert torch.autograd.gradgradcheck(lambda v: hop(adjacency, v) ** 2, x)


def test_edge_weights_multiply_the_values() -> None:
    adjacency = Adjacency(tiny(), "symmetric")
    dropped = hop(adjacency, torch.eye(4), torch.tensor([2.0, 0.0, 1.0, 2.0, 0.0, 1.0]))
    whole = hop(adjacency, torch.eye(4))
    factor = torch.tensor([[0, 0, 2, 0], [0, 0, 0, 1], [2, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.float32)
    torch.testing.assert_close(dropped, whole * factor)
    with pytest.raises(ValueError, match="symmetric"):
        hop(Adjacency(tiny(), "row"), torch.eye(4), torch.ones(6))


@pytest.mark.parametrize("kind", KINDS)
def test_same_bits_for_one_and_two_threads(kind) -> None:
    rng = np.random.default_rng(0)
    log = Interactions.from_pairs(rng.integers(0, 700, 20_000), (500 * rng.random(20_000) ** 2).astype(int))
    adjacency = Adjacency(log, kind)
    x = torch.from_numpy(rng.standard_normal((adjacency.n, 64)).astype(np.float32)).requires_grad_()
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            y = hop(adjacency, hop(adjacency, x))
            seen.append((y.detach(), *torch.autograd.grad(y, x, y.detach())))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])


def test_it_is_copied_with_its_module_and_not_saved() -> None:
    adjacency = copy.deepcopy(Adjacency(tiny(), "row"))
    assert adjacency.state_dict() == {}
    assert torch.equal(hop(adjacency, torch.eye(4)), hop(Adjacency(tiny(), "row"), torch.eye(4)))


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'symmetric'"):
        normalised(tiny(), "symetric")
