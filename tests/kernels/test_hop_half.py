"""Hops stored in half precision: their stated error against float64, at any scale of table and gradient."""

import numpy as np
import pytest
import torch
from tests.kernels.test_hop import bipartite, dense, some_rows
from torch import Tensor

from taurec import kernels
from taurec.kernels.hop import Csr
from taurec.kernels.hop_half import Workspace, growth_of, mean_at_rows_half, scale_for

KERNELS = [k for k in ("torch", "numba") if kernels.available()[k] == "ok"]
ROUNDING = 2.0**-11


def run(matrix: Csr, tables: list[Tensor], layers: int, rows: Tensor, upstream: Tensor, kernel: str) -> list[Tensor]:
    tables = [t.clone().requires_grad_() for t in tables]
    room = Workspace(growth_of(matrix))
    for name in ("x", "y", "z"):  # what was left by another call must not show
        room.table(name, (sum(map(len, tables)), tables[0].shape[1]), torch.float16, torch.device("cpu")).fill_(
            torch.nan
        )
    mean = mean_at_rows_half(matrix, *tables, layers, rows, room, kernel=kernel)
    return [mean.detach(), *torch.autograd.grad(mean, tables, upstream)]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e20])
@pytest.mark.parametrize(("seed", "dim", "layers"), [(0, 64, 3), (1, 20, 2), (2, 1, 1), (3, 100, 4), (4, 7, 3)])
def test_off_by_a_rounding_a_layer(kernel, scale, seed, dim, layers):
    """Largest error over largest entry: one rounding of the tables and of each layer between the ends."""
    g = np.random.default_rng(seed)
    users, items = int(g.integers(20, 90)), int(g.integers(20, 90))
    matrix = bipartite(seed, users, items, 0.2)
    tables = [torch.from_numpy(g.standard_normal((n, dim)).astype(np.float32)) * scale for n in (users, items)]
    rows = some_rows(g, users + items)
    upstream = torch.from_numpy(g.standard_normal((len(rows), dim)).astype(np.float32)) * scale
    a, x = dense(matrix, users + items), torch.cat(tables).double()
    power, total = torch.eye(users + items, dtype=torch.float64), torch.eye(users + items, dtype=torch.float64)
    for _ in range(layers):
        power = a @ power
        total = total + power
    total = total[rows] / (layers + 1)
    exact = [total @ x, *torch.split_with_sizes(total.T @ upstream.double(), [users, items])]
    for truth, got in zip(exact, run(matrix, tables, layers, rows, upstream, kernel), strict=True):
        assert got.dtype == torch.float32
        if truth.numel():
            assert float((truth - got).abs().max()) <= (layers + 1) * ROUNDING * float(truth.abs().max())


@pytest.mark.skipif("numba" not in KERNELS, reason="numba does not work here")
def test_same_bits_for_one_and_two_threads():
    g = np.random.default_rng(5)
    matrix = bipartite(5, 700, 500, 0.05)
    tables = [torch.from_numpy(g.standard_normal((n, 64)).astype(np.float32)) for n in (700, 500)]
    rows = some_rows(g, 1200)
    upstream = torch.ones(len(rows), 64)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(run(matrix, tables, 3, rows, upstream, "numba"))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_scales_keep_the_largest_finite_and_the_smallest_present():
    assert scale_for(2.0**15) == 1.0
    assert scale_for(1e-30) * 1e-30 <= 2**15 < 4 * scale_for(1e-30) * 1e-30
    assert scale_for(float("inf")) == scale_for(float("nan")) == scale_for(0.0) == 1.0


@pytest.mark.skipif("numba" not in KERNELS, reason="numba does not work here")
def test_an_index_outside_is_refused():
    matrix = Csr(torch.tensor([0, 1, 2], dtype=torch.int32), torch.tensor([1, 7], dtype=torch.int32), torch.ones(2))
    with pytest.raises(IndexError, match=r"0\.\.1, got up to 7"):
        mean_at_rows_half(
            matrix, torch.ones(1, 4), torch.ones(1, 4), 2, torch.tensor([0]), Workspace(1.0), kernel="numba"
        )
