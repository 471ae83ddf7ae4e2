"""The graph hop and the mean over hops: against float64 dense algebra, poisoned outputs, bits by thread count."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, diags_array
from torch import Tensor

from taurec import kernels
from taurec.errors import UsageError
from taurec.kernels import select
from taurec.kernels.hop import Csr, hop, mean_at_rows, mean_of_hops

KERNELS = [k for k in ("torch", "numba") if kernels.available()[k] == "ok"]
needs_numba = pytest.mark.skipif("numba" not in KERNELS, reason="numba does not work here")


def compiled_hop():
    from taurec.kernels.hop import numba

    return numba


def chosen(matrix: Csr, x: Tensor, kernel: str = "auto") -> str:
    return select("hop", *matrix, x, kernel=kernel).name


def csr(m: csr_array) -> Csr:
    m.sort_indices()
    as_int = [torch.from_numpy(a.astype(np.int32)) for a in (m.indptr, m.indices)]
    return Csr(*as_int, torch.from_numpy(m.data.astype(np.float32)))


def dense(matrix: Csr, columns: int) -> Tensor:
    return torch.zeros(len(matrix.indptr) - 1, columns).add(matrix.torch(columns).to_dense()).double()


def matrices(seed: int) -> tuple[Csr, Csr, int]:
    """A, A^T and the columns of A: rectangular, with empty rows and columns, now and then without any edge."""
    g = np.random.default_rng(seed)
    n, m = (int(v) for v in g.integers(1, 90, 2))
    a = np.where(g.random((n, m)) < g.choice([0.0, 0.05, 0.5]), g.standard_normal((n, m)), 0)
    a[g.random(n) < 0.2] = 0
    a[:, g.random(m) < 0.2] = 0
    return csr(csr_array(a)), csr(csr_array(a.T)), m


def bipartite(seed: int, users: int, items: int, share: float) -> Csr:
    """D^-1/2 A D^-1/2 of a random log in which some users and items have no pair."""
    g = np.random.default_rng(seed)
    r = g.random((users, items)) < share
    r[g.random(users) < 0.2] = False
    r[:, g.random(items) < 0.2] = False
    a = np.zeros((users + items, users + items))
    a[:users, users:], a[users:, :users] = r, r.T
    degree = a.sum(1)
    scale = diags_array(np.where(degree > 0, np.maximum(degree, 1) ** -0.5, 0))
    return csr(csr_array(scale @ csr_array(a) @ scale))


def some_rows(g: np.random.Generator, n: int) -> Tensor:
    return torch.from_numpy(np.flatnonzero(g.random(n) < g.choice([0.0, 0.1, 0.7])))


def run(function, x: Tensor, upstream: Tensor) -> list[Tensor]:
    x = x.detach().clone().requires_grad_()
    y = function(x)
    return [y.detach(), *torch.autograd.grad(y, x, upstream)]


def assert_as_good(exact: list[Tensor], plain: list[Tensor], got: list[Tensor]) -> None:
    """Error at most twice the plain float32 path's largest, plus four ulp of the largest value."""
    for truth, float32, value in zip(exact, plain, got, strict=True):
        assert value.shape == truth.shape
        assert torch.isfinite(value).all()
        if truth.numel():
            slack = 4 * torch.finfo(torch.float32).eps * float(truth.abs().max())
            assert float((truth - value).abs().max()) <= 2 * float((truth - float32).abs().max()) + slack


@pytest.fixture
def poisoned(monkeypatch):
    """Uninitialised memory full of NaN, so that an output left unwritten shows."""
    plain = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **more: plain(*args, **more).fill_(float("nan")))


@pytest.mark.parametrize("kernel", KERNELS)
def test_hand_worked(kernel):
    # A = [[0, 2, 3], [0, 0, 0]]
    a = Csr(*(torch.tensor(v, dtype=torch.int32) for v in ([0, 2, 2], [1, 2])), torch.tensor([2.0, 3.0]))
    t = Csr(*(torch.tensor(v, dtype=torch.int32) for v in ([0, 0, 1, 2], [0, 0])), torch.tensor([2.0, 3.0]))
    x = torch.tensor([[1.0, 5.0], [10.0, 20.0], [100.0, 0.0]])
    y, d_x = run(lambda v: hop(*a, v, transpose=t, kernel=kernel), x, torch.tensor([[1.0, -1.0], [7.0, 7.0]]))
    assert y.tolist() == [[320, 40], [0, 0]]
    assert d_x.tolist() == [[0, 0], [2, -2], [3, -3]]
    rows = torch.tensor([0])
    y, d_x = run(lambda v: hop(*a, v, transpose=t, rows=rows, kernel=kernel), x, torch.tensor([[1.0, -1.0]]))
    assert y.tolist() == [[320, 40]]
    assert d_x.tolist() == [[0, 0], [2, -2], [3, -3]]


@pytest.mark.parametrize("kernel", KERNELS)
def test_hop_against_dense_float64(kernel, poisoned):
    for seed in range(150):
        a, t, columns = matrices(seed)
        g = np.random.default_rng(seed)
        n, dim = len(a.indptr) - 1, int(g.integers(1, 131))
        rows = None if seed % 2 else some_rows(g, n)
        keep = torch.arange(n) if rows is None else rows
        x, up = (torch.from_numpy(g.standard_normal((size, dim))).float() for size in (columns, len(keep)))
        whole = dense(a, columns)
        exact = run(lambda v, w=whole, k=keep: (w @ v)[k], x.double(), up.double())
        plain = run(lambda v, w=whole, k=keep: (w.float() @ v)[k], x, up)
        got = run(lambda v, a=a, t=t, r=rows: hop(*a, v, transpose=t, rows=r, kernel=kernel), x, up)
        assert_as_good(exact, plain, got)


