"""Files that commands write: checked before any work, and complete or absent after it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from taurec.errors import ResourceError, UsageError, did_you_mean

if TYPE_CHECKING:
    import polars as pl

TABLES = (".csv", ".tsv", ".parquet")
"""Endings of the files that :func:`write_frame` writes."""


def check_target(path: Path, endings: Sequence[str], option: str) -> None:
    """Refuse a file of another kind, a folder, and a path that cannot be written."""
    if path.suffix not in endings:
        raise UsageError(
            f"{option} {path}: cannot tell the format from {path.suffix!r}{did_you_mean(path.suffix, endings)}"
        )
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder; name a file in it, such as {path / ('out' + endings[0])}")
    with folder_beside(path, option):
        pass


@contextlib.contextmanager
def folder_beside(path: Path, option: str) -> Iterator[Path]:
    """A temporary folder next to a file; a failure of the file system raises ResourceError."""
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.absolute().parent) as folder:
            yield Path(folder)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written ({error.strerror}); choose another {option}") from None


def write_text(path: Path, text: str, option: str) -> None:
    """Write a text file, completely or not at all."""
    with folder_beside(path, option) as folder:
        part = folder / path.name
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)


def write_frame(frame: pl.LazyFrame, path: Path, option: str) -> None:
    """Write a frame as CSV, TSV or Parquet by the ending of the file, whole or not at all; it is streamed."""
    with folder_beside(path, option) as folder:
        part = folder / f"part{path.suffix}"
        if path.suffix == ".parquet":
            frame.sink_parquet(part)
        else:
            frame.sink_csv(part, separator="\t" if path.suffix == ".tsv" else ",")
        os.replace(part, path)


@contextlib.contextmanager
def locked(path: Path, option: str) -> Iterator[None]:
    """Within the block no other process may enter it for the same file; the lock ends with its process, however that
    ends. The file is created; where the system has no ``flock`` (Windows) nothing is locked.

    Raises: UsageError if another process is within the block; ResourceError if the file cannot be written.
    """
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise ResourceError(f"{option} {path}: cannot be written ({error.strerror})") from None
    with file:
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"{option} {path} is in use by another process; wait until it ends, or give another file"
                ) from None
        yield
