"""Negatives of each row: distributions, exclusion, dense and empty users, what a draw depends on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.kernels import draws
from taurec.sampling import PerRowNegatives, Popularity, Uniform, per_row

I = 12


def world() -> Interactions:
    """Five users, twelve items: one positive, half of them, all but item 7, all, none."""
    have = [[3], [0, 1, 4, 5, 8, 11], [j for j in range(I) if j != 7], list(range(I)), []]
    user = [u for u, items in enumerate(have) for _ in items]
    item = [j for items in have for j in items]
    users, items = (Vocabulary([f"{k}{n}" for n in range(size)]) for k, size in (("u", 5), ("i", I)))
    return Interactions.from_pairs(user, item, users, items)


def rows_of(user: int, count: int):
    """A batch of many rows of one user; the row numbers only key the draws."""
    return torch.full((count,), user), torch.zeros(count, dtype=torch.int64), torch.arange(count)


def drawn(source, batch, seed=0, epoch=0):
    return source.bind(world(), seed).draw(*batch, epoch)


def fits(counts, weights) -> bool:
    """Chi-square on fixed draws: a right sampler passes for 999 of 1,000 seeds."""
    return len(counts) == 1 or stats.chisquare(counts, counts.sum() * weights / weights.sum()).pvalue > 1e-3


SOURCES = [Uniform(50, exclude=True), Popularity(50, 0.75, exclude=True), Popularity(50, 1.5, exclude=True)]


def test_first_draws_are_the_words_of_the_row():
    """Slot c of row r is the high half of word c of stream r, times the number of items."""
    got = drawn(Uniform(4), (torch.tensor([0, 1]), torch.tensor([3, 0]), torch.tensor([0, 6])), seed=3, epoch=2)
    words = draw.bits(draw.key(3, "negatives", 2), [0, 6], 4).tolist()
    assert got.ids.tolist() == [[((w >> 32) * I) >> 32 for w in row] for row in words]
    assert isinstance(got, PerRowNegatives)
    assert got.absent is None


@pytest.mark.parametrize("user", [0, 1, 2])
def test_redraws_take_the_next_columns_of_the_row_and_then_the_rank_of_the_rest(user):
    """The rule that kernels repeat, slot by slot in plain Python."""
    have, n, row, stream = world().items_of(user).tolist(), 9, 17, draw.key(3, "negatives", 2)
    words = draw.bits(stream, [row], n * 9)[0].tolist()
    rest = [j for j in range(I) if j not in have]

    def slot(c: int) -> int:
        for attempt in range(8):
            item = ((words[c + attempt * n] >> 32) * I) >> 32
            if item not in have:
                return item
        return rest[((words[c + 8 * n] >> 32) * len(rest)) >> 32]

    got = drawn(Uniform(n, exclude=True), (torch.tensor([user]), torch.tensor([0]), torch.tensor([row])), 3, 2)
    assert got.ids[0].tolist() == [slot(c) for c in range(n)]


@pytest.mark.parametrize("rounds", [1, 2, 8])
def test_compiled_redraws_are_the_plain_ones(monkeypatch, rounds):
    """All kinds of user in one batch: the one of every item but one, of all, of none."""
    monkeypatch.setattr(per_row, "ROUNDS", rounds)
    row = torch.arange(700)
    batch = row % 5, torch.zeros_like(row), row
    found = []
    for worth in (0, 1 << 62):
        monkeypatch.setattr(draws, "WORTH", worth)
        found.append(drawn(Uniform(9, exclude=True), batch, 3, 2))
    assert torch.equal(found[0].ids, found[1].ids)
    assert torch.equal(found[0].logq, found[1].logq)
    assert torch.equal(found[0].absent, found[1].absent)


@pytest.mark.parametrize("user", range(5))
def test_uniform_without_exclusion_is_uniform_over_all_items(user):
    counts = torch.bincount(drawn(Uniform(40), rows_of(user, 500)).ids.ravel(), minlength=I).numpy()
    assert fits(counts, np.ones(I))


@pytest.mark.parametrize("alpha", [0.0, 0.75, 1.0])
def test_popularity_without_exclusion_follows_the_counts(alpha):
    counts = torch.bincount(drawn(Popularity(40, alpha), rows_of(1, 500)).ids.ravel(), minlength=I).numpy()
    assert fits(counts, world().item_counts.astype(float) ** alpha)


@pytest.mark.parametrize("user", [0, 1, 2, 4])
@pytest.mark.parametrize("alpha", [None, 0.75, 1.5])
@pytest.mark.parametrize("rounds", [1, 8])
def test_exclusion_leaves_the_rest_in_proportion(monkeypatch, user, alpha, rounds):
    """With 1 round every refused slot takes the exact way out, with 8 nearly all are redrawn."""
    monkeypatch.setattr(per_row, "ROUNDS", rounds)
    source = Uniform(40, exclude=True) if alpha is None else Popularity(40, alpha, exclude=True)
    counts = torch.bincount(drawn(source, rows_of(user, 500)).ids.ravel(), minlength=I).numpy()
    train = world()
    free = np.setdiff1d(np.arange(I), train.items_of(user))
    assert counts.sum() == counts[free].sum() == 20_000
    assert fits(counts[free], train.item_counts[free].astype(float) ** (alpha or 0.0))


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_slot_and_its_neighbour_are_independent(source):
    """Also after redraws: the pairs of neighbouring slots of user 1, who refuses half of all draws."""
    ids = drawn(source, rows_of(1, 800)).ids.numpy()
    free = np.setdiff1d(np.arange(I), world().items_of(1))
    pairs = np.searchsorted(free, ids[:, 0::2]) * len(free) + np.searchsorted(free, ids[:, 1::2])
    table = np.bincount(pairs.ravel(), minlength=len(free) ** 2).reshape(len(free), -1)
    assert stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_user_with_one_item_left_gets_it_and_one_with_none_gets_nothing(source):
    user = torch.tensor([2, 3, 0])
    got = drawn(source, (user, torch.zeros(3, dtype=torch.int64), torch.tensor([1, 2, 3])))
    assert (got.ids[0] == 7).all()
    assert got.absent.tolist() == [[False] * 50, [True] * 50, [False] * 50]
    assert ((got.ids >= 0) & (got.ids < I)).all()
    assert torch.isfinite(got.logq).all()
    assert drawn(source, (user[:1], torch.zeros(1, dtype=torch.int64), torch.tensor([1]))).absent is None


@pytest.mark.parametrize("source", [Uniform(30), Popularity(30), *SOURCES], ids=str)
def test_the_cut_into_batches_does_not_matter(source):
    generator = np.random.default_rng(0)
    user, row = torch.from_numpy(generator.integers(0, 5, 60)), torch.from_numpy(generator.permutation(60))
    item = torch.zeros(60, dtype=torch.int64)
    bound = source.bind(world(), seed=4)
    whole = bound.draw(user, item, row, 1)
    for b in range(60):
        one = bound.draw(user[b : b + 1], item[b : b + 1], row[b : b + 1], 1)
        assert torch.equal(one.ids, whole.ids[b : b + 1])
        assert torch.equal(one.logq, whole.logq[b : b + 1])
        assert (one.absent is not None and one.absent.all()) == (whole.absent is not None and whole.absent[b].all())
    again = bound.draw(user.flip(0), item, row.flip(0), 1)
    assert torch.equal(again.ids.flip(0), whole.ids)


@pytest.mark.parametrize("source", [Uniform(30), Popularity(30), *SOURCES], ids=str)
def test_seed_and_epoch_decide(source):
    batch = rows_of(1, 20)
    assert torch.equal(drawn(source, batch, 1, 2).ids, drawn(source, batch, 1, 2).ids)
    assert not torch.equal(drawn(source, batch, 1, 2).ids, drawn(source, batch, 1, 3).ids)
    assert not torch.equal(drawn(source, batch, 1, 2).ids, drawn(source, batch, 2, 2).ids)


def test_logq_by_hand():
    """Counts: items 0, 1, 3, 4, 5, 8, 11 are held by three users, the others but 7 by two, 7 by one."""
    train = world()
    weight = {j: float(c) for j, c in enumerate([3, 3, 2, 3, 3, 3, 2, 1, 3, 2, 2, 3])}
    assert train.item_counts.tolist() == list(weight.values())
    row = rows_of(1, 5)
    plain, q = drawn(Popularity(20, 1.0), row), drawn(Popularity(20, 1.0, exclude=True), row)
    left = sum(weight[j] for j in (2, 3, 6, 7, 9, 10))
    for got, total in ((plain, 30.0), (q, left)):
        expected = [[math.log(weight[j] / total) for j in ids] for ids in got.ids.tolist()]
        assert got.logq.numpy() == pytest.approx(np.array(expected), rel=1e-5)
    assert drawn(Uniform(3), row).logq.numpy() == pytest.approx(-math.log(12))
    assert drawn(Uniform(3, exclude=True), row).logq.numpy() == pytest.approx(-math.log(6))


@pytest.mark.parametrize("source", [Uniform(20_000), Popularity(20_000), Popularity(20_000, 1.0)], ids=str)
def test_sampled_partition_with_logq_converges_to_the_full_one(source):
    """log mean_n exp(f_n - logq_n) -> log sum_j exp(f_j). Each of 20,000 terms has a relative spread
    below 3 here, so the mean is within 4 * 3 / sqrt(20,000) = 0.085 but for one key in 10,000."""
    f = torch.linspace(-2.0, 2.0, I)
    got = drawn(source, rows_of(0, 1))
    sampled = torch.logsumexp(f[got.ids] - got.logq, 1) - math.log(20_000)
    assert float(sampled[0]) == pytest.approx(float(torch.logsumexp(f, 0)), abs=0.085)
    uncorrected = torch.logsumexp(f[got.ids], 1) - math.log(20_000)
    assert abs(float(uncorrected[0]) - float(torch.logsumexp(f, 0))) > 1


def test_every_item_once_with_its_logq_is_the_full_partition():
    """With uniform q the sum over all items, each once, is exact."""
    f = torch.linspace(-2.0, 2.0, I)
    logq = drawn(Uniform(1), rows_of(0, 1)).logq[0, 0]
    assert float(torch.logsumexp(f - logq, 0) - math.log(I)) == pytest.approx(float(torch.logsumexp(f, 0)), abs=1e-6)


@pytest.mark.parametrize("n", [0, -3])
@pytest.mark.parametrize("source", [Uniform, Popularity])
def test_refuses_no_negatives(source, n):
    with pytest.raises(UsageError, match="at least 1"):
        source(n)


@pytest.mark.parametrize("alpha", [-0.5, math.nan, math.inf])
def test_refuses_a_meaningless_exponent(alpha):
    with pytest.raises(UsageError, match="alpha"):
        Popularity(alpha=alpha)


def test_an_empty_batch_draws_nothing():
    empty = torch.empty(0, dtype=torch.int64)
    for source in (Uniform(5), *SOURCES):
        assert drawn(source, (empty, empty, empty)).ids.shape == (0, source.n)
