from __future__ import annotations

import pytest
import torch

from taurec.backbones.dropout import check_rate, keep_scale
from taurec.errors import UsageError


def test_the_share_dropped_and_the_scale() -> None:
    mask = keep_scale(0.2, 11, step=4, rows=20_000, columns=10)
    assert set(mask.unique().tolist()) == {0.0, 1.25}
    # 200,000 draws: standard deviation of the share is 0.0009.
    assert (mask == 0).double().mean().item() == pytest.approx(0.2, abs=0.004)


def test_no_dropout_keeps_all() -> None:
    assert torch.equal(keep_scale(0.0, 11, 0, 30, 3), torch.ones(30, 3))


def test_a_step_has_its_own_mask_and_finds_it_again() -> None:
    first, second, again = (keep_scale(0.5, 11, step, 400, 4) for step in (0, 1, 0))
    assert torch.equal(first, again)
    assert (first == second).double().mean().item() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_outside_its_range_is_refused(rate) -> None:
    with pytest.raises(UsageError, match="dropout"):
        check_rate("dropout", rate)
