from __future__ import annotations

import math

import pytest
import torch

from taurec.losses import RowReduce
from taurec.losses.reduction import weighted_hinge

INF = math.inf
POS = [0.5, -1.0]
NEG = [[0.2, -INF, 1.7], [-0.4, 0.9, 0.1]]

PHI = {
    "identity": lambda x: x,
    "softplus": lambda x: math.log1p(math.exp(x)),
    "hinge": lambda x: 2.0 * max(0.0, x - 0.3) + 5.0 * max(0.0, x + 0.2),
    "square": lambda x: x * x,
}


@pytest.mark.parametrize("kind", ["mean", "logsumexp"])
@pytest.mark.parametrize("phi", PHI)
@pytest.mark.parametrize("pairwise", [False, True])
def test_against_scalars(kind, phi, pairwise):
    hinge = {"margins": (0.3, -0.2), "weights": (2.0, 5.0)} if phi == "hinge" else {}
    reduce = RowReduce(kind, phi, pairwise, tau=0.4 if kind == "logsumexp" else 1.0, **hinge)
    pos, neg = torch.tensor(POS, dtype=torch.float64), torch.tensor(NEG, dtype=torch.float64, requires_grad=True)
    reduced, n = reduce(pos, neg)
    for b in range(2):
        values = [PHI[phi](x - POS[b] if pairwise else x) for x in NEG[b] if x != -INF]
        assert n[b] == len(values)
        if kind == "mean":
            expected = sum(values) / len(values)
        else:
            expected = math.log(sum(math.exp(v / 0.4) for v in values))
        assert reduced[b].item() == pytest.approx(expected, abs=1e-13)
    reduced.sum().backward()
    assert neg.grad.isfinite().all()
    assert neg.grad[0, 1] == 0


def test_margins_belong_to_the_hinge_alone():
    with pytest.raises(AssertionError):
        RowReduce("mean", "hinge")
    with pytest.raises(AssertionError):
        RowReduce("mean", "square", margins=(1.0,), weights=(1.0,))
    with pytest.raises(AssertionError):
        RowReduce("mean", "hinge", margins=(1.0,), weights=(1.0, 2.0))


def test_hinge_on_a_margin_has_the_gradient_of_the_lower_side():
    x = torch.tensor([0.5, 1.0, 1.5, 2.0, 2.5], requires_grad=True)
    weighted_hinge(x, (1.0, 2.0), (3.0, 4.0)).sum().backward()
    assert x.grad.tolist() == [0, 0, 3, 3, 7]
