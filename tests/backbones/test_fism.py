"""FISM: the worked example of its formulas, identities, layouts of negatives, and laws of training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.recommender import Recommender
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer
from taurec.types import Batch

HISTORIES = [[0, 1], [1, 2, 3], [0, 3]]
USER, ITEM = [0, 0, 1, 1, 1, 2, 2], [0, 1, 1, 2, 3, 0, 3]
LOG = Interactions.from_pairs(USER, ITEM)
P = [[0.5, 0.2], [-0.3, 0.8], [0.6, -0.4], [0.1, 0.9]]
Q = [[0.7, 0.1], [0.2, -0.5], [-0.4, 0.6], [0.3, 0.3]]
COSINE = [5.66839765464, 4.59916183912, 3.35431211284, 0.0933530542738, 0.0579951057209, 1.37148353134, 0.0985492413809]
COSINE_P = [
    [-3.37776664286, 6.65163131358],
    [-0.927433927750, -2.16038319659],
    [0.172473035888, 1.96053012323],
    [-4.3557059944, 3.24992473873],
]
COSINE_Q = [
    [0.619118582921, -4.33383008044],
    [-10.6844367486, -4.27377469945],
    [4.88574632621, 3.25716421748],
    [-4.40835577978, 4.40835577978],
]
DOT = [1.38568310184, 1.31755881048, 0.854482857148, 0.513669033554, 0.752547949042, 1.05107564378, 1.02822177521]
DOT_P = [
    [-0.342505610688, 0.562500027278],
    [0.037698007555, 0.219195634724],
    [0.259991712758, 0.093033785988],
    [0.017558973810, 0.169111015857],
]
DOT_Q = [
    [0.280626604420, 0.059546072624],
    [-0.179766292944, 0.082811851409],
    [0.355573536566, 0.623075177439],
    [-0.143557441511, 0.214830416964],
]
PLAIN = torch.tensor([len(HISTORIES[u]) ** -0.5 for u in USER], dtype=torch.float64)


def made(log: Interactions = LOG, **fields: Any) -> Trainer:
    """A trainer of FISM whose tables are P and Q, in float64."""
    settings = {"backbone": {"dim": 2, **fields.pop("backbone", {})}, "loss": fields.pop("loss_settings", {})}
    given = {"loss": "ssm", "negatives": "full", "batch_size": 64, "threads": 1, **fields}
    found = Trainer(resolve(backbone="fism", settings=settings, **given), log)
    found.backbone.double()
    with torch.no_grad():
        found.backbone.item.copy_(torch.tensor(Q, dtype=torch.float64))
        found.backbone.tables()[0].copy_(torch.tensor(P, dtype=torch.float64))
    return found


def step(trainer: Trainer, kernel: str = "torch") -> tuple[Tensor, list[Tensor]]:
    """The sum over the rows of weight times loss, and its gradients of P and Q."""
    batch = next(trainer.batches(1))
    if batch.weight is not None:
        batch.weight.data = batch.weight.double()
    forward = trainer.step.forward
    value = forward(trainer.step._step_input(forward.embed(batch), batch), batch, 1).value
    weight = torch.ones(len(batch.row)) if batch.weight is None else batch.weight
    value = value * weight.sum()
    return value.detach(), list(torch.autograd.grad(value, list(trainer.backbone.tables())))


def near(found: Tensor, expected: Any) -> None:
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=2e-6)


def test_the_worked_example_of_cosines() -> None:
    value, (of_p, of_q) = step(made(loss_settings={"tau": 0.2}))
    near(value, 10.3237249886)
    near(of_p, COSINE_P)
    near(of_q, COSINE_Q)
    assert float((torch.tensor(P) * of_p).sum()) == pytest.approx(0, abs=1e-6)
    assert (torch.tensor(Q) * of_q).sum(1).tolist() == pytest.approx([0] * 4, abs=1e-6)
    assert float((torch.tensor(COSINE) * PLAIN).sum()) == pytest.approx(10.3237249886)


def test_the_worked_example_of_sl_and_of_the_exact_form() -> None:
    near(step(made(loss="sl", loss_settings={"tau": 0.2}))[0], 5.35713426072)
    value, (of_p, _) = step(made(loss_settings={"tau": 0.2}, backbone={"exact": True}))
    near(value, 12.775245102)
    near(of_p[0], [-3.34123426828, 8.3530856707])


def test_the_worked_example_of_dot_products() -> None:
    dot = {"train_score": "dot", "rank_score": "dot", "loss_settings": {"tau": 1.0}}
    value, (of_p, of_q) = step(made(**dot))
    near(value, 4.6061526158)
    near(of_p, DOT_P)
    near(of_q, DOT_Q)
    both = [float((torch.tensor(t) * g).sum()) for t, g in ((P, of_p), (Q, of_q))]
    assert both == pytest.approx([0.378031630536] * 2, abs=1e-6)
    assert float((torch.tensor(DOT) * PLAIN).sum()) == pytest.approx(4.6061526158)
    near(step(made(**dot, backbone={"exact": True}))[0], 4.39352897823)


def test_the_worked_example_of_a_history() -> None:
    for score, expected in (
        ("cosine", [0.332820117735, -0.837610596839, 0.707106781187, 0.832050294338]),
        ("dot", [0.169705627485, -0.325269119346, 0.367695526217, 0.254558441227]),
    ):
        trainer = made(train_score=score, rank_score=score)
        trainer.backbone.float()
        ranker = trainer.ranker()
        np.testing.assert_allclose(ranker.block(np.array([0]))[0], expected, rtol=0, atol=1e-6)
        formula = ranker.fold_in()
        assert formula is not None
        np.testing.assert_allclose(formula.scores([0, 1]), expected, rtol=0, atol=1e-6)


WORLD = planted(n_users=24, n_items=20, n_groups=2, seed=3).log
RANDOM = np.random.default_rng(0).normal(size=(2, 20, 4))


def filled(loss: str, negatives: str, **fields: Any) -> Trainer:
    """A trainer with the random tables, in float64, whose first batch has all rows."""
    backbone = {"dim": 4, **fields.pop("backbone", {})}
    run = resolve(
        backbone="fism", loss=loss, negatives=negatives, batch_size=1000, threads=1, l2=fields.pop("l2", 0.0),
        settings={"backbone": backbone, "loss": fields.pop("loss_settings", {})}, **fields,
    )  # fmt: skip
    trainer = Trainer(run, WORLD)
    trainer.backbone.double()
    history, item = trainer.backbone.tables()
    with torch.no_grad():
        item.copy_(torch.from_numpy(RANDOM[1]))
        if history is not item:
            history.copy_(torch.from_numpy(RANDOM[0]))
    return trainer


def reference(trainer: Trainer, exact: bool = False) -> tuple[Tensor, list[Tensor]]:
    """The weighted mean of the loss, pair by pair, from the formulas and the negatives that were drawn."""
    batch = next(trainer.batches(1))
    p, q = (table.detach().clone().requires_grad_() for table in trainer.backbone.tables())
    if trainer.backbone.tables()[0] is trainer.backbone.tables()[1]:
        p = q
    loss, run = trainer.step.objective.loss, trainer.run
    cosine = run.train_score == "cosine"
    items, absent = batch.negatives.items(batch.item), batch.negatives.absent
    columns = torch.arange(WORLD.n_items) if items is None else items
    columns = columns.expand(len(batch.row), -1) if columns.ndim == 1 else columns
    gone = torch.zeros(columns.shape, dtype=torch.bool) if absent is None else absent.to_dense()
    pos, neg = [], []
    for b, (u, j) in enumerate(zip(batch.user.tolist(), batch.item.tolist(), strict=True)):
        own = WORLD.items_of(u).tolist()
        z = sum(p[i] for i in own) / len(own) ** 0.5
        v = z - p[j] / len(own) ** 0.5

        def score(x: Tensor, k: int) -> Tensor:
            return torch.nn.functional.cosine_similarity(x, q[k], dim=0) if cosine else x @ q[k]

        pos.append(score(v, j))
        absent_score = torch.tensor(-math.inf, dtype=torch.float64)
        row = zip(columns[b].tolist(), gone[b].tolist(), strict=True)
        neg.append(torch.stack([absent_score if g else score(v if exact else z, k) for k, g in row]))
    side = {"group": batch.user} if "group" in loss.needs else {}
    values = loss(torch.stack(pos), torch.stack(neg), **side)
    weight = torch.tensor([WORLD.user_counts[u] ** -run.user_weight for u in batch.user.tolist()])
    value = (values * weight).sum() / weight.sum()
    return value.detach(), list(torch.autograd.grad(value, [p] if p is q else [p, q]))


def ours(trainer: Trainer) -> tuple[Tensor, list[Tensor]]:
    """The same by a step's forward pass."""
    batch = next(trainer.batches(1))
    if batch.weight is not None:
        batch = Batch(batch.user, batch.item, batch.row, batch.negatives, batch.weight.double())
    forward = trainer.step.forward
    value = forward(trainer.step._step_input(forward.embed(batch), batch), batch, 1).value
    tables = trainer.backbone.tables()
    return value.detach(), list(torch.autograd.grad(value, list(tables[:1] if tables[0] is tables[1] else tables)))


