"""A saved model: one folder with weights, run, metrics, vocabularies and interactions. No pickle.

================== ==========================================================================
file               content
================== ==========================================================================
model.safetensors  the arrays of the ranker
run.json           every setting, from which the run can be repeated; the version that wrote it
metrics.json       values by part: ``{"test": {"ndcg@20": ...}}``
metrics.jsonl      one line for each epoch; metrics.csv the same for spreadsheets
users.parquet      raw user ids in index order; items.parquet likewise
interactions.parquet  index pairs with their part (train, valid, test, given), time and weight if known
================== ==========================================================================
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

import taurec
from taurec.baselines import Baseline
from taurec.baselines.models import MODELS
from taurec.baselines.protocol import Composite
from taurec.data.interactions import Interactions
from taurec.data.split import Split
from taurec.data.vocabulary import Vocabulary
from taurec.errors import ArtefactError, ResourceError, UsageError
from taurec.plugins import load_file as import_file
from taurec.ranker import Ranker, State, trained_class
from taurec.run import Run
from taurec.training.records import EpochRecord

FORMAT = 2
"""Version of the folder's layout; a newer one is refused, an older one is converted in memory."""

Document = dict[str, Any]
"""The content of ``run.json``."""


def _from_1(content: Document) -> Document:
    """Format 2 added choices from outside the package, with a ``version``; format 1 has none, so nothing changes."""
    return content


CONVERTERS: Mapping[int, Callable[[Document], Document]] = {1: _from_1}
"""Format N -> the function that converts ``run.json`` from format N to N + 1."""


@dataclass
class SavedModel:
    """The content of a saved folder."""

    run: Run
    ranker: Ranker
    split: Split
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    records: list[EpochRecord] = field(default_factory=list)
    kernels: dict[str, str] = field(default_factory=dict)


def check_writable(folder: Path, overwrite: bool = False) -> None:
    """Refuse an output folder that cannot be used, before any work is done."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not overwrite:
            raise UsageError(
                f"{folder} exists already and is not changed; give another --out, or --overwrite to replace it"
            )
        if not folder.is_dir() or not (folder / "run.json").exists():
            raise UsageError(f"{folder} is not a saved run, so --overwrite does not replace it; give another --out")
    parent = folder.resolve().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        trial = parent / f".{folder.name}.probe-{os.getpid()}"
        trial.mkdir()
        trial.rmdir()
    except OSError as error:
        raise ResourceError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None


def write_folder(folder: Path, model: SavedModel, overwrite: bool = False) -> None:
    """Write the folder completely or not at all: to a temporary folder, then renamed."""
    check_writable(folder, overwrite)
    folder = folder.resolve()
    work = folder.parent / f".{folder.name}.tmp-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir()
        save_file({k: np.ascontiguousarray(v) for k, v in model.ranker.state().items()}, work / "model.safetensors")
        header = {"taurec": {"version": taurec.__version__, "format": FORMAT}}
        content = {**header, **json.loads(model.run.to_json()), "kernels": model.kernels}
        _write_text(work / "run.json", json.dumps(content, indent=2) + "\n")
        shutil.copymode(work / "run.json", work / "model.safetensors")
        _write_text(work / "metrics.json", json.dumps(model.metrics, indent=2) + "\n")
        _write_text(work / "metrics.jsonl", "".join(json.dumps(_flat(r)) + "\n" for r in model.records))
        _write_text(work / "metrics.csv", _csv([_flat(r) for r in model.records]))
        model.split.train.users.ids.to_frame().write_parquet(work / "users.parquet")
        model.split.train.items.ids.to_frame().write_parquet(work / "items.parquet")
        _pairs(model.split).write_parquet(work / "interactions.parquet")
        old = folder.parent / f".{folder.name}.old-{os.getpid()}"
        if folder.exists():
            os.replace(folder, old)
        os.replace(work, folder)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:  # a state that cannot be written, or Ctrl-C, leaves no partial folder either
        shutil.rmtree(work, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise ResourceError(f"{folder}: could not be written ({error.strerror}); no partial folder is left") from None


def read_folder(folder: Path, plugins: Sequence[type[Baseline] | str] = ()) -> SavedModel:
    """Read a saved folder of this format or an earlier one; no code is imported but that of ``plugins``.

    Args:
        plugins: classes of baselines from outside the package that it may hold, or their names ``module:Class``.
    Raises: ArtefactError for anything that is broken, does not fit together, or is of a newer format.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder.resolve()}: no such folder; give the --out of an earlier `taurec train`")
    if not (folder / "run.json").exists():
        raise ArtefactError(f"{folder}: holds no run.json, so it is not a saved model")
    content = read_document(folder / "run.json")
    run = _run(content, folder / "run.json")
    try:
        state = load_file(folder / "model.safetensors")
        users = Vocabulary(pl.read_parquet(folder / "users.parquet")["id"])
        items = Vocabulary(pl.read_parquet(folder / "items.parquet")["id"])
        split = _split(pl.read_parquet(folder / "interactions.parquet"), users, items, run)
        metrics = json.loads((folder / "metrics.json").read_text())
        kernels = dict(content.get("kernels", {}))
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        records = [_record(json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError, KeyError, SafetensorError, pl.exceptions.PolarsError) as error:
        raise ArtefactError(f"{folder}: cannot be read as a saved model: {error}") from None
    for name, array in state.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtefactError(f"{folder}/model.safetensors: {name} holds values that are not finite")
    try:
        ranker = _ranker(run, state, plugins, folder)
    except (KeyError, ValueError, TypeError) as error:
        raise ArtefactError(f"{folder}/model.safetensors: does not hold a {run.label}: {error}") from None
    if (ranker.n_users, ranker.n_items) != (len(users), len(items)):
        raise ArtefactError(
            f"{folder}: the model ranks {ranker.n_users} users x {ranker.n_items} items, "
            f"its vocabularies hold {len(users)} x {len(items)}"
        )
    return SavedModel(run, ranker, split, metrics, records, kernels)


def update_metrics(folder: Path, part: str, values: dict[str, float]) -> None:
    """Set one part of ``metrics.json``, keeping the others."""
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text()) if path.exists() else {}
    metrics[part] = values
    beside = path.with_suffix(f".tmp-{os.getpid()}")
    try:
        _write_text(beside, json.dumps(metrics, indent=2) + "\n")
        os.replace(beside, path)
    except OSError as error:
        raise ResourceError(f"{path}: could not be written ({error.strerror})") from None


