"""Unit rows in plain torch: any float type, any device."""

from __future__ import annotations

import torch
from torch import Tensor


def unit_rows(w: Tensor, eps: float) -> Tensor:
    """See :func:`taurec.kernels.unit_rows.unit_rows`."""
    length = torch.linalg.vector_norm(w, dim=-1, keepdim=True)
    short = length <= eps  # not where the length is NaN
    return torch.where(short, 0.0, w / torch.where(short, 1.0, length))
