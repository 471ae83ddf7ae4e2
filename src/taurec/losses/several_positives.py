"""Losses that compare several positives of a user with the same negatives: MSCL and variational BPR."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from taurec.errors import UsageError
from taurec.losses.checks import checked, require_number
from taurec.losses.logspace import count_present, log_sum_exp, present, softplus
from taurec.losses.pairwise import PairwiseLoss
from taurec.losses.protocol import ScoreLoss
from taurec.losses.state import LossState, TrainingLog, column_items
from taurec.types import Batch

HARDNESS_TEMPERATURE = 0.5
"""Temperature of the softmax that measures how hard a positive or a negative is, in score units."""
LEAST_LOG_PRIOR = math.log(1e-12)
"""Lower bound of a log prior."""


class SeveralPositives(ScoreLoss):
    """A loss with a setting ``positives``: the pair and ``positives - 1`` further ones of its user, as ``more``."""

    positives: int

    needs: ClassVar[frozenset[str]] = frozenset({"more"})

    def __post_init__(self) -> None:
        if isinstance(self.positives, bool) or not isinstance(self.positives, int) or self.positives < 2:
            raise UsageError(
                f"{type(self).__name__}: positives must be an integer of at least 2, the pair and further ones of its "
                f"user, got {self.positives!r}"
            )

    @property
    def more_positives(self) -> int:
        return self.positives - 1

    def all_positives(self, pos: Tensor, more: Tensor | None) -> Tensor:
        """[B, positives] the pair's score, then those of ``more``."""
        expected = (pos.shape[0], self.positives - 1)
        if more is None or more.shape != expected or not more.is_floating_point():
            got = "nothing" if more is None else f"{tuple(more.shape)} of {more.dtype}"
            raise UsageError(
                f"{type(self).__name__} with positives={self.positives} needs more={list(expected)}, the scores of "
                f"further positives of the row's user; got {got}"
            )
        return torch.cat([pos[:, None], more.to(pos.dtype)], 1)


