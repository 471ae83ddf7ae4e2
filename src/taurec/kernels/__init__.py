"""Kernels behind one door: a call names a kernel or leaves the choice, and a table is looked up per call.

``torch`` is the plain form and runs anywhere. ``numba`` is compiled for this CPU at first use (float32), ``triton``
for an NVIDIA GPU (float32). An explicit name that cannot serve a call raises; only ``auto`` chooses.
"""

from __future__ import annotations

import functools
import importlib.util
import os

import torch
from torch import Tensor

from taurec.errors import UsageError, did_you_mean

__all__ = ["available", "chosen", "gather_dot", "interpreted", "triton_misfit"]

NAMES = ("auto", "numba", "triton", "torch")
#: Pairs times width below which ``auto`` stays with torch: less work than starting the compiler is worth.
WORTH = 1 << 16


@functools.cache
def available() -> dict[str, str]:
    """Kernel -> ``ok``, or why it cannot be used here.

    >>> available()["torch"]
    'ok'
    """
    return {"torch": "ok", "numba": _numba_state(), "triton": _triton_state()}


def _numba_state() -> str:
    try:
        import numba  # noqa: F401

        from taurec.kernels.compile import kernel

        kernel("backward_item")
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


def triton_misfit(*tensors: Tensor) -> str:
    """Why Triton kernels cannot serve float32 or integer tensors on these devices; empty if they can.

    Serving is one GPU, or the CPU where :func:`interpreted`; an empty tensor is for the caller to refuse.
    """
    if (state := available()["triton"]) != "ok":
        return state
    wrong = {t.dtype for t in tensors if t.is_floating_point()} - {torch.float32}
    if wrong:
        return f"it needs float32, got {', '.join(sorted(map(str, wrong)))}"
    devices = {t.device for t in tensors}
    if len(devices) > 1 or next(iter(devices)).type not in ("cuda", "cpu" if interpreted() else "cuda"):
        return f"it needs tensors on one GPU, got {', '.join(sorted(map(str, devices)))}"
    return ""


def chosen(user: Tensor, item: Tensor, ids: Tensor, kernel: str = "auto") -> str:
    """The name of the kernel that a call with these arguments runs.

    Raises: UsageError for an unknown name, or a named kernel that cannot serve these arguments.
    """
    if kernel not in NAMES:
        raise UsageError(f"unknown kernel {kernel!r}{did_you_mean(kernel, NAMES)}")
    if kernel == "torch":
        return "torch"
    if kernel == "triton" or (kernel == "auto" and user.device.type == "cuda"):
        reason = triton_misfit(user, item, ids) or _shape_misfit(user, item, ids)
        if reason and kernel == "triton":
            raise UsageError(f"kernel 'triton' cannot serve this call: {reason}; use kernel='torch' or 'auto'")
        return "torch" if reason else "triton"
    reason = _numba_misfit(user, item, ids)
    if kernel == "auto" and (reason or ids.numel() * user.shape[1] < WORTH):
        return "torch"
    state = reason or available()["numba"]
    if state == "ok":
        return "numba"
    if kernel == "auto":
        return "torch"
    raise UsageError(f"kernel 'numba' cannot serve this call: {state}; use kernel='torch' or 'auto'")


def _numba_misfit(user: Tensor, item: Tensor, ids: Tensor) -> str:
    if user.dtype != torch.float32 or item.dtype != torch.float32:
        return f"it needs float32 tables, got {user.dtype} and {item.dtype}"
    if {user.device.type, item.device.type, ids.device.type} != {"cpu"}:
        return f"it needs CPU tensors, got {user.device}, {item.device} and {ids.device}"
    return _shape_misfit(user, item, ids)


def _shape_misfit(user: Tensor, item: Tensor, ids: Tensor) -> str:
    if ids.dtype != torch.int64:
        return f"it needs int64 ids, got {ids.dtype}"
    if 0 in (*user.shape, *item.shape, *ids.shape):
        return "it needs at least one row, item, column and dimension"
    return ""


def gather_dot(
    user: Tensor, item: Tensor, ids: Tensor, *, kernel: str = "auto", d_item: Tensor | None = None
) -> Tensor:
    """``neg[b, n] = <user[b], item[ids[b, n]]>``: scores of each row's own negatives.

    Differentiable in both tables, without ever holding the ``[B, N, D]`` gathered rows. The
    number of threads is torch's; the bits of ``numba`` do not depend on it.

    Args:
        user: [B, D] vectors of the rows.
        item: [I, D] vectors of all items; its gradient is dense.
        ids: [B, N] int64 in 0..I-1; repeats add up.
        kernel: ``auto``, ``numba`` (float32 on CPU), ``triton`` (float32 on a GPU) or ``torch``.
        d_item: [I, D] where ``numba`` and ``triton`` write the gradient of the items, every row, instead of handing
            it to autograd.
    Returns: [B, N] scores.
    Raises: UsageError if shapes disagree or the named kernel cannot serve the call.

    >>> gather_dot(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0], [3.0, 1.0]]), torch.tensor([[1, 0, 1]]))
    tensor([[5., 1., 5.]])
    """
    if user.ndim != 2 or item.ndim != 2 or ids.ndim != 2 or user.shape[1] != item.shape[1] or len(user) != len(ids):
        shapes = f"{tuple(user.shape)}, {tuple(item.shape)}, {tuple(ids.shape)}"
        raise UsageError(f"gather_dot takes user [B, D], item [I, D], ids [B, N]; got {shapes}")
    name = chosen(user, item, ids, kernel)
    if name == "triton":
        from taurec.kernels import gpu_pairs

        return gpu_pairs.gather_dot(user, item, ids, d_item)
    if d_item is not None or name == "numba":
        from taurec.kernels import cpu_numba

        return cpu_numba.gather_dot(user, item, ids, d_item)
    from taurec.kernels import reference

    return reference.gather_dot(user, item, ids)
