"""Checks for your own losses, samplers, backbones, baselines and models: the laws that TauRec's own keep.

Each check raises AssertionError that names every broken law. A law that your object breaks on purpose is given with
the reason; an exception that is not needed is an error too:

>>> from taurec.losses import MSE
>>> signs = "positive gradients are never positive, negative gradients never negative, at random scores"
>>> direction = "a step raises the score of a positive and lowers those of its negatives"
>>> reason = "squared error pulls negative scores up to 0 and positives above 1 down"
>>> check_loss(MSE(), exceptions=[(signs, reason), (direction, reason)])
"""

from taurec.testing.backbones import check_backbone
from taurec.testing.baselines import check_baseline
from taurec.testing.losses import check_loss
from taurec.testing.recommenders import check_recommender
from taurec.testing.samplers import check_order, check_sampler

__all__ = ["check_backbone", "check_baseline", "check_loss", "check_order", "check_recommender", "check_sampler"]