@dataclass(frozen=True)
class MSCL(SeveralPositives):
    """Multi-sample contrastive loss: several positives per row, and weights for both sides of the softmax.

        L_b = sum_k [ -alpha * x_bk / tau + (1 - alpha) * log(exp(x_bk / tau) + sum_n exp(neg_bn / tau)) ]

    x_b are the scores of K positives of the row's user, the pair first. alpha below 0.5 lets the negatives weigh more
    than the positives; alpha = 0.5 is half of SSM, summed over the positives. With alpha below 0.5 a positive whose
    softmax probability exceeds alpha / (1 - alpha) is pushed down.

    Args:
        tau: temperature, in score units.
        alpha: weight of the positive side, in [0, 1]; that of the other side is 1 - alpha.
        positives: K, the pair and K - 1 further positives of its user, drawn uniformly with repetition; at least 2.
    Called with: pos [B], neg [B, N], more [B, K - 1] scores of the further positives; -inf marks an absent negative.
    Returns: [B] loss per row, in nats: the sum over the K positives.
    Raises: UsageError for a setting out of range, or if more is missing.
    Runs on: gather-dot. No catalogue path: a row has several positives.
    Source: Tang et al., arXiv 2109.00217, as in the authors' repository MSCL, where K is 15, cosine scores and in-batch
    negatives are used, and the sum over k is not divided by K. Differs from the authors' code in: all positives of a
    row share the negatives of the row, where theirs compares the k-th one with the k-th positives of the other rows;
    the pair is one of the K; no 1e-5 inside the logarithms.

    >>> one = torch.tensor([0.0])
    >>> MSCL(tau=1.0, alpha=0.5, positives=2)(one, torch.zeros(1, 1), more=one[:, None])
    tensor([0.6931])
    """

    tau: float = 0.1
    alpha: float = 0.45
    positives: int = 5

    temperature: ClassVar[str | None] = "tau"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number(self, "tau", above=0)
        require_number(self, "alpha", least=0, most=1)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.1, 0.2], "loss.alpha": [0.45, 0.5, 0.6]}

    def __call__(self, pos: Tensor, neg: Tensor, *, more: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        x = self.all_positives(pos, more)
        negatives = log_sum_exp(neg, self.tau)[:, None]
        own = x / self.tau
        value = (1 - self.alpha) * (own + softplus(negatives - own)) - self.alpha * own
        return present(value.sum(dim=1), count_present(neg))


@dataclass(frozen=True)
class VarBPR(SeveralPositives):
    """Variational BPR, BPR between several positives and several negatives, weighted by two posteriors.

        plug-in:  L_b = softplus(sum_n beta_bn neg_bn - sum_m alpha_bm x_bm)
        exact:    L_b = sum_m sum_n alpha_bm beta_bn softplus(neg_bn - x_bm)

        alpha_b = softmax_m(x_bm / c_pos + log prior_bm)       beta_b = softmax_n(-neg_bn / c_neg + log prior_bn)
        prior_bm = rarity_bm^pos_rarity * softmax_m((mean x_b - x_bm) / 0.5)^pos_hardness
        prior_bn = popularity_bn^neg_popularity * softmax_n((neg_bn - mean neg_b) / 0.5)^neg_hardness

    x_b are the scores of the positives of the row's user, the pair first. The posteriors trust positives with high and
    negatives with low scores, as the others may be wrong; the priors say which ones matter before that. All weights
    are constants: no gradient goes through them. The plug-in value is at most the exact one. With large c_pos and
    c_neg and no priors, exact is the mean of BPR over all pairs.

    The popularity of an item is log(2 + its pairs), divided by the largest such value, and its rarity 1 minus that, at
    least 1e-12. The log of a prior is at least log 1e-12.

    Args:
        form: ``plug-in`` or ``exact``; the latter costs positives times negatives per row.
        positives: M, the pair and M - 1 further positives of its user, drawn uniformly with repetition; at least 2.
        c_pos, c_neg: temperatures of the two posteriors, in score units.
        pos_rarity, pos_hardness: exponents in the prior of the positives.
        neg_popularity, neg_hardness: exponents in the prior of the negatives.
    Called with: pos [B], neg [B, N], more [B, M - 1] scores of the further positives; -inf marks an absent negative.
    Optional log_rarity [B, M], the log of rarity^pos_rarity of the positives, and log_weight [B, N], the log of
    popularity^neg_popularity of the negatives; without them these factors are 1. Training supplies them.
    Returns: [B] loss per row, in nats.
    Raises: UsageError for a setting out of range, or if more is missing.
    Runs on: gather-dot. No catalogue path: a row has several positives.
    Source: Liu et al., Variational BPR, as in the authors' repository VariationalBPR (its second version), with the
    exponents published for Gowalla and Yelp2018. Differs from the authors' code in: no prior from the mean rating of
    an item, which an implicit log does not have; the further positives may repeat the pair.

    >>> one = torch.tensor([0.0])
    >>> VarBPR(positives=2)(one, torch.zeros(1, 3), more=one[:, None])
    tensor([0.6931])
    """

    form: Literal["plug-in", "exact"] = "plug-in"
    positives: int = 2
    c_pos: float = 8.0
    c_neg: float = 8.0
    pos_rarity: float = 0.2
    pos_hardness: float = 0.8
    neg_popularity: float = 0.0
    neg_hardness: float = 1.0

    takes: ClassVar[frozenset[str]] = frozenset({"log_rarity", "log_weight"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in ("plug-in", "exact"):
            raise UsageError(f"VarBPR: form must be 'plug-in' or 'exact', got {self.form!r}")
        for name in ("c_pos", "c_neg"):
            require_number(self, name, above=0)
        for name in ("pos_rarity", "pos_hardness", "neg_popularity", "neg_hardness"):
            require_number(self, name, least=0)

    def state(self, train: TrainingLog, seed: int) -> ItemPriors | None:
        return ItemPriors(self, train) if self.pos_rarity or self.neg_popularity else None

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**PairwiseLoss.preset(), "negatives": "uniform:16:true"}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {**PairwiseLoss.grid(), "loss.c_neg": [4.0, 8.0]}

    def __call__(
        self,
        pos: Tensor,
        neg: Tensor,
        *,
        more: Tensor | None = None,
        log_rarity: Tensor | None = None,
        log_weight: Tensor | None = None,
    ) -> Tensor:
        pos, neg = checked(pos, neg)
        x, n = self.all_positives(pos, more), count_present(neg)
        absent = neg == -math.inf
        neg = neg.masked_fill(absent, 0.0)
        alpha, beta = self._posteriors(x.detach(), neg.detach(), absent, n, log_rarity, log_weight)
        if self.form == "exact":
            each = softplus(neg[:, None, :] - x[:, :, None])
            return present((each * beta[:, None, :]).sum(dim=2).mul(alpha).sum(dim=1), n)
        return present(softplus((beta * neg).sum(dim=1) - (alpha * x).sum(dim=1)), n)

    def _posteriors(
        self,
        x: Tensor,
        neg: Tensor,
        absent: Tensor,
        n: Tensor,
        log_rarity: Tensor | None,
        log_weight: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """The weights alpha [B, M] and beta [B, N]; those of an absent negative are 0."""
        t = HARDNESS_TEMPERATURE
        of_pos = self.pos_hardness * ((x.mean(dim=1, keepdim=True) - x) / t).log_softmax(dim=1)
        if log_rarity is not None:
            of_pos = of_pos + log_rarity.detach().to(x.dtype)
        alpha = (x / self.c_pos + of_pos.clamp(min=LEAST_LOG_PRIOR)).softmax(dim=1)
        mean = (neg.sum(dim=1) / n.clamp(min=1))[:, None]
        hard = (neg - mean) / t
        of_neg = self.neg_hardness * (hard - log_sum_exp(hard.masked_fill(absent, -math.inf))[:, None])
        if log_weight is not None:
            of_neg = of_neg + log_weight.detach().to(x.dtype)
        logit = -neg / self.c_neg + of_neg.clamp(min=LEAST_LOG_PRIOR)
        logit = logit.masked_fill(absent & (n > 0)[:, None], -math.inf)
        return alpha, logit.softmax(dim=1)


class ItemPriors(LossState):
    """The rarity of the positives and the popularity of the negatives of variational BPR; see :class:`VarBPR`.

    Args:
        loss: its settings.
        train: the training pairs.
    """

    def __init__(self, loss: VarBPR, train: TrainingLog):
        self.loss = loss
        counts = np.log(2.0 + train.item_counts)
        popularity = counts / counts.max()
        self.popularity = torch.from_numpy(np.log(popularity).astype(np.float32))
        self.rarity = torch.from_numpy(np.log(np.maximum(1 - popularity, 1e-12)).astype(np.float32))
        taken = {"log_rarity": loss.pos_rarity, "log_weight": loss.neg_popularity}
        self.supplies = frozenset(name for name, power in taken.items() if power)
        self.asks_items = "with neg_popularity weighs negatives by their popularity" if loss.neg_popularity else None

    def side(self, batch: Batch) -> dict[str, Tensor]:
        found, device = {}, batch.user.device
        if "log_rarity" in self.supplies:
            drawn, m = batch.negatives.drawn(), self.loss.more_positives
            assert drawn is not None  # the further positives come first
            more = drawn[: len(batch.item) * m].view(-1, m)
            items = torch.cat([batch.item[:, None], more], 1)
            found["log_rarity"] = self.loss.pos_rarity * self.rarity.to(device)[items]
        if "log_weight" in self.supplies:
            taken = column_items(batch)
            log_weight = self.loss.neg_popularity * self.popularity.to(device)[taken]
            found["log_weight"] = log_weight.expand(len(batch.item), -1)
        return found
