"""Laws of losses of vectors: shape, types, gradients, independence of order and device."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from taurec.losses import EmbeddingLoss, side_inputs
from taurec.testing.laws import Laws, require


@dataclass(frozen=True)
class VectorCase:
    """A loss of vectors to check, and the side inputs it needs beyond those that the laws supply.

    Attributes:
        loss: the loss.
        side: gives side inputs by name from the user of each pair, [B] int64; None if no other is needed.
    """

    loss: EmbeddingLoss
    side: Callable[[Tensor], Mapping[str, Tensor]] | None = None

    def __call__(self, user: Tensor, item: Tensor) -> Tensor:
        """The value, with side inputs that are the same for all pairs."""
        offered = {"angle": torch.full((len(user),), 0.3, dtype=user.dtype, device=user.device)}
        of_one = torch.zeros(len(user), dtype=torch.int64, device=user.device)
        own = self.side(of_one) if self.side is not None else {}
        return self.loss(user, item, **side_inputs(self.loss, {**offered, **own}))


EMBEDDING_LOSS_LAWS: Laws[VectorCase] = Laws("loss of vectors")
law = EMBEDDING_LOSS_LAWS.law


def unit_vectors(b: int = 7, d: int = 5, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Vectors [b, d] of length 1 for the users and items of ``b`` pairs."""
    generator = torch.Generator().manual_seed(seed)
    user, item = (F.normalize(torch.randn(b, d, generator=generator, dtype=dtype), dim=1) for _ in range(2))
    return user, item


def gradients(case: VectorCase, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The value, and its gradients by the vectors of users and items."""
    user, item = user.detach().requires_grad_(), item.detach().requires_grad_()
    value = case(user, item)
    duser, ditem = torch.autograd.grad(value, [user, item])
    return value.detach(), duser, ditem


@law("it declares known score ranges, and equal losses have equal hashes")
def _declarations(case: VectorCase) -> None:
    require(case.loss.scores in ("any", "cosine"), f"scores must be 'any' or 'cosine', got {case.loss.scores!r}")
    require(hash(case.loss) == hash(copy.copy(case.loss)), "a copy has another hash")


@law("vectors of float32 and float64 give one value of that type with a gradient for every pair")
def _one_value(case: VectorCase) -> None:
    for dtype in (torch.float32, torch.float64):
        value, duser, ditem = gradients(case, *unit_vectors(dtype=dtype))
        require(value.shape == (), f"expected a tensor of shape [], got {tuple(value.shape)}")
        require(value.dtype == dtype, f"expected {dtype}, got {value.dtype}")
        require(duser.any(1).all() and ditem.any(1).all(), "a pair has no gradient")


@law("it stays on the device of its inputs and reads no value")
def _no_value_is_read(case: VectorCase) -> None:
    value = case(torch.empty(4, 3, device="meta"), torch.empty(4, 3, device="meta"))
    require(value.device.type == "meta", f"the value is on {value.device}")


@law("its inputs are not changed")
def _inputs_are_not_changed(case: VectorCase) -> None:
    user, item = unit_vectors()
    before = user.clone(), item.clone()
    case(user, item)
    require(torch.equal(user, before[0]) and torch.equal(item, before[1]), "an input was changed")


@law("permuting the pairs changes no value and permutes the gradients")
def _permuted_pairs(case: VectorCase) -> None:
    user, item = unit_vectors()
    order = torch.tensor([5, 3, 0, 6, 4, 1, 2])
    value, duser, ditem = gradients(case, user, item)
    value_p, duser_p, ditem_p = gradients(case, user[order], item[order])
    torch.testing.assert_close(value_p, value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(duser_p, duser[order], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ditem_p, ditem[order], rtol=1e-12, atol=1e-12)


@law("rotating all vectors changes no value")
def _rotated(case: VectorCase) -> None:
    """Vectors are compared by inner products and distances alone."""
    user, item = unit_vectors()
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    torch.testing.assert_close(case(user @ rotation, item @ rotation), case(user, item), rtol=1e-10, atol=1e-10)


@law("first derivatives agree with finite differences")
def _derivatives(case: VectorCase) -> None:
    user, item = unit_vectors()
    require(
        torch.autograd.gradcheck(lambda u, i: case(u, i), (user.requires_grad_(), item.requires_grad_())),
        "derivatives differ",
    )


@law("values and gradients are finite for one pair, for equal pairs and for opposite ones")
def _finite(case: VectorCase) -> None:
    user, item = unit_vectors(dtype=torch.float32)
    same = user[:1].expand(7, -1)
    for given in ((user[:1], item[:1]), (same, same), (same, -same), (user, item)):
        found = gradients(case, *given)
        require(all(x.isfinite().all() for x in found), "a value or a gradient is not finite")


@law("it falls when the vectors of the pairs move towards each other")
def _alignment(case: VectorCase) -> None:
    user, item = unit_vectors()
    _, duser, ditem = gradients(case, user, item)
    far = user - 1e-4 * duser, item - 1e-4 * ditem
    require(case(*far) < case(user, item), "a step against its gradient does not lower it")
    away = case(user, F.normalize(item - 0.5 * user, dim=1))
    near = case(user, F.normalize(item + 0.5 * user, dim=1))
    require(near < away, "pairs that are closer have no lower value")


@law("float32 agrees with float64")
def _float32_agrees(case: VectorCase) -> None:
    user, item = unit_vectors(50, 16)
    for a, b in zip(gradients(case, user.float(), item.float()), gradients(case, user, item), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)


@law("NaN is not hidden")
def _nan_is_not_hidden(case: VectorCase) -> None:
    for at in (0, 1):
        given = unit_vectors()
        given[at][3, 1] = math.nan
        require(case(*given).isnan(), "a NaN gives a value that is not NaN")


@law("two calls give the same bits")
def _same_bits(case: VectorCase) -> None:
    user, item = unit_vectors(200, 16, dtype=torch.float32)
    for a, b in zip(gradients(case, user, item), gradients(case, user, item), strict=True):
        require(torch.equal(a, b), "the second call differs")
