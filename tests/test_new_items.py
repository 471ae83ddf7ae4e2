"""Items without interactions: the ridge against a plain solution, its choice of strength, and lists with new items."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from taurec import Recommender
from taurec.cli import main
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.split import Split
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.evaluation.users import UserScorer
from taurec.new_items import AttributeRidge, NewItemScorer, hold_out_items, recommend_with_new_items
from taurec.ranker import EmbeddingRanker

RNG = np.random.default_rng(0)
KNOWN, NEW, Q = (RNG.normal(size=shape) for shape in ((30, 5), (4, 5), (30, 7)))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def plain_ridge(known: np.ndarray, q: np.ndarray, new: np.ndarray, l2: float) -> np.ndarray:
    """[m, D] by the normal equations of the centred problem."""
    x, y = unit(known), unit(new)
    at = x - x.mean(axis=0)
    slope = np.linalg.solve(at.T @ at + l2 * np.eye(at.shape[1]), at.T @ (q - q.mean(axis=0)))
    return q.mean(axis=0) + (y - x.mean(axis=0)) @ slope


@pytest.mark.parametrize("l2", [0.01, 1.0, 50.0])
def test_weights_give_the_vectors_of_the_normal_equations(l2: float) -> None:
    weights = AttributeRidge(KNOWN, NEW).weights(l2)
    np.testing.assert_allclose(weights.T @ Q, plain_ridge(KNOWN, Q, NEW, l2), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, rtol=1e-5)


def test_the_error_leaves_each_item_out() -> None:
    """Exact: the ridge with an unpenalised intercept is fitted again without the item."""
    missed = 0.0
    x = np.column_stack([unit(KNOWN), np.ones(30)])
    for i in range(30):
        rest = np.arange(30) != i
        gram = x[rest].T @ x[rest] + 0.5 * np.diag([1] * 5 + [0])
        missed += float(((Q[i] - x[i] @ np.linalg.solve(gram, x[rest].T @ Q[rest])) ** 2).sum())
    base = float(((Q - Q.mean(axis=0)) ** 2).sum())
    ridge = AttributeRidge(KNOWN, NEW)
    assert ridge.error(Q.astype("f4"), 0.5) == pytest.approx(missed / base, rel=1e-4)
    assert ridge.error(csr_array(Q), 0.5) == pytest.approx(missed / base, rel=1e-4)


def test_the_strength_follows_the_attributes() -> None:
    x = RNG.normal(size=(60, 4))
    told = (unit(x) @ RNG.normal(size=(4, 6))).astype("f4")
    untold = RNG.normal(size=(60, 6)).astype("f4")
    ridge = AttributeRidge(x, x[:0])
    assert ridge.choose(told) == 0.01
    assert ridge.choose(untold) == 100.0


def test_an_item_of_which_nothing_is_known_is_the_mean() -> None:
    weights = AttributeRidge(KNOWN, np.zeros((1, 5))).weights(0.1)
    np.testing.assert_allclose(weights, 1 / 30, rtol=1e-6)
    with pytest.raises(UsageError, match="l2 must be above 0"):
        AttributeRidge(KNOWN, NEW).weights(0)


def test_known_items_keep_their_scores_and_new_ones_get_those_of_their_vector() -> None:
    user = RNG.normal(size=(3, 7)).astype("f4")
    ranker = EmbeddingRanker(user, np.vstack([Q, np.full((1, 7), 99)]).astype("f4"))
    trained = np.array([True] * 30 + [False])
    scorer = NewItemScorer(ranker, trained, np.vstack([KNOWN, NEW]).astype("f4"), 0.3)
    scores = scorer.block(np.arange(3))
    assert scores.shape == (3, 34)
    assert np.array_equal(scores[:, :30], ranker.block(np.arange(3))[:, :30])
    np.testing.assert_allclose(scores[:, 30:], user @ plain_ridge(KNOWN, Q, NEW, 0.3).T, rtol=1e-3, atol=1e-3)
    with pytest.raises(UsageError, match="attributes of 2 items"):
        NewItemScorer(ranker, trained, np.ones((2, 5), "f4"), 0.3)


WORLD = planted(n_users=120, n_items=60, seed=2)


@pytest.mark.parametrize("fields", [{"model": "ease"}, {"backbone": "mf", "loss": "sl", "epochs": 15, "lr": 0.05}])
def test_held_out_items_are_found_by_their_attributes(fields: dict) -> None:
    """The attribute is the planted group, which the model is not shown; without it all new items score alike."""
    kept, held = hold_out_items(WORLD.log, 0.3, seed=1)
    nothing = kept.take([])
    model = Recommender(**fields).fit(Split(kept, nothing, nothing, "none"))
    attributes = np.eye(WORLD.item_group.max() + 1)[WORLD.item_group]
    trained, only = kept.item_counts > 0, np.flatnonzero(held.item_counts)
    ridge = AttributeRidge(attributes[trained], attributes[~trained])
    vectors = model.ranker.item_vectors()
    assert vectors is not None
    l2 = ridge.choose(vectors[np.flatnonzero(trained)])
    scorer = NewItemScorer(UserScorer.of_log(model.ranker, kept), trained, attributes.astype("f4"), l2)
    found = evaluate_ranker(scorer, held, kept, "ndcg@10", only=only).means()["ndcg@10"]
    untold = NewItemScorer(UserScorer.of_log(model.ranker, kept), trained, np.zeros_like(attributes, "f4"), 1.0)
    chance = evaluate_ranker(untold, held, kept, "ndcg@10", only=only).means()["ndcg@10"]
    assert found > 1.5 * chance


@pytest.fixture
def named() -> tuple[Interactions, dict[str, str]]:
    """20 users of cats and 20 of dogs, 10 items of each; two further items come with their names alone."""
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(40), 6)
    item = np.concatenate([rng.choice(np.arange(u % 2, 20, 2), 6, replace=False) for u in range(40)])
    names = [f"{'dogs' if n % 2 else 'cats'}-{n}" for n in range(20)]
    log = Interactions.from_pairs(user, item, Vocabulary([f"u{n}" for n in range(40)]), Vocabulary(names))
    words = {"cats": "whiskers purring", "dogs": "barking leash"}
    texts = {name: f"{words[name[:4]]} {name[5:]}" for name in [*names, "cats-20", "dogs-21"]}
    return log, texts


def test_lists_with_new_items(named: tuple[Interactions, dict[str, str]]) -> None:
    pytest.importorskip("sklearn")
    log, texts = named
    model = Recommender(model="ease", split="none", settings={"model": {"l2": 5.0}}).fit(log)
    lists = recommend_with_new_items(model, ["u0", "u1"], texts, k=1, only_new=True)
    assert (lists.item, lists.source) == (["cats-20", "dogs-21"], ["attributes"] * 2)
    lists = recommend_with_new_items(model, "u0", texts, k=5)
    plain = [item for item in model.recommend("u0", k=5).item if item in lists.item]
    assert [item for item, source in zip(lists.item, lists.source or (), strict=True) if source == "user"] == plain
    assert all(item.startswith("cats") for item in lists.item)
    with pytest.raises(UsageError, match="0 items with training rows have a text"):
        recommend_with_new_items(model, "u0", {"new": "text"})


def test_in_the_terminal(named: tuple[Interactions, dict[str, str]], tmp_path: Path, capsys) -> None:
    pytest.importorskip("sklearn")
    log, texts = named
    model = Recommender(model="ease", split="none", settings={"model": {"l2": 5.0}}).fit(log)
    folder, file = model.save(tmp_path / "m"), tmp_path / "items.csv"
    file.write_text("item,title\n" + "".join(f"{name},{text}\n" for name, text in texts.items()))
    argv = ["recommend", str(folder), "--user", "u0", "-k", "5", "--items", str(file)]
    assert main([*argv, "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert {"cats-20": "attributes"}.items() <= {row["item"]: row["from"] for row in entry["items"]}.items()
    assert entry["from"] == "user"
    assert main(argv) == 0
    assert "attributes" in capsys.readouterr().out
    assert main(["recommend", str(folder), "--like", "cats-0", "--items", str(file)]) == 2