def _write_text(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_document(path: Path) -> Document:
    """The content of a ``run.json``, converted from the format of its version to the current one.

    Raises: ArtefactError for a file that cannot be read or is of a newer format.
    """
    try:
        content: Document = json.loads(path.read_text())
        header = content.get("taurec", {})
        version, by = header.get("format"), header.get("version", "another version")
    except (OSError, ValueError, AttributeError) as error:
        raise ArtefactError(f"{path}: cannot be read: {error}") from None
    if version != FORMAT and version not in CONVERTERS:
        raise ArtefactError(
            f"{path}: written by TauRec {by} in format {version!r}; this TauRec ({taurec.__version__}) reads formats "
            f"up to {FORMAT}. Install the version that wrote it, or a newer one"
        )
    while version != FORMAT:
        content = CONVERTERS[version](content)
        version += 1
    return content


def _run(content: Document, path: Path) -> Run:
    try:
        return Run.from_document(content)
    except (ValueError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path}: not a run of this version: {error}") from None


def _ranker(run: Run, state: State, plugins: Sequence[type[Baseline] | str], folder: Path) -> Ranker:
    """The ranker of a state; a model made of others asks for the classes of its parts."""
    found = _ranker_class(run, state, plugins, folder)
    if issubclass(found, Composite):
        made = found.from_parts(state, lambda part, own: _ranker_class(part, own, plugins, folder))
        if [part.text for part in made.runs] != [part.text for part in run.parts]:
            raise ValueError(f"it holds {' and '.join(part.label for part in made.runs)} with other settings")
        return made
    return found.from_state(state)


def _ranker_class(run: Run, state: State, plugins: Sequence[type[Baseline] | str], folder: Path) -> type[Ranker]:
    """The class of the ranker: by its arrays for a trained model, or a baseline; only ``plugins`` are imported."""
    model = run.model
    if model is None:
        return trained_class(run.rank_score, state)
    if ":" not in model.name:
        built_in: Any = MODELS[model.name]
        return cast("type[Ranker]", built_in)
    # A class in a file has another module name wherever the file is imported, so its own name decides.
    classes: list[Any] = [MODELS[import_file(given)] if isinstance(given, str) else given for given in plugins]
    found: Any = next((c for c in classes if c.__qualname__ == model.name.rpartition(":")[2]), None)
    found = found or MODELS.imported(model.name)
    if found is None:
        version = f" {model.version}" if model.version else ""
        raise ArtefactError(
            f"{folder}: holds the baseline {model.name}{version}, which is not part of TauRec; name it with "
            f"--plugin {model.name}, or hand the class over: Recommender.load({str(folder)!r}, "
            f"plugins=[{model.label}])"
        )
    return cast("type[Ranker]", found)


def _flat(record: EpochRecord) -> dict[str, Any]:
    row = asdict(record)
    metrics = row.pop("metrics")
    return {**row, **metrics}


def _csv(rows: list[dict[str, Any]]) -> str:
    """One line per epoch under a line of names; a value missing in an epoch is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _record(row: dict[str, Any]) -> EpochRecord:
    names = set(EpochRecord.__dataclass_fields__)
    return EpochRecord(
        **{k: v for k, v in row.items() if k in names}, metrics={k: v for k, v in row.items() if k not in names}
    )


def _pairs(split: Split) -> pl.DataFrame:
    frames = []
    for part, log in split.logs().items():
        columns: dict[str, Any] = {"user": log.user_of.astype(np.uint32), "item": log.indices.astype(np.uint32)}
        for name, values in (("time", log.time), ("weight", log.weight)):
            if values is not None:
                columns[name] = values
        frames.append(pl.DataFrame(columns).with_columns(pl.lit(part).alias("part")))
    return pl.concat(frames, how="diagonal")


def _split(pairs: pl.DataFrame, users: Vocabulary, items: Vocabulary, run: Run) -> Split:
    def made(part: str) -> Interactions:
        rows = pairs.filter(pl.col("part") == part)
        known = {c: rows[c].to_numpy() for c in ("time", "weight") if c in rows.columns and not rows[c].null_count()}
        user, item = rows["user"].to_numpy(), rows["item"].to_numpy()
        return Interactions.from_pairs(user, item, users, items, known.get("time"), known.get("weight"))

    given = made("given") if (pairs["part"] == "given").any() else None
    return Split(made("train"), made("valid"), made("test"), run.split, given=given)
