"""The memory that a fit needs."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
from collections.abc import Iterator
from pathlib import Path


class Memory:
    """The result of :func:`peak_memory`; None until the block has ended, or if it cannot be read."""

    def __init__(self) -> None:
        self.peak_mb: float | None = None


@contextlib.contextmanager
def peak_memory(interval: float = 0.02) -> Iterator[Memory]:
    """The growth of the process's resident memory within the block, sampled by a thread (Linux).

    Freed memory is first returned to the system; otherwise a fit that reuses it would seem to need none.
    """
    memory, status = Memory(), Path("/proc/self/statm")
    if not status.exists():
        yield memory
        return
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    page = 4096 / 2**20
    start, peak, done = int(status.read_text().split()[1]), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(interval):
            peak = max(peak, int(status.read_text().split()[1]))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()
        memory.peak_mb = max(peak - start, 0) * page
