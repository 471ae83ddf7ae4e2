"""Facts that a figure is worth nothing without."""

from __future__ import annotations

import os
import resource
import statistics
from pathlib import Path
from typing import Any

from taurec import provenance


def facts() -> dict[str, Any]:
    """The machine, the versions and the commit."""
    return {
        **provenance.facts(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "unset"),
    }


def peak_mb() -> int:
    """Peak resident memory of this process so far.

    Of Linux's two records the one that starts at 0 in a child; ``ru_maxrss`` starts at the parent's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) // 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def resident_mb() -> int:
    """Resident memory of this process now (Linux; elsewhere its peak)."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) // 1024 for line in status.read_text().splitlines() if "VmRSS" in line)
    return peak_mb()


def summary(seconds: list[float]) -> dict[str, float]:
    """Median, quartiles and least, in milliseconds."""
    low, mid, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
    return {"median_ms": _ms(mid), "q1_ms": _ms(low), "q3_ms": _ms(high), "min_ms": _ms(min(seconds))}


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 2)
