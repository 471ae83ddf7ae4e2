"""The layers of a propagation against dense matrix powers, with any of their gradients missing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from taurec.kernels import available
from taurec.kernels.hop import Csr, layers_of_hops

KERNELS = [pytest.param(k, marks=pytest.mark.skipif(available()[k] != "ok", reason=k)) for k in ("torch", "numba")]


def symmetric(n: int = 40) -> tuple[Csr, torch.Tensor]:
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((n, n)) < 0.2, rng.random((n, n)), 0.0).astype(np.float32)
    m = csr_array(dense + dense.T)
    arrays = (m.indptr.astype(np.int32), m.indices.astype(np.int32), m.data)
    return Csr(*map(torch.from_numpy, arrays)), torch.from_numpy(m.toarray()) / 1


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("rows", [None, torch.tensor([0, 7, 8, 39])], ids=["all", "some"])
def test_values_and_gradients(kernel: str, layers: int, rows: torch.Tensor | None) -> None:
    matrix, dense = symmetric()
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
    plain = [torch.linalg.matrix_power(dense, k) @ x for k in range(layers + 1)]
    plain = plain if rows is None else [layer[rows] for layer in plain]
    found = layers_of_hops(*matrix, x, layers, rows, kernel=kernel)
    for a, b in zip(found, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    for used in itertools.product([False, True], repeat=layers + 1):
        if any(used):
            one, two = (
                torch.autograd.grad(
                    sum(y.square().sum() for y, u in zip(of, used, strict=True) if u), x, retain_graph=True
                )[0]
                for of in (found, plain)
            )
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4 * float(two.abs().max()))


def test_gradients_are_not_written_over() -> None:
    """A gradient that another part of the graph also holds stays as it was."""
    matrix, dense = symmetric()
    x = torch.randn(40, 3, requires_grad=True)
    total = sum(layers_of_hops(*matrix, x, 2)[1:]) + x
    torch.autograd.backward(total, torch.ones(40, 3))
    expected = (dense @ dense + dense + torch.eye(40)) @ torch.ones(40, 3)
    torch.testing.assert_close(x.grad, expected, rtol=1e-4, atol=1e-3)
