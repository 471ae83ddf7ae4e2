"""The graph hop by Triton: against dense float64 algebra, its gradient, compiled for a GPU."""

import numpy as np
import torch
from tests.kernels.on_gpu import DEVICE, compiled, compiles, runs, signatures
from tests.kernels.test_hop import assert_as_good, bipartite, chosen, dense, matrices, run, some_rows

from taurec.kernels.hop import Csr, hop, mean_at_rows, mean_of_hops

SEEDS = 6 if DEVICE == "cpu" else 150


def there(matrix: Csr) -> Csr:
    return Csr(*(t.to(DEVICE) for t in matrix))


@runs
def test_hop_against_dense_float64():
    for seed in range(SEEDS):
        a, t, columns = matrices(seed)
        g = np.random.default_rng(seed)
        n, dim = len(a.indptr) - 1, (1, 7, 24, 64, 100)[seed % 5]
        rows = None if seed % 2 else some_rows(g, n)
        keep = torch.arange(n) if rows is None else rows
        x, up = (torch.from_numpy(g.standard_normal((size, dim))).float() for size in (columns, len(keep)))
        whole = dense(a, columns)
        exact = run(lambda v, w=whole, k=keep: (w @ v)[k], x.double(), up.double())
        plain = run(lambda v, w=whole, k=keep: (w.float() @ v)[k], x, up)
        at = None if rows is None else rows.to(DEVICE)
        given, on = {"transpose": there(t), "rows": at, "kernel": "triton"}, there(a)
        got = run(lambda v, on=on, given=given: hop(*on, v, **given), x.to(DEVICE), up.to(DEVICE))
        assert_as_good(exact, plain, [y.cpu() for y in got])


@runs
def test_mean_against_dense_float64():
    for seed in range(SEEDS):
        g = np.random.default_rng(seed)
        layers, dim = seed % 4, (1, 7, 64)[seed % 3]
        a, n = bipartite(seed, 12, 16, 0.3), 28
        rows = None if seed % 2 else some_rows(g, n)
        keep = torch.arange(n) if rows is None else rows
        x, up = (torch.from_numpy(g.standard_normal((size, dim))).float() for size in (n, len(keep)))
        matrix, on, at = dense(a, n), there(a), None if rows is None else rows.to(DEVICE)

        def plain(v, matrix=matrix, layers=layers, keep=keep):
            hops = [v]
            for _ in range(layers):
                hops.append(matrix.to(v.dtype) @ hops[-1])
            return (sum(hops) / (layers + 1))[keep]

        def mine(v, on=on, layers=layers, at=at):
            if at is None:
                return mean_of_hops(*on, v, layers, kernel="triton")[0]
            return mean_at_rows(*on, v, layers, at, kernel="triton")

        got = run(mine, x.to(DEVICE), up.to(DEVICE))
        assert_as_good(run(plain, x.double(), up.double()), run(plain, x, up), [y.cpu() for y in got])


@runs
def test_layers_that_are_used_too_pass_their_gradients():
    a, x = bipartite(3, 20, 30, 0.2), torch.randn(50, 8, generator=torch.Generator().manual_seed(0))

    def used(v, a, kernel):
        mean, hops = mean_of_hops(*a, v, 3, kernel=kernel)
        return mean + 2 * hops[1] - hops[3]

    up = torch.ones(50, 8)
    expected = run(lambda v: used(v, a, "torch"), x, up)
    got = run(lambda v: used(v, there(a), "triton"), x.to(DEVICE), up.to(DEVICE))
    for truth, value in zip(expected, got, strict=True):
        torch.testing.assert_close(value.cpu(), truth, rtol=1e-5, atol=1e-6)


@runs
def test_auto_takes_it_on_a_gpu_alone():
    a = there(bipartite(0, 10, 10, 0.5))
    assert chosen(a, torch.ones(20, 4, device=DEVICE)) == ("triton" if DEVICE == "cuda" else "torch")


@compiles
def test_compiles_for_a_gpu():
    from taurec.kernels.hop import triton as gpu_hop

    for fixed in ({}, {"SOME": False, "BASE": False, "D": 1}):
        assert all(compiled(kernel, **given)["cubin"] for kernel, given in signatures(gpu_hop, **fixed))
