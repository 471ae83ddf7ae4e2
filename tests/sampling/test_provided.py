"""Negatives from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import ArtefactError, DataError, UsageError
from taurec.sampling import Provided

USERS, ITEMS = Vocabulary([f"u{u}" for u in range(4)]), Vocabulary([f"i{i}" for i in range(6)])
# User 3 has every item.
TRAIN = Interactions.from_pairs([0, 0, 1, 2, *[3] * 6], [0, 1, 2, 5, *range(6)], USERS, ITEMS)
USER, ITEM, ROW = torch.from_numpy(TRAIN.user_of), torch.from_numpy(TRAIN.indices.copy()), torch.arange(len(TRAIN))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Users 0 and 2 have items in it, of which (0, 1) is a training pair; one user and one item are not in the log."""
    file = tmp_path / "negatives.csv"
    file.write_text("user,item\nu0,i4\nu0,i1\nu0,i5\nu2,i0\nu9,i0\nu2,i99\n")
    return file


def test_all_draws_are_from_the_file_where_it_has_items(path: Path):
    drawn = Provided(30, str(path)).bind(TRAIN, 0).draw(USER, ITEM, ROW, 0)
    assert set(drawn.ids[0].tolist()) == {4, 5}
    assert set(drawn.ids[2].tolist()) == {0, 1, 3, 4, 5}
    assert set(drawn.ids[3].tolist()) == {0}
    assert drawn.absent[:, 0].tolist() == (USER == 3).tolist()
    assert drawn.logq[0].exp().tolist() == pytest.approx([1 / 2] * 30)


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_draws_follow_the_stated_distribution(path: Path, share: float, exclude: bool):
    bound, counts = Provided(40, str(path), share, exclude).bind(TRAIN, 1), np.zeros((4, 6))
    logq = np.full((4, 6), np.nan)
    for epoch in range(60):
        drawn = bound.draw(USER, ITEM, ROW, epoch)
        users = USER[:, None].expand(-1, 40).numpy()
        np.add.at(counts, (users, drawn.ids.numpy()), 1)
        logq[users, drawn.ids.numpy()] = drawn.logq.numpy()
    weights = bound.base_distribution().users(np.arange(4))
    for u in range(3 if exclude else 4):
        kept = weights[u] > 0
        assert weights[u].sum() == pytest.approx(1)
        assert not counts[u][~kept].any()
        if kept.sum() > 1:
            assert stats.chisquare(counts[u][kept], counts[u].sum() * weights[u][kept]).pvalue > 1e-3
        np.testing.assert_allclose(np.exp(logq[u][kept]), weights[u][kept], rtol=1e-5)


def test_a_changed_file_is_refused_on_resume(path: Path):
    how = Provided(3, str(path))
    before = how.bind(TRAIN, 0).state()
    how.bind(TRAIN, 0).load_state(before)
    path.write_text(path.read_text() + "u1,i3\n")
    with pytest.raises(ArtefactError, match="has changed"):
        how.bind(TRAIN, 0).load_state(before)


def test_what_cannot_be_used_is_refused(path: Path):
    with pytest.raises(UsageError, match=r"negatives\.path"):
        Provided().bind(TRAIN, 0)
    with pytest.raises(UsageError, match="share"):
        Provided(share=2.0)
    with pytest.raises(UsageError, match="n must be"):
        Provided(n=0)
    path.write_text("user,item\nx,a\ny,b\n")
    with pytest.raises(DataError, match="none of its 2 pairs"):
        Provided(path=str(path)).bind(TRAIN, 0)


def test_one_item_may_be_the_negative_of_many(tmp_path: Path):
    file = tmp_path / "negatives.csv"
    file.write_text("user,item\nu0,i4\nu2,i4\n")
    drawn = Provided(5, str(file)).bind(TRAIN, 0).draw(USER, ITEM, ROW, 0)
    assert set(drawn.ids[0].tolist()) == {4}


def test_pairs_that_cannot_be_negatives_are_told(tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level("INFO", logger="taurec"):
        Provided(5, str(path)).bind(TRAIN, 0)
    assert f"{path}: 2 of 6 pairs have an id that the training log does not have" in caplog.messages
    assert f"{path}: 3 negatives, for 2 of 4 users" in caplog.messages
    own = tmp_path / "own.csv"
    own.write_text("user,item\nu0,i0\nu1,i2\n")
    with pytest.raises(DataError, match="all of its pairs are in the training log, and exclude leaves them out"):
        Provided(5, str(own)).bind(TRAIN, 0)
    assert Provided(5, str(own), exclude=False).bind(TRAIN, 0).given.indices.tolist() == [0, 2]
