"""gBCE: binary cross-entropy that allows for how few of all negatives were sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from taurec.losses.checks import checked_row_input, require_number
from taurec.losses.logspace import present, softplus
from taurec.losses.protocol import DOT, StreamedLoss
from taurec.losses.reduction import RowReduce
from taurec.losses.state import CatalogueSize, TrainingLog


@dataclass(frozen=True)
class GBCE(StreamedLoss):
    """Generalised binary cross-entropy (gSASRec): the pair weighs less the fewer negatives were sampled.

        L_b = (beta_b * softplus(-pos_b) + sum_n softplus(neg_bn)) / (1 + N_b)
        beta_b = 1 - calibration * (1 - a_b),    a_b = min(1, N_b / (I - 1))

    With few sampled negatives all probabilities end too high, as pairs are a larger share of what is seen. At
    calibration 1 the best scores are those of binary cross-entropy with all I - 1 negatives. At 0, or with all of
    them, it is binary cross-entropy, the mean over the pair and its negatives.

    Args:
        calibration: the authors' t, from 0 to 1.
    Called with: pos [B], neg [B, N] logits, n_items [B], I in each row, which training supplies; -inf marks an absent
    negative, which is not among the N_b.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if calibration is not in [0, 1], or n_items is missing.
    Runs on: gather-dot, catalogue.
    Source: Petrov and Macdonald, RecSys 2023, arXiv 2308.07192, eq. 9 to 12, as in the authors' gSASRec-pytorch.
    Differs in: the logarithm of a power of the logistic function is a weight, where theirs transforms the logit of the
    pair in float64; the default is their 0.75 for 256 negatives on MovieLens-1M.

    >>> import torch
    >>> GBCE(calibration=0.0)(torch.tensor([0.0]), torch.zeros(1, 3), n_items=torch.tensor([9.0]))
    tensor([0.6931])
    """

    calibration: float = 0.75

    needs: ClassVar[frozenset[str]] = frozenset({"n_items"})

    def __post_init__(self) -> None:
        require_number(self, "calibration", least=0, most=1)

    def state(self, train: TrainingLog, seed: int) -> CatalogueSize:
        return CatalogueSize(train)

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        # Its value is small, divided by 1 + N: an L2 term as strong as that of BCE would outweigh it.
        return {**DOT, "negatives": "uniform:256", "lr": 3e-2, "l2": 0.0}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.calibration": [0.5, 0.75, 1.0], "l2": [0.0, 1e-6, 1e-5]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "softplus")

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, *, n_items: Tensor | None = None) -> Tensor:
        n_items = checked_row_input("n_items", n_items, pos, "GBCE")
        sampled = (n / (n_items - 1).clamp(min=1)).clamp(max=1)
        beta = 1 - self.calibration * (1 - sampled)
        return present((beta * softplus(-pos) + n * reduced) / (1 + n), n)
