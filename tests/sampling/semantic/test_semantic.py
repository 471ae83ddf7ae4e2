"""Negatives near in meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import ArtefactError, UsageError
from taurec.sampling.semantic import Semantic
from taurec.sampling.semantic.near import NearHistory, NearPositive, threshold
from taurec.sampling.semantic.vectors import TextVectors
from taurec.testing import check_sampler
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

ANGLES = np.deg2rad([0, 10, 20, 35, 90, 100, 170])
UNIT = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1).astype(np.float32)
VECTORS = TextVectors("00", np.concatenate([UNIT, np.zeros((1, 2), dtype=np.float32)]))
"""Seven items at angles, and one without a text."""


def random_vectors(n: int, known: float = 0.9) -> TextVectors:
    drawn = np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    drawn[np.random.default_rng(1).random(n) > known] = 0
    return TextVectors("00", drawn)


def kept(pool: np.ndarray, n: int) -> list[int]:
    return pool[pool < n].tolist()


def test_pools_by_hand():
    """At most 15 degrees apart is too similar; the next two are the pool."""
    found = NearPositive.find(VECTORS, 2, float(np.cos(np.deg2rad(15))))
    assert [kept(p, 8) for p in found.ids] == [[2, 3], [3, 4], [0, 3], [1, 2], [2, 3], [3, 6], [4, 5], []]


def test_the_pools_are_those_of_a_full_sort():
    vectors, n = random_vectors(300), 300
    limit = threshold(vectors, 0.95)
    similar, known = vectors.unit @ vectors.unit.T, vectors.known
    found = NearPositive.find(vectors, 7, limit)
    for i in range(n):
        may = known & (similar[i] <= limit) & (np.arange(n) != i) & known[i]
        wanted = sorted(np.flatnonzero(may), key=lambda j: -similar[i, j])[:7]
        assert kept(found.ids[i], n) == sorted(wanted)


def test_pools_of_histories_are_those_of_a_full_sort():
    vectors, n = random_vectors(300), 300
    pairs = np.random.default_rng(2).integers(0, [290, n], (900, 2))
    train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.numbered(300), Vocabulary.numbered(n))
    limit = threshold(vectors, 0.9)
    found = NearHistory.find(vectors, train, 9, limit)
    for u in range(300):
        own = train.indices[train.indptr[u] : train.indptr[u + 1]]
        profile = vectors.unit[own].sum(0)
        may = vectors.known & ~np.isin(np.arange(n), own) & bool(profile.any())
        wanted = sorted(np.flatnonzero(may), key=lambda j: -(vectors.unit[j] @ profile))[:9]
        assert kept(found.ids[u], n) == sorted(wanted)
        for i in own[:1]:
            pool, may_be = found.of(np.array([u]), np.array([i]))
            similar = vectors.unit[np.minimum(pool[0], n - 1)] @ vectors.unit[i]
            assert (may_be[0] == ((pool[0] < n) & (similar <= limit))).all()


def test_the_threshold_is_a_quantile_over_pairs():
    vectors = random_vectors(200)
    unit = vectors.unit[vectors.known]
    similar = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    assert threshold(vectors, 0.99) == pytest.approx(np.quantile(similar, 0.99), abs=1e-6)
    many = random_vectors(2000, known=1.0)
    similar = (many.unit @ many.unit.T)[np.triu_indices(2000, 1)]
    assert threshold(many, 0.99) == pytest.approx(np.quantile(similar, 0.99), abs=3e-3)


USERS = Vocabulary([f"u{u}" for u in range(4)])
ITEMS = Vocabulary([f"{a}{b}" for a in ("tea", "rice", "ink") for b in ("cup", "box", "pot")])
# User 2 has all items but two; user 3 has every item.
TRAIN = Interactions.from_pairs(
    [0, 0, 1, *[2] * 7, *[3] * 9], [0, 1, 4, *range(7), *range(9)], USERS, ITEMS
)  # fmt: skip
USER, ITEM, ROW = torch.from_numpy(TRAIN.user_of), torch.from_numpy(TRAIN.indices.copy()), torch.arange(len(TRAIN))


@pytest.mark.parametrize("near", ["positive", "history"])
@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_draws_follow_the_stated_distribution(near: str, exclude: bool, share: float):
    """By user in the mean over its rows, and by row as ``logq`` says."""
    bound = Semantic(40, near, 3, share, exclude, quantile=0.9).bind(TRAIN, 1)
    by_user, by_row, logq = np.zeros((4, 9)), np.zeros((len(TRAIN), 9)), np.full((len(TRAIN), 9), -np.inf)
    for epoch in range(60):
        drawn = bound.draw(USER, ITEM, ROW, epoch)
        ids = drawn.ids.numpy()
        np.add.at(by_user, (USER[:, None].numpy(), ids), 1)
        np.add.at(by_row, (ROW[:, None].numpy(), ids), 1)
        logq[ROW[:, None].numpy(), ids] = drawn.logq.numpy()
    weights = bound.base_distribution().users(np.arange(4))
    for u in range(3 if exclude else 4):
        some = weights[u] > 0
        assert weights[u].sum() == pytest.approx(1)
        assert not by_user[u][~some].any()
        if some.sum() > 1:
            assert stats.chisquare(by_user[u][some], by_user[u].sum() * weights[u][some]).pvalue > 1e-4
    for row in np.flatnonzero(TRAIN.user_of < 3):
        p = np.exp(logq[row])
        assert p.sum() == pytest.approx(1, abs=1e-5)
        assert not by_row[row][p == 0].any()
        assert (p > 0).sum() == 1 or stats.chisquare(
            by_row[row][p > 0], by_row[row].sum() * p[p > 0] / p.sum()
        ).pvalue > 1e-5


def test_no_negative_is_above_the_threshold_or_known():
    for near in ("positive", "history"):
        bound = Semantic(200, near, 9, 1.0, quantile=0.7).bind(TRAIN, 0)
        drawn = bound.draw(USER, ITEM, ROW, 1)
        assert drawn.absent[:, 0].tolist() == (USER == 3).tolist()
        pool, may, count, _ = bound._pools_of(USER.numpy(), ITEM.numpy())
        unit = bound.vectors.unit
        for row in np.flatnonzero((TRAIN.user_of < 3) & (count > 0)):
            ids = np.unique(drawn.ids[row])
            assert (unit[ids] @ unit[ITEM[row]] <= bound.limit + 1e-6).all()
            assert not TRAIN.contains(np.full(len(ids), USER[row]), ids).any()
            assert set(ids) == set(pool[row][may[row]])


def test_an_item_without_text_is_drawn_by_the_uniform_part_alone(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("item,title\n" + "".join(f"{raw},{raw}\n" for raw in ITEMS.ids[:-1]))
    only_near = Semantic(200, share=1.0, quantile=1.0, texts=str(path)).bind(TRAIN, 0).draw(USER, ITEM, ROW, 1)
    assert not (only_near.ids[TRAIN.user_of < 2] == 8).any()
    mixed = Semantic(200, share=0.5, quantile=1.0, texts=str(path)).bind(TRAIN, 0).draw(USER, ITEM, ROW, 1)
    assert (mixed.ids[TRAIN.user_of < 2] == 8).any(1).all()


def test_changed_texts_are_refused_on_resume(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("item,title\nteacup,a cup of tea\nricebox,a box of rice\n")
    how = Semantic(3, texts=str(path))
    before = how.bind(TRAIN, 0).state()
    how.bind(TRAIN, 0).load_state(before)
    for other in (Semantic(3), Semantic(3, texts=str(path), encoder="tfidf:2")):
        with pytest.raises(ArtefactError, match="have changed"):
            other.bind(TRAIN, 0).load_state(before)
    path.write_text(path.read_text() + "riceboX,rice\n")
    how.bind(TRAIN, 0).load_state(before)  # of an item that the log does not have
    path.write_text(path.read_text() + "inkpot,ink\n")
    with pytest.raises(ArtefactError, match="have changed"):
        how.bind(TRAIN, 0).load_state(before)


@pytest.mark.parametrize("near", ["positive", "history"])
def test_laws(near: str):
    check_sampler(Semantic(near=near, share=1.0, quantile=1.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"pool": 0}, "pool must be at least 1"),
        ({"share": 1.5}, "share is a probability"),
        ({"quantile": 0.0}, "quantile must be above 0"),
        ({"near": "user"}, "near must be 'positive' or 'history'"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str):
    with pytest.raises(UsageError, match=message):
        Semantic(**settings)


def test_what_does_not_go_together_is_refused_before_texts_are_read():
    """Encoding may take minutes; the file of texts here does not even exist."""
    train = Interactions.from_pairs([0, 0, 1], [0, 1, 2])
    given = {"negatives": "semantic:4", "settings": {"negatives": {"texts": "no such file.csv"}}, "logq": True}
    with pytest.raises(UsageError, match="loss 'bpr' has no form corrected by logq"):
        Trainer(resolve(loss="bpr", **given), train)
    given["negatives"] = "hnlmrec"
    with pytest.raises(UsageError, match="which negatives 'hnlmrec' do not know"):
        Trainer(resolve(loss="ssm", **given), train)
