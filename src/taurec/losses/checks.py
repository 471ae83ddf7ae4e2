"""Checks that losses make on their arguments and settings."""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch import Tensor

from taurec.errors import UsageError


def checked(pos: Tensor, neg: Tensor) -> tuple[Tensor, Tensor]:
    """The scores in at least float32, after a check of shapes and types (never of values: no device sync).

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


def checked_group(group: Tensor | None, pos: Tensor, loss: str, otherwise: str = "without groups use SL") -> Tensor:
    """``group`` if it is given and fits ``pos``; ``otherwise`` is what to do without groups.

    Raises: UsageError saying what to pass.

    >>> checked_group(None, torch.zeros(2), "BSL")
    Traceback (most recent call last):
    taurec.errors.UsageError: BSL needs group=[B] int64, equal for rows of the same user; without groups use SL
    """
    if group is None:
        raise UsageError(f"{loss} needs group=[B] int64, equal for rows of the same user; {otherwise}")
    if group.shape != pos.shape or group.is_floating_point():
        raise UsageError(
            f"group must be [B] integers with B = {pos.shape[0]} as in pos; got {tuple(group.shape)} of {group.dtype}"
        )
    return group


def checked_row_input(name: str, given: Tensor | None, pos: Tensor, loss: str) -> Tensor:
    """A side input [B] of real numbers, in the type of ``pos``, if it is given and fits.

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
    loss: object,
    name: str,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    optional: bool = False,
) -> None:
    """Refuse a setting that is not a finite number in its range.

    Args:
        loss: the loss being constructed.
        name: its attribute.
        above: an open lower bound.
        least: a closed lower bound.
        most: a closed upper bound, used together with ``least``.
        optional: accept None too.
    Raises: UsageError naming loss, setting and range.

    >>> from taurec.losses import SL
    >>> SL(tau=0)
    Traceback (most recent call last):
    taurec.errors.UsageError: SL: tau must be a finite number above 0, got 0
    """
    value = getattr(loss, name)
    if optional and value is None:
        return
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
