"""Reductions over the catalogue: each kernel against float64 autograd, and a whole step against held scores."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from taurec import kernels
from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.kernels.catalogue import catalogue_reduce
from taurec.kernels.catalogue import reference as tiles
from taurec.losses import LOSSES
from taurec.losses.reduction import RowReduce
from taurec.scoring import batch_scores as BATCH
from taurec.training.plain import StepInput
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

KERNELS = [k for k in ("torch", "numba") if kernels.available()[k] == "ok"]
HINGE = {"margins": (0.1, -0.3, 0.6), "weights": (1.0, 0.5, 2.0)}
REDUCTIONS = [
    RowReduce(kind, phi, pairwise, **(HINGE if phi == "hinge" else {}))
    for kind in ("logsumexp", "mean")
    for phi in ("identity", "softplus", "hinge", "square")
    for pairwise in (False, True)
]


def streamed(how: RowReduce, kernel: str):
    settings = asdict(how)
    pairwise = settings.pop("pairwise")

    def reduce(user: Tensor, item: Tensor, pos: Tensor, absent: Tensor | None):
        return catalogue_reduce(user, item, pos if pairwise else None, absent, kernel=kernel, **settings)

    return reduce


def held(how: RowReduce):
    def reduce(user: Tensor, item: Tensor, pos: Tensor, absent: Tensor | None):
        neg = user @ item.T
        if absent is not None:
            neg = neg.index_put(tuple(absent), neg.new_tensor(-math.inf))
        return how(pos, neg)

    return reduce


def run(reduce, user: Tensor, item: Tensor, pos: Tensor, absent: Tensor | None, upstream: Tensor) -> list[Tensor]:
    given = [t.detach().to(upstream.dtype).requires_grad_() for t in (user, item, pos)]
    reduced, n = reduce(*given, absent)
    return [reduced.detach(), n, *torch.autograd.grad(reduced, given, upstream, materialize_grads=True)]


def case(seed: int):
    """Unit vectors or longer ones, some with rows that have nothing left, and blocks of absent items."""
    g, t = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    b, i, d = int(g.integers(1, 40)), int(g.integers(1, 200)), int(g.integers(1, 70))
    user, item = (torch.nn.functional.normalize(torch.randn(s, generator=t)) for s in ((b, d), (i, d)))
    user = user * (1, 1, 5)[seed % 3]
    lost = g.random((b, i)) < (0, 0.1, 0.5)[seed % 3]
    if seed % 4 == 0:
        lost[g.integers(b)] = True
        lost[:, : i // 2] = True
    absent = torch.from_numpy(np.stack(np.nonzero(lost)[:: (1, -1)[seed % 2]])) if seed % 3 else None
    if absent is not None and seed % 2:
        absent = torch.stack([absent[1], absent[0]])[:, torch.randperm(absent.shape[1], generator=t)]
    return user, item, torch.randn(b, generator=t), absent, torch.randn(b, generator=t)


def assert_as_good(exact: list[Tensor], plain: list[Tensor], got: list[Tensor]) -> None:
    """Error at most twice the plain float32 path's largest, plus eight ulp of the largest value."""
    for truth, float32, value in zip(exact, plain, got, strict=True):
        assert value.shape == truth.shape
        assert torch.isfinite(value).all()
        slack = 8 * torch.finfo(torch.float32).eps * float(truth.abs().max())
        assert float((truth - value).abs().max()) <= 2 * float((truth - float32).abs().max()) + slack


@pytest.fixture
def tiny(monkeypatch):
    """Tiles of a few rows and items, in memory full of NaN, so that an entry left unwritten shows."""
    monkeypatch.setattr(tiles, "TILE", 150)
    monkeypatch.setattr(tiles, "ROWS", 9)
    for name in ("empty", "empty_like"):
        plain = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *a, _plain=plain, **k: _plain(*a, **k).fill_(math.nan))
    plain_new = Tensor.new_empty
    monkeypatch.setattr(Tensor, "new_empty", lambda *a, **k: plain_new(*a, **k).fill_(math.nan))


