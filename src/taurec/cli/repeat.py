"""Whether an output folder already holds the finished run, so that it need not be run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from taurec.errors import ArtefactError

if TYPE_CHECKING:
    from taurec.data.split import Split
    from taurec.recommender import Recommender
    from taurec.run import Run

_OF_DATA = ("data_hash", "split")
"""Fields that are known only once the data is read."""


def same_settings(folder: Path, run: Run) -> bool:
    """Whether a folder's ``run.json`` has every setting of a run, without the data."""
    from taurec.run import Run

    path = folder / "run.json"
    if not path.is_file():
        return False
    try:
        saved = Run.from_json(path)
    except ArtefactError:
        return False
    skip = set(_OF_DATA)
    return saved.model_dump(mode="json", exclude=skip) == run.model_dump(mode="json", exclude=skip)


def finished(folder: Path, parts: Split) -> Recommender | None:
    """The saved model, if it was fitted to these parts and its training is finished."""
    from taurec.data.split import data_hash
    from taurec.recommender import Recommender

    model = Recommender.load(folder)
    if model.run.data_hash != data_hash(parts) or not _is_finished(model):
        return None
    return model


def _is_finished(model: Recommender) -> bool:
    run, epochs = model.run, len(model.records)
    if run.model is not None or epochs >= run.epochs:
        return True
    evaluated = [r for r in model.records if run.metric in r.metrics]
    if not evaluated:
        return False
    best = max(evaluated, key=lambda r: r.metrics[run.metric])
    return epochs - best.epoch >= run.patience * run.eval_every
