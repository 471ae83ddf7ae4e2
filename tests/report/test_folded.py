import base64
import math

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from taurec.baselines import EASE, IALS, ItemKNN, Popularity
from taurec.baselines.blend import Blend
from taurec.data.planted import planted
from taurec.foldin import ItemWeights, MeanOfItems
from taurec.ranker import EmbeddingRanker
from taurec.report.folded import fixed_bytes, fold, most_entries
from taurec.training.presets import resolve

WORLD = planted(n_users=80, n_items=50, seed=3).log


def dense(form, n):
    """[n, n] by one history an item."""
    return np.array([form.scores([i]) for i in range(n)])


def rounded(rows):
    return fold(MeanOfItems(rows), np.arange(len(rows)), 0)


def thinned(matrix, keep):
    return fold(ItemWeights(csr_array(matrix), len(matrix)), np.arange(len(matrix)), keep)


def decoded(form, name, dtype):
    return np.frombuffer(base64.b64decode(form.plain[name]), dtype)


def test_rounded_by_hand():
    form = rounded(np.array([[3.0, -1.5, 0.0], [0.0, 0.0, 0.0], [1e-30, 0.0, 0.0]]))
    assert decoded(form, "q", "i1").reshape(3, 3).tolist() == [[127, -64, 0], [0, 0, 0], [127, 0, 0]]  # -63.5 to even
    length = decoded(form, "length", "<f4")
    assert length[0] == np.float32(math.sqrt(9 + 2.25))
    rows = form.form.item
    assert rows[0].tolist() == [q / math.hypot(127, 64) * np.float64(length[0]) for q in (127, -64, 0)]
    assert rows[1].tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(rows[2, 0], 1e-30, rtol=1e-6)


def test_rounding_is_within_half_a_step():
    x = np.random.default_rng(0).normal(size=(200, 32))
    step = np.abs(x).max(axis=1) / 127
    # the row is put back to its own length, which moves it by less than another half step
    assert (np.abs(rounded(x).form.item - x) <= step[:, None]).all()


@pytest.mark.parametrize("n", [3, 300, 900])
def test_weights_keep_the_largest_wherever_they_stand(n):
    whole = random_array((n, n), density=min(1.0, 3 / n), random_state=1).toarray()
    whole -= np.diag(np.linspace(0.3, 0.5, n))
    whole[0, -1] = 2.0
    kept = dense(thinned(whole, 2 * n), n)
    edge = np.sort(np.abs(whole), axis=None)[-2 * n]
    wanted = np.where(np.abs(whole) >= edge, whole, 0.0)
    step = np.abs(wanted).max(axis=1, keepdims=True) / 127
    assert (np.abs(kept - wanted) <= step / 2 + 1e-6).all()
    assert kept[0, -1] == pytest.approx(2.0)


def test_gaps_wider_than_a_byte_by_hand():
    row = np.zeros((1024, 1024))
    row[0, [0, 255, 256, 1023]] = [1, -1, 0.5, 1]
    form = thinned(row, 4)
    assert decoded(form, "gap", "u1").tolist() == [1, 255, 1, 255, 255, 255, 2]  # 255 * 3 + 2 = 767 = 1023 - 256
    assert decoded(form, "value", "i1").tolist() == [127, -127, 64, 0, 0, 0, 127]
    assert decoded(form, "count", "<i4").tolist() == [7] + [0] * 1023
    assert np.flatnonzero(form.scores([0])).tolist() == [0, 255, 256, 1023]
    assert not form.scores([1]).any()


def test_no_weights_at_all():
    form = thinned(np.zeros((4, 4)), 3)
    assert form.scores([0, 3]).tolist() == [0.0] * 4


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize(
    "ranker",
    [
        EmbeddingRanker(np.zeros((80, 8), "f4"), np.random.default_rng(1).normal(size=(50, 8)).astype("f4")),
        IALS(dim=8).fit(WORLD),
        ItemKNN(k=20).fit(WORLD),
        EASE(l2=10.0).fit(WORLD),
        Popularity().fit(WORLD),
    ],
    ids=lambda r: type(r).__name__,
)
def test_scores_are_those_of_the_ranker(ranker, n):
    """To what eight bits can tell, also when only some items are kept, in another order."""
    items = np.random.default_rng(2).permutation(50)[:40]
    form = fold(ranker.fold_in(), items, 10_000)
    history = list(range(3, 3 + n))
    row = csr_array((np.ones(n, "f4"), (np.zeros(n, int), items[history])), shape=(1, 50))
    exact = ranker.from_history(row)[0, items]
    error = np.abs(form.scores(history) - exact).max()
    # a linear system passes rounding on, magnified by its condition
    assert error <= (0.03 if isinstance(ranker, IALS) else 0.015) * np.abs(exact).max()


def blend(first, second, weight):
    runs = [resolve(model=name).model_dump(mode="json") for name in (first, second)]
    return Blend(tuple(runs), weight).fit(WORLD)


def test_a_blend_is_folded_as_its_halves_are():
    """Each half rounded as alone, standardised over the items shown, and added with its weight."""
    model, items, history = blend("ease", "ials", 0.25), np.random.default_rng(2).permutation(50)[:40], [3, 7]
    form, alone = fold(model.fold_in(), items, 10_000), [fold(h.fold_in(), items, 10_000) for h in model.halves]
    free = np.setdiff1d(np.arange(40), history)
    scores = [half.scores(history) for half in alone]
    z = [(s - s[free].mean()) / s[free].std() for s in scores]
    np.testing.assert_allclose(form.scores(history), 0.75 * z[0] + 0.25 * z[1], rtol=1e-9)
    assert form.plain["weight"] == 0.25
    assert [(half["label"], half["kind"]) for half in form.plain["halves"]] == [
        ("ease", "weights"), ("ials", "least-squares"),
    ]  # fmt: skip
    assert {**form.plain["halves"][0], "label": None, "kind": None} == {**alone[0].plain, "label": None, "kind": None}


def test_halves_share_the_weights_that_may_be_kept():
    form = blend("ease", "itemknn", 0.5).fold_in()
    assert most_entries(form, 50) == sum(most_entries(half, 50) for half in (form.first, form.second))
    folded = fold(form, np.arange(50), 400)
    sizes = [len(base64.b64decode(half["gap"])) for half in folded.plain["halves"]]
    assert sum(sizes) == folded.entries == 400
    assert min(sizes) >= 190
    texts = [v for half in folded.plain["halves"] for k, v in half.items() if k in ("scale", "count")]
    assert sum(map(len, texts)) == fixed_bytes(form, 50)


def test_what_is_written_is_what_is_counted():
    for ranker in (
        IALS(dim=8).fit(WORLD),
        Popularity().fit(WORLD),
        EmbeddingRanker(np.zeros((1, 7)), np.ones((50, 7))),
    ):
        plain = fold(ranker.fold_in(), np.arange(50), 0).plain
        assert sum(len(v) for v in plain.values() if isinstance(v, str)) == fixed_bytes(ranker.fold_in(), 50)
    texts = fold(EASE().fit(WORLD).fold_in(), np.arange(50), 200).plain
    assert len(base64.b64decode(texts["gap"])) == 200
    assert len(base64.b64decode(texts["scale"])) == 200
