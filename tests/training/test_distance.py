"""Training and ranking by -|u - v|^2."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from taurec import Recommender, UsageError, planted
from taurec.evaluation.ranking import top_k
from taurec.ranker import DistanceRanker
from taurec.studies.audit.temperature.audit import audit_saved
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

WORLD = planted(n_users=64, n_items=32, n_groups=2, seed=5)
DISTANCE = {"train_score": "neg_sq_dist", "rank_score": "neg_sq_dist"}
FIELDS = {"epochs": 25, "batch_size": 128, "lr": 0.02, "negatives": "uniform:8:true", "seed": 1, "threads": 1}


def trained(loss: str = "sl", **fields):
    settings = {"backbone": {"dim": 16, "init": "normal:0.3"}, "loss": {"tau": 1.0} if loss == "sl" else {}}
    trainer = Trainer(resolve(**{**FIELDS, **DISTANCE, "loss": loss, **fields}, settings=settings), WORLD.log)
    return trainer, trainer.fit().ranker


@pytest.mark.parametrize(("loss", "negatives"), [("sl", "uniform:8:true"), ("sl", "full"), ("hinge", "uniform:8:true")])
def test_it_learns_and_ranks_by_distance(loss: str, negatives: str) -> None:
    trainer, ranker = trained(loss, negatives=negatives)
    user, item = (p.detach().numpy().astype(np.float64) for p in (trainer.backbone.user, trainer.backbone.item))
    expected = -((user[:, None] - item[None]) ** 2).sum(-1)
    everybody = np.arange(len(user))
    np.testing.assert_allclose(ranker.block(everybody), expected, atol=1e-3)  # float32 of values up to about 1,000
    lists = top_k(ranker, everybody, 1, seen=WORLD.log, item_ids=WORLD.log.items)
    assert (lists.items[:, 0] == WORLD.withheld.indices).mean() >= 0.9


def test_a_history_is_the_mean_of_its_items_and_items_keep_their_width() -> None:
    trainer, ranker = trained()
    item = trainer.backbone.item.detach().numpy()
    assert np.array_equal(ranker.item_vectors(), item)
    mean = item[[3, 5]].astype(np.float64).mean(0)
    history = csr_array(np.isin(np.arange(32), (3, 5)).astype(np.float32)[None])
    np.testing.assert_allclose(ranker.from_history(history)[0], -((mean - item) ** 2).sum(-1), atol=1e-3)


def test_a_saved_folder_ranks_to_the_same_bits(tmp_path) -> None:
    model = Recommender("mf", "sl", epochs=2, negatives="uniform:8", threads=1, **DISTANCE).fit(WORLD.log)
    again = Recommender.load(model.save(tmp_path / "model"))
    assert isinstance(again.ranker, DistanceRanker)
    users = np.arange(again.ranker.n_users)
    assert np.array_equal(again.ranker.block(users), model.ranker.block(users))
    assert again.recommend_from_history(["3", "5"], k=3).item == model.recommend_from_history(["3", "5"], k=3).item


def test_what_reads_dot_products_refuses_it() -> None:
    model = Recommender("mf", "sl", epochs=1, negatives="uniform:8", threads=1, **DISTANCE).fit(WORLD.log)
    with pytest.raises(UsageError, match="scores of distances"):
        audit_saved(model, users=4)
    with pytest.raises(UsageError, match="cosine scores"):
        Recommender("mf", "mml", train_score="neg_sq_dist").fit(WORLD.log)
