"""The audit of a model's temperature: its effect over the users, and how that changes during training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from taurec import draw
from taurec.backbones import BACKBONES
from taurec.data.interactions import Interactions
from taurec.data.split import Split
from taurec.errors import UsageError
from taurec.losses import Loss, loss_class
from taurec.ranker import EmbeddingRanker, Float, unit_rows
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.sampling import NEGATIVES
from taurec.sampling.proposal import uniform_base
from taurec.sampling.protocol import BoundSampler
from taurec.studies.audit.temperature.results import EpochView, TemperatureAudit, View
from taurec.studies.audit.temperature.reweighting import Array, Reweighting, reweighting, weights
from taurec.training.auto_temperature import find_temperature
from taurec.training.presets import auto_settings
from taurec.training.records import Progress
from taurec.training.trainer import Trainer

OTHERS = (0.25, 0.5, 2.0, 4.0)
"""Multiples of a model's temperature that the audit compares with."""
USERS, USERS_ALONG = 1000, 200
"""Users in the audit of a trained model, and after each epoch of training."""
BLOCK = 1 << 21
"""Maximum number of scores in memory at once."""

Index = NDArray[np.int64]
Vectors = tuple[Array, Array]


def audit_saved(model: Recommender, taus: Sequence[float] = (), users: int = USERS) -> TemperatureAudit:
    """Audit a fitted or loaded model.

    Args:
        model: with embeddings.
        taus: other temperatures to compare with; by default a quarter, half, twice and four times the model's.
        users: maximum number of users, drawn with the run's seed from those with training pairs.
    Raises: UsageError for a model without embeddings, or whose loss has no temperature while no taus are given.
    """
    run = model.run
    tau_of(run, [1.0])
    if not isinstance(model.ranker, EmbeddingRanker) or run.backbone.name not in BACKBONES:
        raise UsageError(f"{run.label} has no embeddings to audit")
    if run.train_score == "dot" and run.rank_score == "cosine":
        raise UsageError(
            f"{run.label} was trained on dot products and saved for cosines, so its training scores are not available; "
            f"audit it while it is trained, or train with rank_score=dot"
        )
    cosine_of_dots = run.train_score == "cosine" and run.rank_score == "dot"
    return _audit(run, model.split.train, _as_scored(model.embeddings(), cosine_of_dots), taus, users)


