"""A CSV file with one line an epoch, written as training goes; needs nothing beyond Python."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class CsvTracker:
    """One line an epoch, and a heading with the names of the first line's values.

    Each line is on disk when the next epoch begins. A later epoch with other values leaves the missing ones empty; a
    new name makes the file be written again with a further column.

    Args:
        path: of the file; an existing one is replaced when the training starts.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._names = ["epoch"]
        self._rows: list[dict[str, Any]] = []

    def start(self, run: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._names, self._rows = ["epoch"], []
        self._write()

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        new = [name for name in values if name not in self._names]
        self._names += new
        self._rows.append({"epoch": epoch, **values})
        if new:
            self._write()
            return
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._names).writerow(self._rows[-1])

    def end(self, summary: Mapping[str, float]) -> None:
        """The file is whole already."""

    def _write(self) -> None:
        beside = self.path.with_name(f".{self.path.name}.tmp-{os.getpid()}")
        with open(beside, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self._names)
            writer.writeheader()
            writer.writerows(self._rows)
        os.replace(beside, self.path)
