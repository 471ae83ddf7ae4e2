"""Counter-based random draws: every value is a function of (seed, purpose, epoch, row, column).

There is no state, so the order of calls, the cut into batches, the number of threads and an
interruption cannot change a draw. The function is the SplitMix64 output function (Steele, Lea and
Flood, OOPSLA 2014) applied to a counter that starts at a hashed key; kernels repeat the same few lines.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

GOLDEN = 0x9E3779B97F4A7C15
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB
_MASK = (1 << 64) - 1

U64 = NDArray[np.uint64]


def key(seed: int, purpose: str, epoch: int = 0) -> int:
    """The 64-bit key of one stream of draws.

    >>> key(0, "negatives", 1) == key(0, "negatives", 2)
    False
    """
    text = f"{seed}\x1f{purpose}\x1f{epoch}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def mix(x: U64) -> U64:
    """The SplitMix64 output function: a bijection of 64-bit words that scatters neighbours."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(MIX_1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(MIX_2)
    return x ^ (x >> np.uint64(31))


def bits(stream: int, rows: ArrayLike, columns: int | None = None, start: int = 0) -> U64:
    """64 random bits for each row, or for each (row, column) with ``columns`` given.

    Row r has the key ``mix(stream + (r + 1) * GOLDEN)``; its column c is ``mix(row_key + (c + 1) * GOLDEN)``.

    Args:
        stream: a value of :func:`key`.
        rows: [B] integers, the identity of each row.
        columns: number of draws a row; ``None`` draws one and returns [B].
        start: first column, for a caller that draws a row's columns in several calls.
    Returns: [B] or [B, columns] unsigned 64-bit integers.
    """
    r = np.asarray(rows).astype(np.uint64, copy=False)
    row_key = mix(np.uint64(stream & _MASK) + (r + np.uint64(1)) * np.uint64(GOLDEN))
    if columns is None:
        return mix(row_key + np.uint64((GOLDEN * (start + 1)) & _MASK))
    steps = np.arange(start + 1, start + columns + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    return mix(row_key[:, None] + steps[None, :])


def integers(stream: int, rows: ArrayLike, n: int, columns: int | None = None, start: int = 0) -> NDArray[np.int64]:
    """Integers uniform over 0..n-1 (high 32 bits times n; relative bias at most n / 2**32)."""
    if not 0 < n < 1 << 32:
        raise ValueError(f"n must be in 1..2**32-1, got {n}")
    high = bits(stream, rows, columns, start) >> np.uint64(32)
    return ((high * np.uint64(n)) >> np.uint64(32)).astype(np.int64)


def uniform(stream: int, rows: ArrayLike, columns: int | None = None, start: int = 0) -> NDArray[np.float64]:
    """Reals uniform over [0, 1) with 53 random bits."""
    return (bits(stream, rows, columns, start) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(stream: int, rows: ArrayLike, columns: int) -> NDArray[np.float64]:
    """Standard normal reals [B, columns], by the Box-Muller transform of two uniform draws each."""
    u = uniform(stream, rows, 2 * columns)
    radius = np.sqrt(-2.0 * np.log1p(-u[:, :columns]))
    result: NDArray[np.float64] = radius * np.cos(2.0 * np.pi * u[:, columns:])
    return result


def permutation(stream: int, n: int) -> NDArray[np.int64]:
    """A random order of 0..n-1: the rows sorted by their draw."""
    return np.argsort(bits(stream, np.arange(n)), kind="stable")
