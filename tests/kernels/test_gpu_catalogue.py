"""The catalogue reduction by Triton: every reduction against float64, the same bits twice, compiled for a GPU."""

import pytest
import torch
from tests.kernels.on_gpu import DEVICE, compiled, compiles, runs, signatures
from tests.kernels.test_catalogue import REDUCTIONS, assert_as_good, case, held, run, streamed

from taurec.kernels.catalogue import catalogue_reduce

SEEDS = 3 if DEVICE == "cpu" else 60


def on_device(given):
    return [None if t is None else t.to(DEVICE) for t in given]


@runs
@pytest.mark.parametrize("how", REDUCTIONS, ids=str)
def test_every_reduction_against_float64(how):
    for seed in range(SEEDS):
        *given, upstream = case(seed)
        exact = run(held(how), *given, upstream.double())
        plain = run(held(how), *given, upstream)
        got = run(streamed(how, "triton"), *on_device(given), upstream.to(DEVICE))
        assert_as_good(exact, plain, [t.cpu() for t in got])


@runs
def test_a_row_with_nothing_left_is_zero_without_gradient():
    user = torch.ones(2, 3, device=DEVICE, requires_grad=True)
    item, absent = torch.ones(40, 3, device=DEVICE), torch.stack([torch.zeros(40), torch.arange(40)]).long().to(DEVICE)
    for kind in ("mean", "logsumexp"):
        value, n = catalogue_reduce(user, item, absent=absent, kind=kind, kernel="triton")
        assert n.tolist() == [0, 40]
        assert value[0] == 0
        (gradient,) = torch.autograd.grad(value.sum(), user)
        assert gradient[0].abs().sum() == 0
        assert gradient[1].abs().sum() > 0


@runs
def test_two_runs_give_the_same_bits_and_coarser_products_are_near():
    *given, upstream = case(5)
    how = REDUCTIONS[0]
    first, second = (run(streamed(how, "triton"), *on_device(given), upstream.to(DEVICE)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    user, item, _, absent = on_device(given)
    # lengths are 1, so a score is off by 2^-8 at most, and so is a log-sum-exp at tau 1
    unit = torch.nn.functional.normalize(user)
    settings = {"absent": absent, "kind": "logsumexp", "kernel": "triton"}
    exact, _ = catalogue_reduce(unit, item, **settings)
    # the interpreter has no product of bfloat16
    for precision, off in (("tf32x3", 1e-6), ("tf32", 2**-9), ("bf16", 2**-8))[: 3 if DEVICE == "cuda" else 2]:
        near, _ = catalogue_reduce(unit, item, **settings, precision=precision)
        torch.testing.assert_close(near, exact, rtol=0, atol=off)


@compiles
def test_compiles_for_a_gpu():
    from taurec.kernels.catalogue import triton as gpu_catalogue

    for fixed in ({}, {"PHI": 1, "LSE": False, "PAIR": False, "SOME": False, "HOW": 0, "D": 16}):
        assert all(compiled(kernel, **given)["cubin"] for kernel, given in signatures(gpu_catalogue, **fixed))