@pytest.mark.parametrize("kernel", KERNELS)
def test_hand_worked(kernel):
    """Scores 1, 3 and an absent 7 for row 0; -2, 0, 4 for row 1."""
    user, item = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, -1.0], [3.0, 0.0], [7.0, 2.0]])
    pos, absent = torch.tensor([1.0, 0.0]), torch.tensor([[0], [2]])
    given = (user, item, pos, absent, torch.tensor([1.0, 10.0]))
    square = run(streamed(RowReduce("mean", "square", pairwise=True), kernel), *given)
    assert square[0].tolist() == pytest.approx([(0 + 4) / 2, (4 + 0 + 16) / 3])
    assert square[1].tolist() == [2, 3]
    assert square[4].tolist() == pytest.approx([-2 * (0 + 2) / 2, -2 * 10 * (-2 + 0 + 4) / 3])
    softmax = run(streamed(RowReduce("logsumexp", tau=0.5), kernel), *given)
    first, second = math.exp(2) + math.exp(6), math.exp(-4) + 1 + math.exp(8)
    assert softmax[0].tolist() == pytest.approx([math.log(first), math.log(second)])
    share = [math.exp(2) / first / 0.5, 10 * math.exp(-4) / second / 0.5]
    assert softmax[3][0].tolist() == pytest.approx([share[0], 2 * share[1]])
    assert softmax[3][2].tolist() == pytest.approx([0, 2 * 10 * math.exp(8) / second / 0.5])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("tau", [0.01, 0.1, 1.0, 10.0])
def test_log_sum_exp_against_float64_over_random_shapes(kernel, tau, tiny):
    """At tau 0.01 the last bit of a score is worth hundreds of its exponential, and which path has the luck to round it
    better hangs on the machine's product; so there the cases are held together, and singly where no score is rounded.
    """
    how = RowReduce("logsumexp", tau=tau)
    squares = np.zeros(2)
    for seed in range(100):
        given = case(seed)
        exact = run(held(how), *given[:4], given[4].double())
        plain, got = run(held(how), *given), run(streamed(how, kernel), *given)
        if tau > 0.01:
            assert_as_good(exact, plain, got)
        squares += [sum(float((t - x).square().sum()) for t, x in zip(exact, r, strict=True)) for r in (plain, got)]
    assert squares[1] <= 1.1**2 * squares[0]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("tau", [0.01, 0.1, 1.0, 10.0])
def test_log_sum_exp_of_scores_that_float32_holds(kernel, tau, tiny):
    """Vectors of whole 64ths, whose products and all their sums are exact in any order: what errs is the reduction."""
    how = RowReduce("logsumexp", tau=tau)
    for seed in range(100):
        user, item, *rest, upstream = case(seed)
        given = ((64 * user).round() / 64, (64 * item).round() / 64, *rest)
        exact = run(held(how), *given, upstream.double())
        assert_as_good(exact, run(held(how), *given, upstream), run(streamed(how, kernel), *given, upstream))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("how", REDUCTIONS, ids=lambda how: f"{how.kind}-{how.phi}-{'pair' if how.pairwise else 'one'}")
def test_every_reduction_against_float64(kernel, how, tiny):
    for seed in range(12):
        given = case(seed)
        exact = run(held(how), *given[:4], given[4].double())
        assert_as_good(exact, run(held(how), *given), run(streamed(how, kernel), *given))


@pytest.mark.parametrize("how", REDUCTIONS, ids=lambda how: f"{how.kind}-{how.phi}-{'pair' if how.pairwise else 'one'}")
def test_gradcheck(how, tiny):
    user, item, pos, absent, _ = case(8)
    given = [t[:7].double().requires_grad_() for t in (user, item, pos)]
    absent = absent[:, (absent[0] < 7) & (absent[1] < 7)]
    torch.autograd.gradcheck(lambda *a: streamed(how, "torch")(*a, absent)[0], given)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("how", [RowReduce("logsumexp", tau=0.1), RowReduce("mean", "square", pairwise=True)])
