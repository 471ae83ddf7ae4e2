"""Baselines within a given time: first the defaults of all, then the points of their grids while time is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from taurec import draw
from taurec.baselines import BASELINES, Baseline
from taurec.data.interactions import Interactions
from taurec.data.split import Split
from taurec.errors import ResourceError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.compare.candidates import BASELINES_ALWAYS, candidates
from taurec.studies.search.results import Trial, setting_text

FEW_USERS = 1000
"""Number of users on which a baseline without a declared cost is measured."""


@dataclass
class Baselines:
    """The best model of each baseline, and all settings that were fitted."""

    best: dict[str, Recommender] = field(default_factory=dict)
    tries: list[Trial] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fit_baselines(
    parts: Split,
    fields: Mapping[str, Any],
    until: float,
    clock: Callable[[], float],
    say: Callable[[str], None],
    labels: Iterable[str] = BASELINES_ALWAYS,
) -> Baselines:
    """Fit baselines to the training part until the time is over.

    A fit that would take longer than the time left, by the last fit of that baseline or by :func:`forecast`, is not
    started. A baseline that declares a cost of 0 seconds is fitted in any case.
    """
    found, queue, took = Baselines(), _in_turns(labels, fields), dict[str, float]()
    given_up = set[str]()
    for run in queue:
        label = run.label
        if label in given_up:
            continue
        left = until - clock()
        if not _costs_nothing(run, parts.train):
            if left <= 0:
                given_up.add(label)
                if label not in took:
                    found.notes.append(f"{label} left out: no time")
                continue
            expected = took[label] if label in took else forecast(run, parts)
            if expected > left:
                given_up.add(label)
                if label not in took:
                    found.notes.append(f"{label} left out: about {expected:.0f} s by forecast, {left:.0f} s left")
                continue
        say(f"{label} {setting_text(run)}".strip())
        started = clock()
        try:
            model = Recommender.from_run(run).fit(parts)
        except ResourceError as error:
            given_up.add(label)
            found.notes.append(f"{label} left out: {error}")
            continue
        took[label] = clock() - started
        assert model.best is not None
        value = model.best.metrics[run.metric]
        found.tries.append(Trial(label, setting_text(run), run, "baseline", value, 0, took[label], True))
        before = found.best.get(label)
        if before is None or before.best is None or value > before.best.metrics[run.metric]:
            found.best[label] = model
    return found


def forecast(run: Run, parts: Split) -> float:
    """Seconds that a baseline will take on the training part and its validation.

    It is the cost that the baseline declares (:meth:`taurec.baselines.Baseline.fit_cost`). One without is fitted to
    some users, and its time grows with their number, which is an upper bound; a small log needs no forecast: 0.
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
        evaluate_ranker(ranker, held, some, [run.metric])
    return (time.perf_counter() - started) * train.n_users / FEW_USERS


def _built(run: Run) -> Baseline:
    """The baseline of a run, not fitted."""
    assert run.model is not None
    return BASELINES.build(run.model.name, given=run.model.settings, seed=run.seed)


def _costs_nothing(run: Run, train: Interactions) -> bool:
    """Whether a baseline declares that its fit takes no time."""
    cost = _built(run).fit_cost(train)
    return cost is not None and cost.seconds == 0


def _in_turns(labels: Iterable[str], fields: Mapping[str, Any]) -> list[Run]:
    """Every label's default, then a point of each label's grid in turn, points in a drawn order."""
    defaults = list[Run]()
    rest = list[tuple[int, int, Run]]()
    for label in labels:
        default = candidates(label, "none", fields)[0]
        grid = [run for run in candidates(label, "baselines", fields) if run != default]
        defaults.append(default)
        order = draw.permutation(draw.key(default.seed, f"probe {label}"), len(grid))
        rest += [(place, len(rest), grid[i]) for place, i in enumerate(order)]
    return [*defaults, *(run for _, _, run in sorted(rest, key=lambda entry: entry[:2]))]
