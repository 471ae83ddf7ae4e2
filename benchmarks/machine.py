"""Facts that a figure is worth nothing without, and interleaved timing."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any


def facts() -> dict[str, Any]:
    """The machine, the versions and the commit."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "unset"),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numba", "numpy", "taurec")},
        "commit": _commit(),
    }


def peak_mb() -> int:
    """Peak resident memory of this process so far.

    Of Linux's two records the one that starts at 0 in a child; ``ru_maxrss`` starts at the parent's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) // 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def interleaved(
    paths: Mapping[str, Callable[[], object]], repeats: Mapping[str, int], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Seconds of each call, wall and CPU, the paths taking turns so that a busy minute hits all of them.

    One warm-up call a path comes first and is not counted.
    """
    times: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in paths}
    for path in paths.values():
        path()
    for _ in range(rounds):
        for name, path in paths.items():
            for _ in range(repeats[name]):
                wall, cpu = time.perf_counter(), time.process_time()
                path()
                times[name]["wall"].append(time.perf_counter() - wall)
                times[name]["cpu"].append(time.process_time() - cpu)
    return times


def summary(seconds: list[float]) -> dict[str, float]:
    """Median, quartiles and least, in milliseconds."""
    low, mid, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
    return {"median_ms": _ms(mid), "q1_ms": _ms(low), "q3_ms": _ms(high), "min_ms": _ms(min(seconds))}


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 2)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
