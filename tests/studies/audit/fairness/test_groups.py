import numpy as np
import pytest

from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.studies.audit.fairness.groups import activity_groups, attribute_groups, popularity_groups

LOG = planted(n_users=120, n_items=90, seed=3).log


def counts_log(item_counts):
    """A log in which item i has so many interactions, each of another user."""
    item = np.repeat(np.arange(len(item_counts)), item_counts)
    return Interactions.from_pairs(np.arange(len(item)), item, items=Vocabulary.numbered(len(item_counts)))


def test_by_hand():
    # ascending: 0, 1, 2, 3, 4 interactions; middles of the stretches 0, 0.5, 2, 4.5, 8 of 10; times 2 / 10
    groups = popularity_groups(counts_log([4, 0, 2, 1, 3]), 2)
    assert groups.of.tolist() == [1, 0, 0, 0, 0]
    assert (groups.sizes.tolist(), groups.counts.tolist()) == ([4, 1], [6, 4])
    assert groups.shares.tolist() == [0.6, 0.4]


def test_an_item_larger_than_a_group_leaves_a_neighbour_empty():
    groups = popularity_groups(counts_log([1, 1, 8]), 4)  # middles 0.5, 1.5 and 6 of 10, times 4 / 10: 0, 0, 2
    assert sorted(groups.of.tolist()) == [0, 0, 2]
    assert groups.sizes.tolist() == [2, 0, 1, 0]


@pytest.mark.parametrize("n", [2, 5, 10])
def test_masses_differ_from_equal_ones_by_at_most_one_item(n):
    groups = popularity_groups(LOG, n)
    assert abs(groups.counts - len(LOG) / n).max() <= LOG.item_counts.max()
    assert groups.counts.sum() == len(LOG)
    assert len(groups.names) == n


def test_groups_ascend():
    groups = popularity_groups(LOG)
    for low, high in zip(range(9), range(1, 10), strict=True):
        a, b = LOG.item_counts[groups.of == low], LOG.item_counts[groups.of == high]
        assert not len(a) or not len(b) or a.max() <= b.min()


def test_renumbering_moves_nobody():
    order = np.random.default_rng(0).permutation(LOG.n_items)
    place = np.argsort(order)
    other = Interactions.from_pairs(
        LOG.user_of, place[LOG.indices], LOG.users, Vocabulary([LOG.items.ids[int(i)] for i in order])
    )
    assert np.array_equal(popularity_groups(other).of, popularity_groups(LOG).of[order])


def test_activity_groups_have_equally_many_users():
    groups = activity_groups(LOG, 7)
    assert groups.sizes.max() - groups.sizes.min() <= 1


def test_attributes():
    log = Interactions.from_pairs([0, 1, 2, 2], [0, 1, 0, 1], Vocabulary(["ann", "bob", "cid"]))
    groups = attribute_groups(log, "sex", ["cid", "ann", "bob", "eve"], ["f", "m", "", "x"])
    assert groups.names == ("f", "m")
    assert groups.of.tolist() == [1, -1, 0]
    assert groups.counts.tolist() == [2, 1]
    assert groups.n_without == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: popularity_groups(LOG, 1), "at least 2, got 1"),
        (lambda: popularity_groups(LOG, True), "at least 2, got True"),
        (lambda: popularity_groups(LOG.take([])), "there are none"),
        (lambda: attribute_groups(LOG, "age", ["0"], ["1", "2"]), "1 users and 2 values"),
        (lambda: attribute_groups(LOG, "age", ["nobody"], ["1"]), "none of the 120 users"),
        (lambda: attribute_groups(LOG, "age", ["0", "1"], ["1", "1"]), "nothing to compare"),
        (
            lambda: attribute_groups(LOG, "age", [str(u) for u in range(21)], [f"{u:02}" for u in range(21)]),
            "has 21 values, such as '00', '01', '02'",
        ),
    ],
)
def test_wrong_requests(call, said):
    with pytest.raises(UsageError, match=said):
        call()
