"""Compiling a loop when it is first called, once for each machine: the code is kept on disk.

numba keeps it next to the source, or, where that cannot be written, in the user's cache folder; ``NUMBA_CACHE_DIR``
names another place. Where no place can be written, or what lies there cannot be read, the loop is compiled for this
process alone.
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
    """The compiled form of a loop of ``taurec.kernels.<operation>.numba``, one of its ``SIGNATURES``."""
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
    """Whether code of the loop is in the cache; it may be for another machine or version."""
    pattern = f"{loop.__module__.rpartition('.')[2]}.{loop.__qualname__}-*.nbi"
    return bool(glob.glob(os.path.join(glob.escape(made.stats.cache_path), pattern)))


@functools.cache
def _announce() -> None:
    """Said once per process."""
    log.info("compiling the CPU kernels, once on this machine: a few seconds")