@pytest.mark.parametrize("kernel", KERNELS)
def test_mean_against_dense_float64(kernel, poisoned):
    for seed in range(120):
        g = np.random.default_rng(seed)
        users, items, dim, layers = (int(g.integers(*span)) for span in ((1, 50), (1, 50), (1, 131), (0, 5)))
        a, n = bipartite(seed, users, items, float(g.choice([0.03, 0.4]))), users + items
        rows = None if seed % 2 else some_rows(g, n)
        keep = torch.arange(n) if rows is None else rows
        x, up = (torch.from_numpy(g.standard_normal((size, dim))).float() for size in (n, len(keep)))
        matrix = dense(a, n)

        def plain(v, matrix=matrix, layers=layers, keep=keep):
            hops = [v]
            for _ in range(layers):
                hops.append(matrix.to(v.dtype) @ hops[-1])
            return (sum(hops) / (layers + 1))[keep]

        def mine(v, a=a, layers=layers, rows=rows):
            if rows is None:
                return mean_of_hops(*a, v, layers, kernel=kernel)[0]
            return mean_at_rows(*a, v, layers, rows, kernel=kernel)

        assert_as_good(run(plain, x.double(), up.double()), run(plain, x, up), run(mine, x, up))


@needs_numba
@pytest.mark.parametrize("used", [(), (1,), (0, 2), (0, 1, 2, 3), ("mean",), ("mean", 1, 3)])
def test_gradient_where_layers_are_used_too(used):
    """The penalty of the BSL authors looks at every layer."""
    a = bipartite(3, 30, 20, 0.3)
    x = torch.randn((50, 5), generator=torch.Generator().manual_seed(0))
    found = []
    for kernel in ("torch", "numba"):
        leaf = x.clone().requires_grad_()
        mean, hops = mean_of_hops(*a, leaf, 3, kernel=kernel)
        terms = [(mean if u == "mean" else hops[u]).pow(3).sum() for u in used]
        found.append(torch.autograd.grad(sum(terms) + 0 * leaf.sum(), leaf)[0])
        torch.testing.assert_close(torch.stack(hops).mean(0), mean)
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("kernel", KERNELS)
def test_bits_do_not_depend_on_threads(kernel, monkeypatch):
    if kernel == "numba":
        monkeypatch.setattr(compiled_hop(), "TASK", 1 << 10)
    a = bipartite(0, 500, 400, 0.05)
    g = np.random.default_rng(1)
    x, up = (torch.from_numpy(g.standard_normal((900, 70))).float() for _ in range(2))
    rows = torch.arange(0, 900, 7)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3) if kernel == "numba" else (1, 2):
            torch.set_num_threads(count)
            results.append(
                [
                    *run(lambda v: hop(*a, v, kernel=kernel), x, up),
                    *run(lambda v: hop(*a, v, rows=rows, kernel=kernel), x, up[rows]),
                    *run(lambda v: mean_of_hops(*a, v, 3, kernel=kernel)[0], x, up),
                    *run(lambda v: mean_at_rows(*a, v, 3, rows, kernel=kernel), x, up[rows]),
                ]
            )
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(p, q) for p, q in zip(results[0], other, strict=True))


def test_gradcheck_and_second_derivatives_of_the_plain_form():
    a, t, columns = matrices(5)
    a, t = (Csr(m.indptr, m.indices, m.values.double()) for m in (a, t))
    x = torch.randn((columns, 2), dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    rows = torch.arange(0, len(a.indptr) - 1, 2)
    for chosen_rows in (None, rows):
        torch.autograd.gradcheck(lambda v, r=chosen_rows: hop(*a, v, transpose=t, rows=r), x)
        torch.autograd.gradgradcheck(lambda v, r=chosen_rows: hop(*a, v, transpose=t, rows=r), x)


@needs_numba
def test_choice():
    a, x = bipartite(0, 60, 40, 0.5), torch.zeros(100, 128)
    assert chosen(a, x) == "numba"
    assert chosen(a, x, "torch") == "torch"
    assert chosen(a, x[:, :1]) == "torch"
    assert chosen(a, x.double()) == "torch"
    wide = Csr(a.indptr.long(), a.indices.long(), a.values)
    assert chosen(wide, x) == "torch"
    with pytest.raises(UsageError, match="int32"):
        hop(*wide, x, kernel="numba")
    with pytest.raises(UsageError, match="did you mean 'numba'"):
        hop(*a, x, kernel="numbas")


@needs_numba
def test_what_would_reach_outside_the_tables_is_refused():
    a = bipartite(0, 6, 4, 0.7)
    x, hi, lo = torch.zeros(10, 3), a.indices.clone(), a.indices.clone()
    hi[-1], lo[0] = 10, -1
    for indices in (hi, lo):
        with pytest.raises(IndexError, match=r"0\.\.9"):
            hop(a.indptr, indices, a.values, x, kernel="numba")
    last = torch.tensor([int(torch.nonzero(a.indptr.diff())[-1])])
    with pytest.raises(IndexError, match="ascend"):
        compiled_hop().spread(Csr(a.indptr, hi, a.values), a, x[:1], last, 10)
    with pytest.raises(IndexError, match="indptr"):
        hop(a.indptr.flip(0), a.indices, a.values, x, kernel="numba")
    for rows in ([3, 3], [4, 1], [-1], [10]):
        with pytest.raises(IndexError, match="distinct, ascending"):
            hop(*a, x, rows=torch.tensor(rows), kernel="numba")
    with pytest.raises(UsageError, match="square"):
        hop(*a, x[:7])
    with pytest.raises(UsageError, match=r"\(10,\)"):
        hop(*a, x[:, 0])
