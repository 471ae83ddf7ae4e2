"""The console for all text in a terminal."""

from __future__ import annotations

from typing import IO, NoReturn

from rich.console import Console


class _Console(Console):
    """A console that raises BrokenPipeError when the reader is gone."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def console(stream: IO[str]) -> Console:
    """A console on a stream: no highlighting, colours on a terminal only and never with ``NO_COLOR``."""
    return _Console(file=stream, highlight=False)
