from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from taurec.data.catalog import load
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.losses import AdapTau
from taurec.losses.adaptive import UserTemperatures, principal
from taurec.sampling import Layout
from taurec.types import Batch

DATA = os.environ.get("TAUREC_DATA")
LOG = Interactions.from_pairs([0, 0, 0, 1, 1, 2, 3, 3], [0, 1, 2, 0, 3, 4, 5, 6])
"""Users with 3, 2, 1 and 2 pairs; the lowest fifth of 1, 2, 2, 3 lies at 1.6, so user 2 does not count."""


def batch(user: list[int]) -> Batch:
    at = torch.tensor(user)
    return Batch(at, torch.zeros_like(at), torch.arange(len(at)), Layout())


def unasked() -> tuple[torch.Tensor, torch.Tensor]:
    raise AssertionError("vectors are not needed during the warm-up")


def test_tau_0_by_hand() -> None:
    side = UserTemperatures(AdapTau(), LOG)
    assert side.tau_0 == pytest.approx(0.7 / math.log(3 * 7 / (2 * 7)))
    given = side.side(batch([2, 0]))
    assert given["tau"].tolist() == given["tau_pos"].tolist() == pytest.approx([side.tau_0] * 2)


def test_the_fifth_of_users_with_the_fewest_pairs_does_not_count() -> None:
    """Users with 1, 2, 3, 3, 3, 3 pairs: the fifth lies at 2."""
    user = np.repeat(np.arange(6), [1, 2, 3, 3, 3, 3])
    side = UserTemperatures(AdapTau(gap=0.5), Interactions.from_pairs(user, np.arange(len(user)) % 8))
    assert side.tau_0 == pytest.approx(0.5 / math.log(4 * 8 / (2 * 12)))


@pytest.mark.parametrize(("name", "inverse"), [("yelp2018", 8.619972513557173), ("gowalla", 9.17942388767301)])
def test_tau_0_is_that_of_the_published_logs(name: str, inverse: float) -> None:
    if not DATA or not Path(DATA, name).is_dir():
        pytest.skip(f"TAUREC_DATA has no {name}")
    side = UserTemperatures(AdapTau(), load(name).train)
    assert 1 / side.tau_0 == pytest.approx(inverse, rel=1e-7)


def test_lamberts_function_solves_its_equation() -> None:
    x = np.concatenate([[-1 / math.e + 1e-9, -0.3, 0.0, 1e-12], np.logspace(-3, 3, 30)])
    w = principal(x)
    np.testing.assert_allclose(w * np.exp(w), x, rtol=1e-9, atol=1e-12)
    assert (w >= -1).all()
    assert principal(np.array([-1 / math.e, -5.0])).tolist() == [-1.0, -1.0]


def test_temperatures_of_users_by_a_slow_loop() -> None:
    """Two steps in which user 3 never comes; user 1 has a row without negatives, which does not count."""
    side = UserTemperatures(AdapTau(beta=0.5), LOG)
    generator = torch.Generator().manual_seed(0)
    users, pos, neg = [0, 1, 0, 2, 1, 0], torch.rand(6, generator=generator), torch.rand(6, 4, generator=generator)
    neg[4], neg[0, 1] = -torch.inf, -torch.inf
    for half in (slice(0, 3), slice(3, 6)):
        side.observe(batch(users[half]), pos[half], neg[half])
    losses: dict[int, list[float]] = {}
    for u, p, row in zip(users, pos.tolist(), neg.tolist(), strict=True):
        if any(n > -math.inf for n in row):
            losses.setdefault(u, []).append(math.log(sum(math.exp(n) for n in row)) - p)
    of_user = {u: sum(values) / len(values) for u, values in losses.items()}
    middle = sum(of_user.values()) / len(of_user)
    side.begin_epoch(2, unasked)
    tau = side.side(batch([0, 1, 2, 3]))["tau"]
    for u in range(3):
        # tau / tau_0 = exp(w) with w exp(w) = x
        w = math.log(float(tau[u]) / side.tau_0)
        assert w * math.exp(w) == pytest.approx(max(-1 / math.e, (of_user[u] - middle) / 0.5), abs=1e-5)
    assert float(tau[3]) == pytest.approx(side.tau_0)
    side.begin_epoch(3, unasked)
    assert side.side(batch([0, 1]))["tau"].tolist() == pytest.approx([side.tau_0] * 2)
    side.observe(batch([0, 1]), torch.tensor([0.4, 0.4]), torch.zeros(2, 3))
    assert side.shares().tolist() == pytest.approx([1.0] * 4)


def test_an_easy_user_gets_a_small_tau_down_to_tau_0_over_e() -> None:
    side = UserTemperatures(AdapTau(beta=0.01), LOG)
    side.observe(batch([0, 1]), torch.tensor([0.9, -0.5]), torch.tensor([[0.0], [0.5]]))
    side.begin_epoch(2, unasked)
    tau = side.side(batch([0, 1]))["tau"]
    assert float(tau[0]) == pytest.approx(side.tau_0 / math.e)
    assert tau[1] > 10 * side.tau_0


def test_the_middle_may_be_a_quantile_or_nothing() -> None:
    for middle, quantile, equal in (("quantile", 1.0, False), ("quantile", 0.0, False), ("none", 0.5, True)):
        side = UserTemperatures(AdapTau(middle=middle, quantile=quantile), LOG)
        side.observe(batch([0, 1]), torch.tensor([0.9, -0.5]), torch.tensor([[0.0], [0.5]]))
        share = side.shares()
        assert (share == 1).all() == equal
        if not equal:
            assert share[1 if quantile == 1.0 else 0] == pytest.approx(1.0)


def test_after_the_warm_up_the_gap_is_measured() -> None:
    generator = torch.Generator().manual_seed(1)
    user = F.normalize(torch.rand(4, 3, generator=generator) + torch.eye(4, 3), dim=1)
    item = F.normalize(torch.rand(7, 3, generator=generator) + torch.eye(7, 3), dim=1)
    cosine = (user @ item.T).double().numpy()
    own = np.mean([cosine[u, i] for u, i in zip(LOG.user_of, LOG.indices, strict=True) if u != 2])
    gap = own - cosine[[0, 1, 3]].mean()
    side = UserTemperatures(AdapTau(warmup=1), LOG)
    side.begin_epoch(1, unasked)
    side.begin_epoch(2, lambda: (user, item))
    assert side.tau_0 == pytest.approx(max(gap, 0.05) / math.log(1.5), rel=1e-5)
    side.begin_epoch(3, lambda: (torch.ones(4, 1), torch.ones(7, 1)))
    assert side.tau_0 == pytest.approx(0.05 / math.log(1.5))


def test_a_dense_log_is_refused() -> None:
    full = Interactions.from_pairs([0, 0, 1, 1], [0, 1, 0, 1])
    with pytest.raises(UsageError, match=r"half of all pairs or more are observed \(4 pairs of 2 users, 2 items\)"):
        UserTemperatures(AdapTau(), full)
