"""Which losses, scores, backbones and negatives go together; the others are refused before anything is drawn.

Nothing here knows a name: a loss, its state, a backbone and a sampler declare what they need and what they give.
"""

from __future__ import annotations

import torch

from taurec.backbones import Backbone
from taurec.errors import UsageError
from taurec.losses.protocol import Loss, ScoreLoss
from taurec.losses.state import LossState
from taurec.run import Run
from taurec.types import Negatives, StepShape


def check_combination(run: Run, loss: Loss, state: LossState | None, backbone: Backbone, shape: StepShape) -> None:
    """Refuse a run whose parts do not go together.

    Args:
        run: a resolved run.
        loss: that of the run.
        state: what the loss remembers, if anything.
        backbone: that of the run.
        shape: what the run's sampler declares of its negatives.
    Raises: UsageError naming what does not fit, why, and what to choose instead.
    """
    check_declared(run, loss, shape)
    _check_scores(run, loss, backbone)
    name, negatives = run.loss.name, run.negatives.name
    if state is not None and state.asks_items is not None and not shape.items:
        raise UsageError(
            f"loss {name!r} {state.asks_items}, and negatives {negatives!r} do not say which items they are: they are "
            f"the whole catalogue, vectors, or chosen in the step; use drawn items, such as --negatives uniform:256 or "
            f"in-batch"
        )


def check_declared(run: Run, loss: Loss, shape: StepShape) -> None:
    """The part of :func:`check_combination` that needs no log, before a sampler reads a file or encodes texts.

    Raises: UsageError as there.
    """
    name, negatives = run.loss.name, run.negatives.name
    if run.logq and "logq" not in loss.takes:
        raise UsageError(f"loss {name!r} has no form corrected by logq; leave logq off")
    if isinstance(loss, ScoreLoss) and not shape.columns:
        raise UsageError(
            f"loss {name!r} compares each pair with negatives, and this run draws none (negatives={negatives!r}); "
            f"choose some, such as --negatives uniform:256"
        )
    if run.logq and not shape.logq:
        raise UsageError(
            f"logq corrects for the probability of each negative, which negatives {negatives!r} do not know; "
            f"leave logq off, or use negatives that know it, such as popularity"
        )
    if run.train_score == "neg_sq_dist" and not shape.distances:
        raise UsageError(
            f"negatives {negatives!r} are defined on cosine and dot scores, and loss {name!r} is trained on distances "
            f"here; got train_score={run.train_score!r} and rank_score={run.rank_score!r}, use negatives that allow "
            f"distances, such as --negatives uniform:256, or scores that are no distances: --set train_score=cosine "
            f"--set rank_score=cosine"
        )


def _check_scores(run: Run, loss: Loss, backbone: Backbone) -> None:
    """Refuse scores for which the backbone or the loss is not defined."""
    given = f"got train_score={run.train_score!r} and rank_score={run.rank_score!r}"
    if backbone.biased and not run.train_score == run.rank_score == "dot":
        raise UsageError(
            f"{run.backbone.name} with biases adds them to cosines itself, so its scores are dot products; "
            f"{given}, use train_score='dot' and rank_score='dot'"
        )
    if loss.scores == "cosine" and run.train_score != "cosine" and not backbone.biased:
        raise UsageError(f"loss {run.loss.name!r} is defined on cosine scores; {given}, use train_score='cosine'")


def check_layers(backbone: Backbone, negatives: Negatives) -> None:
    """Refuse a backbone from whose layers these negatives cannot be made.

    Args:
        backbone: whose vectors are computed once, without dropout and without gradient.
        negatives: any batch of a sampler that declares ``layers``.
    Raises: UsageError of :meth:`taurec.types.Negatives.with_layers`.
    """
    training = backbone.training
    backbone.eval()
    with torch.no_grad():
        negatives.with_layers(backbone.embed())
    backbone.train(training)
