"""The face for users, on worlds whose right answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from taurec import Recommender
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.split import Split, data_hash
from taurec.data.vocabulary import Vocabulary
from taurec.errors import ArtefactError, DataError, UsageError

WORLD = planted(n_users=80, n_items=40, seed=3).log
SMALL = {"epochs": 4, "batch_size": 64, "negatives": "uniform:8", "settings": {"backbone": {"dim": 16}}}


@pytest.fixture(scope="module")
def fitted() -> Recommender:
    return Recommender("mf", "bsl", **SMALL).fit(WORLD)


@pytest.fixture(scope="module")
def named() -> Recommender:
    """Three users, five items with names, everything in training; ranked by hand-made vectors."""
    users, items = Vocabulary(["ann", "bob", "eve"]), Vocabulary(["apple", "bread", "cheese", "dates", "eggs"])
    log = Interactions.from_pairs([0, 0, 1, 2, 2, 2, 2, 2], [0, 1, 2, 0, 1, 2, 3, 4], users, items)
    return Recommender(model="popularity", split="none").fit(log)


def test_raw_ids_go_in_and_come_out_and_seen_items_do_not(named: Recommender) -> None:
    lists = named.recommend(["ann"], k=2)
    assert (lists.user, lists.item, lists.rank.tolist()) == (["ann"] * 2, ["cheese", lists.item[1]], [1, 2])
    assert set(named.recommend("ann", k=5, filter_seen=False).item) == set(named.items.ids)


def test_short_lists_are_short(named: Recommender) -> None:
    assert len(named.recommend("ann", k=10)) == 3
    assert len(named.recommend("eve", k=10)) == 0
    assert sorted(named.recommend(["ann", "eve", "bob"], k=10).user) == ["ann"] * 3 + ["bob"] * 4


def test_only_and_without(named: Recommender) -> None:
    assert named.recommend("bob", k=5, only=["dates", "apple"]).item == ["apple", "dates"]
    assert "apple" not in named.recommend("bob", k=5, without="apple").item


def test_histories_of_strangers(named: Recommender, fitted: Recommender) -> None:
    lists = named.recommend_from_history([["apple"], ["bread", "cheese"]], k=4)
    assert lists.user == ["0"] * 4 + ["1"] * 3
    assert "apple" not in lists.item[:4]
    one = fitted.recommend_from_history(WORLD.items.decode(WORLD.items_of(0)[:3]), k=5)
    assert len(one) == 5


def test_similar_items_leave_the_item_itself_out(fitted: Recommender) -> None:
    lists = fitted.similar_items("7", k=39)
    assert "7" not in lists.item
    assert len(lists) == 39
    _, item = fitted.embeddings()
    best = fitted.items.encode([lists.item[0]])[0]
    cosine = item @ item[7] / np.linalg.norm(item, axis=1) / np.linalg.norm(item[7])
    assert cosine[best] == pytest.approx(np.delete(cosine, 7).max())
    assert lists.score[0] == pytest.approx(cosine[best], rel=1e-5)


def test_frames(named: Recommender) -> None:
    frame = named.recommend(k=2).to_frame()
    assert frame.columns == ["user", "item", "score", "rank", "from"]
    assert "from" not in Recommender(model="ease").fit(WORLD).similar_items("7").to_frame().columns
    assert frame.filter(pl.col("user") == "eve").height == 0
    assert named.recommend(k=2).to_pandas().shape == (4, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.recommend("anne"), "unknown user 'anne'; did you mean 'ann'"),
        (lambda m: m.recommend("ann", k=0), "k must be"),
        (lambda m: m.recommend("ann", k=-1), "k must be"),
        (lambda m: m.recommend(-1), "unknown user '-1'"),
        (lambda m: m.recommend("ann", only=["aple"]), "unknown item 'aple'; did you mean 'apple'"),
        (lambda m: m.recommend_from_history([]), "empty"),
        (lambda m: m.similar_items("zebra"), "unknown item 'zebra'"),
        (lambda m: m.evaluate(), "no test part"),
        (lambda m: m.evaluate("tset"), "did you mean 'test'"),
        (lambda m: m.embeddings(), "no embeddings"),
        (lambda m: Recommender().recommend("ann"), "not fitted"),
        (lambda m: Recommender("mf", model="ease"), "one or the other"),
    ],
)
def test_requests_that_cannot_be_met_say_so(named: Recommender, call, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(named)


def test_evaluate_masks_what_came_before_the_part(fitted: Recommender) -> None:
    result = fitted.evaluate("test", ["recall@40"])
    # With everything before it masked and the whole catalogue listed, every held-out item is found.
    assert result.means() == {"recall@40": 1.0}
    assert fitted.metrics["test"] == {"recall@40": 1.0}
    history = fitted.evaluate_from_history("test", ["recall@5"])
    assert 0 < history.means()["recall@5"] <= 1


@pytest.mark.parametrize(
    "model",
    [{"model": m} for m in ("popularity", "itemknn", "ease", "ials")] + [{"backbone": "lightgcn", "loss": "sl"}],
)
def test_a_saved_folder_gives_the_same_lists_without_the_data(model: dict, tmp_path: Path) -> None:
    fields = {} if "model" in model else SMALL
    made = Recommender(**model, **fields).fit(WORLD)
    made.evaluate()
    folder = made.save(tmp_path / "run")
    again = Recommender.load(folder)
    first, second = made.recommend(k=5), again.recommend(k=5)
    assert (first.user, first.item, first.score.tolist()) == (second.user, second.item, second.score.tolist())
    assert again.evaluate().means() == made.evaluate().means()
    assert again.run == made.run
    assert again.kernels == made.kernels == json.loads((folder / "run.json").read_text())["kernels"]
    assert bool(made.kernels) == (made.run.model is None)
    assert again.run.data_hash == data_hash(again.split)
    assert json.loads((folder / "metrics.json").read_text())["test"]["ndcg@20"] == made.metrics["test"]["ndcg@20"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_run_can_be_made_again_from_its_record(fitted: Recommender, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "run")
    again = Recommender.from_run(Recommender.load(folder).run).fit(WORLD)
    assert np.array_equal(again.embeddings()[0], fitted.embeddings()[0])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [r.epoch for r in fitted.records]
    assert {"epoch", "loss", "train_seconds", "ndcg@20"} <= set(lines[0])


def test_nothing_existing_is_touched(fitted: Recommender, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="run"):
            fitted.save(tmp_path / "run", overwrite=overwrite)
    assert (tmp_path / "run" / "thesis.tex").read_text() == "precious"
    fitted.save(tmp_path / "two")
    fitted.save(tmp_path / "two", overwrite=True)
    Recommender.load(tmp_path / "two")


def damaged(folder: Path, what: str) -> None:
    """One way each in which a folder can be broken."""
    if what == "truncated":
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-10])
    elif what == "not safetensors":
        (folder / "model.safetensors").write_bytes(b"\x80\x04nothing good")
    elif what == "huge header":
        (folder / "model.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    elif what == "missing":
        (folder / "items.parquet").unlink()
    elif what == "other version":
        run = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**run, "taurec": {"format": 99}}))
    elif what == "other users":
        pl.DataFrame({"id": ["a", "b"]}).write_parquet(folder / "users.parquet")
    elif what == "nan":
        from safetensors.numpy import load_file, save_file

        state = load_file(folder / "model.safetensors")
        state["user"] = np.full_like(state["user"], np.nan)
        save_file(state, folder / "model.safetensors")
    elif what == "other model":
        run = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**run, "model": {"name": "ease", "settings": {"l2": 1.0}}}))


@pytest.mark.parametrize(
    "what",
    ["truncated", "not safetensors", "huge header", "missing", "other version", "other users", "nan", "other model"],
)
def test_a_broken_folder_is_refused_with_its_name(fitted: Recommender, tmp_path: Path, what: str) -> None:
    folder = fitted.save(tmp_path / "run")
    damaged(folder, what)
    with pytest.raises(ArtefactError, match="run"):
        Recommender.load(folder)


def test_the_hash_of_the_data_sees_every_part() -> None:
    log = Interactions.from_pairs([0, 1, 1], [0, 0, 1])
    none = log.take([])
    whole, cut = Split(log, none, none, "none"), Split(log.take([0, 1]), none, log.take([2]), "none")
    assert data_hash(whole) == data_hash(Split(log, none, none, "none")) != data_hash(cut)


def test_a_run_is_not_repeated_on_other_data(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = [f"u{u},i{(u + i) % 7}" for u in range(6) for i in range(5)]
    path.write_text("\n".join(["user,item", *rows]) + "\n")
    run = Recommender(model="popularity", source=str(path)).fit().run
    path.write_text("\n".join(["user,item", *rows[1:]]) + "\n")
    with pytest.raises(DataError, match="not the log of this run"):
        Recommender.from_run(run).fit()
    assert Recommender.from_run(run).fit(str(path)).run.data_hash != run.data_hash
    assert Recommender.from_run(run.but(test=0.3)).fit().run.data_hash != run.data_hash


def test_every_file_of_a_saved_folder_has_the_same_permissions(tmp_path: Path) -> None:
    folder = Recommender(model="popularity").fit("planted").save(tmp_path / "model")
    assert len({file.stat().st_mode for file in folder.iterdir()}) == 1
