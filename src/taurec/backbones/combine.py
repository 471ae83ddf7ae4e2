"""How the layers of a graph backbone become the final vectors, by name."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from taurec.errors import UsageError, did_you_mean
from taurec.kernels.sums import fixed_sum
from taurec.kernels.unit_rows import unit_rows

Combine = Literal[
    "mean",
    "sum",
    "weighted",
    "learned",
    "last",
    "product",
    "concat",
    "concat_unit",
    "concat_weighted",
    "concat_neighbours",
]
_GIVEN = ("weighted", "concat_weighted")
_HELD: Mapping[Combine, tuple[float, float]] = {
    "weighted": (3.0, 2.3),
    "learned": (3.0, 2.4),
    "product": (1.0, 2.9),
    "concat": (4.7, 4.5),
    "concat_unit": (5.2, 5.0),
    "concat_weighted": (5.3, 4.5),
    "concat_neighbours": (8.2, 8.7),
}
"""Tables [U + I, d] that a run holds beyond those for the mean, as measured: for each layer after the first where steps
compute some rows (then it is ranking that holds them), for each layer where steps compute all rows."""
_JOINED = ("concat", "concat_unit", "concat_weighted", "concat_neighbours")


class Combination(nn.Module):
    """The final vectors of the layers E_0 .. E_L of a graph.

        mean                (E_0 + .. + E_L) / (L + 1)                                     LightGCN
        sum                 E_0 + .. + E_L
        weighted            sum_l w_l E_l
        learned             sum_l softmax(a)_l E_l; the a_l are trained and start at 0, which is the mean
        last                E_L                                                            SGC
        product             E_0 * .. * E_L, number by number
        concat              [E_0, .., E_L]
        concat_unit         [E_0 / |E_0|, .., E_L / |E_L|]                                 NGCF from layer 1 on
        concat_weighted     [sqrt(w_0) E_0, .., sqrt(w_L) E_L]
        concat_neighbours   [C_0 / |C_0|, .., C_L / |C_L|],  C_l = N_{l-1} + N_l + N_{l+1},  N_l = E_l / |E_l|

    Lengths are those of rows; C_0 and C_L have two terms, or one where L is 0. The dot product of two sums contains
    the products of each layer of the user with each layer of the item; that of two concatenations contains the products
    of equal layers alone, so sum_l <u_l, i_l>, and with unit layers sum_l cos(u_l, i_l). Under cosine scores ``sum`` is
    ``mean``, and ``product`` is unchanged by the scale of a layer. With L = 0 each of them ranks as MF does, for dot
    products but where layers get length 1.

    Args:
        how: one of the names above.
        layers: L, the number of propagations.
        weights: w_0 .. w_L of ``weighted`` and ``concat_weighted``, in which they are not negative; empty for others.
    Raises: UsageError for an unknown name, and for weights that do not fit the name or the layers.
    Source: mean, learned and other weights: He et al., SIGIR 2020, section 3.1; last: Wu et al., ICML 2019 (SGC);
        concatenation: Wang et al., SIGIR 2019 (NGCF), eq. 9. ``concat_neighbours`` transfers to layers what Pang et
        al., CVPR 2020 (MINet), do with the levels of an image: level l is joined with levels l - 1 and l + 1. Their
        levels pass through convolutions first; with scalars and a sum it would be the weights 2, 3, .., 3, 2.

    >>> layers = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])]
    >>> Combination("mean", 1)(layers), Combination("concat", 1)(layers)
    (tensor([[0.7500, 0.2500]]), tensor([[1.0000, 0.0000, 0.5000, 0.5000]]))
    """

    def __init__(self, how: Combine, layers: int, weights: Sequence[float] = ()):
        super().__init__()
        if how not in get_args(Combine):
            raise UsageError(f"unknown combination of layers {how!r}{did_you_mean(how, get_args(Combine))}")
        _check_weights(how, layers, tuple(weights))
        self.how, self.layers, self.weights = how, layers, tuple(map(float, weights))
        if how == "learned":
            self.logits = nn.Parameter(torch.zeros(layers + 1))

    @property
    def of_mean(self) -> float | None:
        """The factor by which the final vectors are the mean of the layers; None where they are no multiple of it."""
        return {"mean": 1.0, "sum": self.layers + 1.0}.get(self.how)

    def forward(self, layers: Sequence[Tensor], kernel: str = "auto") -> Tensor:
        """The final vectors [n, D] of the layers [n, d], layer 0 first; D is :func:`width`."""
        match self.how:
            case "mean":
                return _sum(layers) / len(layers)
            case "sum":
                return _sum(layers)
            case "weighted":
                return _sum(w * layer for w, layer in zip(self.weights, layers, strict=True))
            case "learned":
                return weighted_sum(torch.softmax(self.logits, 0), layers)
            case "last":
                return layers[-1]
            case "product":
                return functools.reduce(torch.mul, layers)
            case "concat":
                return torch.cat(list(layers), 1)
            case "concat_weighted":
                return torch.cat([w**0.5 * layer for w, layer in zip(self.weights, layers, strict=True)], 1)
        parts = [unit_rows(layer, kernel=kernel) for layer in layers]
        if self.how == "concat_neighbours":
            parts = [unit_rows(part, kernel=kernel) for part in neighbour_sums(parts)]
        return torch.cat(parts, 1)


def width(how: Combine, layers: int, dim: int) -> int:
    """Columns of the final vectors of ``layers`` propagations of vectors of ``dim`` columns.

    >>> width("mean", 3, 64), width("concat_unit", 3, 64)
    (64, 256)
    """
    return dim * (layers + 1) if how in _JOINED else dim


def held(how: Combine, layers: int, at_rows: bool) -> float:
    """Tables [U + I, d] that a run holds at its peak beyond those for the mean.

    >>> held("mean", 3, at_rows=True), held("concat_neighbours", 3, at_rows=True)
    (0.0, 16.4)
    """
    some, every = _HELD.get(how, (0.0, 0.0))
    return some * max(layers - 1, 0) if at_rows else every * layers


def neighbour_sums(layers: Sequence[Tensor]) -> list[Tensor]:
    """Each layer plus the one before and the one after it, where there are such.

    >>> neighbour_sums([torch.tensor([1]), torch.tensor([10]), torch.tensor([100])])
    [tensor([11]), tensor([111]), tensor([110])]
    """
    return [_sum(layers[max(0, k - 1) : k + 2]) for k in range(len(layers))]


def weighted_sum(weights: Tensor, layers: Sequence[Tensor]) -> Tensor:
    """``sum_l weights[l] layers[l]``, whose gradients have the same bits for one thread and two.

    >>> weights = torch.tensor([0.5, 2.0], requires_grad=True)
    >>> weighted_sum(weights, [torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])]).sum().backward()
    >>> weights.grad
    tensor([3., 7.])
    """
    total: Tensor = _WeightedSum.apply(weights, *layers)  # type: ignore[no-untyped-call]
    return total


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, *layers: Tensor) -> Tensor:
        ctx.save_for_backward(weights, *layers)
        return _sum(w * layer for w, layer in zip(weights, layers, strict=True))

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        weights, *layers = ctx.saved_tensors
        of_weights = torch.stack([fixed_sum(d * layer) for layer in layers])
        return of_weights, *(
            w * d if needed else None for w, needed in zip(weights, ctx.needs_input_grad[1:], strict=True)
        )


def _sum(parts: Iterable[Tensor]) -> Tensor:
    """The sum of at least one tensor; no two parts have to exist at once."""
    return functools.reduce(torch.add, parts)


def _check_weights(how: Combine, layers: int, weights: tuple[float, ...]) -> None:
    if how not in _GIVEN:
        if weights:
            raise UsageError(
                f"weights belong to combine={' or '.join(_GIVEN)}; combine={how!r} takes none, got {weights}"
            )
        return
    if len(weights) != layers + 1:
        raise UsageError(
            f"combine={how!r} takes a weight for each of the {layers + 1} layers, layer 0 included; got {len(weights)} "
            f"weights {weights}, give for example weights={','.join(['1'] * (layers + 1))}"
        )
    if not all(map(math.isfinite, weights)) or not any(weights):
        raise UsageError(f"weights of layers are finite numbers that are not all 0, got {weights}")
    if how in _JOINED and min(weights) < 0:
        raise UsageError(
            f"combine={how!r} takes the square root of its weights, which are then at least 0; got {weights}"
        )
