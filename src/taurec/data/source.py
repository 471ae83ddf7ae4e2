"""One door to data: a named set, a path, a frame, a matrix, or interactions made already."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taurec.data.catalog import DATASETS, load
from taurec.data.interactions import Interactions
from taurec.data.readers import ReadReport, read_log, read_split
from taurec.data.split import Split, split_given
from taurec.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Opened:
    """Data as found: one log, or a given division into training and test.

    Attributes:
        name: what it is called in a run: the set's name or the path.
        log: all interactions, where no division was given.
        train, test: the given parts otherwise.
        report: how a file was read (guessed columns, counts, notes), if it was one.
    """

    name: str
    log: Interactions | None = None
    train: Interactions | None = None
    test: Interactions | None = None
    report: ReadReport | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def given(self) -> bool:
        """Whether the division into training and test came with the data."""
        return self.train is not None

    def split(self, valid: float, seed: int) -> Split:
        """The given division, with a validation part cut from training."""
        assert self.train is not None
        return split_given(self.train, self.test, valid=valid, seed=seed)


def open_source(source: Any, **reading: Any) -> Opened:
    """Open any kind of data.

    Args:
        source: a name of :data:`taurec.data.catalog.DATASETS`, a path to a file or to a folder with
            train and test files, a frame, a scipy matrix, or :class:`Interactions`.
        reading: column names and format, as in :func:`taurec.data.readers.read_interactions`.
    Raises: DataError for a name or path that is neither a set nor a file, and for what a file holds.
    """
    if isinstance(source, Interactions):
        return Opened("(in memory)", log=source)
    if isinstance(source, str) and source in DATASETS:
        found = load(source)
        return Opened(source, found.log, found.train, found.test, notes=list(found.notes))
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            train, test = read_split(path)
            return Opened(str(path), train=train, test=test)
        if not path.exists() and path.suffix == "" and path.parent == Path("."):
            raise DataError(f"{source!r} is neither a file here nor a named set{did_you_mean(str(source), DATASETS)}")
        log, report = read_log(path, **reading)
        return Opened(str(path), log, report=report, notes=list(report.notes))
    log, report = read_log(source, **reading)
    return Opened("(in memory)", log, report=report, notes=list(report.notes))
