"""Recovery of injected false positives by cross-fitted percentiles, by BSL's weights, and by popularity only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from taurec.data.interactions import Interactions
from taurec.data.noise import add_false_positives
from taurec.data.source import split_source
from taurec.data.split import Split
from taurec.errors import UsageError
from taurec.ranker import Ranker
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.audit.log.crossfit import Floats, cross_fit
from taurec.studies.audit.log.shares import shares
from taurec.studies.audit.noise.results import t_interval
from taurec.studies.opening import Note, silent
from taurec.studies.result import Value
from taurec.training.interrupt import pass_on
from taurec.training.presets import resolve

TAU_POS = (0.2, 1.0)
"""Temperatures at which BSL is trained for its weights."""
_USERS_AT_ONCE = 256


@dataclass(frozen=True)
class MethodRecovery:
    """Accuracy of one method that ranks rows, in finding the injected ones.

    Attributes:
        method: the score that ranks the rows.
        auc: the probability that an injected row ranks before another, ties half; .5 is chance. Interval over seeds.
        precision: share of injected rows among the first n rows, n the number injected; recall at n is the same.
    """

    method: str
    auc: Value
    precision: Value


@dataclass(frozen=True)
class Recovery:
    """The recovery of injected noise.

    Attributes:
        rate: injected rows for each row of a user.
        seeds: number of injections.
        injected_share: injected rows among all rows of the noisy log, mean over seeds: the precision of a random order.
        estimated_before: estimated share of false positives before any injection.
        estimated: the same after it, mean and interval over seeds.
    """

    source: str
    rate: float
    seeds: int
    injected_share: float
    estimated_before: float
    estimated: Value
    methods: tuple[MethodRecovery, ...]


def recovery(
    source: Any,
    rate: float = 0.2,
    *,
    seeds: int = 3,
    judge: str | None = None,
    tau_pos: Sequence[float] = TAU_POS,
    fields: Mapping[str, Any] | None = None,
    on_progress: Note = silent,
) -> Recovery:
    """Inject false positives into the training part and rank its rows by several scores.

    The validation part, which chooses the epoch of BSL, is cut before the injection and stays clean.

    - ``percentiles``: positions by the cross-fitted model, which has not seen the row it scores.
    - ``popularity``: the control, positions by a model that knows only how often each item was taken. It measures how
      much of the recovery is due to random items being rarer than chosen ones, not to taste.
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
    runs = {tau: _bsl(tau, given) for tau in tau_pos}
    base = resolve(**{k: v for k, v in given.items() if k in ("split", "valid", "test", "reading")}, seed=first)
    parts, name = split_source(source, base)
    fit = cross_fit(parts.train, judge, seed=first, on_progress=on_progress)
    before = shares(parts.train, fit).false_positives.mean
    scores: dict[str, list[tuple[float, float]]] = {}
    estimates, injected_shares = [], []
    for seed in range(first, first + seeds):
        noisy = add_false_positives(parts.train, rate, seed, forbidden=[parts.valid, parts.test])
        injected = noisy.injected
        injected_shares.append(float(injected.mean()))
        on_progress(f"{name}: injection {seed - first + 1} of {seeds}")
        fit = cross_fit(noisy.log, judge, seed=seed, on_progress=on_progress)
        estimates.append(shares(noisy.log, fit).false_positives.mean)
        control = cross_fit(noisy.log, "popularity", seed=seed)
        ranked = {f"percentiles ({one.judge})": np.nan_to_num(one.middle, nan=0.5) for one in (fit, control)}
        for tau, run in runs.items():
            on_progress(f"{name}: bsl with tau_pos={tau:g}, seed {seed - first + 1} of {seeds}")
            weights = trained_weights(noisy.log, replace(parts, train=noisy.log), run.but(seed=seed))
            ranked[f"bsl weight, tau_pos={tau:g}"] = -weights
        for method, score in ranked.items():
            scores.setdefault(method, []).append((auc(score, injected), precision_at_count(score, injected)))
    methods = tuple(MethodRecovery(m, *map(t_interval, zip(*v, strict=True))) for m, v in scores.items())
    return Recovery(name, rate, seeds, float(np.mean(injected_shares)), before, t_interval(estimates), methods)


