"""The module in its host: Lightning's Trainer on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from taurec import BASELINES
from taurec.adapters import lightning_module
from taurec.data.planted import planted
from taurec.errors import NonFiniteError, UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.losses import SSM
from taurec.run import Run
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

host = pytest.importorskip("lightning.pytorch")
WORLD = planted(n_users=64, n_items=32, n_groups=2, seed=5)


def run_of(**fields: Any) -> Run:
    settings = {"backbone": {"dim": 8}, **fields.pop("settings", {})}
    given = {"epochs": 2, "batch_size": 128, "lr": 0.02, "kernel": "torch", "threads": 1, "seed": 1, **fields}
    return resolve(**given, settings=settings)


def fit(module: Any, epochs: int = 2, **fields: Any) -> Any:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = host.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, enable_model_summary=False, **quiet, **fields
    )
    trainer.fit(module)
    return trainer


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": "sl", "negatives": "uniform:8", "l2": 0.01},
        {"loss": "ssm", "negatives": "cross-batch:64:0", "backbone": "lightgcn", "l2": 0.01, "l2_mode": "adam"},
        {"loss": "mawu", "backbone": "simplex", "user_dropout": 0.1},
        {"loss": "cml", "negatives": "dns:4"},
        {"loss": "talos", "negatives": "full"},
    ],
    ids=["mf", "memory", "learned", "distances", "thresholds"],
)
def test_the_weights_are_those_of_our_loop(fields: dict[str, Any]) -> None:
    """The same batches, draws and objective: what differs is who makes the step."""
    module = lightning_module(run_of(**fields), WORLD.log)
    fit(module)
    ours = Trainer(run_of(**fields), WORLD.log).fit()
    for found, wanted in ((module.ranker().user, ours.ranker.user), (module.ranker().item, ours.ranker.item)):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


def test_the_loss_is_ours_of_the_same_scores() -> None:
    module = lightning_module(run_of(loss="ssm:0.2", negatives="in-batch"), WORLD.log)
    batch = next(iter(module.train_dataloader()))
    done = module.scored(batch, 1, 1)
    with torch.no_grad():
        unit = [torch.nn.functional.normalize(x, dim=1) for x in (module.backbone.user, module.backbone.item)]
        scores = unit[0][batch.user] @ unit[1][batch.item].T
        neg = scores.masked_fill(batch.negatives.absent, -torch.inf)
        torch.testing.assert_close(done.value.detach(), SSM(0.2)(scores.diag(), neg).mean())


def test_it_ranks_above_popularity_and_logs_what_is_validated() -> None:
    module = lightning_module(run_of(loss="sl", negatives="uniform:8:true"), WORLD.log, WORLD.withheld)
    trainer = fit(module, epochs=8)
    popularity = BASELINES.build("popularity").fit(WORLD.log)
    given = WORLD.withheld, WORLD.log, ["ndcg@20"]
    found, base = (evaluate_ranker(r, *given).means()["ndcg@20"] for r in (module.ranker(), popularity))
    assert float(trainer.callback_metrics["ndcg@20"]) == pytest.approx(found, abs=1e-6)
    assert found > 1.2 * base


def test_a_checkpoint_holds_what_the_loss_and_the_sampler_remember(tmp_path: Path) -> None:
    run = run_of(loss="talos", negatives="cross-batch:64:0")
    module = lightning_module(run, WORLD.log)
    fit(module).save_checkpoint(tmp_path / "two.ckpt")
    resumed, whole = lightning_module(run, WORLD.log), lightning_module(run, WORLD.log)
    fit(whole, epochs=3)
    trainer = host.Trainer(
        max_epochs=3, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(resumed, ckpt_path=tmp_path / "two.ckpt")
    np.testing.assert_allclose(resumed.ranker().item, whole.ranker().item, rtol=1e-4, atol=1e-5)


def test_what_lightning_does_or_cannot_do_is_refused() -> None:
    with pytest.raises(UsageError, match=r"clip_norm=2 is done by Lightning; .* gradient_clip_val=2"):
        lightning_module(run_of(clip_norm=2.0), WORLD.log)
    with pytest.raises(UsageError, match="lr_schedule='cosine' is done by Lightning"):
        lightning_module(run_of(lr_schedule="cosine"), WORLD.log)
    with pytest.raises(UsageError, match="this run draws none"):
        lightning_module(run_of(negatives="none"), WORLD.log)
    module = lightning_module(run_of(loss="sl"), WORLD.log)
    module.backbone.user.data.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="epoch 1, step 1: the loss is not finite"):
        fit(module)
    module = lightning_module(run_of(loss="sl"), WORLD.log)
    module.backbone.user.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(NonFiniteError, match="epoch 1, step 1: the gradient of user is not finite"):
        fit(module)
    with pytest.raises(UsageError, match="ease is a baseline, which has no training loop"):
        lightning_module(resolve(model="ease"), WORLD.log)
