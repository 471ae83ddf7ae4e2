"""Negatives with false ones among them: shares by hand, distributions, users without one of the classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from taurec.data.interactions import Interactions
from taurec.data.noise import hold_out_false_negatives
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.sampling import Noisy, NoisyHeldOut
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

I = 12
HAVE = [[3], [0, 1, 4, 5, 8, 11], [j for j in range(I) if j != 7], list(range(I)), []]


def world() -> Interactions:
    """Five users, twelve items: one positive, half of them, all but item 7, all, none."""
    user = [u for u, items in enumerate(HAVE) for _ in items]
    item = [j for items in HAVE for j in items]
    return Interactions.from_pairs(user, item, Vocabulary.numbered(5), Vocabulary.numbered(I))


def rows_of(user: int, count: int):
    return torch.full((count,), user), torch.zeros(count, dtype=torch.int64), torch.arange(count)


def fits(counts, expected) -> bool:
    """Chi-square on fixed draws; items of probability 0 are never drawn."""
    counts, expected = np.asarray(counts), np.asarray(expected)
    some = expected > 0
    if counts[~some].any():
        return False
    return some.sum() == 1 or stats.chisquare(counts[some], counts.sum() * expected[some]).pvalue > 1e-3


@pytest.mark.parametrize("user", range(5))
@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0, 10.0])
def test_noisy_draws_positives_by_their_weight(user: int, noise: float) -> None:
    """The dense table of weights that the draw stands for; logq is its logarithm."""
    weight = np.where(np.isin(np.arange(I), HAVE[user]), noise, 1.0)
    got = Noisy(40, noise).bind(world(), seed=1).draw(*rows_of(user, 500), epoch=2)
    if not weight.any():
        assert got.absent is not None
        assert got.absent.all()
        return
    assert got.absent is None
    q = weight / weight.sum()
    assert fits(torch.bincount(got.ids.ravel(), minlength=I).numpy(), q)
    np.testing.assert_allclose(got.logq.exp().numpy(), q[got.ids.numpy()], rtol=1e-5)


def test_the_share_of_false_negatives_by_hand() -> None:
    # users with 1, 6, 11, 12, 0 of 12 items at noise 2: 2/13, 12/18, 22/23, 1, 0
    assert Noisy(1, noise=2.0).bind(world(), seed=0).share == pytest.approx([2 / 13, 2 / 3, 22 / 23, 1, 0])


@pytest.mark.parametrize("user", range(5))
@pytest.mark.parametrize("noise", [0.0, 0.2, 0.5])
def test_held_out_items_come_with_their_probability(user: int, noise: float) -> None:
    source = NoisyHeldOut(40, noise, share=0.3).bind(world(), seed=4)
    held = source.false.items_of(user)
    assert len(held) == [0, 2, 3, 4, 0][user]
    free = np.setdiff1d(np.arange(I), HAVE[user])
    p = (1.0 if not len(free) and noise else noise) if len(held) else 0.0
    got = source.draw(*rows_of(user, 500), epoch=0)
    if user == 3 and not noise:
        assert got.absent is not None
        assert got.absent.all()
        return
    q = np.zeros(I)
    if len(held):
        q[held] = p / len(held)
    if len(free):
        q[free] = (1 - p) / len(free)
    assert got.absent is None
    assert fits(torch.bincount(got.ids.ravel(), minlength=I).numpy(), q)
    np.testing.assert_allclose(got.logq.exp().numpy(), q[got.ids.numpy()], rtol=1e-5)


def test_one_slot_and_the_next_are_independent() -> None:
    got = Noisy(50, 2.0).bind(world(), seed=0).draw(*rows_of(1, 800), epoch=0).ids.numpy()
    table = np.bincount((got[:, 0::2] * I + got[:, 1::2]).ravel(), minlength=I * I).reshape(I, I)
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_a_batch_mixes_users_with_and_without_negatives() -> None:
    user = torch.tensor([3, 0, 4])
    got = Noisy(30, noise=0.0).bind(world(), seed=0).draw(user, user, torch.arange(3), epoch=0)
    assert got.absent.tolist() == [[True] * 30, [False] * 30, [False] * 30]
    assert torch.isfinite(got.logq).all()


def test_held_out_pairs_are_neither_rows_nor_in_the_graph() -> None:
    run = resolve(loss="sl", backbone="lightgcn", negatives="noisy-held-out:8:0.5:0.3", epochs=1, batch_size=8, seed=4)
    trainer = Trainer(run, world())
    left = hold_out_false_negatives(world(), 0.3, seed=4)
    assert len(left.held) == 9
    met = torch.cat([torch.stack([b.user, b.item], 1) for b in trainer.batches(1)])
    assert len(met) == len(left.train)
    assert not left.held.contains(met[:, 0].numpy(), met[:, 1].numpy()).any()
    assert trainer.backbone.adjacency.matrix()[1].numel() == 2 * len(left.train)
    assert math.isfinite(trainer.fit().records[0].loss)


def test_held_out_pairs_are_left_out_of_lists_on_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watched(ranker, relevant, before, metrics, **more):
        seen.append(len(before))
        return evaluate_ranker(ranker, relevant, before, metrics, **more)

    monkeypatch.setattr("taurec.training.trainer.evaluate_ranker", watched)
    run = resolve(loss="sl", negatives="noisy-held-out:8:0.5:0.3", epochs=1, seed=4)
    valid = Interactions.from_pairs([0, 4], [5, 6], world().users, world().items)
    Trainer(run, world(), valid).fit()
    assert seen == [len(world())]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Noisy(0), "at least 1 negative"),
        (lambda: Noisy(4, -1.0), "noise must be 0"),
        (lambda: Noisy(4, math.inf), "noise must be 0"),
        (lambda: NoisyHeldOut(4, 1.0), "noise must be from 0 to below 1"),
        (lambda: NoisyHeldOut(4, 0.1, 1.5), "share must be from 0 to below 1"),
    ],
)
def test_values_out_of_range_are_refused(make, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        make()
