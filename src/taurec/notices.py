"""Remarks of the library while it works, on the log ``taurec.notices``; the command line shows them as notes.

In Python: ``logging.basicConfig()`` and ``logging.getLogger("taurec").setLevel(logging.INFO)`` show them. Warnings are
shown without that.
"""

from __future__ import annotations

import functools
import logging
import time

log = logging.getLogger("taurec.notices")

EVERY = 10.0
"""Seconds between two lines of progress; shorter work has none."""


@functools.cache
def once(text: str, level: int = logging.INFO) -> None:
    """Log a remark, once per process: a study fits many models to the same data."""
    log.log(level, text)


class Steps:
    """Lines of progress of work whose number of steps is known: ``encoded: 640 of 1,682, about 20 s left``.

    Called after each step with the number done. The first line comes after :data:`EVERY` seconds, so that short work
    has none.

    Args:
        what: is done, as a word before the colon.
        total: number of steps.

    >>> tell = Steps("encoded", 2)
    >>> tell(1), tell(2)
    (None, None)
    """

    def __init__(self, what: str, total: int):
        self.what, self.total = what, total
        self._started = self._told = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._told < EVERY or not 0 < done < self.total:
            return
        self._told = now
        left = (now - self._started) * (self.total - done) / done
        log.info("%s: %s of %s, about %.0f s left", self.what, f"{done:,}", f"{self.total:,}", left)
