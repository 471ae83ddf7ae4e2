"""Negatives chosen from a pool by the model's scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.sampling import DynamicHard, GenNi, PoolSoftmax, Uniform

TRAIN = Interactions.from_pairs([0, 0, 0, 1, 1, 2, 2], [0, 1, 2, 1, 3, 4, 5])
ROW = torch.arange(7)
USER, ITEM = torch.from_numpy(TRAIN.user_of), torch.from_numpy(TRAIN.indices.copy())
SCORES = torch.tensor([0.9, -0.2, 0.3, 0.0, 0.5, -0.6])


def negatives(sampler, epoch=0, scores=SCORES):
    """The scores of a draw where every user scores item j with ``scores[j]``."""
    drawn = sampler.bind(TRAIN, 3).draw(USER, ITEM, ROW, epoch)
    return drawn, drawn.scores(torch.ones(7, 1), scores[:, None], ITEM, "torch", None)


def test_the_pool_is_that_of_uniform():
    for exclude in (False, True):
        drawn, _ = negatives(DynamicHard(3, 4, exclude))
        uniform = Uniform(12, exclude).bind(TRAIN, 3).draw(USER, ITEM, ROW, 0)
        assert torch.equal(drawn.ids, uniform.ids)


def test_dns_takes_the_highest_scores_of_the_pool():
    drawn, (pos, neg) = negatives(DynamicHard(3, 4))
    assert torch.equal(pos, SCORES[ITEM])
    assert torch.equal(neg, SCORES[drawn.ids].sort(1, descending=True).values[:, :3])
    _, (_, all_of_them) = negatives(DynamicHard(12, 1))
    assert torch.equal(all_of_them.sort(1).values, SCORES[negatives(DynamicHard(12, 1))[0].ids].sort(1).values)


def test_only_the_chosen_get_a_gradient():
    table = SCORES[:, None].clone().requires_grad_()
    drawn, (_, neg) = negatives(DynamicHard(1, 12), scores=table[:, 0])
    neg.sum().backward()
    best = drawn.ids.gather(1, SCORES[drawn.ids].argmax(1, keepdim=True))[:, 0]
    assert torch.equal(table.grad[:, 0], torch.bincount(best, minlength=6).float())


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_draws_follow_the_softmax_over_the_pool(temperature: float):
    """Chi-square over 40 epochs of 7 rows with 60 draws; expected counts are sums over the pools."""
    sampler = PoolSoftmax(60, 1, False, temperature)
    counts, expected = np.zeros(6), np.zeros(6)
    for epoch in range(40):
        drawn, _ = negatives(sampler, epoch)
        chosen = drawn.ids.gather(1, drawn.chosen(SCORES[drawn.ids]))
        counts += np.bincount(chosen.reshape(-1), minlength=6)
        weight = torch.softmax(SCORES[drawn.ids].double() / temperature, 1)
        expected += 60 * np.bincount(drawn.ids.reshape(-1), weight.reshape(-1), minlength=6)
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-3


def test_the_softmax_has_its_limits():
    _, (_, cold) = negatives(PoolSoftmax(4, 8, temperature=1e-4))
    _, (_, top) = negatives(DynamicHard(1, 32))
    assert torch.equal(cold, top.expand(-1, 4))
    drawn, _ = negatives(PoolSoftmax(4000, 1, temperature=1e9))
    places = drawn.chosen(SCORES[drawn.ids])
    counts = np.bincount(places[0] // 400, minlength=10)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_genni_is_the_softmax_at_the_temperature_of_the_epoch():
    how = GenNi(4, 8, start=1.0, end=0.01, epochs=3)
    for epoch, temperature in ((1, 1.0), (2, 0.1), (3, 0.01), (7, 0.01)):
        assert how.temperature_at(epoch) == pytest.approx(temperature)
        drawn, (_, neg) = negatives(how, epoch)
        _, (_, same) = negatives(PoolSoftmax(4, 8, temperature=drawn.temperature), epoch)
        assert torch.equal(neg, same)
    assert GenNi(epochs=1).temperature_at(1) == 0.1


def test_a_user_with_every_item_has_no_negatives():
    train = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    drawn = DynamicHard(2, 3).bind(train, 0).draw(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.arange(2), 0)
    assert drawn.absent.tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: DynamicHard(n=0), "n must be at least 1"),
        (lambda: DynamicHard(pool=0), "pool must be at least 1 candidate"),
        (lambda: PoolSoftmax(temperature=0.0), "temperature must be above 0"),
        (lambda: PoolSoftmax(temperature=math.nan), "temperature must be above 0"),
        (lambda: GenNi(end=-1.0), "end must be above 0"),
        (lambda: GenNi(epochs=0), "epochs must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(make, text: str):
    with pytest.raises(UsageError, match=text):
        make()
