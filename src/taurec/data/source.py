"""One door to data: a named set, a path, a frame, a matrix, or interactions made already."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from taurec.data.catalog import DATASETS, load
from taurec.data.interactions import Interactions
from taurec.data.parts import align, disjoint, parts_of
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
        history: rows of held-out users from which they are ranked, where the given parts hold users out.
        report: how a file was read (guessed columns, counts, notes), if it was one.
    """

    name: str
    log: Interactions | None = None
    train: Interactions | None = None
    test: Interactions | None = None
    valid: Interactions | None = None
    history: Interactions | None = None
    report: ReadReport | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def given(self) -> bool:
        """Whether the division into training and test came with the data."""
        return self.train is not None

    def everything(self) -> Interactions:
        """All interactions, whatever their part."""
        parts = [part for part in (self.log, self.train, self.valid, self.test, self.history) if part is not None]
        return functools.reduce(Interactions.union, parts)

    def split(self, valid: float, seed: int) -> Split:
        """The given division; a validation part is cut from training where none is given."""
        assert self.train is not None
        assert self.test is not None
        if self.valid is not None:
            parts = Split(self.train, self.valid, self.test, "files")
        else:
            parts = split_given(self.train, self.test, valid=valid, seed=seed)
        return parts if self.history is None else replace(parts, how="users", notes=(), given=self.history)


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
    """A folder with ``train.*`` and ``test.*``, perhaps ``valid.*``, and ``given.*`` for a split by users."""
    notes: list[str] = []
    of_valid, of_history = _part_file(path, "valid"), _part_file(path, "given")
    if of_history is not None:
        return _open_held_out_users(path, of_valid, of_history, reading)
    train, test = read_split(path, on_note=notes.append, **reading)
    valid = None
    if of_valid is not None:
        unknown = reading.pop("unknown", "error")
        valid, report = read_log(of_valid, **reading)
        notes += report.notes
        train, valid = align(train, valid, str(of_valid), unknown, notes)
        test = _under(train, test)
        disjoint(train, valid, str(path / "train"), str(of_valid))
        disjoint(valid, test, str(of_valid), str(path / "test"))
    return Opened(str(path), train=train, test=test, valid=valid, notes=notes)


def _part_file(path: Path, part: str) -> Path | None:
    """The one file of a part that a folder need not have."""
    found = sorted(file for file in path.iterdir() if file.name.split(".")[0] == part)
    if len(found) > 1:
        raise DataError(f"{path}: expected at most one {part}.* in the folder, found {', '.join(map(str, found))}")
    return found[0] if found else None


def _open_held_out_users(path: Path, of_valid: Path | None, of_history: Path, reading: dict[str, Any]) -> Opened:
    """A folder whose ``given.*`` has the known rows of users who have no training row."""
    of_train, of_test = (Path(file) for file in parts_of(path))
    files = {"given": of_history, "test": of_test} | ({} if of_valid is None else {"valid": of_valid})
    unknown, notes = reading.pop("unknown", "error"), list[str]()
    train, report = read_log(of_train, **reading)
    notes += report.notes
    parts: dict[str, Interactions] = {}
    for part, file in files.items():
        log, report = read_log(file, **reading)
        notes += report.notes
        train, parts[part] = align(train, log, str(file), *(("keep", []) if part == "given" else (unknown, notes)))
    parts = {"train": train, **{part: _under(train, log) for part, log in parts.items()}}
    both = np.flatnonzero((train.user_counts > 0) & (parts["given"].user_counts > 0))
    if len(both):
        shown = ", ".join(train.users.decode(both[:5]))
        raise DataError(f"{of_history}: {len(both)} users have training rows too, such as {shown}; they are held out")
    files["train"] = of_train
    for first, second in itertools.combinations(parts, 2):
        disjoint(parts[first], parts[second], str(files[first]), str(files[second]))
    history, test, valid = parts["given"], parts["test"], parts.get("valid")
    return Opened(str(path), train=train, test=test, valid=valid, history=history, notes=notes)


def _under(train: Interactions, part: Interactions) -> Interactions:
    """A part under the vocabularies of training, which extend its own."""
    return Interactions.from_pairs(
        part.user_of, part.indices, train.users, train.items, time=part.time, weight=part.weight
    )


def split_source(data: Any, run: Run) -> tuple[Split, str]:
    """The parts of any kind of data under a run's split, and the name of the data.

    Raises: UsageError for another split of data with given parts, and for ``files`` of data without.
    """
    if isinstance(data, Split):
        return data, "(in memory)"
    opened = data if isinstance(data, Opened) else open_source(data, **run.reading)
    if opened.given:
        if run.split not in ("ratio", "files") and (run.split != "users" or opened.history is None):
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
