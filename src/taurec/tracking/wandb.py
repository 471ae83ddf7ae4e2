"""Weights & Biases, offline: a folder that ``wandb sync`` can send later, if and where its owner wants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class WandbTracker:
    """Settings and machine as configuration, numbers by epoch.

    Always offline: nothing is sent, no account is needed.

    Args:
        folder: the run is written below ``FOLDER/wandb``.
    """

    def __init__(self, folder: str):
        self.folder = Path(folder)
        self._run: Any = None

    def start(self, run: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True)
        config = {"run": dict(run), "machine": dict(facts)}
        self._run = wandb.init(
            project="taurec", dir=str(self.folder), mode="offline", config=config, settings=settings, reinit=True
        )
        self._run.define_metric("*", step_metric="epoch")

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        self._run.log({"epoch": epoch, **values})

    def end(self, summary: Mapping[str, float]) -> None:
        self._run.summary.update(dict(summary))
        self._run.finish()
