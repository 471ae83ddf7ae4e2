"""Sums of large tensors whose bits do not depend on the number of threads."""

from __future__ import annotations

import torch
from torch import Tensor


def fixed_sum(x: Tensor, width: int = 1024) -> Tensor:
    """The sum of all entries in fixed blocks: the same bits for any number of threads.

    >>> fixed_sum(torch.ones(3000))
    tensor(3000.)
    """
    flat = x.reshape(-1)
    while flat.numel() > width:
        whole = flat.numel() - flat.numel() % width
        flat = torch.cat([flat[:whole].view(-1, width).sum(1), flat[whole:].sum(0, keepdim=True)])
    return flat.sum()
