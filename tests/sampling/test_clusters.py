"""Negatives by cluster."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.sampling import ESANS
from taurec.sampling.clusters import k_means, two_level

# Twelve items in two far groups of six; in each group two near pairs of triples.
PLACES = torch.tensor([[x + dx + 0.01 * k, 0.0] for x in (0.0, 100.0) for dx in (0.0, 10.0) for k in range(3)])
TRAIN = Interactions.from_pairs(np.repeat(np.arange(4), 3), [0, 3, 6, 1, 7, 10, 4, 9, 11, 2, 5, 8])
USER, ITEM = torch.from_numpy(TRAIN.user_of), torch.from_numpy(TRAIN.indices.copy())
ROW = torch.arange(12)


def bound(places=PLACES, **settings):
    found = ESANS(n=50, coarse=2, fine=2, warmup=0, **settings).bind(TRAIN, 4)
    found.look(lambda: (torch.zeros(4, 2), places))
    return found


def test_two_levels_find_the_planted_groups():
    coarse, fine = two_level(PLACES, 2, 2, stream=1)
    assert len(set(coarse[:6])) == len(set(coarse[6:])) == 1
    assert coarse[0] != coarse[6]
    for first in range(0, 12, 3):
        assert len(set(fine[first : first + 3])) == 1
    assert len(set(fine)) == 4


def test_no_centre_is_nearer_than_that_of_the_cluster():
    vectors = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    found = k_means(vectors, 7, stream=5)
    centres = torch.stack([vectors[found == k].mean(0) for k in range(7)])
    inside = (vectors - centres[found]).square().sum()
    assert inside < 0.6 * (vectors - vectors.mean(0)).square().sum()
    assert (torch.cdist(vectors, centres).argmin(1).numpy() == found).mean() > 0.9


@pytest.mark.parametrize("hard", [0.0, 0.3, 1.0])
def test_draws_follow_their_log_probabilities_and_leave_the_fine_cluster_out(hard: float):
    """Chi-square for each positive over 60 epochs; 3 items are hard, 6 are easy, 3 are left out."""
    sampler, counts = bound(hard=hard, refresh=1000), np.zeros((12, 12))
    for epoch in range(1, 61):
        drawn = sampler.draw(USER, ITEM, ROW, epoch)
        np.add.at(counts, (ITEM[:, None].expand(-1, 50).numpy(), drawn.ids.numpy()), 1)
        group, triple = drawn.ids // 6 == ITEM[:, None] // 6, drawn.ids // 3 == ITEM[:, None] // 3
        assert not triple.any()
        expected = torch.where(group, hard / 3, (1 - hard) / 6).log().float()
        torch.testing.assert_close(drawn.logq, expected)
    for i in range(12):
        probability = np.where(np.arange(12) // 6 == i // 6, hard / 3, (1 - hard) / 6)
        probability[np.arange(12) // 3 == i // 3] = 0
        kept = probability > 0
        assert not counts[i][~kept].any()
        assert stats.chisquare(counts[i][kept], 3000 * probability[kept]).pvalue > 1e-4


def test_an_empty_class_is_replaced_by_the_other_and_none_leaves_the_row_absent():
    no_hard = ESANS(n=20, coarse=2, fine=1, warmup=0).bind(TRAIN, 4)
    no_hard.look(lambda: (torch.zeros(4, 2), PLACES))
    drawn = no_hard.draw(USER, ITEM, ROW, 1)
    assert (drawn.ids // 6 != ITEM[:, None] // 6).all()
    torch.testing.assert_close(drawn.logq, torch.full((12, 20), 1 / 6).log())
    one = ESANS(n=20, coarse=1, fine=1, warmup=0).bind(TRAIN, 4)
    one.look(lambda: (torch.zeros(4, 2), PLACES))
    assert one.draw(USER, ITEM, ROW, 1).absent.all()


def test_the_warmup_is_uniform_and_clusters_are_made_when_due():
    looked = []
    sampler = ESANS(n=20, coarse=2, fine=2, warmup=2, refresh=3).bind(TRAIN, 4)
    sampler.look(lambda: looked.append(1) or (torch.zeros(4, 2), PLACES))
    times = []
    for epoch in range(1, 10):
        sampler.draw(USER, ITEM, ROW, epoch)
        times.append(len(looked))
    assert times == [0, 0, 1, 1, 1, 2, 2, 2, 3]


def test_a_resumed_sampler_keeps_the_clusters_although_the_vectors_have_moved():
    one, other = bound(refresh=5), bound(PLACES.flip(0) * 3, refresh=5)
    one.draw(USER, ITEM, ROW, 1)
    other.load_state(one.state())
    a, b = (s.draw(USER, ITEM, ROW, 2) for s in (one, other))
    assert torch.equal(a.ids, b.ids)
    assert torch.equal(a.logq, b.logq)


def test_exclusion_marks_known_positives():
    drawn = bound(exclude=True).draw(USER, ITEM, ROW, 1)
    known = TRAIN.contains(USER[:, None].expand(-1, 50).numpy(), drawn.ids.numpy())
    assert known.any()
    assert (drawn.absent.numpy() == known).all()


@pytest.mark.parametrize("settings", [{"coarse": 0}, {"fine": 0}, {"hard": 1.5}, {"refresh": 0}, {"warmup": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(UsageError):
        ESANS(**settings)
