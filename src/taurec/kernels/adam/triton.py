# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"
"""Adam's step on a GPU by a Triton kernel: one pass through memory."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from taurec.kernels.adam.reference import Numbers

#: Number of entries that a program updates.
BLOCK = 1024


@triton.jit
def _adam(
    param, grad, m, v, counts, size, dim, l2, step_size, rise, beta2, rise2, root, eps,
    BY_ROW: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """Update ``N`` entries of a flat table; ``rise = 1 - beta1``, ``rise2 = 1 - beta2``. Grid: blocks of entries."""
    at = tl.program_id(0).to(tl.int64) * N + tl.arange(0, N)
    inside = at < size
    p, g = tl.load(param + at, mask=inside, other=0.0), tl.load(grad + at, mask=inside, other=0.0)
    if BY_ROW:
        g += (l2 * tl.load(counts + at // dim, mask=inside, other=0.0)) * p
    else:
        g += l2 * p
    first, second = tl.load(m + at, mask=inside, other=0.0), tl.load(v + at, mask=inside, other=0.0)
    first += rise * (g - first)
    second = second * beta2 + rise2 * (g * g)
    tl.store(m + at, first, mask=inside)
    tl.store(v + at, second, mask=inside)
    tl.store(param + at, p - step_size * tl.div_rn(first, tl.sqrt_rn(second) * root + eps), mask=inside)


def step(param: Tensor, grad: Tensor, m: Tensor, v: Tensor, how: Numbers, l2_rows: Tensor | None) -> None:
    """See :func:`taurec.kernels.adam.adam_step`; the tables are contiguous and float32."""
    counts = grad if l2_rows is None else l2_rows.to(torch.float32).contiguous()
    tables, (size, dim) = (param, grad.contiguous(), m, v, counts), (param.numel(), param.shape[1])
    by_row = l2_rows is not None
    numbers = how.l2, how.step_size, 1 - how.beta1, how.beta2, 1 - how.beta2, 1 / how.correction, how.eps
    with torch.cuda.device_of(param):
        _adam[triton.cdiv(size, BLOCK),](*tables, size, dim, *numbers, BY_ROW=by_row, N=BLOCK)


_T, _I, _F = "*fp32", "i32", "fp32"
#: For each kernel, the types of its arguments and values of its constants, with which it compiles without a GPU.
SIGNATURES = {_adam: ((_T,) * 5 + (_I, _I) + (_F,) * 7, {"BY_ROW": True, "N": BLOCK})}
