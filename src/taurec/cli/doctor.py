"""``taurec doctor``: versions, devices, kernels, threads and data folders of this machine."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from taurec.cli import options as o

PACKAGES = ("torch", "numpy", "scipy", "numba", "polars", "pydantic", "safetensors", "typer", "rich")


def doctor(as_json: o.Json = False) -> None:
    """Show versions, devices, kernels, threads and folders; exit 0 if training can run here."""
    from taurec.cli.output import Output
    from taurec.report.terminal import pairs

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

    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    gpus = range(torch.cuda.device_count())
    found: dict[str, Any] = {
        "cores": f"{usable} usable of {os.cpu_count()}",
        "threads": f"{torch.get_num_threads()} by torch",
        "memory": _memory(),
        "devices": ", ".join(["cpu", *(f"cuda:{n} ({torch.cuda.get_device_name(n)})" for n in gpus)]),
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
    from taurec.data.catalog import cache_folder

    named = os.environ.get("TAUREC_DATA")
    given = _folder_text(Path(named)) if named else "not set"
    return {"TAUREC_DATA": given, "cache": _folder_text(cache_folder())}


def _folder_text(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} (does not exist)"
    inside = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    return f"{folder} ({', '.join(inside[:8]) or 'empty'}{', ...' if len(inside) > 8 else ''})"
