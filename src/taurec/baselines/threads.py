"""Threads of BLAS and LAPACK in a fit: those of the run."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def blas_of_run() -> threadpool_limits:
    """A context in which BLAS takes the threads of torch; its own pool would take every core."""
    import torch

    return threadpool_limits(torch.get_num_threads(), user_api="blas")
