"""The compiled draws are the plain draws."""

import numpy as np
import pytest

from taurec import draw, kernels
from taurec.kernels import draws


@pytest.mark.parametrize("n_items", [1, 2, 38048, 2**31 + 11, 2**32 - 1])
@pytest.mark.parametrize("start", [0, 7])
def test_values_are_those_of_draw(n_items, start):
    rows = np.array([0, 1, 5, 5, 10**12, 2**62])
    stream = draw.key(3, "negatives", 2)
    expected = draw.integers(stream, rows, n_items, 33, start)
    assert np.array_equal(draws.uniform_ids(stream, rows, n_items, 33, start), expected)


def test_many_rows_and_none():
    rows = np.arange(5000)[::-1]
    assert np.array_equal(draws.uniform_ids(9, rows, 1000, 70), draw.integers(9, rows, 1000, 70))
    assert draws.uniform_ids(9, rows[:0], 10, 4).shape == (0, 4)
    assert draws.uniform_ids(9, rows[:3], 10, 0).shape == (3, 0)


def test_without_a_compiler(monkeypatch):
    monkeypatch.setattr(kernels, "available", lambda: {"numba": "no"})
    assert np.array_equal(draws.uniform_ids(9, [4], 10, 6), draw.integers(9, [4], 10, 6))
