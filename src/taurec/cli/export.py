"""Writes the lists of all users to one file in blocks, so that memory does not grow with the number of users."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taurec.studies.files import folder_beside, write_frame

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.recommender import Recommender

ROWS = 1 << 20
"""Approximate number of rows of a block."""


def write_all(model: Recommender, path: Path, k: int, filters: dict[str, Any], output: Output) -> None:
    """Write the lists of every user: columns user, item, score, rank. The file appears when it is complete."""
    import polars as pl

    users = model.users.ids.to_list()
    size = max(ROWS // k, 1)
    rows = 0
    with folder_beside(path, "--to") as folder:
        parts = []
        with _bar(len(users), output) as advance:
            for number, start in enumerate(range(0, len(users), size)):
                block = users[start : start + size]
                frame = model.recommend(block, k, **filters).to_frame()
                parts.append(folder / f"{number:06d}.parquet")
                frame.write_parquet(parts[-1])
                rows += frame.height
                advance(len(block))
        write_frame(pl.scan_parquet(parts), path, "--to")
    output.note(f"{rows:,} rows for {len(users):,} users written to {path}")


@contextlib.contextmanager
def _bar(total: int, output: Output) -> Iterator[Any]:
    """A hook for the number of users just done; it draws a bar on a terminal only."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("users"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = output.quiet or not output.err.is_terminal
    with Progress(*columns, console=output.err, transient=True, disable=hidden) as progress:
        task = progress.add_task("users", total=total)
        yield lambda n: progress.advance(task, n)