@pytest.mark.parametrize("kernel", ["auto", "torch"])
@pytest.mark.parametrize("train_score", ["cosine", "dot"])
@pytest.mark.parametrize(
    ("loss", "negatives"),
    [
        ("ssm", "full"), ("ssm", "uniform:7"), ("ssm", "popularity:7"), ("ssm", "shared:9"), ("ssm", "in-batch"),
        ("sl", "full"), ("bsl", "full"), ("bpr", "full"), ("bpr", "uniform:3"), ("psl-tanh", "full"),
        ("mml", "full"), ("sl", "mixed:5"), ("ssm", "noisy:5"),
    ],
)  # fmt: skip
def test_every_layout_agrees_with_the_formulas(loss: str, negatives: str, train_score: str, kernel: str) -> None:
    if train_score == "dot" and loss in ("mml", "psl-tanh"):
        pytest.skip("defined on cosines")
    trainer = filled(loss, negatives, train_score=train_score, rank_score=train_score, kernel=kernel)
    expected, found = reference(trainer), ours(trainer)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-6, atol=1e-7)
    for one, two in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("backbone", [{"exact": True}, {"tied": True}, {"exact": True, "tied": True}])
@pytest.mark.parametrize("negatives", ["full", "uniform:7"])
def test_exact_and_tied_agree_with_the_formulas(backbone: dict[str, bool], negatives: str) -> None:
    trainer = filled("ssm", negatives, backbone=backbone)
    expected, found = reference(trainer, backbone.get("exact", False)), ours(trainer)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-6, atol=1e-7)
    for one, two in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)