def audit_training(
    run: Run,
    parts: Split,
    taus: Sequence[float] = (),
    users: int = USERS,
    on_progress: Callable[[Progress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> TemperatureAudit:
    """Train a model, audit it after each epoch, and then audit the best epoch as :func:`audit_saved` does.

    Args:
        run: resolved; a temperature that is ``auto`` is found first.
        parts: the log.
        on_progress, on_note: as in :class:`taurec.training.trainer.Trainer`.
    """
    tau_of(run, taus)
    valid = parts.valid if len(parts.valid) else None
    stopped = 0
    if auto_settings(run.loss):
        temperature = find_temperature(run, parts.train, valid, on_progress, on_note, parts.given)
        run, stopped = temperature.run, temperature.stopped_by

    def each(progress: Progress) -> None:
        watch(progress)
        if on_progress is not None:
            on_progress(progress)

    trainer = Trainer(run, parts.train, valid, each, on_note, parts.given)
    watch = Watch(trainer)
    stopped = stopped or trainer.fit().stopped_by
    notes = (f"training was stopped by a signal after {len(watch.views)} epochs",) if stopped else ()
    found = _audit(run, parts.train, watch.vectors(), taus, users)
    return dataclasses.replace(found, curve=tuple(watch.views), notes=(*found.notes, *notes), stopped_by=stopped)


class Watch:
    """A training hook that audits a seeded sample of users after each epoch.

    One audit computes ``users`` x items scores: 3 to 4 % of an epoch's time on ml-100k and debian.

    Args:
        trainer: the trainer that calls this hook (``on_progress``); a loss without temperature has nothing to audit.
        users: maximum number of users.
    """

    def __init__(self, trainer: Trainer, users: int = USERS_ALONG):
        self.trainer = trainer
        self.users = sample_users(trainer.train, users, trainer.run.seed)
        self.views: list[EpochView] = []
        self._scores = _TrainingScores(trainer.run, trainer.train, trainer.negatives)

    def __call__(self, progress: Progress) -> None:
        if progress.record is None or (tau := tau_of(self.trainer.run, [1.0])) is None:
            return
        negatives, positives = self._scores.views(self.vectors(), self.users, [tau])
        self.views.append(EpochView(progress.epoch, dict(progress.record.metrics), negatives[0], positives))

    def vectors(self) -> Vectors:
        """All final vectors of the trainer's current weights, as training scores use them."""
        trainer = self.trainer
        trainer.step.settle()
        trainer.backbone.eval()
        with torch.no_grad():
            e = trainer.backbone.embed()
        user, item = (x.detach().cpu().numpy() for x in (e.user, e.item))
        return _as_scored((user, item), trainer.run.train_score == "cosine")


def sample_users(train: Interactions, users: int, seed: int) -> Index:
    """[n] users with training pairs, ascending: all, or ``users`` of them drawn without replacement.

    >>> sample_users(Interactions.from_pairs([0, 2, 5], [0, 1, 0]), 9, seed=0).tolist()
    [0, 2, 5]
    """
    if users < 1:
        raise UsageError(f"the audit needs at least 1 user, got {users}")
    there = np.flatnonzero(train.user_counts)
    if len(there) <= users:
        return there
    return np.sort(there[draw.permutation(draw.key(seed, "temperature audit"), len(there))[:users]])


def tau_of(run: Run, taus: Sequence[float] = ()) -> float | None:
    """The temperature of the weights of negatives in a run's loss; None if it has none and ``taus`` are given.

    Raises: UsageError if there is nothing to audit.

    >>> from taurec.training.presets import resolve
    >>> tau_of(resolve(loss="bsl"))
    0.1
    """
    if run.model is not None:
        raise UsageError(f"{run.label} has no embeddings and no temperature; audit a trained model such as mf:sl")
    if "neg_sq_dist" in (run.train_score, run.rank_score):
        raise UsageError(f"{run.label} has scores of distances; the audit takes models with cosine or dot scores")
    loss = loss_class(run.loss.name)
    name = loss.temperature if loss.softmax_weights else None
    tau = None if name is None else run.loss.settings[name]
    if name is None and not taus:
        raise UsageError(f"loss {run.loss.name!r} {_why(loss)}; name those to audit (--taus 0.1,0.2)")
    return tau if isinstance(tau, int | float) else None


def _why(loss: type[Loss]) -> str:
    """Why a loss has no temperature that the audit can use."""
    if loss.temperature is None:
        return "has no temperature"
    return "does not weigh negatives by exp(score / temperature)"


class _TrainingScores:
    """The scores of a model as its loss uses them. A loss corrected by ``logq`` sees the uniform distribution.

    Raises: UsageError for a sampler that draws from no fixed distribution.
    """

    def __init__(self, run: Run, train: Interactions, sampler: BoundSampler | None = None):
        declared = NEGATIVES.build(run.negatives.name, given=run.negatives.settings)
        base = (sampler or declared.bind(train, run.seed)).base_distribution()
        if base is None:
            raise UsageError(
                f"negatives {run.negatives.text} state no distribution that they are drawn from, and the audit "
                "compares the weights of negatives with it; audit a model with other negatives, such as uniform"
            )
        self.run, self.train = run, train
        self.base = uniform_base(without_own=base.own == 0) if run.logq else base

    def views(self, vectors: Vectors, users: Index, taus: Sequence[float]) -> tuple[list[View], View | None]:
        """The views of the negatives, one per tau, and of the positive side if the loss has one."""
        found: list[list[tuple[Reweighting, Array]]] = [[] for _ in taus]
        for block in _blocks(users, self.train.n_items):
            scores = vectors[0][block] @ vectors[1].T
            own = self.train.csr()[block].toarray() > 0
            weight = self.base.item
            if self.base.users is not None:
                weight = self.base.users(block)
                scores = np.where(weight > 0, scores, -np.inf)
            elif self.base.own == 0:
                scores = np.where(own, -np.inf, scores)
            kept = np.isfinite(scores).any(1)  # a user with every item may have no negatives
            scores, own = scores[kept], own[kept]
            weight = weight[kept] if weight is not None and weight.ndim == 2 else weight
            for at_tau, tau in zip(found, taus, strict=True):
                if len(scores):
                    share = (weights(scores, tau, weight) * own).sum(1)
                    at_tau.append((reweighting(scores, tau, weight), share))
        if not found[0]:
            raise UsageError("no user has an item beyond their training pairs, so there are no negatives to audit")
        return [View.of(*zip(*at_tau, strict=True)) for at_tau in found], self._positives(vectors, users)

    def _positives(self, vectors: Vectors, users: Index) -> View | None:
        name = loss_class(self.run.loss.name).positive_temperature
        if name is None:
            return None
        widest, parts = int(self.train.user_counts[users].max()), []
        for block in _blocks(users, widest):
            scores = np.full((len(block), widest), -np.inf)
            for row, user in enumerate(block):
                items = self.train.items_of(int(user))
                scores[row, : len(items)] = vectors[1][items] @ vectors[0][user]
            parts.append(reweighting(scores, float(self.run.loss.settings[name])))
        return View.of(parts)


def _audit(run: Run, train: Interactions, vectors: Vectors, taus: Sequence[float], users: int) -> TemperatureAudit:
    own = tau_of(run, taus)
    scores, chosen = _TrainingScores(run, train), sample_users(train, users, run.seed)
    mine = [] if own is None else [own]
    others = list(taus) or [float(f"{tau * times:.4g}") for times in OTHERS for tau in mine]
    negatives, positives = scores.views(vectors, chosen, [*mine, *others])
    return TemperatureAudit(
        source=run.source,
        run=run,
        base=scores.base.words,
        users=len(chosen),
        of_users=int((train.user_counts > 0).sum()),
        negatives=negatives[0] if mine else None,
        positives=positives,
        others=tuple(negatives[len(mine) :]),
        notes=() if mine else (f"loss {run.loss.name} {_why(loss_class(run.loss.name))}; the scores are its model's",),
    )


def _as_scored(vectors: tuple[Float, Float], cosine: bool) -> Vectors:
    """Vectors whose products are the training scores, in float64."""
    user, item = (unit_rows(v) if cosine else v for v in vectors)
    return user.astype(np.float64), item.astype(np.float64)


def _blocks(users: Index, width: int) -> list[Index]:
    """The users in blocks, with ``width`` scores per user."""
    size = max(1, BLOCK // width)
    return np.split(users, range(size, len(users), size))
