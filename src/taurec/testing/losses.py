"""Laws of score losses: shapes, types, gradients, absent negatives, independence of rows."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from taurec.errors import UsageError
from taurec.losses import SIDE_INPUTS, EmbeddingLoss, ScoreLoss, side_inputs
from taurec.testing.embedding_losses import EMBEDDING_LOSS_LAWS, VectorCase
from taurec.testing.laws import Exceptions, Laws, NotApplicable, require, require_refused

INF = math.inf
BATCH_INPUTS = {"group", "drop_rate"}
"""Side inputs through which the value of a row depends on other rows: its group, the worst rows of the batch."""
DTYPES = {str(t).removeprefix("torch."): t for t in (torch.float64, torch.float32, torch.bfloat16, torch.float16)}
SHORT_DTYPES = {name: t for name, t in DTYPES.items() if name != "float64"}

Call = Callable[[Tensor, Tensor], Tensor]
SideInputs = Callable[[Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True)
class LossCase:
    """A loss to check, and the side inputs it needs beyond those that the laws supply.

    Attributes:
        loss: the loss.
        side: gives side inputs by name from the user of each row, [B] int64; None if no other is needed.
    """

    loss: ScoreLoss
    side: SideInputs | None = None

    def shape(self, b: int) -> tuple[int, ...]:
        """Shape of the value for ``b`` rows: one per row, or one per batch."""
        return (b,) if self.loss.rows else ()

    def inputs(self, user: Tensor, neg: Tensor, tau: float = 0.1) -> dict[str, Any]:
        """Side inputs: functions of a row's user, as they are in training, or of tenths of the negatives' scores."""
        real = user.double()
        tenths = (neg.detach().double() * 10).floor().clamp(-10, 10) / 10
        offered: dict[str, Tensor | None] = {
            "group": user,
            "tau": tau * (1 + real / 50),
            "tau_pos": torch.full_like(real, tau),
            "pos_margin": real / 40,
            "threshold": real / 20,
            "drop_rate": torch.full_like(real, 0.4),
            "more": (real[:, None] - 5 * torch.arange(self.loss.more_positives, device=user.device)) / 20,
            "similarity": tenths.square(),
            "log_weight": tenths / 2,
            "angle": torch.sigmoid(real / 10),
            "n_items": torch.full_like(real, 1000.0),
            "log_mean": torch.where(user == 0, -INF, real / 20),
        }
        return side_inputs(self.loss, {**offered, **(self.side(user) if self.side is not None else {})})

    def bind(self, user: Tensor, tau: float = 0.1) -> Call:
        """The loss as a function of scores, for rows of these users."""
        return lambda pos, neg: self.loss(pos, neg, **self.inputs(user, neg, tau))

    def sample(
        self, b: int = 6, n: int = 5, seed: int = 0, dtype: torch.dtype = torch.float64
    ) -> tuple[Tensor, Tensor, Call]:
        """Scores like cosines, not close to default margins or to 1, and groups of up to three rows."""
        generator = torch.Generator().manual_seed(seed)
        pos = torch.rand(b, generator=generator, dtype=dtype) * 1.9 - 0.95
        neg = torch.rand(b, n, generator=generator, dtype=dtype) * 1.9 - 0.95
        # no score within 1e-3 of a margin: all default margins are multiples of 0.1
        neg = torch.where((neg * 10 - (neg * 10).round()).abs() < 0.01, neg + 0.003, neg)
        return pos, neg, self.bind(torch.tensor([4, 2, 4, 9, 2, 4] * b)[:b])

    def sharp(self) -> LossCase:
        """The same with every temperature of the loss at 0.01."""
        if not dataclasses.is_dataclass(self.loss) or isinstance(self.loss, type):
            return self
        names = {f.name for f in dataclasses.fields(self.loss) if f.init}
        taus = [name for name in ("tau", "tau_pos", "tau_neg") if name in names]
        return dataclasses.replace(self, loss=dataclasses.replace(self.loss, **dict.fromkeys(taus, 0.01)))


def gradients(call: Call, pos: Tensor, neg: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """The row values, and the gradients of their sum (weighted by ``upstream``) by ``pos`` and by ``neg``."""
    pos, neg = pos.detach().requires_grad_(), neg.detach().requires_grad_()
    value = call(pos, neg)
    value.backward(torch.ones_like(value) if upstream is None else upstream)  # type: ignore[no-untyped-call]
    assert pos.grad is not None
    assert neg.grad is not None
    return value.detach(), pos.grad, neg.grad


def check_loss(loss: ScoreLoss | EmbeddingLoss, *, exceptions: Exceptions = (), side: SideInputs | None = None) -> None:
    """Check that a loss keeps the laws that every loss of TauRec keeps.

    Args:
        loss: an instance, for example ``MyLoss(tau=0.2)``: a loss of scores, with one value per row or per batch, or a
            loss of vectors.
        exceptions: pairs (law, reason) for laws that the loss breaks on purpose; an exception that is not needed is
            an error.
        side: gives the side inputs that only this loss needs, by name, from the user of each row [B].
    Raises: AssertionError naming every broken law; UsageError for an object that is no loss.

    >>> from taurec.losses import SL
    >>> check_loss(SL(tau=0.2))
    """
    if isinstance(loss, EmbeddingLoss):
        EMBEDDING_LOSS_LAWS.check(VectorCase(loss, side), exceptions)
    elif not isinstance(loss, ScoreLoss):
        raise UsageError(f"a loss derives from ScoreLoss, StreamedLoss or EmbeddingLoss, got {loss!r}")
    else:
        LOSS_LAWS.check(LossCase(loss, side), exceptions)


LOSS_LAWS: Laws[LossCase] = Laws("loss")
law = LOSS_LAWS.law


@law("it declares known side inputs and score ranges, and equal losses have equal hashes")
def _declarations(case: LossCase) -> None:
    loss = case.loss
    own = set(case.side(torch.zeros(1, dtype=torch.int64))) if case.side is not None else set()
    require(loss.needs | loss.takes <= set(SIDE_INPUTS) | own, f"unknown side inputs in {loss.needs | loss.takes}")
    require(not loss.needs & loss.takes, f"both needed and optional: {set(loss.needs & loss.takes)}")
    require(loss.scores in ("any", "cosine"), f"scores must be 'any' or 'cosine', got {loss.scores!r}")
    require(hash(loss) == hash(copy.copy(loss)), "a copy has another hash")


@law("scores of {} give one value per row, or per batch if it says so, in float32 or float64", each=DTYPES)
def _shape_of_the_value(case: LossCase, dtype: torch.dtype) -> None:
    pos, neg, call = case.sample()
    value, dpos, dneg = gradients(call, pos.to(dtype), neg.to(dtype))
    require(value.shape == case.shape(6), f"expected shape {case.shape(6)}, got {tuple(value.shape)}")
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    require(value.dtype == expected, f"expected {expected}, got {value.dtype}")
    require(dpos.dtype == dneg.dtype == dtype, f"gradients of {dpos.dtype} and {dneg.dtype}, expected {dtype}")


@law("it stays on the device of its inputs and reads no value")
def _no_value_is_read(case: LossCase) -> None:
    """On the meta device there are no values: anything that waits for one fails."""
    call = case.bind(torch.empty(4, dtype=torch.int64, device="meta"))
    value = call(torch.empty(4, device="meta"), torch.empty(4, 3, device="meta"))
    require(value.device.type == "meta", f"the value is on {value.device}")
    require(value.shape == case.shape(4), f"expected shape {case.shape(4)}, got {tuple(value.shape)}")


@law("no rows give no values")
def _no_rows(case: LossCase) -> None:
    _require_rows(case)
    value = case.bind(torch.empty(0, dtype=torch.int64))(torch.empty(0), torch.empty(0, 3))
    require(value.shape == (0,), f"expected shape (0,), got {tuple(value.shape)}")


@law("its inputs are not changed")
def _inputs_are_not_changed(case: LossCase) -> None:
    pos, neg, call = case.sample()
    before = pos.clone(), neg.clone()
    call(pos, neg)
    require(torch.equal(pos, before[0]), "pos was changed")
    require(torch.equal(neg, before[1]), "neg was changed")


@law("absent negatives change neither values nor gradients")
def _absent_negatives(case: LossCase) -> None:
    pos, neg, call = case.sample()
    value, dpos, dneg = gradients(call, pos, neg)
    holes = torch.full((6, 2), -INF, dtype=neg.dtype)
    wide = torch.cat([neg[:, :2], holes, neg[:, 2:]], dim=1)
    value_w, dpos_w, dneg_w = gradients(call, pos, wide)
    torch.testing.assert_close(value_w, value, rtol=0, atol=1e-12)
    torch.testing.assert_close(dpos_w, dpos, rtol=0, atol=1e-12)
    torch.testing.assert_close(dneg_w[:, [0, 1, 4, 5, 6]], dneg, rtol=0, atol=1e-12)
    require((dneg_w[:, 2:4] == 0).all(), "an absent negative has a gradient")


@law(
    "a row without negatives has value 0 and no gradient (rows {})",
    each={str(rows): rows for rows in ([2], [3], [0, 2, 5], [1, 2, 3, 4, 5])},
)
def _row_without_negatives(case: LossCase, lost: list[int]) -> None:
    """One row of a group, the only row of a group, all rows of a group, all rows but one."""
    pos, neg, call = case.sample()
    neg[lost] = -INF
    value, dpos, dneg = gradients(call, pos, neg)
    if case.loss.rows:
        require(not value[lost].any(), "its value is not 0")
    require(not dpos[lost].any(), "its positive has a gradient")
    require(not dneg[lost].any(), "its negatives have a gradient")
    require(dpos.isfinite().all() and dneg.isfinite().all(), "gradients of the other rows are not finite")


@law("a batch without any negative has value 0 and no gradient")
def _no_negatives_at_all(case: LossCase) -> None:
    pos, neg, call = case.sample()
    value, dpos, dneg = gradients(call, pos, torch.full_like(neg, -INF))
    require(not value.any() and not dpos.any() and not dneg.any(), "a value or a gradient is not 0")


@law("permuting the rows permutes values and gradients")
def _permuted_rows(case: LossCase) -> None:
    pos, neg, _ = case.sample()
    user = torch.tensor([4, 2, 4, 9, 2, 4])
    order = torch.tensor([5, 3, 0, 4, 1, 2])
    before = gradients(case.bind(user), pos, neg)
    after = gradients(case.bind(user[order]), pos[order], neg[order])
    for a, b in zip(after, before, strict=True):
        torch.testing.assert_close(a, b[order] if b.ndim else b, rtol=1e-12, atol=1e-12)


@law("permuting the negatives permutes their gradients")
def _permuted_negatives(case: LossCase) -> None:
    pos, neg, call = case.sample()
    order = torch.tensor([3, 0, 4, 2, 1])
    value, dpos, dneg = gradients(call, pos, neg)
    value_p, dpos_p, dneg_p = gradients(call, pos, neg[:, order])
    torch.testing.assert_close(value_p, value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dpos_p, dpos, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dneg_p, dneg[:, order], rtol=1e-12, atol=1e-12)


@law("first and second derivatives agree with finite differences")
def _derivatives(case: LossCase) -> None:
    pos, neg, call = case.sample(n=4)
    inputs = pos.requires_grad_(), neg.requires_grad_()
    # log-sum-exp at tau 0.1 curves by up to 1 / tau^2 = 100: the finite difference of step 1e-6 is good to 1e-5
    require(torch.autograd.gradcheck(call, inputs, nondet_tol=0.0), "first derivatives differ")
    require(torch.autograd.gradgradcheck(call, inputs, nondet_tol=0.0), "second derivatives differ")


@law("derivatives agree with finite differences where negatives are absent")
def _derivatives_with_absent_negatives(case: LossCase) -> None:
    pos, neg, call = case.sample(n=4)
    hole = torch.zeros(6, 4, dtype=torch.bool)
    hole[0, 1] = hole[4, 2] = True
    hole[2] = True

    def masked(pos: Tensor, neg: Tensor) -> Tensor:
        return call(pos, neg.masked_fill(hole, -INF))

    inputs = pos.requires_grad_(), neg.requires_grad_()
    require(torch.autograd.gradcheck(masked, inputs, nondet_tol=0.0), "first derivatives differ")


@law("values and gradients are finite at extreme scores in {}", each=SHORT_DTYPES)
def _finite_at_extremes(case: LossCase, dtype: torch.dtype) -> None:
    sharp = case.sharp()
    extremes = torch.tensor([-1e4, -1.0, -1e-6, 0.0, 1e-6, 1.0, 1e4])
    pos = extremes.repeat_interleave(7).to(dtype)
    neg = torch.stack([extremes.repeat(7), extremes.roll(3).repeat(7), torch.full((49,), -INF)], dim=1).to(dtype)
    neg[5] = -INF
    for user in (torch.zeros(49, dtype=torch.int64), torch.arange(49), torch.arange(49) // 7):
        _require_finite(*gradients(sharp.bind(user, tau=0.01), pos, neg))


def random_gradients(
    case: LossCase, seed: int, scale: float, b: int, n: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Values and gradients of a sharp loss at random scores up to ``scale``, three negatives of ten absent."""
    generator = torch.Generator().manual_seed(seed)
    pos = ((torch.rand(b, generator=generator) * 2 - 1) * scale).to(dtype)
    neg = ((torch.rand(b, n, generator=generator) * 2 - 1) * scale).to(dtype)
    neg = neg.masked_fill(torch.rand(b, n, generator=generator) < 0.3, -INF)
    user = torch.randint(0, max(1, b // 2), (b,), generator=generator)
    return gradients(case.sharp().bind(user, tau=0.01), pos, neg)


def _random_cases() -> list[tuple[int, float, int, int, torch.dtype]]:
    """25 sizes and scales, the same in every run; scales are spread over ten orders of magnitude."""
    generator = torch.Generator().manual_seed(7)
    draws = torch.rand(25, 3, generator=generator, dtype=torch.float64).tolist()
    dtypes = (torch.float32, torch.bfloat16)
    return [
        (seed, 1e-6 * 1e10**x, int(41 * y), 1 + int(30 * z), dtypes[seed % 2]) for seed, (x, y, z) in enumerate(draws)
    ]


@law("values and gradients are finite at random scores")
def _finite_anywhere(case: LossCase) -> None:
    for given in _random_cases():
        _require_finite(*random_gradients(case, *given))


@law("positive gradients are never positive, negative gradients never negative, at random scores")
def _signs_anywhere(case: LossCase) -> None:
    for given in _random_cases():
        require_signs(*random_gradients(case, *given)[1:])


def require_signs(dpos: Tensor, dneg: Tensor) -> None:
    """Require gradients that raise the score of the positive and lower those of the negatives, or are 0."""
    require((dpos <= 0).all(), "a positive has a gradient above 0")
    require((dneg >= 0).all(), "a negative has a gradient below 0")


@law("float32 agrees with float64")
def _float32_agrees(case: LossCase) -> None:
    pos, neg, call = case.sample(n=50)
    exact = gradients(call, pos, neg)
    short = gradients(call, pos.float(), neg.float())
    for a, b in zip(short, exact, strict=True):
        # the inputs themselves are rounded to 6e-8, and margins and temperatures magnify that by up to 400
        torch.testing.assert_close(a.double(), b, rtol=3e-5, atol=3e-5)


@law("a step raises the score of a positive and lowers those of its negatives")
def _direction(case: LossCase) -> None:
    pos, neg, call = case.sample(n=30)
    _, dpos, dneg = gradients(call, pos, neg)
    require_signs(dpos, dneg)
    require((dpos < 0).any(), "no positive has a gradient")
    require((dneg > 0).any(), "no negative has a gradient")


@law("rows are independent of each other")
def _independent_rows(case: LossCase) -> None:
    _require_rows(case)
    if case.loss.needs & BATCH_INPUTS:
        raise NotApplicable("declares that rows depend on each other")
    pos, neg, call = case.sample()
    user = torch.tensor([4, 2, 4, 9, 2, 4])
    value = call(pos, neg)
    for b in range(6):
        only = torch.zeros_like(pos)
        only[b] = 1
        others = only == 0
        moved = call(pos + 0.3 * others, neg - 0.2 * others[:, None])[b]
        require(torch.equal(moved, value[b]), "its value changes with the scores of other rows")
        # vector and scalar instructions may round the last bit apart
        alone = case.bind(user[b : b + 1])(pos[b : b + 1], neg[b : b + 1])
        torch.testing.assert_close(alone, value[b : b + 1], rtol=1e-14, atol=1e-15)
        _, dpos, dneg = gradients(call, pos, neg, upstream=only)
        require(dpos.nonzero().flatten().tolist() in ([], [b]), "its value has a gradient in another row's positive")
        rows = dneg.any(dim=1).nonzero().flatten().tolist()
        require(rows in ([], [b]), "its value has a gradient in another row's negatives")


@law("NaN is not hidden")
def _nan_is_not_hidden(case: LossCase) -> None:
    pos, neg, call = case.sample()
    for where in ("pos", "neg"):
        p, n = pos.clone(), neg.clone()
        (p if where == "pos" else n[:, 1])[3] = math.nan
        value = call(p, n)
        require((value[3] if case.loss.rows else value).isnan(), f"a NaN in {where} gives a value that is not NaN")


@law("two calls give the same bits")
def _same_bits(case: LossCase) -> None:
    pos, neg, call = case.sample(b=60, n=300, dtype=torch.float32)
    for a, b in zip(gradients(call, pos, neg), gradients(call, pos, neg), strict=True):
        require(torch.equal(a, b), "the second call differs")


@law("combining the reductions of two blocks of negatives gives the loss")
def _combined_blocks(case: LossCase) -> None:
    """Two blocks of columns, merged by hand, equal all at once; a kernel may leave -inf where there are none."""
    loss: Any = case.loss
    reduce = getattr(loss, "reduce", None)
    if reduce is None:
        raise NotApplicable("declares no reduction: it is computed from the scores of all negatives")
    pos, neg, call = case.sample(n=8)
    neg[1, 0] = -INF
    neg[2] = -INF
    neg[4, :3] = -INF
    (a, n_a), (b, n_b) = reduce(pos, neg[:, :3]), reduce(pos, neg[:, 3:])
    n = n_a + n_b
    require(torch.equal(n, (neg != -INF).sum(dim=1).to(n.dtype)), "the reduction counts the negatives wrongly")
    if reduce.kind == "logsumexp":
        reduced = torch.logaddexp(a.masked_fill(n_a == 0, -INF), b.masked_fill(n_b == 0, -INF))
    else:
        reduced = (a * n_a + b * n_b) / n
    given = case.inputs(torch.tensor([4, 2, 4, 9, 2, 4]), neg)
    torch.testing.assert_close(loss.combine(pos, reduced, n, **given), call(pos, neg), rtol=0, atol=1e-12)


MISFITS = {
    "pos [3, 1]": (torch.zeros(3, 1), torch.zeros(3, 2), r"pos must be \[B\]"),
    "neg [3]": (torch.zeros(3), torch.zeros(3), r"neg must be \[B, N\]"),
    "neg [2, 3]": (torch.zeros(3), torch.zeros(2, 3), r"neg must be \[B, N\] with B = 3"),
    "neg [3, 0]": (torch.zeros(3), torch.zeros(3, 0), "neg has no columns"),
    "pos int64": (torch.zeros(3, dtype=torch.int64), torch.zeros(3, 2), "pos must hold floating-point"),
    "neg int64": (torch.zeros(3), torch.zeros(3, 2, dtype=torch.int64), "neg must hold floating-point"),
}


@law("scores of the wrong shape or type are refused ({})", each=MISFITS)
def _misfits_are_refused(case: LossCase, given: tuple[Tensor, Tensor, str]) -> None:
    pos, neg, message = given
    require_refused(lambda: case.bind(torch.zeros(3, dtype=torch.int64))(pos, neg), message)


def _require_rows(case: LossCase) -> None:
    if not case.loss.rows:
        raise NotApplicable("it has one value per batch")


def _require_finite(value: Tensor, dpos: Tensor, dneg: Tensor) -> None:
    require(value.isfinite().all(), "a value is not finite")
    require(dpos.isfinite().all(), "the gradient of a positive is not finite")
    require(dneg.isfinite().all(), "the gradient of a negative is not finite")
