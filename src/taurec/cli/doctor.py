"""``taurec doctor``: versions, devices, kernels, threads and data folders of this machine."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from taurec.cli import options as o

PACKAGES = ("torch", "numpy", "scipy", "numba", "polars", "pydantic", "safetensors", "typer", "rich")


def doctor(as_json: o.Json = False) -> None:
    """Show versions, devices, kernels, threads and folders; exit 0 if training can run here."""
    from taurec.cli.output import Output
    from taurec.report.terminal import pairs

    found = {"versions": _versions(), "computing": _computing(), "data": _folders()}
    output = Output(as_json)
    output.document(found)
    for number, (title, content) in enumerate(found.items()):
        if number:
            output.say()
        output.say(pairs(content.items(), title))


def _versions() -> dict[str, str]:
    from taurec import __version__
    from taurec.provenance import installed_version

    system = {"taurec": __version__, "python": platform.python_version(), "system": platform.platform(terse=True)}
    return {**system, **{package: installed_version(package) for package in PACKAGES}}


def _computing() -> dict[str, str]:
    import torch

    from taurec.kernels import available

    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    gpus = [f"cuda:{n} ({torch.cuda.get_device_name(n)})" for n in range(torch.cuda.device_count())]
    return {
        "cores": f"{usable} usable of {os.cpu_count()}",
        "threads": f"{torch.get_num_threads()} by torch",
        "memory": _memory(),
        "devices": ", ".join(["cpu", *gpus]),
        **{f"kernel {name}": state for name, state in available().items()},
    }


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def _folders() -> dict[str, str]:
    from taurec.data.catalog import cache_folder

    named = os.environ.get("TAUREC_DATA")
    return {"TAUREC_DATA": _content(Path(named)) if named else "not set", "cache": _content(cache_folder())}


def _content(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} (does not exist)"
    inside = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    return f"{folder} ({', '.join(inside[:8]) or 'empty'}{', ...' if len(inside) > 8 else ''})"
