"""Compiling a kernel when it is first called, once for each machine: the code is kept on disk.

numba keeps it beside the source, or, where that cannot be written, in the user's cache folder;
``NUMBA_CACHE_DIR`` names another place. Where no place can be written, or what lies there cannot be read,
the kernel is compiled for this process alone.
"""

from __future__ import annotations

import functools
import glob
import logging
import os
from collections.abc import Callable
from typing import Any

log = logging.getLogger("taurec.kernels")


@functools.cache
def kernel(name: str) -> Callable[..., Any]:
    """The compiled form of a loop of one of the ``*_loops`` modules or of ``cpu_tables``."""
    from numba import njit

    from taurec.kernels import (
        catalogue_loops,
        cpu_loops,
        cpu_tables,
        draw_loops,
        half_loops,
        hop_loops,
        ials_loops,
        topk_loops,
    )

    loops = (cpu_loops, cpu_tables, draw_loops, catalogue_loops, hop_loops, half_loops, ials_loops, topk_loops)
    loop, signature = next((f, s) for m in loops for f, s in m.SIGNATURES.items() if f.__name__ == name)
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        compiled = njit(cache=True, **options)(loop)
        if not _kept(compiled, loop):
            _announce()
        compiled.compile(signature)
    except Exception as error:
        log.info("kernel %s: the cache on disk is of no use (%s); compiling for this process", name, error)
        compiled = njit(**options)(loop)
        compiled.compile(signature)
    compiled.disable_compile()
    return compiled


def _kept(compiled: Any, loop: Callable[..., Any]) -> bool:
    """Whether code of the kernel lies in the cache; for another machine or version it may be of no use."""
    pattern = f"{loop.__module__.rpartition('.')[2]}.{loop.__qualname__}-*.nbi"
    return bool(glob.glob(os.path.join(glob.escape(compiled.stats.cache_path), pattern)))


@functools.cache
def _announce() -> None:
    """Said once a process."""
    log.info("compiling the CPU kernels, once on this machine: a few seconds")
