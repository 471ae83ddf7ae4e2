"""Tables of which a step reads and updates only the rows it needs, with the result of Adam over the whole table.

A backbone without layers (matrix factorisation) is scored from its tables directly. A step then needs only the rows
of its batch, however large the table is.

:class:`SparseAdamTable`
    The rows of a batch are gathered into a small table, which autograd sees. A row that was not read for some steps
    first takes these pending steps, one after another, exactly as if Adam had updated the whole table in each.
:class:`UnitAdamTable`
    For cosine scores where the negatives of a step cover most items. Unit rows are kept, the gradient with respect to
    them is written to one buffer, and one pass applies the gradient of the norm, L2 and Adam.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec.kernels import pool
from taurec.kernels.adam import compiled as kernel
from taurec.kernels.pool import TASK_FLOATS

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
#: Length below which a row counts as zero, as in :func:`taurec.kernels.unit_rows.unit_rows`.
SMALL = 1e-12
#: Rows gathered by one task.
ROWS = 256

F1 = NDArray[np.float32]


def large_zeros(*shape: int) -> Tensor:
    """Zeros for a long-lived table, allocated by numpy, which requests large pages where torch does not."""
    filled = np.empty(shape, np.float32)
    filled.fill(0)
    return torch.from_numpy(filled)


def _scales(step: int, lr: float) -> tuple[float, float]:
    """Adam's corrected learning rate and inverse root of a step, as :func:`taurec.kernels.adam.adam_step` has them."""
    return lr / (1 - BETA1**step), 1 / math.sqrt(1 - BETA2**step)


