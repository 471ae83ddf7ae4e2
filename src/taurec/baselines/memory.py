"""Memory that is free, and the refusal of a fit that does not fit into it."""

from __future__ import annotations

import os
from pathlib import Path

from taurec.errors import ResourceError

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Free memory without swapping, within the limit of a container; None if unknown."""
    found = []
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    except OSError:
        pass
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        if limit != "max":
            found.append(max(int(limit) - int((_CGROUP / "memory.current").read_text()), 0))
    except (OSError, ValueError):
        pass
    if not found and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found) if found else None


def require(needed: int, what: str, advice: str) -> None:
    """Raise :class:`ResourceError` with the figures if fewer than ``needed`` bytes are free."""
    available = available_bytes()
    if available is not None and needed > available:
        raise ResourceError(f"{what} needs {_gb(needed)} of memory and {_gb(available)} are free; {advice}")


def _gb(n: int) -> str:
    return f"{n / 1e9:.1f} GB"
