"""Where training computes, and on how many threads."""

from __future__ import annotations

import torch

from taurec.errors import UsageError

_ALL_THREADS = torch.get_num_threads()
"""What torch found usable when it was loaded: all cores, or what ``OMP_NUM_THREADS`` says."""


def use_threads(n: int) -> None:
    """Let torch and TauRec's kernels compute on n threads; 0 takes all."""
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
        raise UsageError(f"device {name!r} was asked for, but torch finds no GPU here; use --device cpu")
    return device
