"""The console all text goes through."""

from __future__ import annotations

from typing import IO, NoReturn

from rich.console import Console


class _Console(Console):
    """A console that leaves it to its caller what a closed pipe means."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def console(stream: IO[str]) -> Console:
    """A console on a stream: no highlighting, colours on a terminal only and never with ``NO_COLOR``."""
    return _Console(file=stream, highlight=False)
