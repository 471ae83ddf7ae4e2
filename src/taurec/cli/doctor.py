"""``taurec doctor``: what this machine offers and where things lie."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from taurec.cli import options as o

PACKAGES = ("torch", "numpy", "scipy", "numba", "polars", "pydantic", "safetensors", "typer", "rich")


def doctor(as_json: o.Json = False) -> None:
    """Show versions, devices, kernels, threads and folders; exit 0 if training can run here."""
    from taurec.cli.output import Output
    from taurec.report.tables import pairs

    found = {"versions": _versions(), "computing": _computing(), "data": _data()}
    output = Output(as_json)
    output.document(found)
    for number, (title, content) in enumerate(found.items()):
        if number:
            output.say()
        output.say(pairs(content.items(), title))


def _versions() -> dict[str, str]:
    from taurec import __version__

    versions = {"taurec": __version__, "python": platform.python_version(), "system": platform.platform(terse=True)}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _computing() -> dict[str, Any]:
    import torch

    from taurec.kernels import available

    affinity = getattr(os, "sched_getaffinity", None)
    gpus = (
        [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    found: dict[str, Any] = {
        "cores": f"{len(affinity(0)) if affinity else os.cpu_count()} usable of {os.cpu_count()}",
        "threads": f"{torch.get_num_threads()} by torch",
        "memory": _memory(),
        "devices": ", ".join(["cpu", *(f"cuda:{n} ({name})" for n, name in enumerate(gpus))]),
    }
    found.update({f"kernel {name}": state for name, state in available().items()})
    return found


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def _data() -> dict[str, str]:
    from taurec.data import catalog

    named = os.environ.get("TAUREC_DATA")
    folder = getattr(catalog, "cache_folder", None)
    found = {"TAUREC_DATA": _folder_text(Path(named)) if named else "not set"}
    if folder is not None:
        found["cache"] = _folder_text(Path(folder()))
    return found


def _folder_text(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} (not there)"
    inside = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    return f"{folder} ({', '.join(inside[:8]) or 'empty'}{', ...' if len(inside) > 8 else ''})"
