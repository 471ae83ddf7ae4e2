"""The four rows of scores that the published and hand-computed values belong to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch


def four_rows(dtype: torch.dtype) -> SimpleNamespace:
    return SimpleNamespace(
        pos=torch.tensor([0.9, 0.2, -0.1, 0.5], dtype=dtype),
        neg=torch.tensor([[0.1, -0.3, 0.85], [0.6, 0.2, 0.0], [-0.5, -0.9, 0.3], [0.95, 0.4, 0.1]], dtype=dtype),
        group=torch.tensor([7, 3, 7, 5]),
        tol={"abs": 1e-9, "rel": 0} if dtype == torch.float64 else {"abs": 1e-5, "rel": 1e-5},
    )


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def rows(request: pytest.FixtureRequest) -> SimpleNamespace:
    return four_rows(request.param)


@pytest.fixture
def exact() -> SimpleNamespace:
    return four_rows(torch.float64)
