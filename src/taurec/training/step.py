"""One step of training: the scores of a batch, the loss, its gradients and Adam."""

from __future__ import annotations

import math
from typing import NoReturn

from torch import Tensor

from taurec.backbones import Backbone
from taurec.data.interactions import Interactions
from taurec.errors import NonFiniteError
from taurec.kernels import select
from taurec.losses import LOSSES
from taurec.run import Run
from taurec.sampling import BoundSampler
from taurec.training.adam import Adam
from taurec.training.clipping import clip, shorten
from taurec.training.combination import check_combination
from taurec.training.forward import ForwardPass
from taurec.training.objective import Objective
from taurec.training.penalty import RowCounts, count
from taurec.training.plain import PlainTables, StepInput, by_counts, decays, strength
from taurec.types import Batch, Embeddings, StepShape


class Step:
    """Updates the weights of a backbone by one batch.

    Args:
        run: a resolved run.
        train: the training pairs.
        backbone: on the device of the run; in training mode when a step is made.
        sampler: the negative sampler, if it observes steps.
        shape: the table rows and scores that a step with these negatives needs.

    Attributes:
        objective: the loss with its L2 term.
        loss_state: what the loss remembers; None for most.
        forward: gives the objective of a batch.
        loss_adam: trains the parameters of that state; None if it has none.
        optimizer: Adam; :meth:`use_lr` sets its learning rate.
        tables: updates the tables of a backbone without layers; None before the first step.
        kernels: the kernel that each part runs; empty before the first step.
    """

    def __init__(
        self, run: Run, train: Interactions, backbone: Backbone, shape: StepShape, sampler: BoundSampler | None = None
    ):
        self.run, self.backbone = run, backbone
        self._shape, self._sampler = shape, sampler
        loss = LOSSES.build(run.loss.name, given=run.loss.settings)
        self.loss_state = loss.state(train, run.seed)
        supplied = frozenset[str]() if self.loss_state is None else self.loss_state.supplies
        weighted = train.weight is not None or run.user_weight > 0
        self.objective = Objective(loss, run.logq, run.l2, run.l2_mode, run.l2_on, supplied, weighted)
        check_combination(run, loss, self.loss_state, backbone, shape)
        self.forward = ForwardPass(run, train.n_items, backbone, self.objective, self.loss_state)
        decay = run.l2 if run.l2_mode == "adam" else 0.0
        self.optimizer = Adam(backbone.named_parameters(), run.lr, decay, run.kernel)
        self.loss_parameters = {} if self.loss_state is None else dict(self.loss_state.parameters())
        for parameter in self.loss_parameters.values():
            parameter.data = parameter.data.to(backbone.item.device)
        self.loss_adam = Adam(self.loss_parameters.items(), run.lr, 0.0, run.kernel) if self.loss_parameters else None
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
        taken = self._step_input(self.forward.embed(batch), batch)
        if not self.kernels:
            self.kernels = self._selected_kernels(taken, batch)
        done = self.forward(taken, batch, epoch)
        # now, as tables that are updated in place hold other vectors after the step
        scored = self.forward.pairs(done) if self.observes else None
        value = self.finite_value(done.value, epoch, number)
        done.value.backward()  # type: ignore[no-untyped-call]
        gradients = self.finite_gradients(value, epoch, number)
        if run.clip_norm:
            clip(run.clip_norm, gradients.values(), None if self.tables is None else self.tables.unit)
        self.optimizer.step(*self._decay(taken))
        if self.tables is not None and not self.tables.move(taken):
            self._stop_non_finite("the gradient of item", value, epoch, number)
        if run.max_norm:
            shorten(run.max_norm, *(table.data for table in self.backbone.tables()))
        if self.loss_adam is not None:
            self.loss_adam.steps = self.optimizer.steps - 1  # restored with the optimizer of the backbone
            self.loss_adam.step()
        self.observe(batch, done.pos, done.neg, scored)
        return value, int(done.left_out)

    @property
    def observes(self) -> bool:
        """Whether the sampler observes steps."""
        return self._sampler is not None

    def observe(
        self, batch: Batch, pos: Tensor | None, neg: Tensor | None, scored: tuple[Tensor, Tensor] | None
    ) -> None:
        """Tell the state of the loss and the sampler of a step that was made.

        Args:
            pos, neg: the scores, None where they were not held.
            scored: the vectors of the pairs, if the sampler :attr:`observes`.
        """
        if self.loss_state is not None:
            self.loss_state.observe(batch, *(None if s is None else s.detach() for s in (pos, neg)))
        if self._sampler is not None and scored is not None:
            self._sampler.observe(batch, *scored)

    def use_lr(self, lr: float) -> None:
        """Set the learning rate of the next steps."""
        self.optimizer.lr = lr
        if self.loss_adam is not None and self.loss_state is not None:
            own = self.loss_state.lr
            self.loss_adam.lr = lr if own is None else own * lr / self.run.lr
        if self.tables is not None:
            self.tables.use_lr(lr)

    def of_loss(self) -> dict[str, tuple[Tensor, tuple[Tensor, Tensor]]]:
        """The parameters of the loss's state with Adam's two moments, by name; all are moved in place."""
        if self.loss_adam is None:
            return {}
        return {name: (p.data, self.loss_adam.moments[name]) for name, p in self.loss_parameters.items()}

    def settle(self) -> None:
        """Bring all weights of the backbone up to date; within an epoch some rows have steps pending."""
        if self.tables is not None:
            self.tables.settle()

    def _step_input(self, embeddings: Embeddings, batch: Batch) -> StepInput:
        """The input of the step; only the rows of its batch where the backbone has no layers."""
        if not self.backbone.plain:
            counted, tables = None, (embeddings.ego_user, embeddings.ego_item)
            if embeddings.of_histories:
                pass  # autograd adds the L2 term, whose tables are not those of users and items
            elif by_counts(self.run):
                counted = count(batch, *map(len, tables))
            elif decays(self.run) and self.run.l2_on == "ego" and self.run.kernel != "torch":
                user, item = (table.new_ones(len(table)) for table in tables)
                counted = RowCounts(user, item, decayed=True)
            return StepInput(embeddings, batch, counted=counted)
        if self.tables is None:
            self.tables = PlainTables(self.run, embeddings, self.optimizer, self._shape, batch)
        return self.tables.take(batch)

    def _decay(self, taken: StepInput) -> tuple[float, dict[str, Tensor]]:
        """The L2 term that Adam adds to the tables that it updates whole: its strength and the counts of their rows."""
        if taken.counted is None:
            return 0.0, {}
        both = {"user": taken.counted.user, "item": taken.counted.item}
        whole = {name: n for name, n in both.items() if n is not None and self.optimizer.holds(name)}
        return strength(self.run, taken.batch), whole

    def _selected_kernels(self, taken: StepInput, batch: Batch) -> dict[str, str]:
        """The kernel that each part of the step runs, by the same selection as the calls themselves.

        Raises: UsageError if the kernel named by the run cannot serve a part.
        """
        kernel, e = self.run.kernel, taken.embeddings
        if self.forward.streamed(batch):
            scores = select("catalogue", e.user, e.item, kernel=kernel).name
        else:
            scores = batch.negatives.scored_by(e.user, e.item, kernel, len(batch.user), taken.d_item)
        by_rows = self.tables is not None and self.tables.updates != ("whole", "whole")
        tables = "numba" if by_rows else select("adam", *[e.ego_item.detach()] * 4, kernel=kernel).name
        return {
            "scores": scores,
            "tables": tables,
            **self.backbone.kernels(self.forward.rows_needed(batch) is not None),
        }

    def finite_value(self, value: Tensor, epoch: int, number: int) -> float:
        """The objective as a number.

        Raises: NonFiniteError if it is not finite.
        """
        found = float(value.detach())
        if not math.isfinite(found):
            self._stop_non_finite("the loss", found, epoch, number)
        return found

    def finite_gradients(self, value: float, epoch: int, number: int) -> dict[str, Tensor]:
        """The gradients of the backbone that autograd computed, by name.

        Raises: NonFiniteError if one of them, or one of the loss's own parameters, is not finite.
        """
        gradients = {name: p.grad for name, p in self.backbone.named_parameters() if p.grad is not None}
        gradients |= {} if self.tables is None else self.tables.gradients()
        of_loss = {f"the loss's {k}": p.grad for k, p in self.loss_parameters.items() if p.grad is not None}
        for name, gradient in (gradients | of_loss).items():
            if not math.isfinite(float(gradient.sum())):
                self._stop_non_finite(f"the gradient of {name}", value, epoch, number)
        return gradients

    def _stop_non_finite(self, what: str, value: float, epoch: int, step: int) -> NoReturn:
        taus = ", ".join(f"{k}={v}" for k, v in self.run.loss.settings.items() if "tau" in k)
        raise NonFiniteError(
            f"epoch {epoch}, step {step}: {what} is not finite (loss {value}, {taus or 'no temperature'}, "
            f"lr {self.run.lr}, {self.run.train_score} scores). Training stopped in that step; "
            f"try a smaller lr, a larger temperature, or cosine scores"
        )
