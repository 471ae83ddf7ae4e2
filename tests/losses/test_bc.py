"""BC loss and its popularity model: a published value, SSM as a case, and what the angles follow."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.losses import BC, SSM
from taurec.losses.bc import PopularityAngles
from taurec.sampling import Layout
from taurec.types import Batch


def test_golden(rows) -> None:
    angle = 1 - torch.sigmoid(torch.tensor([0.5, -0.2, 1.0, 0.0], dtype=rows.pos.dtype))
    value = BC(tau=0.2)(rows.pos, rows.neg, angle=angle)
    assert value.mean().item() == pytest.approx(3.549929726156169, **rows.tol)


def test_by_hand(exact) -> None:
    """Row 3: cosine .5, so theta is pi / 3; with the angle pi / 6 the cosine is 0."""
    angle = torch.full_like(exact.pos, math.pi / 6)
    expected = math.log(1 + sum(math.exp(n / 0.5) for n in (0.95, 0.4, 0.1)))
    assert BC(tau=0.5)(exact.pos, exact.neg, angle=angle)[3].item() == pytest.approx(expected, abs=1e-12)


def test_without_angles_it_is_ssm(exact) -> None:
    found = BC(tau=0.2)(exact.pos, exact.neg, angle=torch.zeros_like(exact.pos))
    torch.testing.assert_close(found, SSM(0.2)(exact.pos, exact.neg), rtol=0, atol=1e-12)


def test_a_larger_angle_asks_for_more(exact) -> None:
    values = [BC()(exact.pos, exact.neg, angle=torch.full_like(exact.pos, a)) for a in (0.0, 0.3, 0.6, 1.0)]
    assert all((b > a).all() for a, b in itertools.pairwise(values))


def popular_and_rare() -> Interactions:
    """40 users with the popular items 0 to 2; 5 of them have a rare item too."""
    user = np.concatenate([np.repeat(np.arange(40), 3), np.arange(5)])
    item = np.concatenate([np.tile(np.arange(3), 40), np.arange(3, 8)])
    return Interactions.from_pairs(user, item)


def test_a_pair_with_a_rare_item_gets_a_larger_angle() -> None:
    state = PopularityAngles(BC(pop_epochs=200, pop_lr=0.02), popular_and_rare(), seed=0)
    state.begin_epoch(1, lambda: (state.user, state.item))
    user, item = torch.tensor([10, 10]), torch.tensor([0, 5])
    popular, rare = state.side(Batch(user, item, torch.arange(2), Layout()))["angle"].tolist()
    assert 0 < popular < rare < 1


def test_levels_share_a_vector_and_the_state_is_restored() -> None:
    log = popular_and_rare()
    state = PopularityAngles(BC(pop_epochs=1), log, seed=3)
    assert (len(state.user), len(state.item)) == (2, 2)
    state.begin_epoch(1, lambda: (state.user, state.item))
    again = PopularityAngles(BC(pop_epochs=1), log, seed=3)
    again.load_state(state.state())
    rows = Batch(torch.tensor([0, 10, 11]), torch.tensor([0, 1, 2]), torch.arange(3), Layout())
    given = state.side(rows)["angle"]
    assert given[1] == given[2]
    again.begin_epoch(2, lambda: (state.user, state.item))  # trained already
    assert torch.equal(again.side(rows)["angle"], given)
    assert not given.requires_grad


def test_what_is_refused(exact) -> None:
    with pytest.raises(UsageError, match="BC: tau must be a finite number above 0"):
        BC(tau=0.0)
    with pytest.raises(UsageError, match="BC needs angle"):
        BC()(exact.pos, exact.neg)
