"""The contract of a loss: what it computes and what it declares about itself.

A score loss maps the score of each observed pair and the scores of its negatives to one value per row. It never sees
embeddings, ids or devices, and never reduces over rows: weights and the mean belong to the objective. Two rules hold
for all of them:

- An absent negative has the score ``-inf``. It changes neither the value nor the gradient of anything else.
- A row without any negative has the value 0, no gradient, and no part in other rows' values; the mean leaves it out.

float16 and bfloat16 scores are computed, and returned, in float32; float64 stays float64.

Everything else that training, tuning and reports need to know is declared on the class, so that no other module
names a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor

from taurec.errors import UsageError, did_you_mean
from taurec.losses.checks import checked
from taurec.losses.reduction import RowReduce
from taurec.losses.state import LossState, TrainingLog

Scores = Literal["any", "cosine"]

SIDE_INPUTS = (
    "group", "logq", "more", "pos_margin", "tau", "tau_pos", "threshold", "drop_rate", "similarity", "log_weight",
    "angle", "n_items", "log_mean",
)  # fmt: skip
"""Side inputs with a fixed meaning: group[B], logq[B, N] or [N], more[B, M] the scores of ``more_positives`` further
positives of the row's user, pos_margin[B] subtracted from the pair's score, tau[B] of the negatives, tau_pos[B] of the
pair's score, threshold[B], drop_rate[B] the share of the batch's rows to drop (the same in all rows), similarity[B, N]
of the negatives to the pair's item, log_weight[B, N] of the negatives, angle[B] in radians, added to that of the pair,
n_items[B] the number of items of the catalogue (the same in all rows), log_mean[B] the log of a mean that the row's
user remembers, -inf if none. The trainer supplies ``group``, ``logq`` and ``more``, the loss's own state the others,
under these or further names."""

COSINE: Mapping[str, Any] = {"train_score": "cosine", "rank_score": "cosine"}
DOT: Mapping[str, Any] = {"train_score": "dot", "rank_score": "dot"}


class Loss:
    """What every loss declares. Subclass :class:`ScoreLoss`, :class:`StreamedLoss` or :class:`EmbeddingLoss`.

    A loss is a frozen dataclass of its settings. The declarations have defaults, so a new loss needs nothing but its
    formula.

    Attributes:
        needs: side inputs that it requires.
        takes: side inputs that it can use.
        scores: ``cosine`` if its settings have no meaning on unbounded scores, else ``any``.
        temperature: the setting by which it weighs negatives, which may be ``auto``; None if it has none.
        softmax_weights: whether it weighs a negative by exp(score / temperature) among those of its row, which the
            audit of temperatures reports; False where another function of the scores decides.
        positive_temperature: the setting of its softmax over a user's positives; None if it has no such side.
        without_groups: for a loss that needs ``group``: what it is where no two rows share a user, and what to use
            instead, as a sentence.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "any"
    temperature: ClassVar[str | None] = None
    softmax_weights: ClassVar[bool] = True
    positive_temperature: ClassVar[str | None] = None
    without_groups: ClassVar[str] = "Use --order user-blocks:4"

    def state(self, train: TrainingLog, seed: int) -> LossState | None:
        """A new memory for one training run, or None if it needs none.

        Args:
            train: the training pairs.
            seed: of any draw it makes.
        """
        return None

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        """Run fields that suit this loss: scores, negatives, lr, l2; ``loss.NAME`` is a setting of the loss."""
        return {**COSINE, "negatives": "uniform:256", "lr": 1e-2}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        """What ``tune="all"`` tries on validation: run field or ``loss.NAME`` -> values. Empty: nothing is varied."""
        return {}


class ScoreLoss(Loss):
    """A loss of scores: ``loss(pos[B], neg[B, N], **side) -> [B]``.

    Attributes:
        rows: whether it has one value per row. A loss with one value per batch, a tensor of shape [], sets it to
            False; it leaves out rows without negatives itself, and weighted rows are refused.
    """

    rows: ClassVar[bool] = True

    @property
    def more_positives(self) -> int:
        """M, the further positives of the row's user whose scores it needs as ``more``; it then has no catalogue path.

        They are drawn uniformly, with repetition, from the user's training items.
        """
        return 0

    @property
    def reduce(self) -> RowReduce | None:
        """How it reduces over negatives; None if it must see the scores of all of them (no catalogue path)."""
        return None

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, /, *args: Any, **side: Any) -> Tensor:
        """[B] row values from pos [B], the reduction [B] and the number of negatives [B].

        Side inputs are keywords. Rows with n = 0 get 0, whatever ``reduced`` holds.
        """
        raise NotImplementedError(f"{type(self).__name__} has no catalogue path")

    def __call__(self, pos: Tensor, neg: Tensor, /, *args: Any, **side: Any) -> Tensor:
        raise NotImplementedError


class StreamedLoss(ScoreLoss):
    """A score loss with a catalogue path: a reduction over negatives and a formula on the result.

        loss(pos, neg) == loss.combine(pos, *loss.reduce(pos, neg))

    A subclass defines :attr:`reduce` and :meth:`combine`; the call follows from them.
    """

    @property
    def reduce(self) -> RowReduce:
        raise NotImplementedError

    def __call__(self, pos: Tensor, neg: Tensor, /, *args: Any, **side: Any) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg), **side)


class EmbeddingLoss(Loss):
    """A loss of vectors: ``loss(user[B, D], item[B, D], **side) -> []``, trained without negatives.

    The vectors are those of the pairs of a batch: of length 1 for cosine scores, as the backbone gives them for others.
    It has one value per batch, so weighted rows are refused.
    """

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**super().preset(), "negatives": "none"}

    def __call__(self, user: Tensor, item: Tensor, /, *args: Any, **side: Any) -> Tensor:
        raise NotImplementedError


def side_inputs(loss: Loss, offered: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """Those of the offered side inputs that a loss needs or takes.

    Args:
        loss: the loss to be called.
        offered: values by name; None counts as not offered.
    Returns: the keyword arguments for the call.
    Raises: UsageError for a name that is no side input, and for a needed one that is not offered.

    >>> import torch
    >>> from taurec.losses import BSL, SL
    >>> user = torch.tensor([3, 3, 5])
    >>> sorted(side_inputs(BSL(), {"group": user})), sorted(side_inputs(SL(), {"group": user}))
    (['group'], [])
    """
    wanted = loss.needs | loss.takes
    for name in offered:
        if name not in SIDE_INPUTS and name not in wanted:
            raise UsageError(f"no loss has a side input {name!r}{did_you_mean(name, SIDE_INPUTS)}")
    given = {name: value for name, value in offered.items() if value is not None}
    missing = sorted(loss.needs - given.keys())
    if missing:
        raise UsageError(
            f"{type(loss).__name__} needs the side input {', '.join(map(repr, missing))}, not offered here"
        )
    return {name: value for name, value in given.items() if name in wanted}
