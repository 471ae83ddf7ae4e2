"""What a score loss is, and the checks every one of them makes on its arguments.

A score loss maps the score of each observed pair and the scores of its negatives to one value a row.
It knows nothing of embeddings, ids or devices, and never reduces over rows: weights and the mean
belong to the objective. Two rules hold for all of them:

- An absent negative has the score ``-inf``. It changes neither value nor gradient of anything else.
- A row without any negative has the value 0, no gradient, and no part in other rows' values; whoever
  averages leaves it out.

float16 and bfloat16 scores are computed, and returned, in float32; float64 stays float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from taurec.errors import UsageError, did_you_mean

Scores = Literal["any", "cosine"]

SIDE_INPUTS = ("group", "logq", "pos_margin", "tau", "tau_pos", "threshold", "drop_rate")
"""All side inputs there are: group[B], logq[B, N] or [N], pos_margin[B], tau[B] of the negatives and tau_pos[B] of
the pair's own score, threshold[B], drop_rate[B] the share of the batch's rows that is dropped (the same in all)."""


class ScoreLoss(Protocol):
    """A loss of scores: ``loss(pos[B], neg[B, N], **side) -> [B]``.

    Attributes:
        needs: the side inputs it cannot do without.
        takes: the side inputs it can also use.
        scores: ``cosine`` where its margins mean nothing on unbounded scores, else ``any``.
    """

    needs: ClassVar[frozenset[str]]
    takes: ClassVar[frozenset[str]]
    scores: ClassVar[Scores]

    def __call__(self, pos: Tensor, neg: Tensor, /, *args: Any, **side: Any) -> Tensor: ...


def side_inputs(loss: ScoreLoss, offered: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """Those of the offered side inputs that a loss needs or takes.

    Args:
        loss: the loss to be called.
        offered: values by name; None counts as not offered.
    Returns: the keyword arguments for the call.
    Raises: UsageError for a name that is no side input, and for a needed one that is not offered.

    >>> from taurec.losses import BSL, SL
    >>> user = torch.tensor([3, 3, 5])
    >>> sorted(side_inputs(BSL(), {"group": user})), sorted(side_inputs(SL(), {"group": user}))
    (['group'], [])
    """
    for name in offered:
        if name not in SIDE_INPUTS:
            raise UsageError(f"no loss has a side input {name!r}{did_you_mean(name, SIDE_INPUTS)}")
    given = {name: value for name, value in offered.items() if value is not None}
    missing = sorted(loss.needs - given.keys())
    if missing:
        raise UsageError(
            f"{type(loss).__name__} needs the side input {', '.join(map(repr, missing))}, not offered here"
        )
    return {name: value for name, value in given.items() if name in loss.needs | loss.takes}


def checked(pos: Tensor, neg: Tensor) -> tuple[Tensor, Tensor]:
    """Scores in at least float32, after a look at shapes and types (never at values: no device sync).

    Raises: UsageError naming the argument that does not fit.

    >>> pos, neg = checked(torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2, 3))
    >>> pos.dtype
    torch.float32
    """
    if pos.ndim != 1:
        raise UsageError(f"pos must be [B], the score of each pair; got shape {tuple(pos.shape)}")
    if neg.ndim != 2 or neg.shape[0] != pos.shape[0]:
        raise UsageError(f"neg must be [B, N] with B = {pos.shape[0]} as in pos; got shape {tuple(neg.shape)}")
    if neg.shape[1] == 0:
        raise UsageError("neg has no columns: give at least one negative a row (-inf marks an absent one)")
    for name, scores in (("pos", pos), ("neg", neg)):
        if not scores.is_floating_point():
            raise UsageError(f"{name} must hold floating-point scores, got {scores.dtype}")
    dtype = torch.promote_types(torch.promote_types(pos.dtype, neg.dtype), torch.float32)
    return pos.to(dtype), neg.to(dtype)


def checked_group(group: Tensor | None, pos: Tensor, loss: str) -> Tensor:
    """``group`` if it is there and fits ``pos``.

    Raises: UsageError saying how to come by it.

    >>> checked_group(None, torch.zeros(2), "BSL")
    Traceback (most recent call last):
    taurec.errors.UsageError: BSL needs group=[B] int64, equal for rows of the same user; without groups use SL
    """
    if group is None:
        raise UsageError(f"{loss} needs group=[B] int64, equal for rows of the same user; without groups use SL")
    if group.shape != pos.shape or group.is_floating_point():
        raise UsageError(
            f"group must be [B] integers with B = {pos.shape[0]} as in pos; got {tuple(group.shape)} of {group.dtype}"
        )
    return group


def checked_row_input(name: str, given: Tensor | None, pos: Tensor, loss: str) -> Tensor:
    """A side input [B] of real numbers, in the type of ``pos``, if it is there and fits.

    Raises: UsageError naming it.

    >>> checked_row_input("tau", None, torch.zeros(2), "AdapTau")
    Traceback (most recent call last):
    taurec.errors.UsageError: AdapTau needs tau=[B], a number for each row
    """
    if given is None:
        raise UsageError(f"{loss} needs {name}=[B], a number for each row")
    if given.shape != pos.shape or not given.is_floating_point():
        raise UsageError(
            f"{name} must be [B] floating-point numbers with B = {pos.shape[0]} as in pos; "
            f"got {tuple(given.shape)} of {given.dtype}"
        )
    return given.to(pos.dtype)


def require_number(
    loss: object, name: str, above: float | None = None, least: float | None = None, most: float | None = None
) -> None:
    """Refuse a setting that is not a finite number in its range.

    Args:
        loss: the loss being constructed.
        name: its attribute.
        above, least: the open or the closed lower bound.
        most: the closed upper bound, beside ``least``.
    Raises: UsageError naming loss, setting and range.

    >>> from taurec.losses import SL
    >>> SL(tau=0)
    Traceback (most recent call last):
    taurec.errors.UsageError: SL: tau must be a finite number above 0, got 0
    """
    value = getattr(loss, name)
    bound = f" above {above:g}" if above is not None else f" of at least {least:g}" if least is not None else ""
    bound += f" and at most {most:g}" if most is not None else ""
    ok = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if ok and above is not None:
        ok = value > above
    if ok and least is not None:
        ok = value >= least
    if ok and most is not None:
        ok = value <= most
    if not ok:
        raise UsageError(f"{type(loss).__name__}: {name} must be a finite number{bound}, got {value!r}")
