"""TensorBoard: a folder of event files for ``tensorboard --logdir``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class TensorBoardTracker:
    """Scalars by epoch, the settings and the machine as texts.

    Args:
        folder: a new file of events is written into it, beside those that are there.
    """

    def __init__(self, folder: str):
        self.folder = folder
        self._writer: Any = None

    def start(self, run: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(self.folder)
        for name, content in (("run", run), ("machine", facts)):
            text = json.dumps(content, indent=2, default=str).replace("\n", "\n    ")
            self._writer.add_text(name, f"    {text}")

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def end(self, summary: Mapping[str, float]) -> None:
        for name, value in summary.items():
            self._writer.add_scalar(f"summary/{name}", value, 0)
        self._writer.close()
