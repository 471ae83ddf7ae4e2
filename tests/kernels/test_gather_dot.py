"""Gather-dot: each kernel against float64 autograd over random shapes, poisoned outputs, bits by thread count."""

import numpy as np
import pytest
import torch
from torch import Tensor

from taurec import kernels
from taurec.errors import UsageError
from taurec.kernels import select
from taurec.kernels.gather_dot import gather_dot, reference

KERNELS = [k for k in ("torch", "numba") if kernels.available()[k] == "ok"]


def naive(user: Tensor, item: Tensor, ids: Tensor) -> Tensor:
    return torch.einsum("bd,bnd->bn", user, item[ids])


def run(function, user: Tensor, item: Tensor, ids: Tensor, upstream: Tensor) -> list[Tensor]:
    user, item = user.detach().requires_grad_(), item.detach().requires_grad_()
    neg = function(user, item, ids)
    return [neg.detach(), *torch.autograd.grad(neg, (user, item), upstream)]


def case(seed: int):
    g = np.random.default_rng(seed)
    b, n, d, i = g.integers(1, 101), g.integers(1, 301), g.integers(1, 131), g.integers(2, 501)
    t = torch.Generator().manual_seed(seed)
    span = i if seed % 3 else max(1, i // 20)
    ids = torch.randint(0, int(span), (b, n), generator=t)
    return (*(torch.randn(s, generator=t) for s in ((b, d), (i, d))), ids, torch.randn((b, n), generator=t))


def assert_as_good(exact: list[Tensor], plain: list[Tensor], got: list[Tensor]) -> None:
    """Error at most twice the plain float32 path's largest, plus four ulp of the largest value."""
    for truth, float32, value in zip(exact, plain, got, strict=True):
        assert value.shape == truth.shape
        assert torch.isfinite(value).all()
        slack = 4 * torch.finfo(torch.float32).eps * float(truth.abs().max())
        assert float((truth - value).abs().max()) <= 2 * float((truth - float32).abs().max()) + slack


@pytest.fixture
def poisoned(monkeypatch):
    """Uninitialised memory full of NaN, so that an output left unwritten shows."""
    for module, name in ((np, "empty"), (torch, "empty"), (torch, "empty_like")):
        plain = getattr(module, name)

        def filled(*args, _plain=plain, **kwargs):
            out = _plain(*args, **kwargs)
            floating = out.is_floating_point() if isinstance(out, Tensor) else out.dtype.kind == "f"
            (out.fill_ if isinstance(out, Tensor) else out.fill)(float("nan") if floating else 1 << 30)
            return out

        monkeypatch.setattr(module, name, filled)


@pytest.mark.parametrize("kernel", KERNELS)
def test_hand_worked(kernel):
    user = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    item = torch.tensor([[1.0, 0.0], [3.0, 1.0], [5.0, 5.0]])
    ids = torch.tensor([[1, 0, 1], [1, 1, 0]])
    upstream = torch.tensor([[1.0, 10.0, 100.0], [2.0, 0.0, 3.0]])
    neg, d_user, d_item = run(lambda *a: gather_dot(*a, kernel=kernel), user, item, ids, upstream)
    assert neg.tolist() == [[5, 1, 5], [-1, -1, 0]]
    assert d_user.tolist() == [[101 * 3 + 10, 101], [2 * 3 + 3, 2]]
    assert d_item.tolist() == [[10, 20 - 3], [101, 202 - 2], [0, 0]]


@pytest.mark.parametrize("kernel", KERNELS)
def test_against_float64_over_random_shapes(kernel, poisoned):
    for seed in range(120):
        user, item, ids, upstream = case(seed)
        exact = run(naive, user.double(), item.double(), ids, upstream.double())
        plain = run(naive, user, item, ids, upstream)
        assert_as_good(exact, plain, run(lambda *a: gather_dot(*a, kernel=kernel), user, item, ids, upstream))


@pytest.mark.skipif("numba" not in KERNELS, reason="numba does not work here")
@pytest.mark.parametrize(("n_items", "n", "dim"), [(200_000, 3, 2), (70, 65_536 + 9, 3), (65_537, 40, 1)])
def test_the_ends_of_packed_pairs(n_items, n, dim):
    t = torch.Generator().manual_seed(2)
    user, item = torch.randn((3, dim), generator=t), torch.randn((n_items, dim), generator=t)
    ids, upstream = torch.randint(0, n_items, (3, n), generator=t), torch.randn((3, n), generator=t)
    ids[:, 0], ids[:, -1] = n_items - 1, 0
    exact = run(naive, user.double(), item.double(), ids, upstream.double())
    plain = run(naive, user, item, ids, upstream)
    assert_as_good(exact, plain, run(lambda *a: gather_dot(*a, kernel="numba"), user, item, ids, upstream))


@pytest.mark.parametrize("kernel", KERNELS)
def test_bits_do_not_depend_on_threads(kernel):
    t = torch.Generator().manual_seed(0)
    user, item = torch.randn((1100, 33), generator=t), torch.randn((9000, 33), generator=t)
    ids, upstream = torch.randint(0, 9000, (1100, 60), generator=t), torch.randn((1100, 60), generator=t)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3) if kernel == "numba" else (1, 2):
            torch.set_num_threads(count)
            results.append(run(lambda *a: gather_dot(*a, kernel=kernel), user, item, ids, upstream))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("rows", [True, False])
