"""Lists for everybody into one file, block by block, so that memory does not grow with the users."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taurec.cli.files import folder_beside

if TYPE_CHECKING:
    import polars as pl

    from taurec.cli.output import Output
    from taurec.recommender import Recommender

ENDINGS = (".parquet", ".csv", ".tsv")
ROWS = 1 << 20
"""About so many rows a block."""


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame to a Parquet, CSV or TSV file, whole or not at all."""
    with folder_beside(path, "--to") as folder:
        part = folder / f"part{path.suffix}"
        _write(frame, part)
        os.replace(part, path)


def write_all(model: Recommender, path: Path, k: int, filters: dict[str, Any], output: Output) -> None:
    """Write the lists of every user: columns user, item, score, rank. The file appears when it is whole."""
    users = model.users.ids.to_list()
    size = max(ROWS // k, 1)
    rows = 0
    with folder_beside(path, "--to") as folder, _bar(len(users), output) as advance:
        parts = []
        for number, start in enumerate(range(0, len(users), size)):
            block = users[start : start + size]
            frame = model.recommend(block, k, **filters).to_frame()
            parts.append(folder / f"{number:06d}.parquet")
            frame.write_parquet(parts[-1])
            rows += frame.height
            advance(len(block))
        whole = folder / f"whole{path.suffix}"
        _join(parts, whole)
        os.replace(whole, path)
    output.note(f"{rows:,} rows for {len(users):,} users written to {path}")


def _join(parts: list[Path], whole: Path) -> None:
    import polars as pl

    frame = pl.scan_parquet(parts)
    if whole.suffix == ".parquet":
        frame.sink_parquet(whole)
    else:
        frame.sink_csv(whole, separator="\t" if whole.suffix == ".tsv" else ",")


def _write(frame: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")


@contextlib.contextmanager
def _bar(total: int, output: Output) -> Iterator[Any]:
    """A hook that takes how many users were done; it draws on a terminal only."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("users"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = output.quiet or not output.err.is_terminal
    with Progress(*columns, console=output.err, transient=True, disable=hidden) as progress:
        task = progress.add_task("users", total=total)
        yield lambda n: progress.advance(task, n)
