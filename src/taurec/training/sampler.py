"""The negative sampler of a run, as its backbone uses it, with the further positives that its loss needs."""

from __future__ import annotations

from taurec.backbones import backbone_class
from taurec.losses import LOSSES, ScoreLoss
from taurec.run import Run
from taurec.sampling import NEGATIVES, NegativeSampler, Sampler
from taurec.sampling.positives import AddPositives
from taurec.sampling.users import OncePerUser
from taurec.training.presets import settled


def sampler_of(run: Run) -> NegativeSampler:
    """The sampler that ``run`` names, not yet bound to a log."""
    sampler = NEGATIVES.build(run.negatives.name, given=run.negatives.settings)
    loss = LOSSES.build(run.loss.name, given=settled(run).loss.settings)
    more = loss.more_positives if isinstance(loss, ScoreLoss) else 0
    whose = backbone_class(run.backbone.name).negatives(run.backbone.settings)
    of_users = sampler.of_users() if whose != "row" and isinstance(sampler, Sampler) else None
    if of_users is not None:
        sampler = OncePerUser(of_users) if whose == "user" else of_users
    return AddPositives(sampler, more) if more else sampler
