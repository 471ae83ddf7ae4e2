"""Kernels: the operations that take most of the time of training and ranking, each with several implementations.

========== =====================================================================================
operation  what it computes
========== =====================================================================================
gather_dot scores of each row's own negatives, without the gathered rows ``[B, N, D]``
catalogue  mean or log-sum-exp over the scores of all items, without the scores ``[B, I]``
hop        a sparse matrix times a dense table, all rows or a subset
hop_half   the same with layers stored as float16
unit_rows  rows scaled to length 1, with the chain rule
adam       one step of Adam over a table
topk       the exact K best items of each user
draws      uniform ids of negatives, and which ids are among a user's known items
solve      the least-squares systems of iALS and slim-local
========== =====================================================================================

Each operation is a package. Its ``__init__.py`` has the public functions and their contract, ``reference.py`` the
reference implementation (kernel ``torch``, runs on any device), ``numba.py`` loops compiled for this CPU at first use,
and ``triton.py``, which some operations lack, kernels for an NVIDIA GPU. :func:`select` chooses the implementation. A
kernel that is named explicitly either runs or the call is refused; only ``auto`` may choose another one.
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
#: Number of multiplications in a call below which ``auto`` uses torch: starting the compiler would take longer.
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
    """The description of an operation that :func:`select` reads; each package has one as ``OPERATION``.

    Attributes:
        misfit: called with a kernel's name and the arguments of :func:`select`; returns the reason why that kernel
            cannot serve them, or an empty string.
        small: called with the same arguments of :func:`select`; returns whether ``auto`` uses torch on the CPU because
            the call has too little work for a compiled loop.
    """

    misfit: Callable[..., str]
    small: Callable[..., bool] = lambda *given: False


def select(operation: str, *given: object, kernel: str = "auto") -> Selection:
    """Choose the implementation of an operation for a call with these arguments.

    Args:
        operation: one of :data:`OPERATIONS`.
        given: the arguments on which the choice depends, mostly tensors; see the docstring of each package.
        kernel: ``auto``, or the name of a kernel.
    Returns: the name of the kernel and its module.
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
    """The reason why a float32 kernel cannot serve these tensors on one CPU or GPU; an empty string if it can.

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
    """The state of each kernel on this machine: ``ok``, or why it cannot be used.

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
    """Whether Triton interprets its kernels on CPU tensors (``TRITON_INTERPRET=1``), which tests use."""
    return os.environ.get("TRITON_INTERPRET") == "1"
