from __future__ import annotations

import pytest
import torch

from taurec import draw
from taurec.backbones.dropout import check_rate, keep_scale, keep_scale_wide
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


def test_the_wide_form_by_its_words() -> None:
    """Row 5 of step 2, columns 0 to 5: the six lowest lanes of words 4 and 5 of the row."""
    mask = keep_scale_wide(0.25, 11, step=2, rows=7, columns=6)
    low, high = (int(w) for w in draw.bits(11, [5], 2, start=4)[0])
    lanes = [(low >> 16 * k) & 0xFFFF for k in range(4)] + [(high >> 16 * k) & 0xFFFF for k in range(2)]
    assert mask[5].tolist() == pytest.approx([0.0 if lane < 0.25 * 65536 else 4 / 3 for lane in lanes])


def test_the_wide_form_drops_its_share_anew_each_step() -> None:
    first, second, again = (keep_scale_wide(0.2, 11, step, 20_000, 10) for step in (0, 1, 0))
    assert (first == 0).double().mean().item() == pytest.approx(0.2, abs=0.004)
    assert torch.equal(first, again)
    assert (first == second).double().mean().item() == pytest.approx(0.68, abs=0.006)
    assert torch.equal(keep_scale_wide(0.0, 11, 0, 30, 3), torch.ones(30, 3))
