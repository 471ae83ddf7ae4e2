"""The loss of a batch with its gradient: the vectors of a backbone, their scores, the objective of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from taurec import draw
from taurec.backbones import Backbone
from taurec.errors import UsageError
from taurec.losses import EmbeddingLoss, LossState
from taurec.run import Run
from taurec.scoring import batch_scores, pair_scores, pair_vectors, reduced_scores
from taurec.training.objective import NONE, Objective
from taurec.training.plain import StepInput
from taurec.types import Batch, Embeddings, LeftOut, Negatives


@dataclass(frozen=True)
class Forward:
    """What a batch gave.

    Attributes:
        value: [] the objective and the backbone's own term, to be differentiated.
        left_out: [] how many rows had no negative.
        pos, neg: [B] and [B, N] the scores; None where they were not held.
        user, item, item_at: the users' vectors [B, D], the item table, and the positions of the positives in it.
    """

    value: Tensor
    left_out: Tensor
    pos: Tensor | None
    neg: Tensor | None
    user: Tensor
    item: Tensor
    item_at: Tensor


class ForwardPass:
    """The objective of a batch as a function of a backbone.

    Args:
        run: a resolved run.
        n_items: I.
        backbone: on the device of the run.
        objective: the loss with its L2 term.
        loss_state: what the loss remembers; None for most.
    """

    def __init__(
        self, run: Run, n_items: int, backbone: Backbone, objective: Objective, loss_state: LossState | None = None
    ):
        self.run, self.backbone, self.objective, self.loss_state = run, backbone, objective, loss_state
        self._n_items = n_items

    def embed(self, batch: Batch) -> Embeddings:
        """The vectors that a batch needs, by the backbone."""
        if self.backbone.pairwise:
            return self.backbone.embed_pairs(batch.user, batch.item)
        return self.backbone.embed(self.rows_needed(batch))

    def __call__(self, taken: StepInput, batch: Batch, epoch: int) -> Forward:
        """The objective from the vectors of a step.

        Args:
            taken: the vectors, and the batch in terms of them.
            batch: the batch itself.
            epoch: the first is 1; the dropout of users is keyed by it.
        """
        run, embeddings, local = self.run, taken.embeddings, taken.batch
        user_at, item_at, negatives = _positions(embeddings, local)
        negatives = negatives.with_layers(embeddings)
        whole = F.embedding(user_at, embeddings.user)
        mask = self.dropout_mask(batch.row, whole, epoch) if run.user_dropout else None
        raw, keep = (mask, None) if run.user_dropout_on == "raw" else (None, mask)
        user, left_out, own = whole if raw is None else whole * raw, embeddings.left_out, None
        if left_out is not None:
            own = left_out.without(whole, item_at)
            own = own if raw is None else own * raw
            user, own = (own, None) if left_out.everywhere else (user, own)
        given, reduce = (user, embeddings.item, item_at, negatives), self.objective.reduce
        side = NONE if self.loss_state is None else self.loss_state.side(batch)
        pos: Tensor | None = None
        neg: Tensor | None = None
        if isinstance(self.objective.loss, EmbeddingLoss):
            of_pair = user if own is None else own
            vectors = pair_vectors(of_pair, embeddings.item, item_at, run.train_score, keep, run.kernel)
            value, missing = self.objective.of_vectors(*vectors, local, embeddings, taken.counted, side)
        elif reduce is not None and (self.streamed(batch) or (left_out is not None and not reduce.pairwise)):
            held = not self.streamed(batch)
            pos, reduced, n = reduced_scores(*given, reduce, run.train_score, run.kernel, keep, own, held)
            value, missing = self.objective.combine(pos, reduced, n, local, embeddings, taken.counted, side)
        else:
            pos, neg = batch_scores(*given, run.train_score, run.kernel, taken.d_item, keep, own)
            if more := self.objective.more_positives:
                side = {**side, "more": neg[:, :more] if left_out is None else self._more(whole, given, left_out, mask)}
                neg = neg[:, more:]
            value, missing = self.objective(pos, neg, local, embeddings, taken.counted, side)
        value = self.with_own_term(value, local, embeddings)
        return Forward(value, missing, pos, neg, user, embeddings.item, item_at)

    def _more(
        self, whole: Tensor, given: tuple[Tensor, Tensor, Tensor, Negatives], left_out: LeftOut, mask: Tensor | None
    ) -> Tensor:
        """[B, M] scores of further positives, each with its user's vector ``whole`` [B, D] without it."""
        _, item, _, negatives = given
        drawn, m, run = negatives.drawn(), self.objective.more_positives, self.run
        assert drawn is not None  # the further positives come first
        more = drawn[: len(whole) * m].view(-1, m)
        own, keep = left_out.without(whole, more), None if mask is None else mask.repeat_interleave(m, 0)
        if keep is not None and run.user_dropout_on == "raw":
            own, keep = own * keep, None
        return pair_scores(own, item, more.reshape(-1), run.train_score, run.kernel, keep).view(-1, m)

    def with_own_term(self, value: Tensor, batch: Batch, embeddings: Embeddings) -> Tensor:
        """The objective plus the backbone's own term, where it has one."""
        own = self.backbone.own_term(batch, embeddings)
        if own is None:
            return value
        if self.backbone.plain:
            raise UsageError(
                f"backbone {self.run.backbone.name!r} is plain and adds a term to the loss; the trainer moves "
                f"the tables of a plain backbone by the loss alone, so declare plain = False"
            )
        return value + own

    def pairs(self, done: Forward) -> tuple[Tensor, Tensor]:
        """The vectors [B, D] of the users and the positives as they were scored, without gradient, for a sampler."""
        with torch.no_grad():
            return pair_vectors(done.user, done.item, done.item_at, self.run.train_score, None, self.run.kernel)

    def streamed(self, batch: Batch) -> bool:
        """Whether the scores of the negatives are reduced in tiles, so that they are never held in full."""
        return (
            self.objective.reduce is not None
            and self.run.kernel != "torch"
            and batch.negatives.streams(len(batch.user))
        )

    def rows_needed(self, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """The users and items whose final vectors a step reads, see :func:`_positions`; None for all."""
        run = self.run
        if run.l2 > 0 and run.l2_mode != "adam" and run.l2_on != "ego":
            return None
        items = batch.negatives.rows_needed(batch.item, self._n_items)
        return None if items is None else (batch.user, items)

    def dropout_mask(self, row: Tensor, like: Tensor, epoch: int) -> Tensor:
        kept = draw.uniform(draw.key(self.run.seed, "user dropout", epoch), row.numpy(), like.shape[1])
        keep = 1.0 - self.run.user_dropout
        mask = torch.from_numpy(kept < keep).to(like) / keep
        if self.backbone.biased:
            mask[:, -1] = 1.0
        return mask


def _positions(embeddings: Embeddings, batch: Batch) -> tuple[Tensor, Tensor, Negatives]:
    """The positions of a batch's users, items and negatives among the vectors that a backbone yields."""
    user, item = embeddings.of_pairs(batch)
    drawn = None if embeddings.at is None else embeddings.at[1][len(batch.item) :]
    return user, item, batch.negatives if drawn is None else batch.negatives.at(drawn)
