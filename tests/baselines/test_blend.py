"""Blends: a case by hand, both ends, the weight against brute force, saving, repeating, folding in, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

import taurec
from taurec import Recommender, Run
from taurec.baselines import EASE, ItemKNN
from taurec.baselines.blend import WEIGHTS, Blend, standardised
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.errors import ArtefactError, UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.ranker import RANKERS, HistoryRanker, Ranker, ScoresRanker
from taurec.testing.baselines import BASELINE_LAWS, BaselineCase, baseline_log
from taurec.testing.laws import Law
from taurec.testing.recommenders import RECOMMENDER_LAWS, RecommenderCase
from taurec.training.presets import resolve

LOG = planted(n_users=80, n_items=40, seed=3, noise=0.2).log
TRAINED = {"epochs": 3, "batch_size": 128, "negatives": "uniform:8", "kernel": "torch"}
PARTS = tuple(resolve(model=name, settings={"model": own}).model_dump(mode="json") for name, own in (
    ("ease", {"l2": 5.0}), ("itemknn", {"k": 40}),
))  # fmt: skip
SETTINGS = {"parts": PARTS, "weight": 0.5}
LEFT_OUT = {
    "the formula for pages, if it has one, scores as from_history does": "of some items it takes their mean",
    "every point of its grid can be built": "its grid needs parts",
}


def blended(label: str = "blend:ease+itemknn", weight: float | str = "auto", **fields: object) -> Recommender:
    return Recommender(model=label, settings={"model": {"weight": weight}}, **fields)


def scores(model: Recommender | Ranker) -> np.ndarray:
    ranker = model.ranker if isinstance(model, Recommender) else model
    return ranker.block(np.arange(ranker.n_users))


# -- the formula -----------------------------------------------------------------------------------------------


def test_standardised_by_hand() -> None:
    """User 0 knows item 0; the others have 1, 2, 3, 6: mean 3, variance (4 + 1 + 0 + 9) / 4."""
    known = csr_array(np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]]))
    given = np.array([[10, 1, 2, 3, 6], [4, 4, 4, 4, 4], [9, 4, 4, 4, 4], [1, 2, 3, 4, 5]], dtype=np.float32)
    sd = np.sqrt(14 / 4)
    expected = [(np.array([10, 1, 2, 3, 6]) - 3) / sd, np.zeros(5), np.zeros(5), np.zeros(5)]
    np.testing.assert_allclose(standardised(given, known), expected, rtol=1e-6)


def test_weights_by_hand() -> None:
    """Two users, three items: EASE and popularity as printed by their formulas, a quarter of the second."""
    log = Interactions.from_pairs([0, 0, 1], [0, 1, 1], items=taurec.Interactions.from_pairs([0], [2]).items)
    parts = [resolve(model="ease", settings={"model": {"l2": 1.0}}), resolve(model="popularity")]
    model = Blend(tuple(run.model_dump(mode="json") for run in parts), weight=0.25).fit(log)
    # user 1 knows item 1; EASE adds .3333 to item 0 and nothing to item 2; popularity is 1 and 0: both z are 1 and -1
    np.testing.assert_allclose(scores(model)[1][[0, 2]], [1, -1], rtol=1e-6)
    first, second = model.contributions(log.csr()[[1]])
    np.testing.assert_allclose([first[0][[0, 2]], second[0][[0, 2]]], [[0.75, -0.75], [0.25, -0.25]], rtol=1e-6)


def test_no_training_pair_counts() -> None:
    """What the halves say of items that a user knows already changes no score of another item but by its own."""
    model = Blend(PARTS, weight=0.5).fit(baseline_log())
    seen, one = baseline_log().csr(), EASE(5.0).fit(baseline_log()).block(np.arange(50))
    moved = one + 100 * seen.toarray().astype(np.float32)
    free = seen.toarray() == 0
    np.testing.assert_array_equal(standardised(one, seen)[free], standardised(moved, seen)[free])
    assert np.isfinite(scores(model)).all()


@pytest.mark.parametrize("law", [law for law in BASELINE_LAWS if str(law) not in LEFT_OUT], ids=str)
def test_a_blend_of_baselines_is_a_baseline(law: Law[BaselineCase]) -> None:
    BASELINE_LAWS.check_one(law, BaselineCase(Blend, SETTINGS))


@pytest.mark.parametrize("law", list(RECOMMENDER_LAWS), ids=str)
def test_a_blend_with_a_trained_half_is_a_recommender(law: Law[RecommenderCase]) -> None:
    RECOMMENDER_LAWS.check_one(law, CASE)


CASE = RecommenderCase(lambda: Recommender(model="blend:ease+mf:sl", **TRAINED))


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("label", ["blend:ease+mf:sl", "blend:mf:bpr+slim-local"])
def test_at_its_ends_it_ranks_as_a_half(label: str, weight: float) -> None:
    half = label.removeprefix("blend:").split("+")[int(weight)]
    fields = {"model": half} if ":" not in half else dict(zip(("backbone", "loss"), half.split(":"), strict=True))
    alone = Recommender(**fields, **(TRAINED if "loss" in fields else {})).fit(LOG)
    both = blended(label, weight, **TRAINED).fit(LOG)
    assert both.recommend(k=40).item == alone.recommend(k=40).item
    assert both.evaluate().means() == alone.evaluate().means()
    np.testing.assert_array_equal(both.ranker.from_history(LOG.csr()[:20]), alone.ranker.from_history(LOG.csr()[:20]))


def test_the_bits_of_a_user_do_not_depend_on_the_block() -> None:
    model = blended("blend:ease+mf:sl", 0.5, **TRAINED).fit(LOG).ranker
    whole = scores(model)
    for users in ([7], [3, 7, 11], list(range(20))):
        np.testing.assert_array_equal(model.block(np.array(users)), whole[users])
    assert model.block(np.arange(0)).shape == (0, LOG.n_items)


def test_the_bits_do_not_depend_on_the_threads() -> None:
    one, two = (Recommender(model="blend:itemknn+mf:sl", threads=n, **TRAINED).fit(LOG) for n in (1, 2))
    np.testing.assert_array_equal(scores(one), scores(two))
    assert one.run.but(threads=2).model.settings["weight"] == two.run.model.settings["weight"]


# -- the weight ------------------------------------------------------------------------------------------------


def test_validation_chooses_the_weight() -> None:
    """Against a slow loop over the grid that blends the scores of the two halves fitted alone."""
    found = blended("blend:mf:sl+itemknn", **TRAINED).fit(LOG)
    parts, metric = found.split, found.run.metric
    halves = [Recommender("mf", "sl", **TRAINED).fit(LOG), Recommender(model="itemknn").fit(LOG)]
    values = []
    for weight in WEIGHTS:
        mixed = np.zeros((LOG.n_users, LOG.n_items))
        for user in range(LOG.n_users):
            unseen = np.setdiff1d(np.arange(LOG.n_items), parts.train.items_of(user))
            for half, share in zip(halves, (1 - weight, weight), strict=True):
                own = half.ranker.block(np.array([user]))[0].astype(np.float64)
                mixed[user] += share * (own - own[unseen].mean()) / own[unseen].std()
        ranker = ScoresRanker(mixed.astype(np.float32))
        values.append(evaluate_ranker(ranker, parts.valid, parts.train, [metric]).means()[metric])
    assert len({round(v, 4) for v in values}) > 3, "the grid tells nothing apart"
    assert found.run.model.settings["weight"] == WEIGHTS[int(np.argmax(values))]
    assert found.best.metrics[metric] == pytest.approx(max(values))
    assert f"{max(values):.4f}" in found.run.found["model.weight"]


def test_both_ends_are_in_the_grid() -> None:
    assert WEIGHTS[0] == 0
    assert WEIGHTS[-1] == 1
    odds = [w / (1 - w) for w in WEIGHTS[1:-1]]
    np.testing.assert_allclose(odds, [1 / 4, 1 / 2, 1, 2, 4])


def test_kept_scores_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = blended("blend:mf:sl+itemknn", **TRAINED).fit(LOG).run.found
    monkeypatch.setattr("taurec.baselines.blend.KEPT_BYTES", 0)
    assert blended("blend:mf:sl+itemknn", **TRAINED).fit(LOG).run.found == kept


# -- saved, repeated, folded in --------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["blend:ease+itemknn", "blend:lightgcn:sl+slim-local", "blend:mf:sl+mf:bpr"])
def test_saved_loaded_and_repeated(label: str, tmp_path: Path) -> None:
    """The folder ranks to the same bits, and so does a fit of its run.json, which keeps every choice."""
    model = Recommender(model=label, **TRAINED).fit(LOG)
    folder = model.save(tmp_path / "model")
    loaded = Recommender.load(folder)
    np.testing.assert_array_equal(scores(loaded), scores(model))
    histories = LOG.csr()[:9]
    np.testing.assert_array_equal(loaded.ranker.from_history(histories), model.ranker.from_history(histories))
    document = json.loads((folder / "run.json").read_text())
    own = document["model"]
    assert (own["name"], sorted(own["settings"])) == ("blend", ["parts", "weight"])
    assert {part["data_hash"] for part in own["settings"]["parts"]} == {document["data_hash"]}
    assert isinstance(own["settings"]["weight"], float)
    run = Run.from_json(folder / "run.json")
    assert run.label == label
    again = Recommender.from_run(run).fit(LOG)
    np.testing.assert_array_equal(scores(again), scores(model))
    assert again.run == model.run
    for part, half in zip(run.parts, model.ranker.halves, strict=True):
        np.testing.assert_array_equal(scores(Recommender.from_run(part).fit(model.split)), scores(half))


def test_a_temperature_of_a_half_is_found(tmp_path: Path) -> None:
    model = Recommender(model="blend:mf:sl+ease", settings={"loss": {"tau": "auto"}}, **TRAINED).fit(LOG)
    part = model.run.parts[0]
    assert isinstance(part.loss.settings["tau"], float)
    assert "loss.tau" in part.found
    assert any(note.startswith("mf:sl: loss.tau") for note in model.notes)


def test_histories_score_as_known_users_where_both_halves_fold_in_exactly() -> None:
    model = blended("blend:slim-local+ease", 0.5).fit(LOG)
    known = model.split.train.csr()
    np.testing.assert_allclose(model.ranker.from_history(known), scores(model), rtol=1e-5, atol=1e-5)
    history = model.items.decode(model.split.train.items_of(4))
    lists = model.recommend_from_history(history, k=5)
    assert lists.item == model.recommend("4", k=5, without=_held_out(model, "4")).item or len(lists) == 5
    folded = evaluate_ranker(HistoryRanker(model.ranker, known), model.split.valid, model.split.train, ["ndcg@20"])
    assert folded.means() == evaluate_ranker(model.ranker, model.split.valid, model.split.train, ["ndcg@20"]).means()


def _held_out(model: Recommender, user: str) -> list[str]:
    (index,) = model.users.encode([user])
    return [
        *model.items.decode(model.split.valid.items_of(index)),
        *model.items.decode(model.split.test.items_of(index)),
    ]


def test_the_formula_of_a_page_scores_as_a_history() -> None:
    for label in ("blend:ease+mf:sl", "blend:itemknn+ials"):
        model = blended(label, 1 / 3, **TRAINED).fit(LOG).ranker
        form = model.fold_in()
        for history in ([3], [1, 4, 9]):
            row = csr_array((np.ones(len(history), "f4"), (np.zeros(len(history), int), history)), (1, LOG.n_items))
            np.testing.assert_allclose(form.scores(history), model.from_history(row)[0], rtol=1e-4, atol=1e-4)
            for mine, exact in zip(form.contributions(history), model.contributions(row), strict=True):
                np.testing.assert_allclose(mine, exact[0], rtol=1e-4, atol=1e-4)


def test_similar_items_have_the_weighted_mean_of_the_cosines() -> None:
    from taurec.ranker import cosines

    for label in ("blend:ease+mf:sl", "blend:mf:sl+mf:bpr"):
        model = blended(label, 0.25, **TRAINED).fit(LOG).ranker
        first, second = (cosines(half.item_vectors(), 5) for half in model.halves)
        np.testing.assert_allclose(cosines(model.item_vectors(), 5), 0.75 * first + 0.25 * second, atol=1e-6)
    assert blended("blend:gf-cf+mf:sl", 0.5, **TRAINED).fit(LOG).similar_items("5", k=2).item


# -- two fitted models -----------------------------------------------------------------------------------------


def test_two_fitted_models_are_blended_without_another_fit() -> None:
    halves = Recommender(model="ease").fit(LOG), Recommender("mf", "sl", **TRAINED).fit(LOG)
    both = taurec.blend(*halves)
    assert both.ranker.halves == tuple(half.ranker for half in halves)
    whole = Recommender(model="blend:ease+mf:sl", **TRAINED).fit(LOG)
    np.testing.assert_array_equal(scores(both), scores(whole))
    assert both.run == whole.run
    assert both.evaluate().means() == whole.evaluate().means()
    assert both.fit_seconds >= sum(half.fit_seconds for half in halves)


def test_models_of_other_data_are_not_blended() -> None:
    one, other = Recommender(model="ease").fit(LOG), Recommender(model="itemknn", seed=1).fit(LOG)
    with pytest.raises(UsageError, match="fitted to different data"):
        taurec.blend(one, other)
    with pytest.raises(UsageError, match="not fitted yet"):
        taurec.blend(one, Recommender(model="itemknn"))


# -- runs ------------------------------------------------------------------------------------------------------


def test_fields_go_to_the_halves_that_have_them() -> None:
    run = resolve(model="blend:mf:sl+ease:50", epochs=7, seed=2, settings={"loss": {"tau": 0.2}}, threads=1)
    first, second = run.parts
    assert (first.epochs, first.loss.settings["tau"], first.seed, first.threads) == (7, 0.2, 2, 1)
    assert second.model.settings == {"l2": 50.0}
    assert (run.seed, run.threads, run.metric) == (2, 1, first.metric)
    assert run.text.endswith("+ ease(l2=50.0)")


def test_another_seed_moves_those_of_the_halves() -> None:
    run = resolve(model="blend:mf:sl+ials", seed=2)
    assert [part.seed for part in run.but(seed=5).parts] == [5, 5]
    assert [part.seed for part in run.but(metric="recall@20").parts] == [2, 2]


def test_a_blend_is_trained_if_a_half_is() -> None:
    assert resolve(model="blend:mf:sl+ease").trained
    assert not resolve(model="blend:slim-local+ease").trained
    assert not resolve(model="ease").trained
    assert resolve(loss="bpr").trained


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("blend", {}, "two halves, got 0; write blend:A"),
        ("blend:ease", {}, "two halves, got 1"),
        ("blend:ease+ials+mf:sl", {}, "two halves, got 3"),
        ("blend:ease+ease", {}, "same run of ease"),
        ("blend:ease+eas", {}, "unknown model 'eas'; did you mean 'ease'"),
        ("blend:ease+mf:slx", {}, "unknown loss 'slx'"),
        ("blend:ease+itemknn", {"weight": 1.5}, "0 to 1 or auto; got 1.5"),
        ("blend:ease+itemknn", {"weight": "half"}, "model.weight"),
        ("blend:ease+itemknn", {"wieght": 0.5}, "no setting 'wieght'; did you mean 'weight'"),
    ],
)
def test_refused(model: str, settings: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("+", r"\+")):
        resolve(model=model, settings={"model": settings})


def test_more_refusals() -> None:
    blend = resolve(model="blend:ease+itemknn")
    with pytest.raises(UsageError, match="is a blend itself"):
        resolve(model="blend", settings={"model": {"parts": [blend, resolve(model="ials")]}})
    with pytest.raises(UsageError, match="no part of the model is trained here, so it has no loss to set"):
        resolve(model="blend:ease+itemknn", settings={"loss": {"tau": 0.1}})
    with pytest.raises(UsageError, match="split has several values"):
        resolve(model="blend", settings={"model": {"parts": [resolve(model="ease", split="time"), resolve()]}})
    with pytest.raises(UsageError, match="no validation part"):
        Recommender(model="blend:ease+itemknn", split="none").fit(LOG)
    with pytest.raises(UsageError, match="mf:sl is trained with a validation part"):
        Blend(tuple(run.model_dump(mode="json") for run in (resolve(), resolve(model="ease"))), 0.5).fit(LOG)
    assert len(blended(weight=0.5, split="none").fit(LOG).recommend("0", k=3)) == 3


def test_a_folder_of_other_halves_is_refused(tmp_path: Path) -> None:
    folder = blended(weight=0.5).fit(LOG).save(tmp_path / "model")
    document = json.loads((folder / "run.json").read_text())
    document["model"]["settings"]["parts"][1]["model"] = {"name": "ials", "settings": {}}
    (folder / "run.json").write_text(json.dumps(document))
    with pytest.raises(ArtefactError, match="does not hold a blend:ease"):
        Recommender.load(folder)


def test_state_alone_is_enough() -> None:
    model = Blend(PARTS, 0.5).fit(baseline_log())
    again = Blend.from_state(model.state())
    np.testing.assert_array_equal(scores(again), scores(model))
    classes: dict[str, type[Ranker]] = {"ease": EASE, "itemknn": ItemKNN}
    made = Blend.from_parts(model.state(), lambda run, _: classes[run.label])
    np.testing.assert_array_equal(scores(made), scores(model))
    assert RANKERS["cosine"] is not EASE
