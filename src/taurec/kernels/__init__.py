"""Kernels: the operations that training and ranking spend their time in, each in several forms, behind one door.

========== =====================================================================================
operation  what it computes
========== =====================================================================================
gather_dot scores of each row's own negatives, without the gathered rows ``[B, N, D]``
catalogue  mean or log-sum-exp over the scores of all items, without the scores ``[B, I]``
hop        a sparse matrix times a dense table, whole or at some rows
hop_half   the same with layers stored as float16
unit_rows  rows scaled to length 1, with the chain rule
adam       one step of Adam over a table
topk       the exact K best items of each user
draws      uniform ids of negatives, and which ids a user is known to like
solve      the least-squares systems of iALS
========== =====================================================================================

Each operation is a package with its public functions and their contract, ``reference.py`` (kernel ``torch``:
plain, runs anywhere), ``numba.py`` (compiled for this CPU at first use) and, where there is one, ``triton.py`` (an
NVIDIA GPU). :func:`select` decides which of them runs. A kernel that is named explicitly runs or the call is refused;
only ``auto`` chooses.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from taurec.errors import UsageError, did_you_mean

__all__ = ["NAMES", "OPERATIONS", "Selection", "available", "interpreted", "select"]

NAMES = ("auto", "numba", "triton", "torch")
"""What ``kernel=`` accepts."""
OPERATIONS = ("gather_dot", "catalogue", "hop", "hop_half", "unit_rows", "adam", "topk", "draws", "solve")
"""The operations of :func:`select`."""
#: Multiplications of a call below which ``auto`` stays with torch: starting the compiler takes longer.
WORTH = 1 << 16
_FILES = {"torch": "reference", "numba": "numba", "triton": "triton"}


class Selection(NamedTuple):
    """The kernel that :func:`select` chose.

    Attributes:
        name: ``torch``, ``numba`` or ``triton``: what to report.
        kernel: the module whose functions run.
    """

    name: str
    kernel: ModuleType


@dataclass(frozen=True)
class Operation:
    """What the door knows about an operation; each package has one as ``OPERATION``.

    Attributes:
        misfit: called with a kernel's name and the arguments of :func:`select`; returns why that kernel cannot serve
            them, or an empty string.
        small: called with the same arguments; whether ``auto`` uses torch on the CPU because there is too little work.
    """

    misfit: Callable[..., str]
    small: Callable[..., bool] = lambda *given: False


def select(operation: str, *given: object, kernel: str = "auto") -> Selection:
    """The implementation of an operation that a call with these arguments runs, with its name.

    Args:
        operation: one of :data:`OPERATIONS`.
        given: the arguments on which the choice depends, mostly tensors; see the docstring of each package.
        kernel: ``auto``, or the name of a kernel.
    Raises: UsageError for an unknown name, or a named kernel that cannot serve these arguments. ``auto`` never raises.

    >>> select("unit_rows", torch.ones(2, 2, dtype=torch.float64)).name
    'torch'
    """
    if kernel not in NAMES:
        raise UsageError(f"unknown kernel {kernel!r}{did_you_mean(kernel, NAMES)}")
    package = f"taurec.kernels.{operation}"
    described: Operation = importlib.import_module(package).OPERATION
    name = kernel
    if kernel == "auto":
        name = "triton" if any(_on_gpu(g) for g in given) else "numba"
        if described.misfit(name, *given) or (name == "numba" and described.small(*given)) or available()[name] != "ok":
            name = "torch"
    elif kernel != "torch":
        state = available()[kernel]
        if reason := described.misfit(kernel, *given) if state == "ok" else state:
            raise UsageError(f"kernel {kernel!r} cannot serve this call: {reason}; use kernel='torch' or 'auto'")
    return Selection(name, importlib.import_module(f"{package}.{_FILES[name]}"))


def misfit_of(kernel: str, *tensors: Tensor) -> str:
    """Why a kernel for float32 on one CPU or GPU cannot serve these float or integer tensors; empty if it can.

    In Triton's interpreter (:func:`interpreted`) ``triton`` also serves CPU tensors.
    """
    wrong = {t.dtype for t in tensors if t.is_floating_point()} - {torch.float32}
    if wrong:
        return f"it needs float32, got {', '.join(sorted(map(str, wrong)))}"
    devices = {t.device for t in tensors}
    serves = {"cpu"} if kernel == "numba" else {"cuda", "cpu"} if interpreted() else {"cuda"}
    if len(devices) > 1 or next(iter(devices)).type not in serves:
        where = "the CPU" if kernel == "numba" else "one GPU"
        return f"it needs tensors on {where}, got {', '.join(sorted(map(str, devices)))}"
    return ""


def _on_gpu(given: object) -> bool:
    return isinstance(given, Tensor) and given.device.type == "cuda"


@functools.cache
def available() -> dict[str, str]:
    """Kernel -> ``ok``, or why it cannot be used on this machine.

    >>> available()["torch"]
    'ok'
    """
    return {"torch": "ok", "numba": _numba_state(), "triton": _triton_state()}


def _numba_state() -> str:
    try:
        import numba  # noqa: F401

        from taurec.kernels.compile import compiled

        compiled("gather_dot", "backward_item")
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "ok"


def _triton_state() -> str:
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed; pip install taurec[gpu]"
    if interpreted() or torch.cuda.is_available():
        return "ok"
    return "torch finds no GPU here"


def interpreted() -> bool:
    """Whether Triton interprets its kernels on CPU tensors, a way to test them: ``TRITON_INTERPRET=1``."""
    return os.environ.get("TRITON_INTERPRET") == "1"
