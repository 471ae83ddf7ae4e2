from __future__ import annotations

import json
import math
import os
import shlex
import signal

import numpy as np
import pytest
from numpy.testing import assert_allclose

from taurec import Recommender
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.split import split
from taurec.errors import UsageError
from taurec.losses import loss_class
from taurec.report import json as report_json
from taurec.studies.audit.temperature.audit import (
    _TrainingScores,
    audit_saved,
    audit_training,
    sample_users,
    tau_of,
)
from taurec.studies.audit.temperature.results import QUANTILES
from taurec.studies.audit.temperature.reweighting import reweighting, weights
from taurec.training.presets import resolve
from taurec.training.records import Progress

PARTS = split(planted(n_users=40, n_items=30, seed=1).log)
FIELDS = {"epochs": 2, "threads": 1, "kernel": "torch", "settings": {"backbone": {"dim": 8}}}


@pytest.fixture(scope="module")
def model() -> Recommender:
    return Recommender("mf", "bsl", **FIELDS).fit(PARTS)


def test_the_views_are_those_of_each_user_on_its_own(model: Recommender) -> None:
    """A slow loop over users, with the formulas of one row."""
    found = audit_saved(model)
    user, item = (x.astype(np.float64) for x in model.embeddings())
    effective, own, positive = [], [], []
    for u in range(PARTS.train.n_users):
        scores, items = item @ user[u], PARTS.train.items_of(u)
        effective.append(float(reweighting(scores, 0.1).effective[0]))
        own.append(weights(scores, 0.1)[items].sum())
        positive.append(float(reweighting(scores[items], 1.0).radius[0]))
    assert found.negatives is not None
    assert found.positives is not None
    assert found.negatives.own is not None
    assert_allclose(found.negatives.effective.mean, np.mean(effective))
    assert_allclose(found.negatives.effective.quantiles, np.quantile(effective, QUANTILES))
    assert_allclose(found.negatives.own.mean, np.mean(own))
    assert_allclose(found.positives.radius.mean, np.mean(positive))
    assert (found.negatives.tau, found.positives.tau) == (0.1, 1.0)
    assert [view.tau for view in found.others] == [0.025, 0.05, 0.2, 0.4]
    assert (found.users, found.of_users) == (40, 40)


def test_the_terms_add_up_and_the_bounds_hold(model: Recommender) -> None:
    found = audit_saved(model, taus=[0.01, 1.0, 100.0])
    assert [view.tau for view in found.others] == [0.01, 1.0, 100.0]
    for view in found.others:
        assert_allclose(view.mean.mean + view.variance_term.mean + view.remainder.mean, view.value.mean)
        assert 1 <= view.participation.mean <= view.effective.mean <= view.count.mean == 30
        assert 0 <= view.radius.mean <= math.log(30)
    assert_allclose(found.others[-1].effective.mean, 30, rtol=1e-4)
    assert_allclose(found.others[-1].own.mean, PARTS.train.user_counts.mean() / 30, rtol=0.05)


