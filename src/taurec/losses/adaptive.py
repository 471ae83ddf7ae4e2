"""Adap-tau: the softmax loss with a temperature of each user's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from taurec.losses.logspace import count_present, log_sum_exp, present
from taurec.losses.protocol import Scores, checked, checked_row_input, require_number


@dataclass(frozen=True)
class AdapTau:
    """Softmax loss with a temperature for each row's negatives, which training derives from the data.

        L_b = -pos_b / tau_pos_b + log sum_n exp(neg_bn / tau_b)

    The loss itself only takes the temperatures. The settings say how :class:`taurec.training.adap_tau.AdaptiveTau`
    sets them at the beginning of each epoch, from one number for all users and the users' losses:

        tau_0 = gap / log(U I / (2 P)),    tau_u = tau_0 exp(W(max(-1/e, (l_u - m) / beta)))

    with the U users of more pairs than a fifth of the users have, their P pairs and I items; W is Lambert's
    function; l_u is the mean over the user's rows of the last epoch of the loss at temperature 1, and m the
    middle of the l_u. The rows of a user with a low loss get a small tau, down to tau_0 / e, the others a large
    one. tau_pos is tau_0 for all. In the first epoch tau is tau_0.

    Args:
        beta: how little tau_u follows the loss, in nats.
        middle: m as the ``mean`` of the users' losses, or their ``quantile``; with ``none`` every tau_u is tau_0.
        quantile: which quantile.
        gap: mean cosine of the training pairs minus that of all pairs of a user and an item, as is assumed in
            the first ``warmup`` epochs.
        warmup: epochs with that gap; afterwards it is measured before each epoch, and taken as at least 0.05.
    Called with: pos [B], neg [B, N], tau [B], optional tau_pos [B] (tau where it is not given), in score units;
    -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError for a setting out of range, or if tau is missing.
    Source: Chen et al., WWW 2023, arXiv 2302.04775, as in the authors' repository Adap_tau, whose modes
    ``weight_mean``, ``weight_ratio`` and ``weight_v0`` are the three values of ``middle``; their ``temperature`` is
    ``quantile``, ``temperature_2`` is ``beta`` and ``cnt_lr`` is ``warmup``. In their runs scores are cosines in
    training (ranking is by cosine for MF, by dot product for LightGCN), the pair is not in the sum, the temperature
    of the pair's own score is tau_0, and in-batch negatives leave out the diagonal only. Differs in: log space;
    Lambert's function itself, where theirs is a table in steps of 1e-4; a measured gap is bounded below; where the
    log is so dense that tau_0 is not positive, training refuses.

    >>> import torch
    >>> AdapTau()(torch.tensor([1.0]), torch.tensor([[0.0, 0.0]]), tau=torch.tensor([0.5]))
    tensor([-1.3069])
    """

    beta: float = 1.0
    middle: Literal["mean", "quantile", "none"] = "mean"
    quantile: float = 0.9
    gap: float = 0.7
    warmup: int = 100

    needs: ClassVar[frozenset[str]] = frozenset({"tau"})
    takes: ClassVar[frozenset[str]] = frozenset({"tau_pos"})
    scores: ClassVar[Scores] = "cosine"

    def __post_init__(self) -> None:
        require_number(self, "beta", above=0)
        require_number(self, "quantile", least=0, most=1)
        require_number(self, "gap", above=0)
        require_number(self, "warmup", least=0)

    def __call__(self, pos: Tensor, neg: Tensor, *, tau: Tensor | None = None, tau_pos: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        tau = checked_row_input("tau", tau, pos, "AdapTau")
        tau_pos = tau if tau_pos is None else checked_row_input("tau_pos", tau_pos, pos, "AdapTau")
        return present(log_sum_exp(neg / tau[:, None]) - pos / tau_pos, count_present(neg))
