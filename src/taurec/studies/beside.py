"""What to know about a training in addition to its figures: how a closed form does, and whether it ended too early."""

from __future__ import annotations

import time
from collections.abc import Iterator

from taurec.baselines.models import MODELS
from taurec.errors import ResourceError
from taurec.recommender import Recommender
from taurec.studies.words import seconds
from taurec.tuning import on_validation

CLOSED_FORMS = ("ease-normalised", "slim-local")
"""Those that a trained model is compared with; the first that is fast enough."""

AT_MOST = 1.5
"""Seconds that the fit of a closed form may take by its forecast."""

FALLING = ("linear", "cosine")
"""Schedules whose learning rate falls to nothing, so that the last epoch is the best one as a rule."""


def remarks(model: Recommender) -> Iterator[str]:
    """Sentences on a fitted model without parts that was trained: none for a baseline or a blend.

    A closed form with its default settings on the same validation part, where its fit takes about a second; a warning
    where the best epoch is the last one allowed.
    """
    run, best = model.run, model.best
    if run.model is not None or best is None or run.metric not in best.metrics:
        return
    if best.epoch == run.epochs and run.lr_schedule not in FALLING and run.patience < run.epochs:
        yield (
            f"warning: the best epoch is the last one allowed ({run.epochs}), so more may be better: "
            f"--epochs {2 * run.epochs}"
        )
    for name in CLOSED_FORMS:
        baseline = MODELS.build(name, given={}, seed=run.seed)
        cost = baseline.fit_cost(model.split.train)
        if cost is None or cost.seconds > AT_MOST:
            continue
        started = time.perf_counter()
        try:
            value = on_validation(run, baseline.fit(model.split.train), model.split)[run.metric]
        except ResourceError:
            continue
        took = seconds(time.perf_counter() - started)
        yield (
            f"for comparison: {name} with its default settings, a closed form, has {run.metric} {value:.4f} on "
            f"validation after {took}; {run.label} has {best.metrics[run.metric]:.4f}"
        )
        return
