"""Laws that every source of negatives and every order of rows in the registries obeys."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.sampling import NEGATIVES, ORDERS

N_USERS, N_ITEMS = 9, 14
EMPTY = {"none": "it has no negatives: for losses of the pairs alone"}


@pytest.fixture(scope="module")
def train() -> Interactions:
    """Random pairs, a user without any (7), a user with all items (8), and an item that only that one has."""
    pairs = np.random.default_rng(0).integers(0, [7, N_ITEMS - 1], (40, 2))
    user = np.concatenate([pairs[:, 0], np.full(N_ITEMS, 8)])
    item = np.concatenate([pairs[:, 1], np.arange(N_ITEMS)])
    users, items = (Vocabulary([f"{k}{n}" for n in range(size)]) for k, size in (("u", N_USERS), ("i", N_ITEMS)))
    return Interactions.from_pairs(user, item, users, items)


def build(name: str):
    given = {"n": 6} if "n" in NEGATIVES.settings(name) else {}
    return NEGATIVES.build(name, given=given)


def batch(train, rows):
    rows = np.asarray(rows)
    return tuple(torch.from_numpy(a) for a in (train.user_of[rows], train.indices[rows], rows))


def width(negatives, size: int) -> int:
    return {"in_batch": size, "full": N_ITEMS}.get(negatives.layout) or negatives.ids.shape[-1]


def same(a, b) -> bool:
    def equal(x, y):
        return x is y is None or (x is not None and y is not None and torch.equal(x.to_dense(), y.to_dense()))

    return a.layout == b.layout and all(equal(getattr(a, f), getattr(b, f)) for f in ("ids", "absent", "logq"))


def variants(name: str):
    """The default, and each switch of the source turned the other way."""
    yield build(name)
    for setting, parameter in NEGATIVES.settings(name).items():
        if isinstance(parameter.default, bool):
            given = {setting: not parameter.default} | ({"n": 6} if "n" in NEGATIVES.settings(name) else {})
            yield NEGATIVES.build(name, given=given)


@pytest.mark.parametrize("name", NEGATIVES)
def test_shapes_types_and_range(name, train):
    rows = np.random.default_rng(1).permutation(len(train))[:11]
    for source in variants(name):
        got = source.bind(train, seed=0).draw(*batch(train, rows), epoch=0)
        n = width(got, 11)
        assert got.layout in ("per_row", "shared", "in_batch", "full")
        if got.layout in ("in_batch", "full"):
            assert got.ids is None
        else:
            assert got.ids.dtype == torch.int64
            assert got.ids.shape == ((11, n) if got.layout == "per_row" else (n,))
            assert (got.ids >= 0).all()
            assert (got.ids < N_ITEMS).all()
            assert name in EMPTY or got.ids.numel()
        if got.absent is not None:
            assert got.absent.shape == (11, n)
            assert got.absent.dtype == torch.bool
        if got.logq is not None:
            assert got.logq.shape in ((11, n), (n,))
            assert got.logq.dtype == torch.float32
            assert torch.isfinite(got.logq).all()
            assert float(got.logq.max()) <= 0


@pytest.mark.parametrize("name", NEGATIVES)
def test_a_draw_is_a_function_of_seed_epoch_and_rows(name, train):
    for source in variants(name):
        one, other = source.bind(train, seed=5), source.bind(train, seed=5)
        wanted = one.draw(*batch(train, [3, 1, 20]), epoch=4)
        other.draw(*batch(train, [0, 2]), epoch=0)
        assert same(other.draw(*batch(train, [3, 1, 20]), epoch=4), wanted)


@pytest.mark.parametrize("name", NEGATIVES)
def test_global_generators_are_neither_read_nor_moved(name, train):
    source = build(name)
    torch.manual_seed(0)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    source.bind(train, seed=0).draw(*batch(train, [0, 1]), epoch=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


@pytest.mark.parametrize("name", NEGATIVES)
def test_excluded_means_never_a_known_positive(name, train):
    """With every exclusion on and all noise off, what is not absent is not known; a user with all items has nothing."""
    on = {s: True for s, p in NEGATIVES.settings(name).items() if isinstance(p.default, bool)}
    on |= {"noise": 0.0} if "noise" in NEGATIVES.settings(name) else {}
    source = NEGATIVES.build(name, given=on | ({"n": 40} if "n" in NEGATIVES.settings(name) else {}))
    user, item, row = batch(train, np.arange(len(train)))
    got = source.bind(train, seed=0).draw(user, item, row, epoch=0)
    n = width(got, len(user))
    ids = {"in_batch": item, "full": torch.arange(N_ITEMS)}.get(got.layout, got.ids).expand(len(user), n)
    present = ~got.absent.to_dense() if got.absent is not None else torch.ones(ids.shape, dtype=torch.bool)
    known = torch.from_numpy(train.contains(user.numpy()[:, None], ids.numpy()))
    assert not (present & known).any()
    assert not present[user == 8].any()
    assert name in EMPTY or present[user != 8].any(1).all()


@pytest.mark.parametrize("name", NEGATIVES)
def test_an_unknown_setting_is_refused(name):
    with pytest.raises(UsageError, match="no setting"):
        NEGATIVES.build(name, given={"nn": 1})


@pytest.mark.parametrize("registry", [NEGATIVES, ORDERS], ids=["negatives", "order"])
def test_settings_have_defaults_documents_and_json_values(registry):
    for name in registry:
        assert registry[name].__doc__
        for parameter in registry.settings(name).values():
            json.dumps(parameter.default)
        assert registry.build(name) == registry.build(name)


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("batch_size", [4, 7, 1000])
def test_an_order_meets_each_pair_once(name, batch_size, train):
    bound = ORDERS.build(name).bind(train, batch_size, seed=3)
    for epoch in (0, 1):
        batches = list(bound.batches(epoch))
        assert bound.steps(epoch) == len(batches)
        assert all(rows.dtype == np.int64 and 0 < len(rows) <= batch_size for rows in batches)
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(train)))


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_of_nothing_has_no_batches(name, train):
    nothing = train.take(np.zeros(len(train), dtype=bool))
    bound = ORDERS.build(name).bind(nothing, 4, seed=0)
    assert list(bound.batches(0)) == []
    assert bound.steps(0) == 0
