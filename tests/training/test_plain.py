"""Steps by the rows of a batch against steps on whole tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from taurec import kernels
from taurec.data.planted import planted
from taurec.sampling import NEGATIVES, Uniform
from taurec.training import plain
from taurec.training.plain import TableUpdates, table_updates
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

pytestmark = pytest.mark.skipif(kernels.available()["numba"] != "ok", reason="numba does not work here")

LOG = planted(n_users=150, n_items=120, seed=3, per_user=9).log
SMALL = {"epochs": 2, "batch_size": 32, "user_dropout": 0.1, "settings": {"backbone": {"dim": 16}}, "lr": 0.02}


def fitted(
    whole: bool, monkeypatch: pytest.MonkeyPatch, **fields: object
) -> tuple[TableUpdates, list[np.ndarray], list[float]]:
    if whole:
        monkeypatch.setattr(plain, "table_updates", lambda *shapes: TableUpdates("whole", "whole"))
    else:
        monkeypatch.undo()
    trainer = Trainer(resolve(**{**SMALL, **fields}), LOG)
    trained = trainer.fit()
    assert trainer.step.tables is not None
    vectors = [trained.ranker.user, trained.ranker.item, trained.backbone.user.detach().numpy()]
    return trainer.step.tables.updates, vectors, [record.loss for record in trained.records]


@pytest.mark.parametrize("l2_mode", ["gathered", "sum", "unsquared", "adam"])
@pytest.mark.parametrize(
    ("fields", "items"),
    [
        ({"loss": "sl", "negatives": "in-batch", "batch_size": 16}, "sparse"),
        ({"loss": "sl", "negatives": "shared:12", "batch_size": 16}, "sparse"),
        ({"loss": "bsl", "negatives": "full", "order": "user-blocks:3"}, "whole"),
        ({"loss": "bpr", "negatives": "uniform:1:true"}, "whole"),
    ],
)
def test_the_bits_are_those_of_whole_tables(fields, items, l2_mode, monkeypatch) -> None:
    fields = {**fields, "l2": 1e-3, "l2_mode": l2_mode}
    (took, sparse, losses), (_, whole, expected) = (fitted(w, monkeypatch, **fields) for w in (False, True))
    assert took == ("sparse", items)
    assert all(np.array_equal(a, b) for a, b in zip(sparse, whole, strict=True))
    assert losses == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("l2_mode", ["gathered", "sum", "adam", "tables"])
@pytest.mark.parametrize(
    ("fields", "items"),
    [({"negatives": "uniform:80"}, "unit"), ({"negatives": "uniform:1", "batch_size": 8}, "sparse")],
)
def test_per_row_negatives_agree_closely(fields, items, l2_mode, monkeypatch) -> None:
    fields = {**fields, "loss": "sl", "l2": 1e-3, "l2_mode": l2_mode, "kernel": "numba"}
    (took, mine, losses), (_, whole, expected) = (fitted(w, monkeypatch, **fields) for w in (False, True))
    assert took == ("sparse", items)
    if l2_mode != "tables":  # not all rows are at hand, and L2 has no value
        assert losses == pytest.approx(expected, rel=1e-5)
    # entries whose gradient cancels to rounding move by up to lr a step whatever it is; all others agree
    for a, b in zip(mine, whole, strict=True):
        assert np.quantile(np.abs(a - b), 0.99) <= 1e-4 * np.abs(b).max()


def test_what_asks_for_whole_tables_gets_them() -> None:
    def of(negatives="uniform:800", n_items=38_048, kernel="numba", **fields):
        run = resolve(**{"loss": "sl", "negatives": negatives, **fields})
        sampler = NEGATIVES.build(run.negatives.name, given=run.negatives.settings)
        return table_updates(run, sampler.shape(run.batch_size, n_items), 100_000, n_items, kernel)

    assert of() == ("sparse", "unit")
    assert of(n_items=10_000_000) == ("sparse", "sparse")
    assert of(kernel="torch") == ("sparse", "whole")
    assert of(train_score="dot") == ("sparse", "whole")
    assert of("full") == ("sparse", "whole")
    assert of("in-batch") == ("sparse", "sparse")
    assert of("in-batch", batch_size=25_000) == ("whole", "whole")
    assert of("shared:1000", 5000) == ("sparse", "whole")
    assert of(l2=0.1, l2_mode="unsquared") == ("sparse", "whole")
    assert of(l2=0.1, l2_mode="tables") == ("sparse", "unit")
    assert of("full", l2=0.1, l2_mode="tables") == of(kernel="torch", device="cuda") == ("whole", "whole")
    shape = Uniform(800).shape(1024, 38_048)
    assert table_updates(resolve(kernel="torch"), shape, 31_668, 38_048, "torch") == ("whole", "whole")


def test_validation_and_saving_see_no_row_that_owes_a_step(monkeypatch) -> None:
    seen = []
    trainer = Trainer(resolve(**{**SMALL, "loss": "sl", "negatives": "in-batch"}), LOG)
    settle = trainer.step.settle
    monkeypatch.setattr(trainer.step, "settle", lambda: (settle(), seen.append(trainer.backbone.user.detach().clone())))
    batches = trainer.batches(1)
    trainer.step(next(batches), 1, 1)
    trainer.step(next(batches), 1, 2)
    ranked = trainer.ranker().user
    torch.testing.assert_close(torch.from_numpy(ranked), torch.nn.functional.normalize(seen[0]))
    trainer.fit()
    assert len(seen) == 1 + 2 + 1  # the call above, each epoch's end, the ranker at the end
