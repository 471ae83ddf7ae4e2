"""The display of training progress: a live line on a terminal, one plain line per epoch in a log."""

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
    """A training hook that shows progress; the live line is cleared at the end, the lines of a log stay.

    Training continues if the log can no longer be written, for example after ``| head``.
    """
    if quiet:
        yield lambda progress: None
    elif console.is_terminal:
        with Live(console=console, transient=True, auto_refresh=False) as live:
            yield _ProgressLine(console, live)
    else:
        yield _ProgressLine(console)


class _ProgressLine:
    """Shows progress: a line redrawn in place and fitted to a terminal, or one line after each epoch in a log."""

    def __init__(self, console: Console, live: Live | None = None):
        self._console, self._live = console, live
        self._drawn, self._closed = 0.0, False
        self._first: tuple[float, float] | None = None
        self._validated: EpochRecord | None = None

    def __call__(self, progress: Progress) -> None:
        left, now = self._seconds_left(progress), time.perf_counter()
        if progress.record is not None and progress.record.metrics:
            self._validated = progress.record
        if self._live is not None:
            if now - self._drawn >= REDRAW or progress.record is not None:
                self._drawn = now
                line = live_line(progress, self._validated, left, self._console.width - 1)
                self._live.update(Text(line, no_wrap=True), refresh=True)
        elif progress.record is not None and not self._closed:
            try:
                self._console.print(log_line(progress, left), markup=False, soft_wrap=True)
            except BrokenPipeError:
                self._closed = True

    def _seconds_left(self, progress: Progress) -> float | None:
        """Seconds until the last epoch if every epoch is run; None until it can be estimated."""
        share, now = _share(progress), time.perf_counter()
        self._first = self._first or (share, now)
        done, spent = share - self._first[0], now - self._first[1]
        return spent * (1 - share) / done if done > 0 and spent > 0.2 else None


def log_line(p: Progress, left: float | None = None) -> str:
    """The line that a log gets after an epoch."""
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
    """The line that a terminal shows during an epoch; a narrow terminal leaves out the less important parts."""
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
    """The share of all steps that is done."""
    return (p.epoch - 1 + p.step / max(p.steps, 1)) / p.epochs
