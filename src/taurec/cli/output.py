"""Where text goes: results to stdout, everything about the way there to stderr."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, RenderableType


class Output:
    """The two streams of one command.

    Args:
        as_json: results are one JSON document and nothing else.
        quiet: neither notes nor progress; warnings, results and errors remain.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False):
        from taurec.report.console import console

        self.as_json, self.quiet = as_json, quiet
        self.out: Console = console(sys.stdout)
        self.err: Console = console(sys.stderr)
        log = logging.getLogger("taurec")
        log.handlers, log.propagate = [_Notes(self)], False
        log.setLevel(logging.INFO)

    def note(self, text: str) -> None:
        """A line about what is being done. What starts with ``warning:`` is shown even when quiet."""
        warning = text.startswith("warning:")
        if self.quiet and not warning:
            return
        with contextlib.suppress(BrokenPipeError):
            self.err.print(text, style="yellow" if warning else None, markup=False, soft_wrap=not self.err.is_terminal)

    def say(self, renderable: RenderableType = "") -> None:
        """A part of the result for people; nothing in JSON mode."""
        if self.as_json:
            return
        if isinstance(renderable, str):
            self.out.print(renderable, markup=False)
        else:
            self.out.print(renderable)

    def written(self, path: Path) -> None:
        """Say that a file was written."""
        self.note(f"written to {path}")

    def command(self, text: str) -> None:
        """A command to copy, on a line of its own that is never broken; nothing in JSON mode."""
        if not self.as_json:
            self.out.print(f"  {text}", markup=False, soft_wrap=True)

    def document(self, content: Any) -> None:
        """The whole result for machines; nothing unless in JSON mode."""
        if self.as_json:
            from taurec.report import json

            print(json.text(content), file=sys.stdout)


@contextlib.contextmanager
def progress_line(output: Output) -> Iterator[Callable[[str], None]]:
    """A hook for lines of progress: one changing line on a terminal, lines in a log."""
    if output.quiet or not output.err.is_terminal:
        yield output.note
        return
    with output.err.status("") as status:
        yield status.update


class _Notes(logging.Handler):
    """What the library logs, such as that it compiles its kernels, as notes of the command."""

    def __init__(self, output: Output):
        super().__init__()
        self.output = output

    def emit(self, record: logging.LogRecord) -> None:
        self.output.note(record.getMessage())
