"""One door to data: a named set, a path, a frame, a matrix, or interactions made already."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taurec.data.catalog import DATASETS, load
from taurec.data.interactions import Interactions
from taurec.data.parts import align, disjoint
from taurec.data.readers import ReadReport, read_log, read_split
from taurec.data.split import Split, split, split_given
from taurec.errors import DataError, UsageError, did_you_mean
from taurec.run import Run


@dataclass(frozen=True)
class Opened:
    """Data as found: one log, or a given division into training and test.

    Attributes:
        name: what it is called in a run: the set's name or the path.
        log: all interactions, where no division was given.
        train, test: the given parts otherwise; ``valid`` too, where it is given.
        report: how a file was read (guessed columns, counts, notes), if it was one.
    """

    name: str
    log: Interactions | None = None
    train: Interactions | None = None
    test: Interactions | None = None
    valid: Interactions | None = None
    report: ReadReport | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def given(self) -> bool:
        """Whether the division into training and test came with the data."""
        return self.train is not None

    def everything(self) -> Interactions:
        """All interactions, whatever their part."""
        parts = [part for part in (self.log, self.train, self.valid, self.test) if part is not None]
        return functools.reduce(Interactions.union, parts)

    def split(self, valid: float, seed: int) -> Split:
        """The given division; a validation part is cut from training where none is given."""
        assert self.train is not None
        assert self.test is not None
        if self.valid is not None:
            return Split(self.train, self.valid, self.test, "files")
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
        if reading:
            raise UsageError(f"{source!r} is a named set, read in one way only; {', '.join(reading)} is for files")
        found = load(source)
        if found.test is None:
            return Opened(source, log=found.train)
        return Opened(source, train=found.train, test=found.test, valid=found.valid)
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            return _open_folder(path, reading)
        if not path.exists() and path.suffix == "" and path.parent == Path(".") and source != "-":
            raise DataError(f"{source!r} is neither a file here nor a named set{did_you_mean(str(source), DATASETS)}")
        if "unknown" in reading:
            raise UsageError(f"{source} is one file; unknown= (--unknown) is for folders with train and test files")
        log, report = read_log(path, **reading)
        return Opened(str(path), log, report=report, notes=list(report.notes))
    log, report = read_log(source, **reading)
    return Opened("(in memory)", log, report=report, notes=list(report.notes))


def _open_folder(path: Path, reading: dict[str, Any]) -> Opened:
    """A folder with ``train.*`` and ``test.*``, and ``valid.*`` if it is there."""
    notes: list[str] = []
    train, test = read_split(path, on_note=notes.append, **reading)
    found = sorted(file for file in path.iterdir() if file.name.split(".")[0] == "valid")
    if len(found) > 1:
        raise DataError(f"{path}: expected at most one valid.* in the folder, found {', '.join(map(str, found))}")
    valid = None
    if found:
        unknown = reading.pop("unknown", "error")
        valid, report = read_log(found[0], **reading)
        notes += report.notes
        train, valid = align(train, valid, str(found[0]), unknown, notes)
        test = Interactions.from_pairs(
            test.user_of, test.indices, train.users, train.items, time=test.time, weight=test.weight
        )
        disjoint(train, valid, str(path / "train"), str(found[0]))
        disjoint(valid, test, str(found[0]), str(path / "test"))
    return Opened(str(path), train=train, test=test, valid=valid, notes=notes)


def split_source(data: Any, run: Run) -> tuple[Split, str]:
    """The parts of any kind of data under a run's split, and the name of the data.

    Raises: UsageError for another split of data with given parts, and for ``files`` of data without.
    """
    if isinstance(data, Split):
        return data, "(in memory)"
    opened = data if isinstance(data, Opened) else open_source(data, **run.reading)
    if opened.given:
        if run.split not in ("ratio", "files"):
            raise UsageError(
                f"{opened.name} has given training and test parts, so it cannot be split by {run.split!r}; "
                f"leave split= (--split) out"
            )
        return opened.split(run.valid, run.seed), opened.name
    assert opened.log is not None
    if run.split == "files":
        raise UsageError(
            f"{opened.name} is one log, and split 'files' is for data with given parts; give a folder with train "
            f"and test files, or another split= (--split) such as ratio"
        )
    return split(opened.log, run.split, valid=run.valid, test=run.test, seed=run.seed), opened.name