def test_reference_gradcheck(rows, monkeypatch):
    if rows:
        monkeypatch.setattr(reference, "SCORES_AT_ONCE", 20)
    t = torch.Generator().manual_seed(1)
    user = torch.randn((5, 3), dtype=torch.float64, generator=t, requires_grad=True)
    item = torch.randn((9, 3), dtype=torch.float64, generator=t, requires_grad=True)
    ids = torch.randint(0, 9, (5, 6), generator=t)
    torch.autograd.gradcheck(lambda u, v: reference.gather_dot(u, v, ids), (user, item))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("frozen", [0, 1])
def test_one_table_frozen(kernel, frozen):
    user, item, ids, upstream = case(4)
    tables = [user, item]
    full = run(lambda *a: gather_dot(*a, kernel=kernel), user, item, ids, upstream)
    moving = tables[1 - frozen].requires_grad_()
    (gradient,) = torch.autograd.grad(gather_dot(*tables, ids, kernel=kernel), moving, upstream)
    assert torch.equal(gradient, full[2 - frozen])


@pytest.mark.skipif("numba" not in KERNELS, reason="numba does not work here")
@pytest.mark.parametrize("share", [0.0, 0.05, 0.49])
def test_pairs_that_no_hinge_moves_are_left_out_to_the_same_bits(share, poisoned, monkeypatch):
    for seed in range(40):
        user, item, ids, upstream = case(seed)
        moved = torch.rand(upstream.shape, generator=torch.Generator().manual_seed(seed)) < share
        given = user, item, ids, torch.where(moved, upstream, 0.0)
        few = run(lambda *a: gather_dot(*a, kernel="numba"), *given)
        with monkeypatch.context() as patched:
            patched.setattr(torch, "count_nonzero", lambda values: torch.tensor(values.numel()))
            every = run(lambda *a: gather_dot(*a, kernel="numba"), *given)
        assert all(torch.equal(a, b) for a, b in zip(few, every, strict=True))


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_gradient_of_a_graph_kept_for_another(kernel):
    user, item, ids, upstream = case(4)
    user.requires_grad_()
    neg = gather_dot(user, item, ids, kernel=kernel)
    few = torch.where(upstream > 1.5, upstream, 0.0)
    for weight in (few, upstream, few):
        (got,) = torch.autograd.grad(neg, user, weight, retain_graph=True)
        (again,) = torch.autograd.grad(gather_dot(user, item, ids, kernel=kernel), user, weight)
        assert torch.equal(got, again)


@pytest.mark.skipif("numba" not in KERNELS, reason="numba does not work here")
@pytest.mark.parametrize("wrong", [-1, 5, 1 << 40])
def test_ids_out_of_range_are_refused(wrong):
    ids = torch.tensor([[0, wrong, 4]])
    with pytest.raises(IndexError, match=r"0\.\.4"):
        gather_dot(torch.ones(1, 2), torch.ones(5, 2), ids, kernel="numba")


def test_choice():
    user, item, ids = torch.zeros(64, 64), torch.zeros(99, 64), torch.zeros(64, 99, dtype=torch.int64)
    fast = "numba" if "numba" in KERNELS else "torch"
    assert select("gather_dot", user, item, ids).name == fast
    assert select("gather_dot", user, item, ids, kernel="torch").name == "torch"
    assert select("gather_dot", user[:1], item, ids[:1, :2]).name == "torch"
    assert select("gather_dot", user.double(), item.double(), ids).name == "torch"
    with pytest.raises(UsageError, match="float32"):
        select("gather_dot", user.double(), item.double(), ids, kernel="numba")
    with pytest.raises(UsageError, match="did you mean 'numba'"):
        select("gather_dot", user, item, ids, kernel="numbas")


def test_shapes_that_disagree_are_refused():
    with pytest.raises(UsageError, match=r"\(3, 2\)"):
        gather_dot(torch.zeros(3, 2), torch.zeros(4, 2), torch.zeros(2, 5, dtype=torch.int64))


@pytest.mark.parametrize("kernel", ["torch", "auto"])
def test_empty(kernel):
    out = gather_dot(torch.zeros(3, 2), torch.zeros(4, 2), torch.zeros(3, 0, dtype=torch.int64), kernel=kernel)
    assert out.shape == (3, 0)
