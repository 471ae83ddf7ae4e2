"""The streams of a command: results to stdout, notes and progress to stderr."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from taurec.studies.result import Table


class Output:
    """The two streams of one command.

    Args:
        as_json: print one JSON document and nothing else.
        quiet: neither notes nor progress; warnings, results and errors remain.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False):
        from taurec.report.terminal import console

        self.as_json, self.quiet = as_json, quiet
        self.out: Console = console(sys.stdout)
        self.err: Console = console(sys.stderr)
        log = logging.getLogger("taurec")
        log.handlers, log.propagate = [_Notes(self)], False
        log.setLevel(logging.INFO)

    def note(self, text: str) -> None:
        """Print a line about the work on stderr. A text that starts with ``warning:`` is shown even when quiet."""
        warning = text.startswith("warning:")
        if self.quiet and not warning:
            return
        with contextlib.suppress(BrokenPipeError):
            self.err.print(text, style="yellow" if warning else None, markup=False, soft_wrap=not self.err.is_terminal)

    def say(self, shown: RenderableType | Table = "") -> None:
        """Print a part of the result, a table fitted to the terminal; nothing in JSON mode."""
        from taurec.report.terminal import fit_to_width
        from taurec.studies.result import Table

        if not self.as_json:
            self.out.print(fit_to_width(shown, self.out.width) if isinstance(shown, Table) else shown, markup=False)

    def command(self, text: str) -> None:
        """Print a command to copy on a separate, unbroken line; nothing in JSON mode."""
        if not self.as_json:
            self.out.print(f"  {text}", markup=False, soft_wrap=True)

    def document(self, content: Any) -> None:
        """Print the whole result as JSON; nothing unless in JSON mode."""
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
    """Shows log records of the library, such as the compilation of kernels, as notes of the command."""

    def __init__(self, output: Output):
        super().__init__()
        self.output = output

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        self.output.note(prefix + record.getMessage())
