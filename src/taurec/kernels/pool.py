"""A thread pool for kernels that release the interpreter lock; its threads sleep between calls.

A kernel is compiled for one thread, and each call of it handles one span of rows or items. Threads take spans in the
order in which they become free, so a busy core does not delay the others; no result depends on which thread takes
which span. Unlike OpenMP threads, these do not spin while they wait, so they do not compete with torch's threads.
Several threads of a process may call at once, and a forked child starts a new pool.

torch's OpenMP threads do spin between operations. ``OMP_WAIT_POLICY=passive``, set before torch is loaded, stops
that: a training step on two threads of a busy two-core machine took 66 ms with it and 240-370 ms without.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

#: Floats of a table handled by one task of :func:`by_rows`.
TASK_FLOATS = 1 << 18

_pools: dict[int, ThreadPoolExecutor] = {}


def run(task: Callable[[int], object], n_tasks: int, threads: int | None = None) -> None:
    """Call ``task(0)`` .. ``task(n_tasks - 1)``, each once, on ``threads`` threads (default: torch's number).

    The calling thread is one of them. An error in a task is raised here after all threads have stopped.
    """
    helpers = min(threads or torch.get_num_threads(), n_tasks) - 1
    turn = itertools.count()

    def work() -> None:
        while (index := next(turn)) < n_tasks:
            task(index)

    futures = [_pool().submit(work) for _ in range(helpers)]
    try:
        work()
    except BaseException:
        turn = itertools.count(n_tasks)
        raise
    finally:
        errors = [error for f in futures if not f.cancel() and (error := f.exception()) is not None]
    if errors:
        raise errors[0]


def by_rows(table: Tensor, work: Callable[[int, int], object]) -> None:
    """Call ``work(lo, hi)`` for consecutive spans of rows of a table [R, D], on torch's number of threads."""
    n, dim = table.shape
    size = max(1, TASK_FLOATS // dim)
    run(lambda t: work(t * size, min((t + 1) * size, n)), -(-n // size))


def _pool() -> ThreadPoolExecutor:
    process = os.getpid()
    if process not in _pools:
        _pools[process] = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="taurec-kernel")
    return _pools[process]
