"""Baselines fitted within a given time: first the defaults of all, then points of their grids while time is left."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from taurec import draw
from taurec.baselines import BASELINES, Baseline
from taurec.data.split import Split
from taurec.errors import ResourceError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.evaluation.users import UserScorer
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.compare.candidates import BASELINES_ALWAYS, candidates
from taurec.studies.compare.protocol import valid_of
from taurec.studies.opening import Note
from taurec.studies.search.results import Trial, run_text

FEW_USERS = 1000
"""Number of users on which a baseline without a declared cost is measured."""


@dataclass
class Baselines:
    """The best model of each baseline, and all settings that were fitted."""

    best: dict[str, Recommender] = field(default_factory=dict)
    tries: list[Trial] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fit_baselines(
    parts: Split, fields: Mapping[str, Any], until: float, say: Note, labels: Iterable[str] = BASELINES_ALWAYS
) -> Baselines:
    """Fit baselines to the training part until the time is over.

    A fit that would take longer than the time left, by the last fit of that baseline or by :func:`forecast`, is not
    started. A baseline that declares a cost of 0 seconds is fitted in any case.

    Args:
        until: of ``time.monotonic()``.
    """
    found, took, left_out = Baselines(), dict[str, float](), dict[str, str]()
    for run in _in_turns(labels, fields):
        label, left = run.label, until - time.monotonic()
        if label in left_out:
            continue
        cost = _built(run).fit_cost(parts.train)
        if cost is None or cost.seconds > 0:
            if left <= 0:
                left_out[label] = "no time"
            elif (expected := took[label] if label in took else forecast(run, parts)) > left:
                left_out[label] = f"about {expected:.0f} s by forecast, {left:.0f} s left"
            if label in left_out:
                found.notes += [] if label in took else [f"{label} left out: {left_out[label]}"]
                continue
        say(run_text(run))
        started = time.monotonic()
        try:
            model = Recommender.from_run(run).fit(parts)
        except ResourceError as error:
            left_out[label] = str(error)
            found.notes.append(f"{label} left out: {error}")
            continue
        took[label] = time.monotonic() - started
        found.tries.append(Trial.of(run, "baseline", valid_of(model), 0, took[label], True))
        if label not in found.best or valid_of(model) > valid_of(found.best[label]):
            found.best[label] = model
    return found


def forecast(run: Run, parts: Split) -> float:
    """Seconds that a baseline will take on the training part and its validation.

    It is the cost that the baseline declares (:meth:`taurec.baselines.Baseline.fit_cost`). A baseline without one is
    fitted to some of the users, and its time is scaled by the number of users. The result is 0 for a small log, which
    needs no forecast.
    """
    baseline = _built(run)
    train, valid = parts.train, parts.valid
    cost = baseline.fit_cost(train)
    if cost is not None:
        return cost.seconds
    if train.n_users <= 2 * FEW_USERS:
        return 0.0
    drawn = draw.permutation(draw.key(run.seed, "probe forecast"), train.n_users)[:FEW_USERS]
    some, held = (part.take(np.isin(part.user_of, drawn)) for part in (train, valid))
    started = time.perf_counter()
    ranker = baseline.fit(some)
    if len(held):
        evaluate_ranker(UserScorer.of_log(ranker, some), held, some, [run.metric])
    return (time.perf_counter() - started) * train.n_users / FEW_USERS


def _built(run: Run) -> Baseline:
    """The baseline of a run, not fitted."""
    assert run.model is not None
    return BASELINES.build(run.model.name, given=run.model.settings, seed=run.seed)


def _in_turns(labels: Iterable[str], fields: Mapping[str, Any]) -> list[Run]:
    """Every label's default, then one point of each label's grid in turn, the points in random order."""
    defaults, grids = list[Run](), list[list[Run]]()
    for label in labels:
        default = candidates(label, "none", fields)[0]
        grid = [run for run in candidates(label, "baselines", fields) if run != default]
        order = draw.permutation(draw.key(default.seed, f"probe {label}"), len(grid))
        defaults.append(default)
        grids.append([grid[i] for i in order])
    return [*defaults, *(run for turn in zip_longest(*grids) for run in turn if run is not None)]
