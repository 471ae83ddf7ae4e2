import numpy as np
import pytest
from scipy.stats import chisquare

from taurec.data.planted import planted
from taurec.errors import UsageError


def test_two_groups_by_hand():
    world = planted(n_users=3, n_items=4, n_groups=2, withheld=1)
    # user 0 and 2 like items 0 and 2, user 1 likes 1 and 3; one of two is seen, the other withheld
    for user, own in ((0, {0, 2}), (1, {1, 3}), (2, {0, 2})):
        seen, kept = set(world.log.items_of(user)), set(world.withheld.items_of(user))
        assert len(seen) == len(kept) == 1
        assert seen | kept == own
    assert world.likes(np.array([0, 0, 1]), np.array([2, 1, 3])).tolist() == [True, False, True]


def test_the_withheld_are_the_only_liked_items_not_seen():
    world = planted(n_users=60, n_items=48, n_groups=3, withheld=2)
    liked = world.likes(np.arange(60)[:, None], np.arange(48)[None, :])
    seen, kept = world.log.csr().toarray() > 0, world.withheld.csr().toarray() > 0
    assert (liked == (seen | kept)).all()
    assert not (seen & kept).any()
    assert (world.withheld.user_counts == 2).all()
    assert world.withheld.users == world.log.users
    assert world.withheld.items == world.log.items


@pytest.mark.parametrize("noise", [0.1, 0.25, 0.5])
def test_false_positives_have_the_stated_share_and_are_known(noise):
    world = planted(n_users=100, n_items=120, n_groups=4, per_user=18, noise=noise)
    wrong = ~world.likes(world.log.user_of, world.log.indices)
    assert (wrong == world.false_positive).all()
    # 18 * 0.1 / 0.9 = 2, 18 * 0.25 / 0.75 = 6, 18 * 0.5 / 0.5 = 18: whole numbers, so the share is exact
    assert world.false_positive.mean() == pytest.approx(noise, abs=1e-12)
    assert (world.log.user_counts == round(18 / (1 - noise))).all()


def test_per_user_is_kept_to():
    world = planted(n_users=40, n_items=80, n_groups=4, per_user=7)
    assert (world.log.user_counts == 7).all()


def test_items_of_a_group_are_equally_likely_without_skew():
    world = planted(n_users=6000, n_items=24, n_groups=2, per_user=3)
    assert chisquare(world.log.item_counts[::2]).pvalue > 1e-3
    assert chisquare(world.withheld.item_counts[::2]).pvalue > 1e-3


def test_skew_makes_the_first_items_of_a_group_popular():
    world = planted(n_users=6000, n_items=24, n_groups=2, per_user=1, withheld=1, skew=1.0)
    # The withheld item is the first drawn: probability of rank r is (1 / (r + 1)) / H_12.
    weight = 1.0 / np.arange(1, 13)
    assert chisquare(world.withheld.item_counts[::2], 3000 * weight / weight.sum()).pvalue > 1e-3
    assert world.log.item_counts[0] > 3 * world.log.item_counts[22]


def test_the_seed_decides_and_users_do_not_change_each_other():
    small, again, other = planted(n_users=20, noise=0.2), planted(n_users=20, noise=0.2), planted(n_users=20, seed=1)
    assert (small.log.indices == again.log.indices).all()
    assert small.withheld.indices.tolist() != other.withheld.indices.tolist()
    large = planted(n_users=50, noise=0.2)
    assert all(large.log.items_of(u).tolist() == small.log.items_of(u).tolist() for u in range(20))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_items": 8, "n_groups": 4, "withheld": 2}, "smallest group has 2 items, 2 of them withheld"),
        ({"per_user": 25}, r"per_user must be in 1\.\.24, got 25"),
        ({"per_user": 0}, "got 0"),
        ({"noise": 1.0}, "0 <= noise < 1"),
        ({"skew": -1.0}, "skew >= 0"),
        ({"n_users": 0}, "at least one user"),
        ({"n_groups": 101}, "one item a group"),
        ({"withheld": -1}, "withheld=-1"),
    ],
)
def test_contradictions_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        planted(**given)
