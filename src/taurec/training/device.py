"""The device and the number of threads of training."""

from __future__ import annotations

import torch

from taurec.errors import UsageError

_ALL_THREADS = torch.get_num_threads()
"""The number of threads of torch when it was loaded: all cores, or ``OMP_NUM_THREADS``."""


def use_threads(n: int) -> None:
    """Let torch and TauRec's kernels compute on n threads; 0 uses all."""
    torch.set_num_threads(n or _ALL_THREADS)


def pick_device(name: str) -> torch.device:
    """The named device, or a :class:`UsageError`: an explicit request never falls back."""
    if name == "cpu":
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r}; accepted: cpu, cuda, cuda:0, ...") from None
    if device.type != "cuda":
        raise UsageError(f"device {name!r} is not supported; accepted: cpu, cuda, cuda:0, ...")
    if not torch.cuda.is_available():
        raise UsageError(f"device {name!r} was requested, but torch finds no GPU; use --device cpu")
    return device
