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
_TILE = 1 << 15  # words worked on at a time: both buffers stay in the second-level cache

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
    out = np.array(x, dtype=np.uint64)
    _mix(out, np.empty_like(out))
    return out


def _mix(x: U64, spare: U64) -> None:
    """``mix`` in place; ``spare`` is a buffer of the same shape."""
    for shift, factor in ((30, MIX_1), (27, MIX_2), (31, None)):
        np.right_shift(x, np.uint64(shift), out=spare)
        np.bitwise_xor(x, spare, out=x)
        if factor is not None:
            np.multiply(x, np.uint64(factor), out=x)


def row_keys(stream: int, rows: ArrayLike) -> U64:
    """[B] the key of each row, from which :func:`bits` makes the words of its columns."""
    r = np.array(rows, dtype=np.int64, ndmin=1).view(np.uint64)
    r += np.uint64(1)
    r *= np.uint64(GOLDEN)
    r += np.uint64(stream & _MASK)
    return mix(r)


def bits(stream: int, rows: ArrayLike, columns: int | None = None, start: int = 0) -> U64:
    """64 random bits for each row, or for each (row, column) with ``columns`` given.

    Row r has the key ``mix(stream + (r + 1) * GOLDEN)``; its column c is ``mix(row_key + (c + 1) * GOLDEN)``.
    For one column the map from rows to words is a bijection: different rows never draw the same word.

    Args:
        stream: a value of :func:`key`.
        rows: [B] integers, the identity of each row.
        columns: number of draws a row; ``None`` draws one and returns [B].
        start: first column, for a caller that draws a row's columns in several calls.
    Returns: [B] or [B, columns] unsigned 64-bit integers.

    >>> whole = bits(key(0, "example"), [3, 7], 5)
    >>> bool((bits(key(0, "example"), [7], 2, start=3) == whole[1:, 3:]).all())
    True
    """
    row_key = row_keys(stream, rows)
    width = 1 if columns is None else columns
    steps = np.arange(start + 1, start + width + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    out = np.empty((len(row_key), width), dtype=np.uint64)
    block = max(1, _TILE // max(width, 1))
    spare = np.empty((min(block, len(row_key)), width), dtype=np.uint64)
    for first in range(0, len(row_key), block):
        tile = out[first : first + block]
        np.add(row_key[first : first + block, None], steps[None, :], out=tile)
        _mix(tile, spare[: len(tile)])
    return out[:, 0] if columns is None else out


def cells(stream: int, rows: ArrayLike, columns: ArrayLike) -> U64:
    """64 random bits for each pair of a row and a column: ``cells(s, r, c)[k] == bits(s, r, C)[k, c[k]]``.

    Args:
        rows, columns: [M] integers each.
    Returns: [M] unsigned 64-bit integers.
    """
    steps = np.asarray(columns, dtype=np.int64).astype(np.uint64) + np.uint64(1)
    steps *= np.uint64(GOLDEN)
    return mix(row_keys(stream, rows) + steps)


def lanes(stream: int, rows: ArrayLike, columns: int, step: int = 0) -> NDArray[np.uint16]:
    """[B, columns] numbers of 16 random bits, of a quarter of the words that :func:`bits` would take.

    Column c of row r is the c-th 16 bits, from the low end, of the words (r, s * w), (r, s * w + 1), ... of the stream,
    with s the step and w = ceil(columns / 4) words a step.

    >>> word = int(bits(7, [5], 1)[0, 0])
    >>> lanes(7, [5], 2)[0].tolist() == [word % 2**16, word // 2**16 % 2**16]
    True
    """
    words = -(-columns // 4)
    found = bits(stream, rows, words, step * words).astype("<u8", copy=False).view("<u2")
    return found[:, :columns]


def below(words: U64, n: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Each word scaled to 0..n-1: its high 32 bits times n, shifted down (relative bias at most n / 2**32).

    Args:
        words: random words, overwritten.
        n: the number of values, 1..2**32-1; an array gives each word its own.
    """
    words >>= np.uint64(32)
    words *= np.uint64(n) if isinstance(n, int) else n.astype(np.uint64)
    words >>= np.uint64(32)
    return words.view(np.int64)


def heads(words: U64, share: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[B, n] whether each word is among the first ``share`` [B] of its row, by its low 32 bits.

    :func:`below` uses the high bits of the same word, so a coin and a choice need one word.

    >>> heads(np.array([[1, 2**31, 2**32 - 1]], dtype=np.uint64), np.array([0.5])).tolist()
    [[True, False, False]]
    """
    return (words & np.uint64(0xFFFFFFFF)) < np.rint(share * 2.0**32)[:, None].astype(np.uint64)


def integers(stream: int, rows: ArrayLike, n: int, columns: int | None = None, start: int = 0) -> NDArray[np.int64]:
    """Integers uniform over 0..n-1, one for each word of :func:`bits` by :func:`below`."""
    if not 0 < n < 1 << 32:
        raise ValueError(f"n must be in 1..2**32-1, got {n}")
    return below(bits(stream, rows, columns, start), n)


def uniform(stream: int, rows: ArrayLike, columns: int | None = None, start: int = 0) -> NDArray[np.float64]:
    """Reals uniform over [0, 1) with 53 random bits."""
    return (bits(stream, rows, columns, start) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(stream: int, rows: ArrayLike, columns: int) -> NDArray[np.float64]:
    """Standard normal reals [B, columns], by the Box-Muller transform of two uniform draws each.

    Column c uses the words 2c and 2c + 1, so a narrower draw is the left part of a wider one.
    """
    u = uniform(stream, rows, 2 * columns)
    radius = np.sqrt(-2.0 * np.log1p(-u[:, 0::2]))
    result: NDArray[np.float64] = radius * np.cos(2.0 * np.pi * u[:, 1::2])
    return result


def permutation(stream: int, n: int) -> NDArray[np.int64]:
    """A random order of 0..n-1: the rows sorted by their words, which are all different."""
    return np.argsort(bits(stream, np.arange(n)))
