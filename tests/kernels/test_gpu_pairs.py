"""Gather-dot by Triton: against float64 over random shapes, the same bits twice, compiled for a GPU."""

import numpy as np
import pytest
import torch
from tests.kernels.on_gpu import DEVICE, compiled, compiles, runs, signatures
from tests.kernels.test_gather_dot import assert_as_good, naive, run

from taurec import kernels
from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.kernels.gather_dot import gather_dot
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

WIDTHS = (1, 7, 24, 64, 100)


def case(seed: int):
    g, t = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    b, n, i = g.integers(1, 5), 1 if seed % 9 == 0 else g.integers(1, 90), g.integers(2, 12)
    d = WIDTHS[seed % 5]
    ids = torch.randint(0, int(i) if seed % 4 else 1, (b, n), generator=t)
    return (*(torch.randn(s, generator=t) for s in ((b, d), (i, d))), ids, torch.randn((b, n), generator=t))


def by_triton(*tables, d_item=None):
    return gather_dot(*tables, kernel="triton", d_item=d_item)


@runs
def test_hand_worked():
    user = torch.tensor([[1.0, 2.0], [0.0, -1.0]], device=DEVICE)
    item = torch.tensor([[1.0, 0.0], [3.0, 1.0], [5.0, 5.0]], device=DEVICE)
    ids = torch.tensor([[1, 0, 1], [1, 1, 0]], device=DEVICE)
    upstream = torch.tensor([[1.0, 10.0, 100.0], [2.0, 0.0, 3.0]], device=DEVICE)
    neg, d_user, d_item = run(by_triton, user, item, ids, upstream)
    assert neg.tolist() == [[5, 1, 5], [-1, -1, 0]]
    assert d_user.tolist() == [[101 * 3 + 10, 101], [2 * 3 + 3, 2]]
    assert d_item.tolist() == [[10, 20 - 3], [101, 202 - 2], [0, 0]]


@runs
def test_against_float64_over_random_shapes(monkeypatch):
    empty_like = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: empty_like(*a, **k).fill_(float("nan")))
    for seed in range(40 if DEVICE == "cpu" else 400):
        user, item, ids, upstream = case(seed)
        exact = run(naive, user.double(), item.double(), ids, upstream.double())
        plain = run(naive, user, item, ids, upstream)
        got = run(by_triton, *(t.to(DEVICE) for t in (user, item, ids, upstream)))
        assert_as_good(exact, plain, [t.cpu() for t in got])


@runs
def test_two_runs_give_the_same_bits_and_d_item_takes_the_gradient():
    user, item, ids, upstream = (t.to(DEVICE) for t in case(3))
    first, second = (run(by_triton, user, item, ids, upstream) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    into = torch.full_like(item, torch.nan)
    u = user.clone().requires_grad_()
    by_triton(u, item, ids, d_item=into).backward(upstream)
    assert torch.equal(into, first[2])
    assert torch.equal(u.grad, first[1])


@runs
def test_an_id_outside_the_table_scores_nan_and_moves_nothing():
    user, item = torch.ones(1, 3, device=DEVICE), torch.ones(2, 3, device=DEVICE)
    neg, d_user, d_item = run(
        by_triton, user, item, torch.tensor([[-1, 1, 2]], device=DEVICE), torch.ones(1, 3, device=DEVICE)
    )
    assert neg.isnan().tolist() == [[True, False, True]]
    assert d_user.tolist() == [[1, 1, 1]]
    assert d_item.tolist() == [[0, 0, 0], [1, 1, 1]]


@runs
def test_auto_takes_it_on_a_gpu_alone():
    user, item, ids, _ = (t.to(DEVICE) for t in case(3))
    assert kernels.select("gather_dot", user, item, ids).name == ("triton" if DEVICE == "cuda" else "torch")
    with pytest.raises(UsageError, match=r"it needs float32, got torch\.float64"):
        gather_dot(user.double(), item, ids, kernel="triton")


@pytest.mark.skipif(kernels.available()["triton"] == "ok", reason="triton can serve here")
def test_an_explicit_request_says_why_it_cannot_be_served():
    with pytest.raises(UsageError, match=r"kernel 'triton' cannot serve this call: (torch finds no GPU|triton is not)"):
        gather_dot(torch.ones(1, 2), torch.ones(2, 2), torch.tensor([[0]]), kernel="triton")


@compiles
def test_compiles_for_a_gpu():
    from taurec.kernels.gather_dot import triton as gpu_pairs

    assert all(compiled(kernel, **given)["cubin"] for kernel, given in signatures(gpu_pairs, WIDTH=64))
    # the smallest tile and one of several rows of a width that is no power of 2
    for tile in ({"BLOCK": 1, "WIDTH": 1, "n": 1, "dim": 1}, {"BLOCK": 32, "WIDTH": 128}):
        assert all(compiled(kernel, **given)["cubin"] for kernel, given in signatures(gpu_pairs, **tile))


@runs
def test_a_run_says_that_it_ran_and_learns_the_same():
    log = planted(n_users=24, n_items=12, seed=3).log
    fields = {"device": DEVICE, "epochs": 1, "batch_size": 64, "loss": "sl", "negatives": "uniform:4", "l2": 1e-3}
    runs = [Trainer(resolve(**fields, kernel=k, settings={"backbone": {"dim": 16}}), log) for k in ("triton", "torch")]
    one, other = (trainer.fit() for trainer in runs)
    assert (one.kernels["scores"], other.kernels["scores"]) == ("triton", "torch")
    assert one.records[0].loss == pytest.approx(other.records[0].loss, rel=1e-5)
    np.testing.assert_allclose(one.ranker.item, other.ranker.item, atol=1e-5)