def test_rows_of_a_user_share_one_draw_without_the_users_items() -> None:
    batch = next(filled("ssm", "uniform:7").batches(1))
    once = batch.negatives.once()
    assert once is not None
    assert len(once.first) == WORLD.n_users
    ids = batch.negatives.items(batch.item)
    for u in range(WORLD.n_users):
        of_user = ids[batch.user == u]
        assert (of_user == of_user[0]).all()
        assert not np.isin(of_user.numpy(), WORLD.items_of(u)).any()


def test_further_positives_are_scored_without_themselves() -> None:
    """MSCL on one further positive, which by its formula is scored as a pair of its own."""
    trainer = filled("mscl", "full", loss_settings={"positives": 2})
    batch = next(trainer.batches(1))
    forward = trainer.step.forward
    embeddings = forward.embed(batch)
    done = forward(trainer.step._step_input(embeddings, batch), batch, 1)
    more = batch.negatives.drawn()[: len(batch.row)]
    history, item = trainer.backbone.tables()
    share = torch.from_numpy(WORLD.user_counts[batch.user.numpy()] ** -0.5)
    v = done.user - share[:, None] * history[more]
    expected = torch.nn.functional.cosine_similarity(v, item[more])
    given = (done.user, item, batch.item, batch.negatives)
    found = forward._more(done.user, given, embeddings.left_out, None)[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_embedding_losses_get_the_vector_without_the_item() -> None:
    trainer = filled("directau", "none")
    seen = []
    loss = trainer.step.objective.loss
    batch = next(trainer.batches(1))
    vectors = trainer.step.forward
    embeddings = vectors.embed(batch)
    object.__setattr__(
        trainer.step.objective, "of_vectors", lambda user, item, *rest: (seen.append(user), (loss(user, item), 0))[1]
    )
    vectors(trainer.step._step_input(embeddings, batch), batch, 1)
    b = 5
    own = [i for i in WORLD.items_of(int(batch.user[b])) if i != int(batch.item[b])]
    expected = torch.from_numpy(RANDOM[0])[own].sum(0)
    torch.testing.assert_close(seen[0][b].detach(), expected / expected.norm())


def small(**fields: Any) -> Recommender:
    given = {"epochs": 3, "batch_size": 64, "threads": 1, "settings": {"backbone": {"dim": 8}}, **fields}
    return Recommender("fism", "ssm", **given)


def test_a_known_user_and_a_new_one_with_the_same_history_have_the_same_scores(tmp_path: Path) -> None:
    for score in ("cosine", "dot"):
        model = small(train_score=score, rank_score=score).fit(WORLD)
        loaded = Recommender.load(model.save(tmp_path / score))
        users = np.arange(WORLD.n_users)
        known = model.ranker.block(users)
        np.testing.assert_array_equal(known, model.ranker.from_history(model.split.train.csr()))
        np.testing.assert_array_equal(known, loaded.ranker.block(users))
        np.testing.assert_array_equal(known, loaded.ranker.from_history(model.split.train.csr()))
        formula, state = loaded.ranker.fold_in(), loaded.ranker.state()
        assert formula is not None
        np.testing.assert_allclose(formula.scores(model.split.train.items_of(3).tolist()), known[3], atol=1e-5)
        assert "user" not in state
        np.testing.assert_array_equal(loaded.ranker.item_vectors(), state["target"])
        assert loaded.ranker.folds_in


def test_a_history_is_summed_in_one_order() -> None:
    ranker = small().fit(WORLD).ranker
    given = csr_array((np.ones(3, "f4"), np.array([7, 2, 5]), np.array([0, 3])), shape=(1, WORLD.n_items))
    assert not given.has_sorted_indices
    ascending = csr_array((np.ones(3, "f4"), np.array([2, 5, 7]), np.array([0, 3])), shape=(1, WORLD.n_items))
    np.testing.assert_array_equal(ranker.from_history(given), ranker.from_history(ascending))
    assert not given.has_sorted_indices


def test_somebody_without_a_history_has_scores_of_zero() -> None:
    nobody = csr_array((1, WORLD.n_items), dtype="f4")
    assert not small().fit(WORLD).ranker.from_history(nobody).any()


LARGE = planted(n_users=400, n_items=300, seed=2).log


@pytest.mark.parametrize("negatives", ["full", "uniform:64", "in-batch"])
def test_the_bits_are_the_same_for_any_number_of_threads(negatives: str) -> None:
    settings = {"backbone": {"dim": 32}}
    fields = {"negatives": negatives, "settings": settings, "epochs": 2, "batch_size": 1500}
    one, two = (small(threads=n, **fields).fit(LARGE).ranker.state() for n in (1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


def test_a_resumed_run_has_the_same_bits(tmp_path: Path) -> None:
    whole = small(epochs=4).fit(WORLD).ranker.state()
    part = small(epochs=4).fit(WORLD, resume=tmp_path / "at", seconds=0)
    assert not part.finished
    rest = small(epochs=4).fit(WORLD, resume=tmp_path / "at")
    assert rest.finished
    for name, value in whole.items():
        np.testing.assert_array_equal(rest.ranker.state()[name], value)


def test_users_with_one_item_are_ranked_but_not_trained() -> None:
    log = Interactions.from_pairs([0, 0, 1, 2, 2, 3], [0, 1, 2, 1, 3, 0])
    run = resolve(backbone="fism", loss="ssm", batch_size=4, epochs=1, settings={"backbone": {"dim": 4}})
    trainer = Trainer(run, log)
    assert sorted(torch.cat([batch.user for batch in trainer.batches(1)]).tolist()) == [0, 0, 2, 2]
    trained = trainer.fit()
    assert trained.records[0].rows_without_negatives == 2
    scores = trained.ranker.block(np.arange(4))
    assert scores[1].any()
    np.testing.assert_array_equal(scores, trained.ranker.from_history(log.csr()))


def test_a_log_without_users_of_two_items_is_refused() -> None:
    run = resolve(backbone="fism", loss="ssm")
    with pytest.raises(UsageError, match=r"fism learns from none of the 2 interactions, .*; use another backbone"):
        Trainer(run, Interactions.from_pairs([0, 1], [0, 1]))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="exponent of the length of a history and must be at least 0, got -1"):
        resolve(backbone="fism", settings={"backbone": {"alpha": -1}})


def test_its_preset() -> None:
    full = resolve(backbone="fism", loss="ssm")
    assert (full.negatives.name, full.order.name, full.user_weight) == ("full", "whole-users", 0.5)
    assert resolve(backbone="fism", loss="bpr").negatives.text == resolve(loss="bpr").negatives.text
    assert resolve(backbone="fism", loss="bsl").order.name == "whole-users"
    assert resolve(backbone="fism", loss="directau").user_weight == 0
    assert resolve(loss="ssm").user_weight == 0
    given = resolve(backbone="fism", loss="ssm", user_weight=0, negatives="uniform:5", order="shuffled")
    assert (given.negatives.name, given.order.name, given.user_weight) == ("uniform", "shuffled", 0)


def test_l2_is_that_of_the_tables_of_items() -> None:
    plain, penalised = (filled("ssm", "full", l2=l2, l2_mode="gathered") for l2 in (0.0, 0.2))
    batch = next(plain.batches(1))
    history, item = (torch.from_numpy(table)[batch.item] for table in RANDOM)
    expected = 0.2 * (history.square().sum() + item.square().sum()) / (2 * len(batch.row))
    torch.testing.assert_close(ours(penalised)[0] - ours(plain)[0], expected)
    tables = filled("ssm", "full", l2=0.2, l2_mode="tables")
    expected = 0.1 * torch.from_numpy(RANDOM).square().sum()
    torch.testing.assert_close(ours(tables)[0] - ours(plain)[0], expected)
