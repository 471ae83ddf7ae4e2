"""The progress of training: a live line on a terminal, one plain line an epoch in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from taurec.studies.words import number, rate, seconds

if TYPE_CHECKING:
    from taurec.training.records import EpochRecord, Progress

REDRAW = 0.1
"""Seconds between updates of the live line."""


@contextlib.contextmanager
def show(console: Console, quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """A training hook that shows progress; a terminal is cleared afterwards, a log keeps its lines.

    Training goes on when the reader of the log is gone.
    """
    if quiet:
        yield lambda progress: None
    elif console.is_terminal:
        with Live(console=console, transient=True, auto_refresh=False) as live:
            yield _Drawn(live)
    else:
        yield _Logged(console)


class _Clock:
    """Time since the first call, and an estimate of the time left if every epoch is run."""

    def __init__(self) -> None:
        self._first: float | None = None

    def left(self, p: Progress) -> float | None:
        """Seconds until the last epoch; None until it can be estimated."""
        share, now = _share(p), time.perf_counter()
        if self._first is None:
            self._first, self._started = share, now
        done, spent = share - self._first, now - self._started
        return spent * (1 - share) / done if done > 0 and spent > 0.2 else None


class _Drawn(_Clock):
    """One line, redrawn in place, fitted to the width of the terminal."""

    def __init__(self, live: Live):
        super().__init__()
        self._live, self._last = live, 0.0
        self._validated: EpochRecord | None = None

    def __call__(self, progress: Progress) -> None:
        if progress.record is not None and progress.record.metrics:
            self._validated = progress.record
        left, now = self.left(progress), time.perf_counter()
        if now - self._last < REDRAW and progress.record is None:
            return
        self._last = now
        line = live_line(progress, self._validated, left, self._live.console.width - 1)
        self._live.update(Text(line, no_wrap=True), refresh=True)


class _Logged(_Clock):
    """One line after each epoch."""

    def __init__(self, console: Console):
        super().__init__()
        self._console, self._closed = console, False

    def __call__(self, progress: Progress) -> None:
        left = self.left(progress)
        if progress.record is None or self._closed:
            return
        try:
            self._console.print(log_line(progress, left), markup=False, soft_wrap=True)
        except BrokenPipeError:
            self._closed = True


def log_line(p: Progress, left: float | None = None) -> str:
    """The line of a log after an epoch."""
    record = p.record
    assert record is not None
    digits = len(str(p.epochs))
    parts = [f"epoch {p.epoch:{digits}d}/{p.epochs}", f"loss {record.loss:#.5g}"]
    parts += [f"{name} {number(value)}" for name, value in record.metrics.items()]
    if p.best is not None and p.best.metrics:
        best = number(next(iter(p.best.metrics.values())))
        parts.append("best" if p.best.epoch == p.epoch else f"best {best} in epoch {p.best.epoch}")
    parts.append(f"{rate(p.rows_per_second)} rows/s")
    if left is not None and p.epoch < p.epochs:
        parts.append(f"at most {seconds(left)} left")
    return "  ".join(parts)


def live_line(p: Progress, validated: EpochRecord | None, left: float | None, width: int) -> str:
    """The line of a terminal within an epoch; a narrow terminal leaves out the less important parts."""
    parts = [f"epoch {p.epoch}/{p.epochs}", f"loss {p.loss:.4g}"]
    if validated is not None:
        parts += [f"{name} {number(value)}" for name, value in validated.metrics.items()]
    if p.best is not None and p.best.metrics:
        parts.append(f"best {number(next(iter(p.best.metrics.values())))} ({p.best.epoch})")
    lesser = [f"≤ {seconds(left)} left"] if left is not None else []
    lesser.append(f"{rate(p.rows_per_second)} rows/s")
    for part in lesser:
        if len("  ".join([*parts, part])) <= width:
            parts.append(part)
    line = "  ".join(parts)
    room = min(width - len(line) - 2, 30)
    full = round(min(max(_share(p), 0.0), 1.0) * room)
    return f"{'━' * full}{'─' * (room - full)}  {line}" if room >= 8 else line[:width]


def _share(p: Progress) -> float:
    """How much of all epochs is done."""
    return (p.epoch - 1 + p.step / max(p.steps, 1)) / p.epochs