def test_a_row_with_nothing_left_is_zero_without_gradient(kernel, how):
    user, item, pos = torch.randn(2, 3), torch.randn(4, 3), torch.randn(2)
    absent = torch.tensor([[0, 0, 0, 0], [0, 1, 2, 3]])
    reduced, n, d_user, d_item, d_pos = run(streamed(how, kernel), user, item, pos, absent, torch.ones(2))
    alone = run(streamed(how, kernel), user[1:], item, pos[1:], None, torch.ones(1))
    assert (float(reduced[0]), n.tolist(), float(d_pos[0])) == (0, [0, 4], 0)
    assert not d_user[0].any()
    assert torch.allclose(d_item, alone[3], atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_not_finite_comes_out(kernel):
    user, item = torch.ones(2, 2), torch.ones(5, 2)
    user[1, 0] = math.nan
    reduced, _ = catalogue_reduce(user, item, kind="logsumexp", kernel=kernel)
    assert torch.isfinite(reduced).tolist() == [True, False]
    item[3] = math.inf
    assert not torch.isfinite(catalogue_reduce(user, item, kind="logsumexp", kernel=kernel)[0]).any()


@pytest.mark.parametrize("kernel", KERNELS)
def test_scores_far_apart_do_not_overflow(kernel):
    item = torch.tensor([[-1e4], [1e4], [0.0]])
    reduced, _, d_user, *_ = run(
        streamed(RowReduce("logsumexp", tau=0.01), kernel), torch.ones(1, 1), item, torch.zeros(1), None, torch.ones(1)
    )
    assert reduced.tolist() == pytest.approx([1e6])
    assert d_user.tolist() == [[pytest.approx(1e6)]]


@pytest.mark.parametrize("kernel", KERNELS)
def test_bits_do_not_depend_on_threads(kernel):
    t = torch.Generator().manual_seed(0)
    user, item, upstream = (torch.randn(s, generator=t) for s in ((1100, 33), (5000, 33), (1100,)))
    absent = torch.stack([torch.arange(1100), torch.arange(1100) * 4])
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(run(streamed(RowReduce("logsumexp"), kernel), user, item, upstream, absent, upstream))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("frozen", [0, 1])
def test_one_table_frozen(frozen):
    user, item, _, absent, upstream = case(4)
    tables = [user, item]
    whole = run(streamed(RowReduce("logsumexp"), "torch"), user, item, upstream, absent, upstream)
    moving = tables[1 - frozen].requires_grad_()
    reduced, _ = catalogue_reduce(*tables, absent=absent, kind="logsumexp", kernel="torch")
    assert torch.equal(torch.autograd.grad(reduced, moving, upstream)[0], whole[3 - frozen])


def test_refusals():
    with pytest.raises(UsageError, match=r"\(3, 2\)"):
        catalogue_reduce(torch.zeros(3, 2), torch.zeros(4, 5), kind="mean")
    with pytest.raises(UsageError, match="did you mean 'numba'"):
        catalogue_reduce(torch.zeros(3, 2), torch.zeros(4, 2), kind="mean", kernel="numbas")
    with pytest.raises(UsageError, match="float32"):
        catalogue_reduce(torch.zeros(3, 2).double(), torch.zeros(4, 2).double(), kind="mean", kernel="numba")


LOG = planted(n_users=80, n_items=40, seed=3).log
STREAMED = [
    name
    for name in LOSSES
    if getattr(LOSSES.build(name), "reduce", None) is not None and not LOSSES[name].needs - {"group"}
]


@pytest.mark.parametrize(
    ("loss", "negatives"),
    [(name, "full") for name in STREAMED]
    + [("sl", "full(exclude_positive=False)"), ("ccl", "full(exclude_known=True)")],
)
def test_a_training_step_is_that_of_the_scores_held_whole(loss, negatives, monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 500)
    fields = {"loss": loss, "batch_size": 64, "user_dropout": 0.1, "l2": 1e-3, "settings": {"backbone": {"dim": 16}}}
    name, _, setting = negatives.partition("(")
    chosen = {"name": name, "settings": {setting[:-1].split("=")[0]: "True" in setting} if setting else {}}
    outcome = []
    for kernel in ("torch", "auto"):
        trainer = Trainer(resolve(**fields, kernel=kernel, negatives=chosen), LOG)
        called = []
        monkeypatch.setattr("taurec.training.forward.batch_scores", lambda *a, _c=called: _c.append(a) or BATCH(*a))
        monkeypatch.setattr(trainer.step.optimizer, "step", lambda *decay: None)
        monkeypatch.setattr(
            trainer.step, "_step_input", StepInput
        )  # whole tables: their gradients are what is compared
        value = trainer.step(next(iter(trainer.batches(1))), 1, 1)
        assert bool(called) == (kernel == "torch")
        outcome.append([torch.tensor(value), *(p.grad for p in trainer.backbone.parameters())])
    for whole, parts in zip(*outcome, strict=True):
        assert torch.allclose(whole.double(), parts.double(), rtol=1e-4, atol=1e-6 * float(whole.abs().max()))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's record of a process's peak memory")
def test_memory_does_not_hold_the_scores():
    """256 x 200,000 scores are 205 MB, and the item table and its gradient 13 MB each."""
    # Not ru_maxrss, in which a child starts from its parent's peak.
    program = r"""
import re, torch
from pathlib import Path
from taurec.kernels.catalogue import catalogue_reduce
from taurec.kernels.catalogue import reference as tiles
def peak():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
def step(rows, items):
    user, item = torch.randn(rows, 16, requires_grad=True), torch.randn(items, 16, requires_grad=True)
    catalogue_reduce(user, item, absent=torch.arange(rows).expand(2, -1), kind="logsumexp")[0].sum().backward()
step(256, 3000)
before = peak()
step(256, 200_000)
print((peak() - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 10 < int(done.stdout) < 100