def test_a_small_block_changes_nothing(model: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = audit_saved(model).document()
    monkeypatch.setattr("taurec.studies.audit.temperature.audit.BLOCK", 70)
    assert audit_saved(model).document() == whole


def test_what_negatives_are_drawn_from_is_what_weights_are_compared_with(model: Recommender) -> None:
    def base(negatives: str, **fields: object) -> tuple[str, list[float] | None, bool]:
        found = _TrainingScores(resolve(loss="sl", negatives=negatives, **fields), log).base
        return found.words, None if found.item is None else found.item.tolist(), found.own == 0

    log = Interactions.from_pairs([0, 1, 2, 2], [0, 0, 0, 1])
    assert base("uniform:5") == base("full") == ("all items alike", None, False)
    assert base("uniform:5:true") == ("all items alike, the user's own training items left out", None, True)
    assert base("popularity:5:1.0")[1:] == ([3.0, 1.0], False)
    assert base("in-batch")[1:] == ([3.0, 1.0], True)
    assert base("in-batch:diagonal")[1:] == ([3.0, 1.0], False)
    assert base("in-batch", logq=True)[1:] == (None, True)
    left_out = Recommender("mf", "sl", negatives="uniform:5:true", **FIELDS).fit(PARTS)
    found = audit_saved(left_out).negatives
    assert found is not None
    assert found.own is not None
    assert found.own.mean == 0
    assert_allclose(found.count.mean, (30 - PARTS.train.user_counts).mean())


@pytest.mark.parametrize("negatives", ["noisy:8:0", "noisy:8:4", "noisy-held-out:8:0.3:0.5"])
def test_noisy_negatives_are_compared_with_their_own_distribution(negatives: str) -> None:
    """With a high temperature the weights are the distribution itself: what the user's own items have of it."""
    noisy = Recommender("mf", "sl", negatives=negatives, **FIELDS).fit(PARTS)
    found = audit_saved(noisy, taus=[1e6])
    counts = PARTS.train.user_counts.astype(float)
    share = {
        "noisy:8:0": np.zeros_like(counts),
        "noisy:8:4": 4 * counts / (4 * counts + 30 - counts),
        "noisy-held-out:8:0.3:0.5": np.full_like(counts, 0.3),
    }[negatives]
    assert found.others[0].own is not None
    assert_allclose(found.others[0].own.mean, share[counts > 0].mean(), rtol=1e-4, atol=1e-12)
    assert "own training items" in found.base or "held-out" in found.base


def test_a_sampler_that_states_no_distribution_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taurec.sampling.per_row.BoundPerRow.base_distribution", lambda self: None)
    with pytest.raises(UsageError, match="state no distribution"):
        _TrainingScores(resolve(loss="sl"), PARTS.train)


def test_along_training_and_then_the_best_epoch() -> None:
    run = resolve(backbone="mf", loss="bsl", **FIELDS)
    epochs: list[int] = []
    found = audit_training(run, PARTS, on_progress=lambda p: epochs.append(p.epoch) if p.record else None)
    assert [view.epoch for view in found.curve] == epochs == [1, 2]
    plain = Recommender("mf", "bsl", **FIELDS).fit(PARTS)
    assert found.curve[-1].metrics == plain.records[-1].metrics  # looking changes nothing
    saved = audit_saved(plain)
    best = next(view for view in found.curve if view.epoch == plain.best.epoch)
    assert found.negatives is not None
    assert saved.negatives is not None
    assert_allclose(found.negatives.effective.mean, saved.negatives.effective.mean, rtol=1e-5)
    assert_allclose(best.negatives.effective.mean, found.negatives.effective.mean, rtol=1e-12)
    content = found.document()
    assert json.loads(json.dumps(content)) == report_json.plain(content)
    assert content["curve"][0]["positives"]["tau"] == 1.0


def test_an_automatic_temperature_is_found_first() -> None:
    run = resolve(loss="sl", **{**FIELDS, "settings": {"loss": {"tau": "auto"}, "backbone": {"dim": 8}}})
    found = audit_training(run, PARTS)
    assert found.negatives is not None
    assert found.negatives.tau == found.run.loss.settings["tau"]
    assert "loss.tau" in found.run.found


def test_a_graph_and_dot_scores() -> None:
    fields = {"backbone": "lightgcn", "loss": "sl", "train_score": "cosine", "rank_score": "dot", **FIELDS}
    run = resolve(**fields)
    found = audit_training(run, PARTS)
    again = audit_saved(Recommender(**fields).fit(PARTS))
    assert found.negatives is not None
    assert again.negatives is not None
    assert_allclose(again.negatives.effective.mean, found.negatives.effective.mean, rtol=1e-5)


def test_users_are_drawn_by_the_seed() -> None:
    log = Interactions.from_pairs(np.arange(0, 200, 2), np.zeros(100, int))
    some = sample_users(log, 10, seed=3)
    assert len(set(some.tolist())) == 10
    assert (some % 2 == 0).all()
    assert (np.diff(some) > 0).all()
    assert some.tolist() == sample_users(log, 10, seed=3).tolist() != sample_users(log, 10, seed=4).tolist()


def test_a_loss_without_temperature_is_looked_at_where_taus_are_named() -> None:
    plain = Recommender("mf", "bpr", **FIELDS).fit(PARTS)
    found = audit_saved(plain, taus=[0.5])
    assert found.negatives is None
    assert [view.tau for view in found.others] == [0.5]
    with pytest.raises(UsageError, match="loss 'bpr' has no temperature; name those"):
        audit_saved(plain)
    trained = audit_training(resolve(loss="bpr", **FIELDS), PARTS, taus=[0.5])
    assert trained.curve == ()
    assert [view.tau for view in trained.others] == [0.5]


@pytest.mark.parametrize("loss", ["talos", "psl-tanh", "hcl"])
def test_a_loss_with_other_weights_than_a_softmax_is_not_reported_as_one(loss: str) -> None:
    model = Recommender("mf", loss, **FIELDS).fit(PARTS)
    with pytest.raises(UsageError, match=f"loss '{loss}' does not weigh negatives by exp"):
        audit_saved(model)
    found = audit_saved(model, taus=[0.5])
    assert found.negatives is None
    assert found.notes == (
        f"loss {loss} does not weigh negatives by exp(score / temperature); the scores are its model's",
    )


def test_the_next_command_trains_the_same_model_with_its_temperature_chosen(model: Recommender) -> None:
    (command,) = audit_saved(model).commands()
    words = shlex.split(command)
    assert words[:2] == ["taurec", "train"]
    assert f"loss.{loss_class(model.run.loss.name).temperature}=auto" in words
    assert audit_saved(Recommender("mf", "bpr", **FIELDS).fit(PARTS), taus=[0.5]).commands() == []


def test_a_signal_ends_training_and_what_there_is_is_shown() -> None:
    def on_progress(progress: Progress) -> None:
        if progress.step == progress.epoch == 1 and progress.record is None:
            os.kill(os.getpid(), signal.SIGTERM)

    found = audit_training(resolve(loss="sl", **FIELDS), PARTS, on_progress=on_progress)
    assert found.stopped_by == signal.SIGTERM
    assert "stopped by a signal" in found.notes[-1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: tau_of(resolve(model="ease")), "ease has no embeddings and no temperature"),
        (lambda: audit_saved(Recommender(model="ease").fit(PARTS)), "ease has no embeddings"),
        (lambda: sample_users(PARTS.train, 0, 0), "at least 1 user"),
        (
            lambda: audit_saved(Recommender("mf", "sl", train_score="dot", **FIELDS).fit(PARTS)),
            "its training scores are not available",
        ),
    ],
)
def test_wrong_requests(call, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        call()
