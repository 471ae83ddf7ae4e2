"""Unit rows and Adam by Triton: hand values, float64 over random shapes, torch's own Adam."""

import pytest
import torch
from tests.kernels.on_gpu import DEVICE, compiled, compiles, runs, signatures
from tests.kernels.test_tables import unit64

from taurec.kernels.adam import adam_step
from taurec.kernels.unit_rows import unit_rows

EPS = torch.finfo(torch.float32).eps


@runs
def test_unit_rows_by_hand():
    w = torch.tensor([[3.0, 4.0], [0.0, 0.0]], device=DEVICE, requires_grad=True)
    unit = unit_rows(w, kernel="triton")
    assert torch.equal(unit.detach().cpu(), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    (gradient,) = torch.autograd.grad(unit, w, torch.tensor([[1.0, 0.0], [5.0, 5.0]], device=DEVICE))
    # (g - <u, g> u) / 5 with <u, g> = 0.6
    torch.testing.assert_close(gradient.cpu(), torch.tensor([[0.64 / 5, -0.48 / 5], [0.0, 0.0]]))


@runs
def test_unit_rows_against_float64():
    for seed in range(60):
        t = torch.Generator().manual_seed(seed)
        shape = (int(torch.randint(1, 90, (), generator=t)), (1, 7, 24, 64, 100)[seed % 5])
        w, up = (torch.randn(shape, generator=t) * 10.0 ** (seed % 9 - 4) for _ in range(2))
        results = []
        for function, dtype in ((unit64, torch.float64), (unit64, torch.float32), (unit_rows, torch.float32)):
            leaf = w.to(DEVICE if function is unit_rows else "cpu", dtype, copy=True).requires_grad_()
            unit = function(leaf, kernel="triton") if function is unit_rows else function(leaf)
            (gradient,) = torch.autograd.grad(unit, leaf, up.to(leaf))
            results.append([unit.detach().cpu(), gradient.cpu()])
        for exact, plain, got in zip(*results, strict=True):
            # width 1: the exact gradient is 0, and both paths are left with cancelling terms of this size
            slack = 4 * EPS * (float(exact.abs().max()) + float((up.norm(dim=1) / w.norm(dim=1)).max()))
            assert float((exact - got).abs().max()) <= 2 * float((exact - plain).abs().max()) + slack


@runs
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("shape", [(41, 13), (1, 1), (40, 64)])
def test_adam_follows_torch(rows, shape):
    t = torch.Generator().manual_seed(3)
    w = torch.randn(shape, generator=t)
    counts = torch.randint(0, 3, shape[:1], generator=t).float() if rows else None
    mine, m, v = (x.to(DEVICE, copy=True) for x in (w, torch.zeros_like(w), torch.zeros_like(w)))
    exact, single = torch.nn.Parameter(w.double()), torch.nn.Parameter(w.clone())
    optimisers = [torch.optim.Adam([p], lr=0.05, betas=(0.8, 0.99), eps=1e-6) for p in (exact, single)]
    for step in range(1, 13):
        gradient = torch.randn(shape, generator=t)
        for p, optimiser in zip((exact, single), optimisers, strict=True):
            scale = 0.01 if counts is None else 0.01 * counts.to(p.dtype)[:, None]
            p.grad = gradient.to(p.dtype) + scale * p.detach()
            optimiser.step()
        given = {"lr": 0.05, "beta1": 0.8, "beta2": 0.99, "eps": 1e-6, "l2": 0.01}
        by_row = None if counts is None else counts.to(DEVICE)
        adam_step(mine, gradient.to(DEVICE), m, v, step=step, **given, l2_rows=by_row, kernel="triton")
        error, plain = (float((p.detach().cpu() - exact.detach()).abs().max()) for p in (mine, single))
        assert error <= 2 * plain + 4e-7


@runs
def test_first_adam_step_by_hand():
    w, m, v = (
        torch.tensor([[1.0, 1.0]], device=DEVICE),
        torch.zeros(1, 2, device=DEVICE),
        torch.zeros(1, 2, device=DEVICE),
    )
    gradient, counts = torch.tensor([[1.0, -2.0]], device=DEVICE), torch.tensor([1.0], device=DEVICE)
    adam_step(w, gradient, m, v, step=1, lr=0.5, l2=1.0, l2_rows=counts, kernel="triton")
    # gradients 1 + 1 and -2 + 1; the first step moves by lr against the sign
    torch.testing.assert_close(w.cpu(), torch.tensor([[0.5, 1.5]]))
    torch.testing.assert_close(m.cpu(), torch.tensor([[0.2, -0.1]]))
    torch.testing.assert_close(v.cpu(), torch.tensor([[0.004, 0.001]]))


@compiles
def test_compiles_for_a_gpu():
    from taurec.kernels.adam import triton as gpu_adam
    from taurec.kernels.unit_rows import triton as gpu_unit_rows

    for changed in ({}, {"dim": 1}):
        for kernel, given in (*signatures(gpu_adam), *signatures(gpu_unit_rows)):
            assert compiled(kernel, **given | {k: v for k, v in changed.items() if k in given})["cubin"]
