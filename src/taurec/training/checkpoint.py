"""The state of a training run after an epoch, in one file, from which it continues to the same bits.

Every draw of a run is a function of (seed, purpose, epoch, row), so no generator has a state to save. The file holds
the weights, Adam's moments, its number of steps, the weights of the best epoch and the records.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from taurec.data.interactions import Interactions
from taurec.errors import ArtefactError, ResourceError, UsageError
from taurec.run import Run
from taurec.training.presets import REGISTRIES

FORMAT = 1
"""Version of the file's layout; another one is refused."""

Arrays = dict[str, NDArray[Any]]


def identity(
    run: Run, train: Interactions, valid: Interactions | None, given: Interactions | None = None
) -> dict[str, Any]:
    """Everything that must be equal for a run to continue from a checkpoint: all that changes a bit of the result.

    Maximum epochs and patience only end a run, so they may change; but ``epochs`` must be equal where the learning rate
    falls over them. The number of threads changes nothing, nor does ``found``, whose texts have measured times.
    """
    ends = {"threads", "patience", "source", "reading", "data_hash", "found"}
    ends |= {"epochs"} if run.lr_schedule == "constant" else set()
    digest = hashlib.sha256()
    for part in (train, valid) if given is None else (train, valid, given):
        for array in () if part is None else (part.indptr, part.indices, part.weight):
            digest.update(b"" if array is None else array.tobytes())
        digest.update(b"\x00")
    return {"run": run.model_dump(mode="json", exclude=ends), "data": digest.hexdigest()}


def write(path: Path, who: Mapping[str, Any], arrays: Arrays, progress: Mapping[str, Any]) -> None:
    """Write the checkpoint completely or not at all: to a temporary file, which is then renamed.

    Args:
        who: :func:`identity` of the run.
        arrays: weights, moments and other state, by name.
        progress: plain values, such as the records.
    Raises: ResourceError if it cannot be written; an earlier file is not changed.
    """
    header = {"format": FORMAT, "identity": who, "progress": progress}
    beside = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(contiguous, beside, metadata={"taurec": json.dumps(header)})
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    except (OSError, SafetensorError) as error:
        beside.unlink(missing_ok=True)
        said = getattr(error, "strerror", None) or error
        raise ResourceError(
            f"{path}: the checkpoint could not be written ({said}); free space, or another --out"
        ) from None


def read(path: Path, who: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the progress of a checkpoint of this run.

    Raises: ArtefactError for a file that is broken or of another version; UsageError for one of another run or
        other data, naming the first difference.
    """
    remedy = f"delete {path} to start from the beginning"
    try:
        with safe_open(path, "numpy") as file:
            header = json.loads(file.metadata()["taurec"])
            arrays: Arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        found, version, progress = header["identity"], header["format"], dict(header["progress"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path}: cannot be read as a checkpoint ({error}); {remedy}") from None
    if version != FORMAT:
        raise ArtefactError(f"{path}: a checkpoint of layout {version!r}, this TauRec reads {FORMAT}; {remedy}")
    found = _with_new_defaults(found, who)
    if found != dict(who):
        raise UsageError(f"{path} is the checkpoint of another run: {_difference(found, who)}; {remedy}")
    return arrays, progress


def records_in(path: Path) -> list[dict[str, Any]]:
    """The fields of the records of the epochs in a checkpoint, without its arrays; none where there is no such file.

    :func:`read` checks whether the file is complete and belongs to the run.
    """
    try:
        with safe_open(path, "numpy") as file:
            found: list[dict[str, Any]] = json.loads(file.metadata()["taurec"])["progress"]["records"]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return []
    return found


def _with_new_defaults(found: Mapping[str, Any], who: Mapping[str, Any]) -> dict[str, Any]:
    """``found`` with the settings that are newer than the file, if this run has them at their defaults: the default of
    a new setting keeps earlier behaviour.
    """
    run, fresh = dict(found.get("run", {})), Run().model_dump(mode="json")
    run.pop("found", None)  # files of 0.1.0 have it
    for name, here in who["run"].items():
        if name not in run and name in fresh and here == fresh[name]:
            run[name] = here
        there = run.get(name)
        if name not in REGISTRIES or not isinstance(here, dict) or not isinstance(there, dict):
            continue
        if there.get("name") == here["name"] and isinstance(there.get("settings"), dict):
            known = REGISTRIES[name].settings(here["name"])
            default = {k: json.loads(json.dumps(p.default)) for k, p in known.items() if p.default is not p.empty}
            new = {k: v for k, v in here["settings"].items() if k not in there["settings"] and v == default.get(k)}
            run[name] = {**there, "settings": {**there["settings"], **new}}
    return {**found, "run": run}


def _difference(found: Mapping[str, Any], who: Mapping[str, Any]) -> str:
    """The first setting in which two runs differ, as text."""
    there, here = dict(found.get("run", {})), dict(who["run"])
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) != here.get(name):
            then, now = ((run.get(name) or {}) if name in REGISTRIES else {} for run in (there, here))
            if now and {**then, "version": None} == {**now, "version": None}:
                versions = f"version {then.get('version')} then, {now.get('version')} now"
                return f"the code of its {name} {now['name']} has changed since ({versions})"
            return f"its {name} is {there.get(name)!r}, that of this run {here.get(name)!r}"
    return "its training or validation pairs are others"
