"""The negative sampler of a run, with the further positives that its loss needs."""

from __future__ import annotations

from taurec.losses import LOSSES, ScoreLoss
from taurec.run import Run
from taurec.sampling import NEGATIVES, NegativeSampler
from taurec.sampling.positives import AddPositives
from taurec.training.presets import settled


def sampler_of(run: Run) -> NegativeSampler:
    """The sampler that ``run`` names, not yet bound to a log."""
    sampler = NEGATIVES.build(run.negatives.name, given=run.negatives.settings)
    loss = LOSSES.build(run.loss.name, given=settled(run).loss.settings)
    more = loss.more_positives if isinstance(loss, ScoreLoss) else 0
    return AddPositives(sampler, more) if more else sampler
