"""Tables moved by the rows a step needs: the same bits as Adam over the whole table, and the same as autograd."""

from __future__ import annotations

import pytest
import torch

from taurec import kernels
from taurec.kernels.adam import adam_step
from taurec.kernels.unit_rows import unit_rows
from taurec.training.tables import SparseAdamTable, UnitAdamTable

pytestmark = pytest.mark.skipif(kernels.available()["numba"] != "ok", reason="numba does not work here")


def state(rows: int, dim: int, seed: int, scale: float = 1.0) -> list[torch.Tensor]:
    w = torch.randn((rows, dim), generator=torch.Generator().manual_seed(seed)) * scale
    return [w, torch.zeros_like(w), torch.zeros_like(w)]


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize(("rows", "dim"), [(7, 1), (23, 13), (40, 64), (9, 130)])
def test_rows_that_come_late_have_the_bits_of_the_whole_walk(rows: int, dim: int, decay: float) -> None:
    t = torch.Generator().manual_seed(rows)
    scale = 10.0 ** (dim % 4 - 2)
    late, whole = state(rows, dim, 1, scale), state(rows, dim, 1, scale)
    table = SparseAdamTable(*late, lr=0.01, weight_decay=decay)
    for step in range(1, 900):
        # bursts and long breaks, in which some rows come to rest
        ids = torch.randint(0, rows, (4 if step % 300 < 40 else int(step % 97 == 0),), generator=t)
        leaf, place = table.take(ids)
        assert torch.equal(leaf.detach()[place], whole[0][ids])
        gradient = torch.zeros(rows, dim)
        if len(ids):
            leaf.grad = torch.randn(leaf.shape, generator=t)
            gradient[ids] = leaf.grad[place]
        table.move()
        adam_step(whole[0], gradient, *whole[1:], step=step, lr=0.01, l2=decay)
        if step == 500:
            table.settle()
            assert all(torch.equal(a, b) for a, b in zip(late, whole, strict=True))
    assert decay or not torch.equal(late[1], whole[1])
    table.settle()
    assert all(torch.equal(a, b) for a, b in zip(late, whole, strict=True))


def test_a_row_never_touched_stays() -> None:
    w, m, v = state(3, 4, 0)
    before = w.clone()
    table = SparseAdamTable(w, m, v, lr=0.1)
    for _ in range(3):
        leaf, _ = table.take(torch.tensor([1]))
        leaf.grad = torch.ones_like(leaf)
        table.move()
    table.settle()
    assert torch.equal(w[[0, 2]], before[[0, 2]])
    # three steps of one sign move a row by 3 lr
    torch.testing.assert_close(w[1], before[1] - 0.3)


def test_moments_do_not_end_as_denormals() -> None:
    w, m, v = state(1, 4, 0)
    for step in range(1, 1500):
        adam_step(w, torch.ones_like(w) if step == 1 else torch.zeros_like(w), m, v, step=step)
    assert not m.any()
    assert (v > torch.finfo(torch.float32).tiny).all()


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("dim", [5, 13, 64])
def test_the_unit_table_takes_the_steps_of_autograd(dim: int, counted: bool) -> None:
    t = torch.Generator().manual_seed(dim)
    rows, l2 = 37, 0.02
    mine = state(rows, dim, 2)
    table = UnitAdamTable(*mine, lr=0.01, weight_decay=0.0 if counted else l2)
    exact, plain = (torch.nn.Parameter(state(rows, dim, 2)[0].to(d)) for d in (torch.float64, torch.float32))
    optimisers = [torch.optim.Adam([p], lr=0.01) for p in (exact, plain)]
    for _ in range(12):
        up, counts = torch.randn((rows, dim), generator=t), torch.randint(0, 3, (rows,), generator=t).float()
        for p, optimiser in zip((exact, plain), optimisers, strict=True):
            optimiser.zero_grad()
            weight = counts.to(p.dtype) if counted else torch.ones(rows, dtype=p.dtype)
            unit = p / p.norm(dim=1, keepdim=True)
            ((unit * up.to(p.dtype)).sum() + 0.5 * l2 * (weight @ p.square().sum(1))).backward()
            optimiser.step()
        table.gradient.copy_(up)
        assert table.move(l2, counts) if counted else table.move()
    error, allowed = (float((p.detach() - exact.detach()).abs().max()) for p in (mine[0], plain))
    assert error <= 2 * allowed + 1e-6
    torch.testing.assert_close(table.unit, unit_rows(mine[0]))
    torch.testing.assert_close(table.square, mine[0].square().sum(1))


def test_a_gradient_that_is_not_finite_is_told_and_moves_nothing_near() -> None:
    w, m, v = state(40, 8, 3)
    table, before = UnitAdamTable(w, m, v, lr=0.1), w.clone()
    table.gradient.fill_(1.0)
    table.gradient[5, 3] = torch.nan
    assert not table.move()
    assert torch.equal(w[5], before[5])
    assert torch.isfinite(w).all()
    assert not torch.equal(w[39], before[39])


def test_bits_do_not_depend_on_threads() -> None:
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            t = torch.Generator().manual_seed(4)
            late, whole = state(5000, 70, 5), state(9000, 70, 6)
            a, b = SparseAdamTable(*late, lr=0.01), UnitAdamTable(*whole, lr=0.01)
            for _ in range(3):
                leaf, _ = a.take(torch.randint(0, 5000, (1500,), generator=t))
                leaf.grad = torch.randn(leaf.shape, generator=t)
                a.move()
                b.gradient.copy_(torch.randn(b.gradient.shape, generator=t))
                b.move()
            a.settle()
            found.append([*late, *whole, b.unit])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(x, y) for x, y in zip(*found, strict=True))
