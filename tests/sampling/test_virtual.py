"""Points between items: interpolated, closest to the positive pair, and mixed layer by layer."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.sampling import Interpolated, LoOp, MixGCF
from taurec.sampling.closest import closest_on_arcs, closest_on_segments
from taurec.sampling.hops import MixedLayers
from taurec.scoring import batch_scores
from taurec.types import Embeddings

TRAIN = Interactions.from_pairs([0, 0, 0, 1, 1, 2, 2], [0, 1, 2, 1, 3, 4, 5])
ROW = torch.arange(7)
USER, ITEM = torch.from_numpy(TRAIN.user_of), torch.from_numpy(TRAIN.indices.copy())


def tables(seed=0, dim=3):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, dim, dtype=torch.float64, generator=generator) for n in (3, 6))


def drawn(sampler, epoch=0):
    return sampler.bind(TRAIN, 3).draw(USER, ITEM, ROW, epoch)


GOLDEN = [
    ([[1, 0, 0], [0, 1, 0], [0.6, 0, 0.8], [0, 0, 1]], 0.2, 0.0, 0.72),
    ([[1, 0, 0], [0, 1, 0], [0.8, 0.1, 0.6], [0.1, 0.9, 0.4]], 0.9, 1.0, 0.16),
]


@pytest.mark.parametrize(("ends", "a", "b", "square"), GOLDEN)
def test_closest_points_of_segments_by_hand(ends, a: float, b: float, square: float):
    x1, x2, y1, y2 = torch.tensor(ends, dtype=torch.float64)
    weights = closest_on_segments(x1, x2, y1, y2)
    assert [float(w) for w in weights] == pytest.approx([1 - a, a, 1 - b, b])
    gap = weights[0] * x1 + weights[1] * x2 - weights[2] * y1 - weights[3] * y2
    assert float(gap @ gap) == pytest.approx(square)


def test_no_point_of_a_grid_is_closer_than_the_closed_form():
    """200 pairs of segments and of arcs in 2 to 5 dimensions, against a grid of 201 x 201."""
    steps = torch.linspace(0, 1, 201, dtype=torch.float64)
    for case in range(200):
        generator = torch.Generator().manual_seed(case)
        ends = torch.randn(4, 2 + case % 4, dtype=torch.float64, generator=generator)
        if case % 3 == 0 and case % 4:  # two lines that cross near their middles, where the minimum is inside
            middle, one, two = torch.eye(2 + case % 4, dtype=torch.float64)[:3]
            ends = 0.1 * ends + 2 * middle + torch.stack([one, -one, two, -two])
        w = closest_on_segments(*ends)
        found = (w[0] * ends[0] + w[1] * ends[1] - w[2] * ends[2] - w[3] * ends[3]).norm()
        x = ends[0] + steps[:, None] * (ends[1] - ends[0])
        y = ends[2] + steps[:, None] * (ends[3] - ends[2])
        best = torch.cdist(x, y).min()
        assert found <= best + 1e-9
        assert found >= best - 0.02 * (ends[0] - ends[1]).norm() - 0.02 * (ends[2] - ends[3]).norm()
        ends = F.normalize(ends, dim=1)
        w = closest_on_arcs(*ends)
        points = w[0] * ends[0] + w[1] * ends[1], w[2] * ends[2] + w[3] * ends[3]
        assert all(float(p.norm()) == pytest.approx(1, abs=1e-6) for p in points)
        assert all(float(weight) >= -1e-9 for weight in w)
        best = (arc(ends[0], ends[1], steps) @ arc(ends[2], ends[3], steps).T).max()
        assert float(points[0] @ points[1]) >= best - 1e-9
        assert float(points[0] @ points[1]) <= best + 1e-3


def arc(x, y, steps):
    angle = torch.arccos((x @ y).clamp(-1, 1))
    return (((1 - steps) * angle).sin()[:, None] * x + (steps * angle).sin()[:, None] * y) / angle.sin()


@pytest.mark.parametrize("closest", [closest_on_arcs, closest_on_segments])
def test_lines_without_length_are_points(closest):
    x = torch.tensor([1.0, 0.0, 0.0])
    y1, y2 = torch.tensor([0.8, 0.6, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    assert [float(w) for w in closest(x, x, y1, y2)] == pytest.approx([1, 0, 1, 0])
    assert [float(w) for w in closest(x, x, x, x)] == pytest.approx([1, 0, 1, 0])


@pytest.mark.parametrize("score", ["dot", "cosine"])
@pytest.mark.parametrize("anchor", [False, True])
def test_loop_scores_the_closest_points(score: str, anchor: bool):
    users, items = tables()
    negatives = drawn(LoOp(4, anchor))
    _, neg = batch_scores(users[USER], items, ITEM, negatives, score, "torch")
    unit = score == "cosine"
    if unit:
        users, items = F.normalize(users, dim=1), F.normalize(items, dim=1)
    closest = closest_on_arcs if unit else closest_on_segments
    for b, n in product(range(7), range(4)):
        if negatives.absent is not None and negatives.absent[b, n]:
            continue
        ends = users[USER[b]], items[ITEM[b]], *items[negatives.ids[b, n]]
        w = closest(*ends)
        x, y = w[0] * ends[0] + w[1] * ends[1], w[2] * ends[2] + w[3] * ends[3]
        assert float(neg[b, n]) == pytest.approx(float((x if anchor else ends[0]) @ y))


def test_the_gradient_of_loop_is_that_of_the_closest_distance():
    """Against finite differences of the largest product of the two arcs, with everything recomputed."""
    users, items = tables(2, 4)
    negatives = drawn(LoOp(3))

    def value(table):
        return batch_scores(users[USER], table, ITEM, negatives, "cosine", "torch")[1].sum()

    assert torch.autograd.gradcheck(value, items.requires_grad_(), eps=1e-6, atol=1e-5)


def test_interpolated_negatives_by_hand():
    users, items = tables()
    for between in ("negatives", "positive"):
        negatives = drawn(Interpolated(4, 0.5, between))
        _, neg = batch_scores(users[USER], items, ITEM, negatives, "dot", "torch")
        share = negatives.share[:, :, None]
        other = items[negatives.ids[:, :, 1]] if between == "negatives" else items[ITEM][:, None]
        point = (1 - share) * items[negatives.ids[:, :, 0]] + share * other
        torch.testing.assert_close(neg, (users[USER][:, None] * point).sum(-1))
        _, cosine = batch_scores(users[USER], items, ITEM, negatives, "cosine", "torch")
        assert float(cosine.abs().max()) <= 1 + 1e-12
        _, distance = batch_scores(users[USER], items, ITEM, negatives, "neg_sq_dist", "torch")
        torch.testing.assert_close(distance, -(users[USER][:, None] - point).square().sum(-1))


def test_with_reach_0_negatives_are_the_sampled_items():
    users, items = tables()
    negatives = drawn(Interpolated(4, 0.0))
    for score in ("dot", "cosine", "neg_sq_dist"):
        _, neg = batch_scores(users[USER], items, ITEM, negatives, score, "torch")
        u, v = users[USER][:, None].expand(-1, 4, -1), items[negatives.ids[:, :, 0]]
        expected = {"dot": (u * v).sum(-1), "cosine": F.cosine_similarity(u, v, dim=-1)}
        torch.testing.assert_close(neg, expected.get(score, -(u - v).square().sum(-1)))


def test_shares_and_ends_are_uniform():
    shares, ends = [], []
    for epoch in range(40):
        negatives = drawn(Interpolated(50, 0.4, exclude=False), epoch)
        shares.append(negatives.share.reshape(-1))
        ends.append(negatives.ids.reshape(-1, 2))
    assert stats.kstest(torch.cat(shares) / 0.4, "uniform").pvalue > 1e-3
    pairs = torch.cat(ends)
    assert stats.chisquare(np.bincount(6 * pairs[:, 0] + pairs[:, 1], minlength=36)).pvalue > 1e-3


def embeddings(pooling: str, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hops = tuple(torch.randn(9, 3, dtype=torch.float64, generator=generator) for _ in range(3))
    final = torch.stack(hops).mean(0) if pooling == "mean" else torch.cat(hops, 1)
    return Embeddings(final[:3], final[3:], hops[0][:3], hops[0][3:], hops)


@pytest.mark.parametrize("pooling", ["mean", "concat"])
def test_mixgcf_is_the_loop_over_layers_and_candidates(pooling: str):
    e = embeddings(pooling)
    negatives = drawn(MixGCF(2, 3)).with_layers(e)
    assert negatives.pooling == pooling
    _, neg = batch_scores(e.user[USER], e.item, ITEM, negatives, "dot", "torch")
    for b, n in product(range(7), range(2)):
        parts = []
        for layer, hop in enumerate(e.hops):
            vectors, share = hop[3:], negatives.share[b, n, layer]
            u = e.user[USER[b]] if pooling == "mean" else e.user[USER[b]][3 * layer : 3 * layer + 3]
            mixed = [share * vectors[ITEM[b]] + (1 - share) * vectors[j] for j in negatives.ids[b, n]]
            parts.append(max(mixed, key=lambda v, u=u: float(u @ v)))
        point = torch.stack(parts).mean(0) if pooling == "mean" else torch.cat(parts)
        assert float(neg[b, n]) == pytest.approx(float(e.user[USER[b]] @ point))


def test_mixgcf_without_layers_uses_the_item_table():
    users, items = tables()
    negatives = drawn(MixGCF(1, 4)).with_layers(Embeddings(users, items, users, items))
    _, neg = batch_scores(users[USER], items, ITEM, negatives, "dot", "torch")
    best = (users[USER][:, None] * items[negatives.ids[:, 0]]).sum(-1).max(1).values
    share = negatives.share[:, 0, 0]
    torch.testing.assert_close(neg[:, 0], share * (users[USER] * items[ITEM]).sum(-1) + (1 - share) * best)


def test_mixgcf_refuses_other_poolings():
    e = embeddings("mean")
    other = Embeddings(e.user, e.hops[-1][3:], e.ego_user, e.ego_item, e.hops)
    with pytest.raises(UsageError, match="neither"):
        drawn(MixGCF(2, 3)).with_layers(other)
    assert isinstance(drawn(MixGCF(2, 3)), MixedLayers)


def test_loop_refuses_distances():
    users, items = tables()
    assert not LoOp(2).shape(8, 30).distances
    with pytest.raises(AssertionError, match="cosine and dot scores"):
        batch_scores(users[USER], items, ITEM, drawn(LoOp(2)), "neg_sq_dist", "torch")


@pytest.mark.parametrize(
    "make",
    [
        lambda: LoOp(0),
        lambda: Interpolated(0),
        lambda: Interpolated(reach=1.1),
        lambda: Interpolated(reach=math.nan),
        lambda: MixGCF(pool=0),
    ],
)
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(UsageError):
        make()
