"""Compilation of numba loops at their first call, with a cache on disk, so that each machine compiles once.

numba stores compiled code next to the source file or, if that folder is not writable, in the user's cache folder;
``NUMBA_CACHE_DIR`` names another folder. If no folder is writable, or the cached code cannot be read, the loop is
compiled for this process only.
"""

from __future__ import annotations

import functools
import glob
import importlib
import logging
import os
from collections.abc import Callable
from typing import Any

log = logging.getLogger("taurec.kernels")


@functools.cache
def compiled(operation: str, name: str) -> Callable[..., Any]:
    """Compile a loop of ``taurec.kernels.<operation>.numba``, one of its ``SIGNATURES``, or load it from the cache."""
    from numba import njit

    signatures = importlib.import_module(f"taurec.kernels.{operation}.numba").SIGNATURES
    loop, signature = next((f, s) for f, s in signatures.items() if f.__name__ == name)
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        made = njit(cache=True, **options)(loop)
        if not _kept(made, loop):
            _announce()
        made.compile(signature)
    except Exception as error:
        log.info("kernel %s: the cache on disk cannot be used (%s); compiling for this process", name, error)
        made = njit(**options)(loop)
        made.compile(signature)
    made.disable_compile()
    return made


def _kept(made: Any, loop: Callable[..., Any]) -> bool:
    """Whether the cache contains code of the loop, which may be for another machine or version."""
    pattern = f"{loop.__module__.rpartition('.')[2]}.{loop.__qualname__}-*.nbi"
    return bool(glob.glob(os.path.join(glob.escape(made.stats.cache_path), pattern)))


@functools.cache
def _announce() -> None:
    """Log, once per process, that kernels are being compiled."""
    log.info("compiling the CPU kernels, once on this machine: a few seconds")
