"""Unit rows and Adam against hand values, float64 and torch's own, compiled and plain."""

import pytest
import torch

from taurec import kernels
from taurec.errors import UsageError
from taurec.kernels.adam import adam_step
from taurec.kernels.unit_rows import unit_rows


@pytest.fixture(params=["numba", "torch"])
def path(request):
    if kernels.available()[request.param] != "ok":
        pytest.skip(f"{request.param} does not work here")
    return request.param


def unit64(w):
    return w / w.norm(dim=1, keepdim=True)


def test_unit_rows_by_hand(path):
    w = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    unit = unit_rows(w, kernel=path)
    assert torch.equal(unit.detach(), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    (gradient,) = torch.autograd.grad(unit, w, torch.tensor([[1.0, 0.0], [5.0, 5.0]]))
    # (g - <u, g> u) / 5 with <u, g> = 0.6
    torch.testing.assert_close(gradient, torch.tensor([[0.64 / 5, -0.48 / 5], [0.0, 0.0]]))


def test_unit_rows_do_not_hide_nan(path):
    w = torch.tensor([[torch.nan, 4.0], [3.0, 4.0]], requires_grad=True)
    unit = unit_rows(w, kernel=path)
    assert unit.detach().isnan().tolist() == [[True, True], [False, False]]
    (gradient,) = torch.autograd.grad(unit, w, torch.ones(2, 2))
    assert gradient.isnan().tolist() == [[True, True], [False, False]]


def test_unit_rows_against_float64(path):
    for seed in range(60):
        t = torch.Generator().manual_seed(seed)
        shape = (int(torch.randint(1, 300, (), generator=t)), int(torch.randint(1, 131, (), generator=t)))
        w, up = (torch.randn(shape, generator=t) * 10.0 ** (seed % 9 - 4) for _ in range(2))
        results = []
        for function, dtype in ((unit64, torch.float64), (unit64, torch.float32), (unit_rows, torch.float32)):
            leaf = w.to(dtype, copy=True).requires_grad_()
            unit = function(leaf, kernel=path) if function is unit_rows else function(leaf)
            results.append([unit.detach(), *torch.autograd.grad(unit, leaf, up.to(dtype))])
        for exact, plain, got in zip(*results, strict=True):
            slack = 4 * torch.finfo(torch.float32).eps * float(exact.abs().max())
            # width 1: the exact gradient is 0, and both paths are left with cancelling terms of this size
            slack += 4 * torch.finfo(torch.float32).eps * float((up.norm(dim=1) / w.norm(dim=1)).max())
            assert float((exact - got).abs().max()) <= 2 * float((exact - plain).abs().max()) + slack


def test_unit_rows_gradcheck():
    w = torch.randn((4, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    torch.autograd.gradcheck(unit_rows, w)


@pytest.mark.parametrize("rows", [False, True])
def test_adam_follows_torch(path, rows):
    t = torch.Generator().manual_seed(3)
    w = torch.randn((41, 13), generator=t)
    counts = torch.randint(0, 3, (41,), generator=t).float() if rows else None
    mine, m, v = w.clone(), torch.zeros_like(w), torch.zeros_like(w)
    exact = torch.nn.Parameter(w.double())
    single = torch.nn.Parameter(w.clone())
    l2 = 0.01
    optimisers = [torch.optim.Adam([p], lr=0.05, betas=(0.8, 0.99), eps=1e-6) for p in (exact, single)]
    for step in range(1, 21):
        gradient = torch.randn(w.shape, generator=t)
        for p, optimiser in zip((exact, single), optimisers, strict=True):
            scale = l2 if counts is None else l2 * counts.to(p.dtype)[:, None]
            p.grad = gradient.to(p.dtype) + scale * p.detach()
            optimiser.step()
        adam_step(
            mine,
            gradient,
            m,
            v,
            step=step,
            lr=0.05,
            beta1=0.8,
            beta2=0.99,
            eps=1e-6,
            l2=l2,
            l2_rows=counts,
            kernel=path,
        )
        error, plain = (float((p.detach() - exact.detach()).abs().max()) for p in (mine, single))
        assert error <= 2 * plain + 4e-7


def test_first_adam_step_by_hand(path):
    w, m, v = torch.tensor([[1.0, 1.0]]), torch.zeros(1, 2), torch.zeros(1, 2)
    adam_step(w, torch.tensor([[1.0, -2.0]]), m, v, step=1, lr=0.5, l2=1.0, l2_rows=torch.tensor([1.0]), kernel=path)
    # gradients 1 + 1 and -2 + 1; the first step moves by lr against the sign
    torch.testing.assert_close(w, torch.tensor([[0.5, 1.5]]))
    torch.testing.assert_close(m, torch.tensor([[0.2, -0.1]]))
    torch.testing.assert_close(v, torch.tensor([[0.004, 0.001]]))


@pytest.mark.skipif(kernels.available()["numba"] != "ok", reason="numba does not work here")
def test_bits_do_not_depend_on_threads():
    t = torch.Generator().manual_seed(5)
    w, up = torch.randn((9001, 70), generator=t), torch.randn((9001, 70), generator=t)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            leaf, m, v = w.clone().requires_grad_(), torch.zeros_like(w), torch.zeros_like(w)
            unit = unit_rows(leaf)
            (gradient,) = torch.autograd.grad(unit, leaf, up)
            adam_step(leaf, gradient, m, v, step=1)
            results.append([unit.detach(), gradient, leaf.detach(), m, v])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_adam_refuses_tables_that_disagree():
    w = torch.zeros(3, 2)
    with pytest.raises(UsageError, match=r"\(3, 1\)"):
        adam_step(w, w[:, :1], w.clone(), w.clone(), step=1)
    with pytest.raises(UsageError, match=r"\[3\]"):
        adam_step(w, w.clone(), w.clone(), w.clone(), step=1, l2_rows=torch.ones(2))
