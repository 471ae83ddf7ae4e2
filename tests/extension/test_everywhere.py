"""Every kind of part from outside the package trains, resumes after a kill, saves, loads, compares and has a page."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.extension.test_backbone import ScaledMF
from tests.extension.test_baseline import Recent
from tests.extension.test_batch_loss import WorstRows
from tests.extension.test_catalogue_loss import MeanGap
from tests.extension.test_embedding_loss import AlignUniform
from tests.extension.test_hard_negatives import HardestOfPool
from tests.extension.test_layout import Pooled
from tests.extension.test_learned_loss import UserMargin
from tests.extension.test_metric import first_is_hit
from tests.extension.test_order import UserByUser

import taurec
from taurec.report.page import render
from taurec.report.result_page import result_page
from taurec.testing import check_recommender

FIELDS = {"epochs": 4, "batch_size": 128, "kernel": "torch", "threads": 1}
TRAINED: dict[str, dict[str, Any]] = {
    "mf:MeanGap full": {"backbone": "mf", "loss": MeanGap(0.25), "negatives": "full"},
    "mf:sl HardestOfPool": {"backbone": "mf:8", "loss": "sl", "negatives": HardestOfPool()},
    "mf:sl Pooled": {"backbone": "mf", "loss": "sl", "negatives": Pooled()},
    "mf:AlignUniform": {"backbone": "mf", "loss": AlignUniform()},
    "mf:WorstRows": {"backbone": "mf", "loss": WorstRows()},
    "mf:UserMargin": {"backbone": "mf", "loss": UserMargin()},
    "ScaledMF:sl": {"backbone": ScaledMF, "loss": "sl"},
    "mf:bsl UserByUser": {"backbone": "mf", "loss": "bsl", "order": UserByUser()},
}
ALL = {**TRAINED, "Recent": {"model": Recent()}}


def recommender(label: str) -> taurec.Recommender:
    return taurec.Recommender(**ALL[label], **(FIELDS if label in TRAINED else {}))


@pytest.mark.parametrize("label", ALL)
def test_it_trains_saves_loads_and_recommends(label: str) -> None:
    check_recommender(lambda: recommender(label))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoint of each trained model, whose process was killed in its second epoch."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", f"from {__name__} import kill_all; kill_all({str(folder)!r})"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    return folder


def kill_all(folder: str) -> None:
    """Train each model in a process that kills itself after the first epoch."""
    log = taurec.planted(n_users=60, n_items=40, seed=1).log

    def kill(progress) -> None:
        if progress.epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    for n, label in enumerate(TRAINED):
        child = os.fork()
        if child == 0:
            path = Path(folder) / str(n)
            recommender(label).fit(log, resume=path, seconds=0)
            recommender(label).fit(log, kill, resume=path)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, label


@pytest.mark.parametrize("label", TRAINED)
def test_killed_it_resumes_to_the_same_bits(label: str, killed: Path, log) -> None:
    whole, path = recommender(label).fit(log), killed / str(list(TRAINED).index(label))
    resumed = recommender(label).fit(log, resume=path)
    assert any(note.startswith("going on after epoch 1") for note in resumed.notes)
    assert [record.loss for record in resumed.records] == [record.loss for record in whole.records]
    assert np.array_equal(resumed.embeddings()[1], whole.embeddings()[1])


@pytest.fixture(scope="module")
def found(log):
    metrics = ["ndcg@20", f"{first_is_hit.__module__}:first_is_hit@5"]
    return taurec.compare(log, list(ALL.values()), tune="none", metrics=metrics, fields={**FIELDS, "epochs": 1})


@pytest.mark.parametrize("label", ALL)
def test_it_is_compared_and_has_a_page(label: str, found) -> None:
    assert 0 <= found.row(label).metrics[f"{first_is_hit.__module__}:first_is_hit@5"].mean <= 1
    html = render(result_page(replace(found, chosen=found.models[label])))
    assert f"Use {label}: it is the best on validation" in html
    assert f'"label": "{label}"' in html or label == "Recent"
