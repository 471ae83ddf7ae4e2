"""Keeps freed memory in the process, for the next step.

A step of training allocates the same few large arrays again and again. glibc by default returns each of them to the
system and asks for it anew, page by page: on a virtual machine filling 200 MB took 130 ms so, and 6 ms in memory
that had been kept. The price is that the memory of the largest step stays taken until the process ends.
"""

from __future__ import annotations

import ctypes
import functools
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES", "LD_PRELOAD")


@functools.cache
def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks of up to a gigabyte; for the whole process, once.

    Does nothing where the allocator is another one, or where the environment configures it.

    Returns: whether it was done.

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
