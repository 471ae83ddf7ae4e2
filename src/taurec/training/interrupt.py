"""Handling of Ctrl-C and SIGTERM: a run ends at the next step with a complete state, at once on a second signal.

Code that makes several fits passes the signal on with :func:`pass_on`, so that it ends all of them.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether a signal asked to stop; ``signum`` is that signal, or 0."""

    def __init__(self) -> None:
        self.signum = 0

    def __bool__(self) -> bool:
        return self.signum != 0


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Within the block SIGINT and SIGTERM only set the request; the previous handlers are restored after it.

    Outside the main thread signals cannot be handled, and the request stays empty.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(signum: int, frame: FrameType | None) -> None:
        if request.signum:
            raise KeyboardInterrupt
        request.signum = signum

    for number in former:
        signal.signal(number, on_signal)
    try:
        yield request
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def pass_on(signum: int) -> None:
    """Raise the signal that ended one of several fits, so that it ends all of them; 0 does nothing."""
    if signum:
        signal.raise_signal(signum)