class SparseAdamTable:
    """A table with Adam of which a step reads few rows; the other rows take their steps when they are next read.

    Args:
        weight, m, v: [R, D] contiguous float32, the weights and Adam's moments, updated in place; only after
            :meth:`settle` are all rows up to date.
        lr: learning rate.
        weight_decay: added to the gradient times the weight, in every step and for every row.
        step: number of steps that every row has taken already.

    >>> w, m, v = torch.ones(3, 2), torch.zeros(3, 2), torch.zeros(3, 2)
    >>> table = SparseAdamTable(w, m, v, lr=0.5)
    >>> rows, place = table.take(torch.tensor([2, 0, 2]))
    >>> rows.shape, place.tolist()
    (torch.Size([2, 2]), [0, 1, 0])
    >>> rows.sum().backward()
    >>> table.move()
    True
    >>> [round(x, 4) for x in w[:, 0].tolist()]
    [0.5, 1.0, 0.5]
    """

    def __init__(self, weight: Tensor, m: Tensor, v: Tensor, lr: float, weight_decay: float = 0.0, step: int = 0):
        self.lr, self.weight_decay, self.step = lr, weight_decay, step
        self.n, self.dim = weight.shape
        self._state: tuple[F1, F1, F1] = (_flat(weight), _flat(m), _flat(v))
        self._last = np.full(self.n, step, np.int32)
        self._mark, self._stamp = np.zeros((2, self.n), np.int32), 0
        self._first, self._scales = step + 1, np.empty((2, 64), np.float32)
        self._rows: NDArray[np.int64] = np.empty(0, np.int64)
        self.leaf = torch.empty(0)

    def take(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The distinct rows among ``ids`` [n] as a leaf [k, D] of autograd, and the position of each id in it."""
        rows, place = np.empty(len(ids), np.int64), torch.empty(len(ids), dtype=torch.int64)
        self._stamp += 1
        k = kernel("compact")(ids.numpy(), self._mark, self._stamp, rows, place.numpy())
        self._rows = rows[:k].copy()
        out = torch.empty((k, self.dim))
        self._catch_up(self._rows, k, ROWS, _flat(out))
        self.leaf = out.requires_grad_()
        return self.leaf, place

    def move(self, l2: float = 0.0, counts: Tensor | None = None) -> bool:
        """Take one step of Adam with the gradient of the rows last gathered; it is pending for all other rows.

        With ``counts`` [k], one for each of these rows, ``l2 * counts[r] * weight[r]`` is added to the gradient.
        Returns True, because the caller has checked that autograd's gradient is finite.
        """
        self.step += 1
        size, root = _scales(self.step, self.lr)
        owed = self.step - self._first
        if owed == self._scales.shape[1]:
            self._scales = np.concatenate([self._scales, np.empty_like(self._scales)], 1)
        self._scales[:, owed] = size, root
        if self.leaf.grad is None:
            return True
        (p, m, v), rows = self._state, self._rows
        grad, loop = _flat(self.leaf.grad.contiguous()), kernel("adam_rows")
        factor = np.empty(0, np.float32) if counts is None else counts.numpy()
        decay = self.weight_decay if counts is None else l2
        fixed = self.dim, self._last, rows, self.step, decay, factor, size, BETA1, BETA2, root, EPS
        pool.run(lambda t: loop(p, grad, m, v, *fixed, t * ROWS, min((t + 1) * ROWS, len(rows))), -(-len(rows) // ROWS))
        self.leaf = torch.empty(0)
        return True

    def settle(self) -> None:
        """Take the pending steps of every row."""
        self._catch_up(np.empty(0, np.int64), self.n, max(1, TASK_FLOATS // self.dim), np.empty(0, np.float32))
        self._first = self.step + 1

    def _catch_up(self, rows: NDArray[np.int64], n: int, size: int, out: F1) -> None:
        if self.step < self._first and not len(out):
            return
        (p, m, v), loop, whole = self._state, kernel("adam_catch_up"), not len(rows)
        sizes, roots = self._scales
        fixed = self.dim, self._last, rows, whole, self.step, self._first, self.weight_decay
        fixed2 = sizes, BETA1, BETA2, roots, EPS
        pool.run(lambda t: loop(p, m, v, *fixed, *fixed2, t * size, min((t + 1) * size, n), out), -(-n // size))


class UnitAdamTable:
    """A table with Adam for cosine scores, of which a step reads most rows.

    Args:
        weight, m, v: [R, D] contiguous float32, the weights and Adam's moments; all are updated in place.
        lr, weight_decay, step: as in :class:`SparseAdamTable`.

    Attributes:
        unit: [R, D] the rows scaled to length 1.
        gradient: [R, D] dL/d unit of every row; the step writes it.
        square: [R] squared lengths of the rows.
    """

    def __init__(self, weight: Tensor, m: Tensor, v: Tensor, lr: float, weight_decay: float = 0.0, step: int = 0):
        self.lr, self.weight_decay, self.step = lr, weight_decay, step
        self.n, self.dim = weight.shape
        self._state: tuple[F1, F1, F1] = (_flat(weight), _flat(m), _flat(v))
        self.unit, self.gradient = large_zeros(self.n, self.dim), large_zeros(self.n, self.dim)
        self.square = torch.zeros(self.n)
        self._tasks, self._size = -(-self.n // (size := max(1, TASK_FLOATS // self.dim))), size
        loop, given = kernel("unit_square"), (self._state[0], self.dim, SMALL)
        out = _flat(self.unit), self.square.numpy()
        pool.run(lambda t: loop(*given, *self._span(t), *out), self._tasks)

    def move(self, l2: float = 0.0, counts: Tensor | None = None) -> bool:
        """Take one step of Adam with :attr:`gradient` plus ``l2 * counts[r] * weight[r]``.

        Returns: False if a gradient was not finite; such rows are unchanged, all others are updated.
        """
        self.step += 1
        size, root = _scales(self.step, self.lr)
        p, m, v = self._state
        rows = np.empty(0, np.float32) if counts is None else counts.numpy()
        strength = self.weight_decay if counts is None else l2
        tables = p, _flat(self.gradient), m, v, _flat(self.unit), self.square.numpy(), self.dim
        fixed = strength, rows, size, BETA1, BETA2, root, EPS, SMALL
        loop, fine = kernel("adam_unit"), [True] * self._tasks

        def task(t: int) -> None:
            fine[t] = loop(*tables, *fixed, *self._span(t))

        pool.run(task, self._tasks)
        return all(fine)

    def squared_norm(self) -> float:
        """The squared length of the gradient of the rows, which follows from :attr:`gradient`; the same for any number
        of threads."""
        loop, parts = kernel("unit_norm"), [0.0] * self._tasks
        given = _flat(self.gradient), _flat(self.unit), self.square.numpy(), self.dim, SMALL

        def task(t: int) -> None:
            parts[t] = loop(*given, *self._span(t))

        pool.run(task, self._tasks)
        return math.fsum(parts)

    def settle(self) -> None:
        """Do nothing: no row has steps pending."""

    def _span(self, t: int) -> tuple[int, int]:
        return t * self._size, min((t + 1) * self._size, self.n)


def _flat(table: Tensor) -> F1:
    flat: F1 = table.detach().view(-1).numpy()
    return flat
