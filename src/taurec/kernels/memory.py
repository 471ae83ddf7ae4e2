"""A setting of the allocator that keeps freed memory in the process for the next step.

Every training step allocates the same few large arrays. By default glibc returns each of them to the system when it is
freed and requests it again page by page: on a virtual machine, filling 200 MB took 130 ms this way and 6 ms in memory
that had been kept. The cost is that the memory of the largest step is held until the process ends.
"""

from __future__ import annotations

import ctypes
import functools
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES", "LD_PRELOAD")


@functools.cache
def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks of up to one gigabyte, for the whole process; later calls change nothing.

    Does nothing if the allocator is not glibc's, or if environment variables configure it.

    Returns: whether the setting was made.

    >>> keep_freed_memory() in (True, False)
    True
    """
    if any(name in os.environ for name in _SETTINGS):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  only glibc knows the numbers below
        return bool(libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1))
    except (AttributeError, OSError):
        return False
