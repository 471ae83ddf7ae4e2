"""Recovery of injected false positives by cross-fitted percentiles, by BSL's weights, and by popularity alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, t

from taurec.data.interactions import Interactions
from taurec.data.noise import add_false_positives
from taurec.data.source import split_source
from taurec.data.split import Split
from taurec.errors import UsageError
from taurec.evaluation.significance import Interval
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.audit.log.crossfit import cross_fit
from taurec.studies.audit.log.shares import shares
from taurec.studies.audit.log.weights import bsl_weights
from taurec.training.interrupt import pass_on
from taurec.training.presets import resolve

TAU_POS = (0.2, 1.0)
"""Temperatures at which BSL is trained for its weights."""


@dataclass(frozen=True)
class MethodRecovery:
    """Accuracy of one method that ranks rows, in finding the injected ones.

    Attributes:
        method: the score that ranks the rows.
        auc: the probability that an injected row ranks before another, ties half; .5 is chance. Interval over seeds.
        precision: share of injected rows among the first n rows, n the number injected; recall at n is the same.
    """

    method: str
    auc: Interval
    precision: Interval


@dataclass(frozen=True)
class Recovery:
    """The recovery of injected noise.

    Attributes:
        source: the log.
        rate: injected rows for each row of a user.
        seeds: number of injections.
        share: injected rows among all rows of the noisy log, mean over seeds: the precision of a random order.
        before: estimated share of false positives before any injection.
        estimated: the same after it, mean and interval over seeds.
        methods: one row per method.
    """

    source: str
    rate: float
    seeds: int
    share: float
    before: float
    estimated: Interval
    methods: tuple[MethodRecovery, ...]

    def document(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "source": self.source,
            "rate": self.rate,
            "seeds": self.seeds,
            "injected_share": self.share,
            "estimated_before": self.before,
            "estimated": vars(self.estimated),
            "methods": [{"method": f.method, "auc": vars(f.auc), "precision": vars(f.precision)} for f in self.methods],
        }


def recovery(
    source: Any,
    rate: float = 0.2,
    *,
    seeds: int = 3,
    judge: str | None = None,
    tau_pos: Sequence[float] = TAU_POS,
    fields: Mapping[str, Any] | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Recovery:
    """Inject false positives into the training part and rank its rows by several scores.

    The validation part, which chooses the epoch of BSL, is cut before the injection and stays clean.

    - ``places``: positions by the cross-fitted model, which has not seen the row it scores.
    - ``popularity``: the same by a model that knows only how often an item was taken: the control. What it
      finds says nothing about taste, only that drawn items are rarer than chosen ones.
    - ``bsl weight, tau_pos=T``: one minus the weight of a BSL model trained on all rows, the injected ones too.

    Args:
        source: as for :meth:`taurec.recommender.Recommender.fit`.
        rate: as for :func:`taurec.data.noise.add_false_positives`.
        seeds: injections, each with separate models; intervals over them (Student's t, 95 %).
        judge: as for :func:`taurec.studies.audit.log.crossfit.cross_fit`.
        tau_pos: temperatures of BSL; none leaves BSL out.
        fields: run fields of the BSL runs, such as ``epochs`` or ``threads``; ``seed`` is the first seed.
    Raises: UsageError for less than one seed or a rate that injects nothing.
    """
    if seeds < 1:
        raise UsageError(f"seeds must be at least 1, got {seeds}")
    if rate <= 0:
        raise UsageError(f"the rate must be above 0, got {rate}; 0.2 injects a fifth of each user's rows")
    given = dict(fields or {})
    first = int(given.pop("seed", 0))
    say = on_progress or (lambda line: None)
    runs = {tau: _bsl(tau, given) for tau in tau_pos}
    base = resolve(**{k: v for k, v in given.items() if k in ("split", "valid", "test", "reading")}, seed=first)
    parts, name = split_source(source, base)
    before = shares(parts.train, cross_fit(parts.train, judge, seed=first, on_progress=say)).false_positives.mean
    scores: dict[str, list[tuple[float, float]]] = {}
    estimates, injected_shares = [], []
    for seed in range(first, first + seeds):
        noisy = add_false_positives(parts.train, rate, seed, forbidden=[parts.valid, parts.test])
        injected = noisy.injected
        injected_shares.append(float(injected.mean()))
        say(f"{name}: injection {seed - first + 1} of {seeds}")
        fit = cross_fit(noisy.log, judge, seed=seed, on_progress=say)
        estimates.append(shares(noisy.log, fit).false_positives.mean)
        ranked = {f"places ({fit.judge})": np.nan_to_num(fit.middle, nan=0.5)}
        control = cross_fit(noisy.log, "popularity", seed=seed)
        ranked["places (popularity)"] = np.nan_to_num(control.middle, nan=0.5)
        for tau, run in runs.items():
            say(f"{name}: bsl with tau_pos={tau:g}, seed {seed - first + 1} of {seeds}")
            ranked[f"bsl weight, tau_pos={tau:g}"] = -implied(
                noisy.log, Split(noisy.log, parts.valid, parts.test, parts.how), run.but(seed=seed)
            )
        for method, score in ranked.items():
            scores.setdefault(method, []).append((auc(score, injected), precision_at_count(score, injected)))
    methods = tuple(MethodRecovery(m, over([a for a, _ in v]), over([p for _, p in v])) for m, v in scores.items())
    return Recovery(name, rate, seeds, float(np.mean(injected_shares)), before, over(estimates), methods)


def implied(log: Interactions, parts: Split, run: Run) -> NDArray[np.float64]:
    """[P] the weights of a BSL model trained by ``run`` on these parts, for the rows of ``log``."""
    model = Recommender.from_run(run).fit(parts)
    pass_on(model.stopped_by)
    return bsl_weights(model.ranker, log, float(run.loss.settings["tau_pos"]))


def auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The chance that a positive scores above a negative, ties half; nan where there is only one kind.

    >>> auc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * m))


def precision_at_count(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The share of positives among the n highest scores, n the number of positives; a tie at the cut counts in part.

    >>> precision_at_count(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.75
    """
    n = int(positive.sum())
    if not n:
        return float("nan")
    edge = np.sort(score)[-n]
    above, at = score > edge, score == edge
    share = (n - above.sum()) / at.sum()
    return float((positive[above].sum() + share * positive[at].sum()) / n)


def over(values: Sequence[float]) -> Interval:
    """The mean over seeds with its 95 % interval by Student's t; no bounds for one seed.

    >>> over([1.0, 2.0, 3.0]).low < 0
    True
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return Interval(float(x.mean()), None, None)
    half = float(t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half)


def _bsl(tau_pos: float, fields: Mapping[str, Any]) -> Run:
    settings = {part: dict(values) for part, values in dict(fields.get("settings") or {}).items()}
    settings.setdefault("loss", {})["tau_pos"] = tau_pos
    return resolve(**{**fields, "backbone": fields.get("backbone", "mf"), "loss": "bsl", "settings": settings})