def trained_weights(log: Interactions, parts: Split, run: Run) -> Floats:
    """[P] the weights of a BSL model trained by ``run`` on these parts, for the rows of ``log``."""
    model = Recommender.from_run(run).fit(parts)
    pass_on(model.stopped_by)
    return bsl_weights(model.ranker, log, float(run.loss.settings["tau_pos"]))


def bsl_weights(ranker: Ranker, log: Interactions, tau_pos: float) -> Floats:
    """The weight of each row in BSL's gradient: m softmax(pos / tau_pos) over the m rows of each user.

        w_ui = |P_u| exp(s_ui / tau_pos) / sum_{j in P_u} exp(s_uj / tau_pos)

    The gradient of the positive side of BSL with respect to s_ui is -w_ui / |P_u|; in SL all weights are 1. The mean
    over a user's rows is 1, and a row that scores below its user's other rows has a smaller weight: BSL treats it as
    noise. Here all rows of a user are one group; in training a group is the user's rows in a batch.

    Args:
        ranker: a trained model; its scores should be those of training (cosines if it was trained on cosines).
        log: the rows, of the same users and items.
        tau_pos: in score units, above 0; as tau_pos grows, all weights approach 1.
    Returns: [P] weights, 0 or more.
    Raises: UsageError if tau_pos is not positive or the log has other sizes than the ranker.
    Source: the optimistic dual of the positive side of Wu et al., ICDE 2024, arXiv 2312.12882 (docs/losses.md).

    >>> from taurec.ranker import ScoresRanker
    >>> ranker = ScoresRanker(np.log(np.array([[1.0, 3.0, 9.0]], dtype=np.float32)))
    >>> bsl_weights(ranker, Interactions.from_pairs([0, 0], [0, 1]), 1.0)
    Traceback (most recent call last):
    taurec.errors.UsageError: the log has 1 users and 2 items, the ranker 1 and 3; both must come from the same log
    >>> bsl_weights(ranker, Interactions.from_pairs([0, 0, 0], [0, 1, 2]).take([0, 1]), 1.0).round(3).tolist()
    [0.5, 1.5]
    """
    if not (math.isfinite(tau_pos) and tau_pos > 0):
        raise UsageError(f"tau_pos must be above 0, got {tau_pos}")
    if (log.n_users, log.n_items) != (ranker.n_users, ranker.n_items):
        raise UsageError(
            f"the log has {log.n_users} users and {log.n_items} items, the ranker {ranker.n_users} and "
            f"{ranker.n_items}; both must come from the same log"
        )
    result = np.empty(len(log))
    users = np.flatnonzero(log.user_counts)
    for first in range(0, len(users), _USERS_AT_ONCE):
        part = users[first : first + _USERS_AT_ONCE]
        for line, user in zip(ranker.block(part), part, strict=True):
            rows = slice(log.indptr[user], log.indptr[user + 1])
            x = line[log.indices[rows]].astype(np.float64) / tau_pos
            x = np.exp(x - x.max())
            result[rows] = len(x) * x / x.sum()
    return result


def auc(score: Floats, positive: NDArray[np.bool_]) -> float:
    """The probability that a positive scores above a negative, ties count half; nan if there is only one kind.

    >>> auc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return math.nan
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * m))


def precision_at_count(score: Floats, positive: NDArray[np.bool_]) -> float:
    """The share of positives among the n highest scores, n the number of positives; a tie at the cut counts in part.

    >>> precision_at_count(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.75
    """
    n = int(positive.sum())
    if not n:
        return math.nan
    edge = np.sort(score)[-n]
    above, at = score > edge, score == edge
    share = (n - above.sum()) / at.sum()
    return float((positive[above].sum() + share * positive[at].sum()) / n)


def _bsl(tau_pos: float, fields: Mapping[str, Any]) -> Run:
    settings = {part: dict(values) for part, values in dict(fields.get("settings") or {}).items()}
    settings.setdefault("loss", {})["tau_pos"] = tau_pos
    return resolve(**{**fields, "backbone": fields.get("backbone", "mf"), "loss": "bsl", "settings": settings})
