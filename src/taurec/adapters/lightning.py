"""A backbone, a loss and a sampler of TauRec as a LightningModule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.evaluation.users import UserScorer
from taurec.ranker import EmbeddingRanker
from taurec.run import Run
from taurec.training.clipping import shorten
from taurec.training.forward import Forward
from taurec.training.plain import StepInput
from taurec.training.trainer import Trainer
from taurec.types import Batch

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule


class Epochs:
    """The batches of the present epoch, each time that it is iterated over.

    Args:
        parts: gives the batches of an epoch.
        epoch: tells the present epoch; the first is 1.
    """

    def __init__(self, parts: Trainer, epoch: Callable[[], int]):
        self.parts, self.epoch = parts, epoch

    def __len__(self) -> int:
        return self.parts.order.steps(self.epoch())

    def __iter__(self) -> Iterator[Batch]:
        yield from self.parts.batches(self.epoch())


def lightning_module(run: Run, train: Interactions, valid: Interactions | None = None) -> LightningModule:
    """A LightningModule that trains the backbone of a run with its loss, batch order and negative sampler.

    The batches, the negatives, the scores and the objective are those of ``taurec train``; the loop, the optimizer step
    and the device are Lightning's. Each pass of Lightning's Trainer over ``train_dataloader`` is an epoch of the run.
    The fields ``epochs``, ``patience`` and ``eval_every`` of the run have no effect.

    Its public members, beside those of every LightningModule:

    - ``backbone``: the module that is trained, with the tables ``user`` and ``item``.
    - ``scored(batch, epoch, number)``: the objective and the scores of a batch.
    - ``ranker()``: a ranker of the present weights.

    Args:
        run: a resolved run, see :func:`taurec.training.presets.resolve`.
        train: the training pairs.
        valid: pairs on which the metric of the run is computed after each epoch; it is logged by its name, for
            Lightning's ``ModelCheckpoint`` and ``EarlyStopping``.
    Returns: the module. It gives its own ``train_dataloader`` and Adam with the rate of the run; ``loss`` is logged.
    Raises: UsageError if parts of the run do not go together; for ``clip_norm`` and ``lr_schedule``, which Lightning
        does; without Lightning; when it is fitted by more than one process. NonFiniteError for a loss or a
        gradient that is not finite.
    Guarantees: in float32 on a CPU, the weights after an epoch are those of ``taurec train`` up to rounding. What a
        loss or a sampler remembers is part of Lightning's checkpoints.
    Cost: that of a step with ``kernel="torch"`` tables: Adam updates all rows of both tables in each step.

    >>> from taurec.data.planted import planted
    >>> from taurec.training.presets import resolve
    >>> module = lightning_module(resolve(loss="ssm", negatives="in-batch"), planted(20, 10).log)
    >>> sorted(name for name, _ in module.named_parameters())
    ['backbone.item', 'backbone.user']
    """
    try:
        from lightning.pytorch import LightningModule
    except ImportError as error:
        raise UsageError(f"Lightning is not installed ({error}); use pip install 'taurec[lightning]'") from error
    if run.clip_norm:
        raise UsageError(
            f"clip_norm={run.clip_norm:g} is done by Lightning; leave it 0 and give lightning's Trainer "
            f"gradient_clip_val={run.clip_norm:g}"
        )
    if run.lr_schedule != "constant":
        raise UsageError(
            f"lr_schedule={run.lr_schedule!r} is done by Lightning; leave it 'constant' and return a scheduler from "
            f"configure_optimizers in a subclass"
        )

    class TauRecModule(LightningModule):
        """See :func:`lightning_module`."""

        def __init__(self) -> None:
            super().__init__()
            self.parts = Trainer(run, train)
            self.backbone = self.parts.backbone
            self.of_loss = nn.ParameterList(self.parts.step.loss_parameters.values())

        def scored(self, batch: Batch, epoch: int, number: int) -> Forward:
            """The objective of a batch, in epoch and step from 1 on, by which draws of dropout are keyed."""
            forward = self.parts.step.forward
            self.backbone.begin_step(epoch, number)
            return forward(StepInput(forward.embed(batch), batch), batch, epoch)

        def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
            done = self.scored(batch, self.current_epoch + 1, batch_idx + 1)
            value = self.parts.step.finite_value(done.value, self.current_epoch + 1, batch_idx + 1)
            self._at = value, self.current_epoch + 1, batch_idx + 1
            # Kept until the optimizer has moved the tables, as in a step of ours.
            observed = self.parts.step.observes
            self._done = done.pos, done.neg, self.parts.step.forward.pairs(done) if observed else None
            self.log("loss", value, on_step=False, on_epoch=True, batch_size=len(batch.row))
            return done.value

        def on_after_backward(self) -> None:
            if self.trainer.precision != "16-mixed":  # which skips steps whose gradients overflow
                self.parts.step.finite_gradients(*self._at)

        def on_fit_start(self) -> None:
            if self.trainer.world_size > 1:
                raise UsageError(
                    f"this module is fitted by one process, and Lightning's Trainer has {self.trainer.world_size}; use "
                    f"devices=1"
                )

        def on_train_epoch_start(self) -> None:
            if self.parts.step.loss_state is not None:
                self.parts.step.loss_state.begin_epoch(self.current_epoch + 1, self.parts.vectors)

        def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
            if run.max_norm:
                shorten(run.max_norm, *(table.data for table in self.backbone.tables()))
            self.parts.step.observe(batch, *self._done)

        def on_train_epoch_end(self) -> None:
            if valid is not None:
                found = evaluate_ranker(UserScorer.of_log(self.ranker(), train), valid, train, [run.metric])
                self.log_dict(found.means())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            decay, state = run.l2 if run.l2_mode == "adam" else 0.0, self.parts.step.loss_state
            groups: list[dict[str, Any]] = [{"params": list(self.backbone.parameters()), "weight_decay": decay}]
            if state is not None and len(self.of_loss):
                groups.append({"params": list(self.of_loss), "lr": run.lr if state.lr is None else state.lr})
            return torch.optim.Adam(groups, lr=run.lr)

        def train_dataloader(self) -> Epochs:
            return Epochs(self.parts, lambda: self.current_epoch + 1)

        def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
            weight = None if batch.weight is None else batch.weight.to(device)
            user, item, negatives = batch.user.to(device), batch.item.to(device), batch.negatives.to(device)
            return dataclasses.replace(batch, user=user, item=item, negatives=negatives, weight=weight)

        def ranker(self) -> EmbeddingRanker:
            """A ranker of the present weights, with the run's ranking score."""
            training = self.backbone.training
            found = self.parts.ranker()
            self.backbone.train(training)
            return found

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            state = self.parts.step.loss_state
            kept = {"negatives": self.parts.negatives.state(), "loss": {} if state is None else state.state()}
            checkpoint["taurec"] = {k: {name: torch.tensor(v) for name, v in own.items()} for k, own in kept.items()}

        def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            state = self.parts.step.loss_state
            kept = {k: {name: v.numpy() for name, v in own.items()} for k, own in checkpoint["taurec"].items()}
            self.parts.negatives.load_state(kept["negatives"])
            if state is not None:
                state.load_state(kept["loss"])

    return TauRecModule()
