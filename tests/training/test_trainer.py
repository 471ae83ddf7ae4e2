"""The loop: it learns, it repeats itself to the bit, it stops where it should."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch

from taurec import scoring
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.split import split
from taurec.errors import NonFiniteError, UsageError
from taurec.kernels import available
from taurec.sampling import layouts
from taurec.training.presets import resolve
from taurec.training.records import Progress
from taurec.training.trainer import Trainer

PARTS = split(planted(n_users=80, n_items=40, seed=3).log, "ratio", valid=0.15, test=0.15, seed=0)
SMALL = {
    "epochs": 3,
    "batch_size": 64,
    "negatives": "uniform:8",
    "settings": {"backbone": {"dim": 16}},
    "kernel": "torch",
}


def train(**fields):
    return Trainer(resolve(**{**SMALL, **fields}), PARTS.train, PARTS.valid).fit()


@pytest.mark.parametrize("loss", ["bsl", "bpr"])
@pytest.mark.parametrize("backbone", ["mf", "lightgcn", "simplex"])
def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads(backbone: str, loss: str) -> None:
    before = torch.get_num_threads()
    fields = {"backbone": backbone, "loss": loss, "user_dropout": 0.1, "l2": 1e-3}
    try:
        one, again, two = (train(**fields, threads=n).ranker for n in (1, 1, 2))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(one.user, again.user)
    assert np.array_equal(one.user, two.user)
    assert np.array_equal(one.item, two.item)
    other = train(**fields, threads=1, seed=1).ranker
    assert not np.array_equal(one.user, other.user)


@pytest.mark.parametrize(
    ("fields", "restricted"),
    [({}, True), ({"l2_on": "final"}, False), ({"l2_on": "hops"}, False), ({"negatives": "uniform:8"}, False)]
    + [({"negatives": "shared:8"}, True), ({"negatives": "shared:8", "l2_on": "final"}, False)]
    + [({"negatives": "uniform:2", "batch_size": 8}, True)],
)
def test_a_graph_step_at_the_rows_needed_has_the_gradients_of_the_whole(fields, restricted, monkeypatch) -> None:
    fields = {"backbone": "lightgcn", "loss": "sl", "negatives": "in-batch", "l2": 1e-3, **fields}
    trainer = Trainer(resolve(**{**SMALL, **fields}), PARTS.train)
    monkeypatch.setattr(trainer.step.optimizer, "step", lambda *decay: None)
    batch = next(trainer.batches(1))
    assert (trainer.step.forward.rows_needed(batch) is not None) == restricted
    found = []
    for _ in range(2):
        trainer.backbone.zero_grad()
        trainer.step(batch, 1, 1)
        found.append([trainer.backbone.user.grad, trainer.backbone.item.grad])
        monkeypatch.setattr(trainer.step.forward, "rows_needed", lambda batch: None)
    for part, whole in zip(*found, strict=True):
        assert whole.abs().sum() > 0
        torch.testing.assert_close(part, whole, rtol=1e-5, atol=1e-6 * float(whole.abs().max()))


@pytest.mark.parametrize("backbone", ["lightgcn", "simplex"])
def test_l2_of_whole_tables_as_a_decay_takes_the_steps_of_its_gradient(backbone) -> None:
    fields = {"backbone": backbone, "loss": "sl", "epochs": 2, "l2": 1e-2, "l2_mode": "tables"}
    runs = fields | {"kernel": "torch"}, fields | {"kernel": "auto"}, fields | {"kernel": "auto", "l2": 0.0}
    whole, mine, without = (train(**run).ranker for run in runs)
    for a, b, c in zip(*([r.user, r.item] for r in (whole, mine, without)), strict=True):
        assert np.quantile(np.abs(a - b), 0.99) <= 1e-5 * np.abs(a).max()
        assert np.quantile(np.abs(a - c), 0.5) > 1e-3 * np.abs(a).max()


@pytest.mark.parametrize("l2", [0.0, 1e-2])
@pytest.mark.parametrize("negatives", ["uniform:8", "in-batch", "shared:8"])
def test_a_pairwise_backbone_leaves_the_item_of_a_row_out_of_its_history(negatives, l2, monkeypatch) -> None:
    fields = {"backbone": "simplex", "loss": "sl", "negatives": negatives, "l2": l2, "l2_on": "final"}
    trainer = Trainer(resolve(**{**SMALL, **fields}), PARTS.train)
    monkeypatch.setattr(trainer.step.optimizer, "step", lambda *decay: None)
    batch, model = next(trainer.batches(1)), trainer.backbone
    user = []
    for u, i in zip(batch.user.tolist(), batch.item.tolist(), strict=True):
        others = [j for j in PARTS.train.indices[PARTS.train.user_of == u] if j != i]
        user.append(0.5 * model.user[u] + 0.5 * model.item[others].mean(0) @ model.values)
    user, item, ids = torch.stack(user), model.item, batch.negatives.drawn()
    pos, neg = scoring.batch_scores(user, item, batch.item, batch.negatives, "cosine", "torch")
    squares = user.square().sum() + item[batch.item].square().sum()
    squares = squares + (item[ids].square().sum() if ids is not None else 0)
    expected = trainer.step.objective.loss(pos, neg).mean() + l2 * squares / (2 * len(pos))
    expected.backward()
    gradient, item.grad = item.grad.clone(), None
    value, _ = trainer.step(batch, 1, 1)
    assert value == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(item.grad, gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("negatives", ["uniform:8", "in-batch", "full"])
def test_a_dropout_of_the_unit_vector_leaves_the_others_longer(negatives) -> None:
    fields = {"loss": "sl", "negatives": negatives, "user_dropout": 0.5, "user_dropout_on": "unit", "kernel": "auto"}
    trainer = Trainer(resolve(**{**SMALL, **fields}), PARTS.train)
    batch, model = next(trainer.batches(1)), trainer.backbone
    unit = torch.nn.functional.normalize(model.user[batch.user])
    kept = unit * trainer.step.forward.dropout_mask(batch.row, unit, 1)
    items = torch.nn.functional.normalize(model.item)
    scores = kept @ items.T
    pos = scores[torch.arange(len(kept)), batch.item]
    drawn = batch.negatives.drawn()
    chosen = None if drawn is None else drawn.view(len(kept), 8)
    chosen = batch.item.expand(len(kept), -1) if negatives == "in-batch" else chosen
    neg = scores if chosen is None else scores.gather(1, chosen)
    if batch.negatives.absent is not None:
        neg = neg.masked_fill(batch.negatives.absent.to_dense(), -torch.inf)
    expected = trainer.step.objective.loss(pos, neg).mean()
    value, _ = trainer.step(batch, 1, 1)
    assert value == pytest.approx(expected.item(), rel=1e-5)


def test_many_shared_negatives_are_streamed_with_the_same_gradients(monkeypatch) -> None:
    found = []
    for worth in (1 << 62, 0):
        monkeypatch.setattr(layouts, "SHARED_WORTH", worth)
        trainer = Trainer(resolve(**{**SMALL, "loss": "sl", "negatives": "shared:50", "kernel": "auto"}), PARTS.train)
        batch = next(trainer.batches(1))
        assert trainer.step.forward.streamed(batch) == (worth == 0)
        value, _ = trainer.step(batch, 1, 1)
        found.append((value, trainer.ranker().item))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-6)


def test_the_best_epoch_is_kept_and_patience_ends_the_run() -> None:
    trained = train(loss="sl", epochs=60, patience=2, lr=0.05)
    values = [record.metrics["ndcg@20"] for record in trained.records]
    assert trained.best is not None
    assert trained.best.epoch == 1 + int(np.argmax(values))
    assert len(values) == trained.best.epoch + 2 < 60
    rerun = train(loss="sl", epochs=trained.best.epoch, patience=60, lr=0.05)
    assert np.array_equal(rerun.ranker.item, trained.ranker.item)


def test_without_validation_every_epoch_is_trained_and_the_last_is_kept() -> None:
    trained = Trainer(resolve(**SMALL), PARTS.train).fit()
    assert [record.epoch for record in trained.records] == [1, 2, 3]
    assert trained.best is trained.records[-1]


def test_a_value_that_is_not_finite_stops_in_that_step_and_says_where() -> None:
    trainer = Trainer(resolve(**SMALL, loss="sl", lr=0.25), PARTS.train)
    with torch.no_grad():
        trainer.backbone.embed().ego_user[5] = torch.nan
    with pytest.raises(NonFiniteError, match=r"epoch 1, step \d+: .*tau=0.1, lr 0.25"):
        trainer.fit()


def test_progress_counts_steps_and_carries_records() -> None:
    seen: list[Progress] = []
    Trainer(resolve(**SMALL, loss="sl"), PARTS.train, PARTS.valid, seen.append).fit()
    steps = -(-len(PARTS.train) // 64)
    assert [p.step for p in seen[:steps]] == list(range(1, steps + 1))
    assert [p.record is not None for p in seen[: steps + 1]] == [False] * steps + [True]
    assert len(seen) == 3 * (steps + 1)


def test_an_interrupt_ends_at_a_step_with_the_best_weights() -> None:
    def interrupt(progress: Progress) -> None:
        if progress.epoch == 2 and progress.step == 1 and progress.record is None:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background of a shell
    trained = Trainer(resolve(**SMALL, loss="sl"), PARTS.train, PARTS.valid, interrupt).fit()
    assert trained.stopped_by == signal.SIGINT
    assert [record.epoch for record in trained.records] == [1]
    assert np.array_equal(trained.ranker.user, train(loss="sl", epochs=1).ranker.user)
    assert signal.getsignal(signal.SIGINT) is before


def test_groups_that_hardly_exist_are_reported() -> None:
    lonely = Interactions.from_pairs(np.arange(50), np.arange(50) % 7)
    trained = Trainer(resolve(**{**SMALL, "loss": "bsl", "epochs": 1}), lonely).fit()
    assert any("warning" in note and "user-blocks" in note for note in trained.notes)
    assert not any("warning" in note for note in train(loss="bsl", epochs=1).notes)


def test_a_user_who_has_everything_is_skipped_and_counted() -> None:
    log = Interactions.from_pairs([0] * 5 + [1, 2], [0, 1, 2, 3, 4, 1, 3])
    trained = Trainer(resolve(**{**SMALL, "loss": "sl", "negatives": "uniform:4:true", "epochs": 1}), log).fit()
    assert trained.records[0].rows_without_negatives == 5
    assert np.isfinite(trained.ranker.user).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": "mml", "train_score": "dot"}, "defined on cosine"),
        ({"device": "cuda:0"}, "no GPU|not"),
        ({"device": "tpu"}, "device 'tpu'"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(fields: dict, message: str) -> None:
    if "cuda" in fields.get("device", "") and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match=message):
        train(**fields)


def test_no_training_pairs() -> None:
    with pytest.raises(UsageError, match="0 interactions"):
        Trainer(resolve(), Interactions.from_pairs([], []))


def test_a_run_without_a_number_of_threads_takes_all_again() -> None:
    before = torch.get_num_threads()
    Trainer(resolve(**SMALL, threads=1), PARTS.train)
    assert torch.get_num_threads() == 1
    Trainer(resolve(**SMALL), PARTS.train)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"scores": "torch"}),
        ({"kernel": "numba"}, {"scores": "numba"}),
        ({"negatives": "full", "kernel": "numba"}, {"scores": "numba"}),
        ({"negatives": "in-batch", "kernel": "numba", "backbone": "lightgcn"}, {"scores": "torch", "hop": "numba"}),
        ({"backbone": "lightgcn"}, {"scores": "torch", "hop": "torch"}),
    ],
)
def test_it_says_which_kernels_ran(fields, expected) -> None:
    if available()["numba"] != "ok" and fields.get("kernel") == "numba":
        pytest.skip("numba does not work here")
    trained = train(**{"loss": "sl", "epochs": 1, **fields})
    assert trained.kernels == {**expected, "tables": fields.get("kernel", "torch")}


@pytest.mark.parametrize(("rows", "got"), [(range(10), "10"), ([*range(200), 0] * 9, "more than [0-9,]+")])
def test_an_order_that_gives_too_few_or_too_many_rows_is_refused(rows, got, monkeypatch) -> None:
    trainer = Trainer(resolve(**SMALL), PARTS.train, PARTS.valid)
    given = np.array(rows, dtype=np.int64)
    monkeypatch.setattr(type(trainer.order), "batches", lambda self, epoch: iter(np.array_split(given, 5)))
    with pytest.raises(UsageError, match=rf"order shuffled gave {got} rows in epoch 1, the training log has [0-9,]+;"):
        trainer.fit()
