"""Strong generalisation: held-out users, their given rows, and what is known of whom when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from taurec import Recommender
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.source import open_source, split_source
from taurec.data.split import Split, data_hash, split
from taurec.data.vocabulary import Vocabulary
from taurec.errors import DataError, UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.ranker import HistoryRanker
from taurec.run import Run

WORLD = planted(n_users=90, n_items=40, seed=5).log


def users_of(log: Interactions) -> set[int]:
    return set(np.flatnonzero(log.user_counts).tolist())


def test_by_hand() -> None:
    """Ten users with 11 pairs and five with 4: two of the ten are for the test, one for validation, 2 pairs each."""
    user = np.concatenate([np.repeat(np.arange(10), 11), np.repeat(np.arange(10, 15), 4)])
    item = np.concatenate([np.tile(np.arange(11), 10), np.tile(np.arange(4), 5)])
    log = Interactions.from_pairs(user, item, time=np.arange(len(user)), weight=np.arange(len(user)) + 1.0)
    found = split(log, "users", valid=0.1, test=0.2)
    assert found.given is not None
    assert (len(found.valid), len(found.test), len(found.given)) == (2, 4, 27)
    assert found.valid.user_counts.max() == found.test.user_counts.max() == 2
    assert users_of(found.given) == users_of(found.valid) | users_of(found.test)
    assert len(users_of(found.given)) == 3
    assert len(found.train) == 7 * 11 + 5 * 4
    assert users_of(found.train) == set(range(15)) - users_of(found.given)
    assert found.train.weight is not None
    assert sum(float(part.weight.sum()) for part in found.logs().values()) == pytest.approx(float(log.weight.sum()))
    assert found.notes[0] == "held out: 1 users for validation, 2 for test; 27 pairs of theirs are given"


@pytest.mark.parametrize("seed", range(4))
def test_laws(seed: int) -> None:
    found = split(WORLD, "users", valid=0.2, test=0.2, seed=seed)
    parts = found.logs()
    assert sum(map(len, parts.values())) == len(WORLD)
    assert np.array_equal(found.everything.indices, WORLD.indices)
    assert all(part.users is WORLD.users and part.items is WORLD.items for part in parts.values())
    assert not users_of(found.train) & (users_of(found.valid) | users_of(found.test) | users_of(parts["given"]))
    assert not users_of(found.valid) & users_of(found.test)
    again = split(WORLD, "users", valid=0.2, test=0.2, seed=seed)
    assert data_hash(again) == data_hash(found) != data_hash(split(WORLD, "users", valid=0.2, test=0.2, seed=seed + 1))
    moved = Split(found.train, found.valid, found.test, "users", given=found.given.take([]))  # type: ignore[union-attr]
    assert data_hash(moved) != data_hash(found)


def test_what_is_known_before_each_part() -> None:
    found = split(WORLD, "users", valid=0.2, test=0.2)
    assert found.given is not None
    assert len(found.known("valid")) == len(found.train) + len(found.given)
    assert len(found.known("test")) == len(found.train) + len(found.given) + len(found.valid)
    plain = split(WORLD, "ratio")
    assert (plain.given, plain.known("valid")) == (None, plain.train)


@pytest.mark.parametrize(
    ("log", "shares", "error", "message"),
    [
        (Interactions.from_pairs(np.repeat([0, 1], 9), np.tile(np.arange(9), 2)), {}, DataError, "is no user"),
        (Interactions.from_pairs([0, 1, 2], [0, 1, 2]), {}, DataError, "0 users with at least 5 pairs"),
        (WORLD, {"valid": 0.5, "test": 0.5}, UsageError, "must leave a training part"),
        (WORLD, {"valid": 0.5, "test": 0.499}, DataError, "leaves no training row"),
    ],
)
def test_refusals(log: Interactions, shares: dict[str, float], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        split(log, "users", **shares)


@pytest.fixture(scope="module", params=["ease", "mf"])
def fitted(request: pytest.FixtureRequest) -> Recommender:
    shares = {"split": "users", "valid": 0.2, "test": 0.2}
    if request.param == "ease":
        return Recommender(model="ease", settings={"model": {"l2": 5.0}}, **shares).fit(WORLD)
    return Recommender("mf", "sl", epochs=6, batch_size=64, negatives="uniform:8", lr=0.05, **shares).fit(WORLD)


@pytest.mark.parametrize("part", ["valid", "test"])
def test_evaluation_is_from_history_by_hand(fitted: Recommender, part: str) -> None:
    parts = fitted.split
    assert parts.given is not None
    found = fitted.evaluate(part, ["ndcg@5", "recall@5"])
    by_hand = evaluate_ranker(
        HistoryRanker(fitted.ranker, parts.given.csr()), getattr(parts, part), parts.given, ["ndcg@5", "recall@5"]
    )
    assert np.array_equal(found.numerator, by_hand.numerator)
    assert found.sources() == {"user": 0, "history": 18, "popularity": 0}
    assert fitted.evaluate_from_history(part, ["ndcg@5"]).means()["ndcg@5"] == found.means()["ndcg@5"]


def test_validation_chooses_by_held_out_users(fitted: Recommender) -> None:
    assert fitted.best is not None
    assert fitted.best.metrics["ndcg@20"] == fitted.evaluate("valid", ["ndcg@20"]).means()["ndcg@20"]


def test_saved_and_loaded(fitted: Recommender, tmp_path: Path) -> None:
    again = Recommender.load(fitted.save(tmp_path / "model"))
    assert data_hash(again.split) == data_hash(fitted.split) == again.run.data_hash
    assert again.run.split == "users"
    assert again.evaluate().means() == fitted.evaluate().means()
    held_out = again.users.decode(np.flatnonzero(again.split.test.user_counts))
    lists, before = again.recommend(held_out, k=3), fitted.recommend(held_out, k=3)
    assert lists.item == before.item
    assert set(lists.source or []) == {"history"}
    alone = again.recommend_from_history(again.items.decode(WORLD.items_of(int(held_out[0]))), k=3)
    assert lists.item[:3] == alone.item


def test_a_run_repeats_to_the_same_bits(fitted: Recommender) -> None:
    again = Recommender.from_run(fitted.run).fit(WORLD)
    assert again.run.data_hash == fitted.run.data_hash
    users = np.arange(WORLD.n_users)
    assert np.array_equal(again.ranker.block(users), fitted.ranker.block(users))


def test_no_row_of_a_held_out_user_moves_a_weight() -> None:
    """Other given and hidden rows of the held-out users give the same model, trained for the same epochs."""
    parts = split(WORLD, "users", valid=0.2, test=0.2)
    assert parts.given is not None
    other = Split(parts.train, parts.given, parts.valid, "users", given=parts.test)
    for fields in ({"model": "ease"}, {"backbone": "lightgcn", "loss": "ssm", "epochs": 1, "negatives": "uniform:8"}):
        first, second = (Recommender(**fields).fit(one).ranker for one in (parts, other))  # type: ignore[arg-type]
        trained = np.flatnonzero(parts.train.user_counts)
        assert np.array_equal(first.block(trained), second.block(trained))


def test_known_users_of_ease_equal_its_fold_in() -> None:
    parts = split(WORLD, "users", valid=0.2, test=0.2)
    ranker = Recommender(model="ease").fit(parts).ranker
    trained = np.flatnonzero(parts.train.user_counts)
    np.testing.assert_array_equal(ranker.from_history(parts.train.csr()[trained]), ranker.block(trained))


def test_a_stopped_training_continues_to_the_same_bits(tmp_path: Path) -> None:
    fields = {"epochs": 5, "negatives": "uniform:8", "batch_size": 64, "split": "users", "valid": 0.2, "test": 0.2}
    whole = Recommender("mf", "sl", **fields).fit(WORLD)  # type: ignore[arg-type]
    state = tmp_path / "state.safetensors"
    Recommender("mf", "sl", **fields).fit(WORLD, resume=state, seconds=0)  # type: ignore[arg-type]
    resumed = Recommender("mf", "sl", **fields).fit(WORLD, resume=state)  # type: ignore[arg-type]
    assert resumed.notes[0].startswith("going on after epoch 1")
    assert np.array_equal(resumed.embeddings()[0], whole.embeddings()[0])
    assert [r.metrics for r in resumed.records] == [r.metrics for r in whole.records]
    parts = split(WORLD, "users", valid=0.2, test=0.2)
    assert parts.given is not None
    other = Split(parts.train, parts.valid, parts.test, "users", given=parts.given.take(np.arange(9)))
    with pytest.raises(UsageError, match="training or validation pairs are others"):
        Recommender("mf", "sl", **fields).fit(other, resume=state)  # type: ignore[arg-type]


def test_a_temperature_is_found_on_held_out_users() -> None:
    fields = {"epochs": 2, "negatives": "uniform:8", "split": "users", "valid": 0.2, "test": 0.2}
    model = Recommender("mf", "sl", settings={"loss": {"tau": "auto"}}, **fields).fit(WORLD)  # type: ignore[arg-type]
    assert "found on validation" in model.notes[0]


def written(folder: Path, parts: Split) -> Path:
    folder.mkdir()
    for name, log in parts.logs().items():
        log.to_frame().write_csv(folder / f"{name}.csv")
    return folder


def test_a_folder_of_files(tmp_path: Path) -> None:
    names = Vocabulary([f"u{n}" for n in range(90)]), Vocabulary([f"i{n}" for n in range(40)])
    log = Interactions.from_pairs(WORLD.user_of, WORLD.indices, *names)
    parts = split(log, "users", valid=0.2, test=0.2)
    found, _ = split_source(open_source(written(tmp_path / "parts", parts)), Run())
    assert found.how == "users"
    assert {k: len(v) for k, v in found.logs().items()} == {k: len(v) for k, v in parts.logs().items()}

    def raw(part: Interactions) -> set[tuple[str, str]]:
        return set(part.to_frame().rows())

    assert all(raw(found.logs()[name]) == raw(log) for name, log in parts.logs().items())
    again, _ = split_source(open_source(tmp_path / "parts"), Run(split="users"))
    assert data_hash(again) == data_hash(found)
    with pytest.raises(UsageError, match="cannot be split by 'time'"):
        split_source(open_source(tmp_path / "parts"), Run(split="time"))


def test_a_folder_whose_held_out_users_are_trained_on_is_refused(tmp_path: Path) -> None:
    parts = split(WORLD, "users", valid=0.2, test=0.2)
    assert parts.given is not None
    train, given = parts.train.union(parts.given.take([0])), parts.given.take(range(1, len(parts.given)))
    moved = Split(train, parts.valid, parts.test, "users", (), given)
    with pytest.raises(DataError, match="have training rows too"):
        open_source(written(tmp_path / "parts", moved))
