"""One step of training: the scores of a batch, the loss, its gradients and Adam."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.errors import NonFiniteError, UsageError
from taurec.kernels import select
from taurec.losses import LOSSES
from taurec.losses.protocol import Scores
from taurec.run import Run
from taurec.scoring import batch_scores, catalogue_scores, streams
from taurec.training.adam import Adam
from taurec.training.clipping import clip
from taurec.training.objective import NONE, Objective
from taurec.training.penalty import Counted, count
from taurec.training.plain import PlainTables, Taken, by_counts, decays, strength
from taurec.training.side import side_of
from taurec.types import Batch, Embeddings, NegativeIds


class Step:
    """Moves the weights of a backbone by a batch.

    Args:
        run: a resolved run.
        train: the training pairs.
        backbone: on the device of the run; in training mode when a step is made.

    Attributes:
        objective: the loss with its L2 term.
        side: what training remembers of users for the loss; None for most.
        optimizer: Adam; :meth:`use_lr` sets its step size.
        moments: Adam's moments, by the names of the parameters.
        tables: what moves the tables of a backbone without layers; there from the first step on.
        kernels: which kernel each part runs; known from the first step on.
    """

    def __init__(self, run: Run, train: Interactions, backbone: Any):
        self.run, self.backbone, self._n_items = run, backbone, train.n_items
        loss = LOSSES.build(run.loss.name, given=run.loss.settings)
        self.side = side_of(loss, train, run.seed)
        supplied = frozenset[str]() if self.side is None else self.side.supplies
        self.objective = Objective(loss, run.logq, run.l2, run.l2_mode, run.l2_on, supplied)
        _check_scores(run, loss.scores, backbone.biased)
        self.optimizer = Adam(backbone.parameters(), run.lr, run.l2 if run.l2_mode == "adam" else 0.0, run.kernel)
        named = [name for name, _ in backbone.named_parameters()]
        self.moments = dict(zip(named, self.optimizer.moments, strict=True))
        self.tables: PlainTables | None = None
        self.kernels: dict[str, str] = {}

    def __call__(self, batch: Batch, epoch: int, number: int) -> tuple[float, int]:
        """One step of Adam.

        Args:
            epoch, number: the first of each is 1; draws of the step are keyed by them.
        Returns: the scalar loss, and how many rows had no negative.
        Raises: NonFiniteError for a loss or a gradient that is not finite.
        """
        run = self.run
        self.backbone.begin_step(epoch, number)
        embeddings = self._embed(batch)
        taken = self._take(embeddings, batch)
        embeddings, local = taken.embeddings, taken.batch
        user_at, item_at, negatives = _places(embeddings, local)
        if not self.kernels:
            self.kernels = self._paths(taken, batch)
        user = F.embedding(user_at, embeddings.user)
        keep = self._dropout_mask(batch.row, user, epoch) if run.user_dropout else None
        if keep is not None and run.user_dropout_on == "raw":
            user, keep = user * keep, None
        given, reduce = (user, embeddings.item, item_at, negatives), self.objective.reduce
        side = NONE if self.side is None else self.side.side(batch)
        neg: Tensor | None = None
        if reduce is not None and self._streamed(batch):
            pos, reduced, n = catalogue_scores(*given, reduce, run.train_score, run.kernel, keep)
            scalar, left_out = self.objective.combine(pos, reduced, n, local, embeddings, taken.counted, side)
        else:
            pos, neg = batch_scores(*given, run.train_score, run.kernel, taken.d_item, keep)
            scalar, left_out = self.objective(pos, neg, local, embeddings, taken.counted, side)
        value = float(scalar.detach())
        if not math.isfinite(value):
            self._stop_non_finite("the loss", value, epoch, number)
        scalar.backward()  # type: ignore[no-untyped-call]
        gradients = {name: p.grad for name, p in self.backbone.named_parameters() if p.grad is not None}
        gradients |= {} if self.tables is None else self.tables.gradients()
        for name, gradient in gradients.items():
            if not math.isfinite(float(gradient.sum())):
                self._stop_non_finite(f"the gradient of {name}", value, epoch, number)
        if run.clip_norm:
            clip(run.clip_norm, gradients.values(), None if self.tables is None else self.tables.unit)
        self.optimizer.step(*self._decay(taken))
        if self.tables is not None and not self.tables.move(taken):
            self._stop_non_finite("the gradient of item", value, epoch, number)
        if self.side is not None:
            self.side.observe(batch, pos.detach(), None if neg is None else neg.detach())
        return value, int(left_out)

    def use_lr(self, lr: float) -> None:
        """The step size from here on."""
        self.optimizer.lr = lr
        if self.tables is not None:
            self.tables.use_lr(lr)

    def settle(self) -> None:
        """Bring all weights of the backbone up to date; within an epoch rows may owe steps."""
        if self.tables is not None:
            self.tables.settle()

    def _take(self, embeddings: Embeddings, batch: Batch) -> Taken:
        """What the step works on: the rows of its batch, where the backbone yields its tables themselves."""
        if embeddings.user is not embeddings.ego_user or embeddings.item is not embeddings.ego_item:
            counted, tables = None, (embeddings.ego_user, embeddings.ego_item)
            if all(self._holds(table) for table in tables):
                if by_counts(self.run):
                    counted = count(batch, *map(len, tables))
                elif decays(self.run) and self.run.l2_on == "ego" and self.run.kernel != "torch":
                    user, item = (table.new_ones(len(table)) for table in tables)
                    counted = Counted(user, item, decayed=True)
            return Taken(embeddings, batch, counted=counted)
        if self.tables is None:
            self.tables = PlainTables(self.run, embeddings, self.optimizer, batch)
        return self.tables.take(batch)

    def _holds(self, table: Tensor) -> bool:
        """Whether Adam moves this table, whole."""
        return any(table is parameter for parameter in self.optimizer.parameters)

    def _decay(self, taken: Taken) -> tuple[float, list[tuple[Tensor, Tensor]]]:
        """The L2 term that Adam adds to tables by counts: its strength, and tables with their counts."""
        if taken.counted is None:
            return 0.0, []
        e, counted = taken.embeddings, taken.counted
        both = (e.ego_user, counted.user), (e.ego_item, counted.item)
        return strength(self.run, taken.batch), [(t, n) for t, n in both if n is not None and self._holds(t)]

    def _paths(self, taken: Taken, batch: Batch) -> dict[str, str]:
        """The kernel that each part of the step runs, by the same selection as the calls themselves.

        Raises: UsageError if the kernel named by the run cannot serve a part.
        """
        kernel, negatives, e = self.run.kernel, batch.negatives, taken.embeddings
        scores = "torch"
        if self._streamed(batch):
            scores = select("catalogue", e.user, e.item, kernel=kernel).name
        elif negatives.layout == "per_row" and negatives.ids is not None:
            together = negatives.ids[:, :1].expand(-1, 1 + negatives.ids.shape[1])  # the positive is one of the ids
            scores = select("gather_dot", e.user, e.item, together, taken.d_item, kernel=kernel).name
        late = self.tables is not None and self.tables.ways != ("whole", "whole")
        tables = "numba" if late else select("adam", *[e.ego_user.detach()] * 4, kernel=kernel).name
        hops = self.backbone.hop_kernel(self._rows_needed(batch) is not None)
        return {"scores": scores, "tables": tables} | ({} if hops is None else {"hop": hops})

    def _streamed(self, batch: Batch) -> bool:
        """Whether the scores of the negatives are reduced in tiles, never held."""
        return self.objective.reduce is not None and self.run.kernel != "torch" and streams(batch)

    def _embed(self, batch: Batch) -> Embeddings:
        if self.backbone.pairwise:
            return self.backbone.embed_pairs(batch.user, batch.item)
        return self.backbone.embed(self._rows_needed(batch))

    def _rows_needed(self, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """The users and items whose final vectors a step looks at, see :func:`_places`; None where they may be any."""
        run, negatives = self.run, batch.negatives
        if run.l2 > 0 and run.l2_mode != "adam" and run.l2_on != "ego":
            return None
        if negatives.layout == "in_batch":
            return batch.user, batch.item
        if negatives.ids is None or (negatives.layout == "per_row" and 2 * negatives.ids.numel() > self._n_items):
            return None
        return batch.user, torch.cat([batch.item, negatives.ids.reshape(-1)])

    def _dropout_mask(self, row: Tensor, like: Tensor, epoch: int) -> Tensor:
        kept = draw.uniform(draw.key(self.run.seed, "user dropout", epoch), row.numpy(), like.shape[1])
        keep = 1.0 - self.run.user_dropout
        mask = torch.from_numpy(kept < keep).to(like) / keep
        if self.backbone.biased:
            mask[:, -1] = 1.0
        return mask

    def _stop_non_finite(self, what: str, value: float, epoch: int, step: int) -> None:
        taus = ", ".join(f"{k}={v}" for k, v in self.run.loss.settings.items() if "tau" in k)
        raise NonFiniteError(
            f"epoch {epoch}, step {step}: {what} is not finite (loss {value}, {taus or 'no temperature'}, "
            f"lr {self.run.lr}, {self.run.train_score} scores). Training stopped in that step; "
            f"try a smaller lr, a larger temperature, or cosine scores"
        )


def _places(embeddings: Embeddings, batch: Batch) -> tuple[Tensor, Tensor, NegativeIds]:
    """Where the users, the items and the negatives of a batch stand among the vectors that a backbone yields."""
    if embeddings.by_row:
        return torch.arange(len(batch.user), device=batch.user.device), batch.item, batch.negatives
    if embeddings.at is None:
        return batch.user, batch.item, batch.negatives
    user, item = embeddings.at
    b, negatives = len(batch.item), batch.negatives
    if negatives.ids is None:
        return user, item, negatives
    return user, item[:b], dataclasses.replace(negatives, ids=item[b:].view(negatives.ids.shape))


def _check_scores(run: Run, wanted: Scores, biased: bool) -> None:
    """Refuse scores that the backbone or the loss means nothing by."""
    given = f"got train_score={run.train_score!r} and rank_score={run.rank_score!r}"
    if biased and not run.train_score == run.rank_score == "dot":
        raise UsageError(
            f"{run.backbone.name} with biases adds them to cosines itself, so its scores are dot products; "
            f"{given}, use train_score='dot' and rank_score='dot'"
        )
    if wanted == "cosine" and run.train_score != "cosine" and not biased:
        raise UsageError(f"loss {run.loss.name!r} is defined on cosine scores; {given}, use train_score='cosine'")
