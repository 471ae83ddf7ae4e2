"""The training loop: batches, steps, validation, and the best epoch kept."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from taurec import kernels
from taurec.backbones import BACKBONES
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.evaluation.users import UserScorer
from taurec.kernels.memory import keep_freed_memory
from taurec.losses import LOSSES
from taurec.ranker import RANKERS, EmbeddingRanker
from taurec.run import Run
from taurec.sampling import ORDERS, mean_group_size
from taurec.scoring import score_vectors
from taurec.training import checkpoint
from taurec.training.combination import check_declared, check_layers
from taurec.training.device import pick_device, use_threads
from taurec.training.forecast import SCORING_MB, Sizes, check_memory
from taurec.training.interrupt import StopRequest, stop_on_signal
from taurec.training.records import EpochRecord, Progress, Trained
from taurec.training.sampler import sampler_of
from taurec.training.schedule import share, waits
from taurec.training.state import State
from taurec.training.step import Step
from taurec.types import Batch


class Trainer:
    """Trains the backbone of a run with its loss.

    Args:
        run: a resolved run (see :func:`taurec.training.presets.resolve`).
        train: the training pairs.
        valid: pairs that choose the epoch; None trains all epochs and keeps the last.
        on_progress: called after each step and each epoch.
        on_note: called with each remark, such as the size of the groups before the first step.
        given: rows of users who are not trained on, from which they are ranked on ``valid``; see
            :class:`taurec.data.split.Split`.
    Raises: UsageError if loss, scores, backbone and negatives do not go together, before the first step.
    """

    def __init__(
        self,
        run: Run,
        train: Interactions,
        valid: Interactions | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_note: Callable[[str], None] | None = None,
        given: Interactions | None = None,
    ):
        if not len(train):
            raise UsageError("no training pairs: 0 interactions are left for training")
        if run.model is not None:
            raise UsageError(
                f"{run.model.name} is a baseline, which has no training loop; use Recommender(model={run.model.name!r})"
            )
        if run.order is None:
            raise UsageError("the run is not resolved: no order of rows; call taurec.training.resolve(run)")
        sampler = sampler_of(run)
        shape = sampler.shape(run.batch_size, train.n_items)
        check_declared(run, LOSSES.build(run.loss.name, given=run.loss.settings), shape)
        self.negatives = sampler.bind(train, run.seed)
        self._whole, self._given, self._known = train, given, train if given is None else train.union(given)
        # A sampler may hold positives out, to be false negatives.
        train = train if self.negatives.trained is None else self.negatives.trained
        self.run, self.train, self.valid = run, train, valid
        self.device = pick_device(run.device)
        check_memory(run, Sizes.of(train, valid))
        use_threads(run.threads)
        keep_freed_memory()
        backbone = BACKBONES.build(run.backbone.name, train, given=run.backbone.settings, seed=run.seed)
        backbone.kernel = run.kernel
        self.backbone = backbone.to(self.device)
        if self.device.type == "cuda" and run.kernel != "torch" and kernels.available()["triton"] == "ok":
            self.negatives = self.negatives.on(self.device)
        if "vectors" in sampler.needs:
            self.negatives.look(self.vectors)
        self.order = ORDERS.build(run.order.name, given=run.order.settings).bind(train, run.batch_size, run.seed)
        observed = self.negatives if "steps" in sampler.needs else None
        self.step = Step(run, train, self.backbone, shape, observed)
        self.notes: list[str] = []
        self._waits = 0
        self._on_progress = on_progress or (lambda progress: None)
        self._on_note = on_note or (lambda note: None)
        self._trained = self.backbone.trained_rows(train)
        self._rows = len(train) if self._trained is None else int(self._trained.sum())
        if not self._rows:
            raise UsageError(
                f"no training pairs: {run.backbone.name} learns from none of the {len(train):,} interactions, as "
                f"no user has two; use another backbone, such as mf"
            )
        self._user, self._item = torch.from_numpy(train.user_of), torch.from_numpy(train.indices.copy())
        self._weight = row_weights(train, run.user_weight)
        if shape.layers:
            first = torch.zeros(1, dtype=torch.int64)
            drawn = self.negatives.draw(self._user[first], self._item[first], first, epoch=1)
            check_layers(self.backbone, drawn.to(self.device))

    def fit(self, resume: Path | None = None, every: float = 20.0, seconds: float | None = None) -> Trained:
        """Train until the last epoch, until validation no longer improves, or until a signal asks to stop.

        Args:
            resume: checkpoint of the run. If the file exists, the run continues from it to the same bits; it is written
                after an epoch once ``every`` seconds have passed, and when training ends.
            every: minimum seconds between two writes; a file is written only at the end of an epoch.
            seconds: stop after the epoch in which this time is exceeded; ``resume`` can continue the run later.
        Raises: ArtefactError or UsageError for a file that is broken or of another run.
        """
        run, records = self.run, list[EpochRecord]()
        best: EpochRecord | None = None
        # Allocated now: later, between arrays that steps and validation free, they would fragment the memory.
        weights = {name: torch.empty_like(value) for name, value in self.backbone.state_dict().items()}
        moments, of_loss = self.step.optimizer.moments, self.step.of_loss()
        state = State(self.backbone, weights, moments, self.step.loss_state, of_loss, self.negatives)
        who = checkpoint.identity(run, self.train, self.valid, self._given) if resume is not None else {}
        if resume is not None and resume.exists():
            arrays, progress = checkpoint.read(resume, who)
            state.load(arrays)
            self.step.optimizer.steps = int(progress["steps"])
            records = [EpochRecord(**record) for record in progress["records"]]
            best = next((r for r in records if r.epoch == progress["best"]), None)
            self._note(f"going on after epoch {len(records)} from {resume}")
        else:
            self._report_groups()
        started = written = time.perf_counter()
        finished = self._at_end(len(records), best)
        with stop_on_signal() as stop:
            while not finished:
                epoch = len(records) + 1
                self._waits = waits(r.metrics[run.metric] for r in records if r.metrics)
                record = self._epoch(epoch, stop, best)
                if record is None:
                    break
                if self.valid is not None and (epoch % run.eval_every == 0 or epoch == run.epochs):
                    record = self._validate(record)
                records.append(record)
                if self.valid is None or (record.metrics and _better(record, best, run.metric)):
                    best = record
                    self._keep(weights)
                finished = self._at_end(epoch, best)
                now = time.perf_counter()
                leave = bool(stop) or (seconds is not None and now - started >= seconds)
                if resume is not None and (finished or leave or now - written >= every):
                    rows = [dataclasses.asdict(r) for r in records]
                    progress = {"records": rows, "best": best and best.epoch, "steps": self.step.optimizer.steps}
                    checkpoint.write(resume, who, state.arrays(), progress)
                    written = time.perf_counter()
                steps = self.order.steps(epoch)
                speed = len(self.train) / max(record.train_seconds, 1e-9)
                self._on_progress(Progress(epoch, run.epochs, steps, steps, record.loss, speed, record, best))
                if leave:
                    break
        if best is not None:
            self.backbone.load_state_dict(weights)
        found = self.ranker(), self.backbone, records, best, self.notes
        return Trained(*found, stop.signum, self.step.kernels, finished)

    def untrained(self, signum: int) -> Trained:
        """The result where a signal came before the first step."""
        return Trained(self.ranker(), self.backbone, [], None, self.notes, signum, finished=False)

    def _at_end(self, epoch: int, best: EpochRecord | None) -> bool:
        """Whether training ends after this epoch."""
        patience = self.run.patience * self.run.eval_every
        waited = self.valid is not None and best is not None and epoch - best.epoch >= patience
        return epoch >= self.run.epochs or waited

    def ranker(self) -> EmbeddingRanker:
        """A ranker of the current weights, with the run's ranking score."""
        self.step.settle()
        self.backbone.eval()
        with torch.no_grad():
            own = self.backbone.ranker(self.train, self.run.rank_score)
            if own is not None:
                return own
            e = self.backbone.embed()
            user, item = score_vectors(e.user, e.item, self.run.rank_score, self.run.kernel)
            if self.run.rank_score == "dot":
                user, item = user.clone(), item.clone()  # the tables themselves, which training updates
        return RANKERS[self.run.rank_score](user.cpu().numpy(), item.cpu().numpy())

    def vectors(self) -> tuple[Tensor, Tensor]:
        """All vectors whose dot products are the training scores, without dropout and without gradient."""
        self.step.settle()
        training = self.backbone.training
        self.backbone.eval()
        with torch.no_grad():
            e = self.backbone.embed()
            user, item = score_vectors(e.user, e.item, self.run.train_score, self.run.kernel)
        self.backbone.train(training)
        return user.detach(), item.detach()

    def _keep(self, weights: dict[str, Tensor]) -> None:
        """Copy the present weights into those kept."""
        for name, value in self.backbone.state_dict().items():
            weights[name].copy_(value)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, with their negatives, on the run's device."""
        for rows in self.order.batches(epoch):
            if self._trained is not None:
                rows = rows[self._trained[rows]]
                if not len(rows):
                    continue
            row = torch.from_numpy(rows)
            user, item = self._user[row], self._item[row]
            negatives = self.negatives.draw(user, item, row, epoch).to(self.device)
            weight = None if self._weight is None else self._weight[row].to(self.device)
            yield Batch(user.to(self.device), item.to(self.device), row, negatives, weight)

    def _lr(self, epoch: int, number: int) -> float:
        """The learning rate of a step by the schedule of the run."""
        done = (epoch - 1 + (number - 1) / self.order.steps(epoch)) / self.run.epochs
        return self.run.lr * share(self.run.lr_schedule, min(done, 1.0), self._waits)

    def _epoch(self, epoch: int, stop: StopRequest, best: EpochRecord | None) -> EpochRecord | None:
        started = time.perf_counter()
        if self.step.loss_state is not None:
            self.step.loss_state.begin_epoch(epoch, self.vectors)
        self.backbone.train()
        steps = self.order.steps(epoch)
        total = seconds = 0.0
        rows, left_out = 0, len(self.train) - self._rows
        for number, batch in enumerate(self.batches(epoch), start=1):
            self.step.use_lr(self._lr(epoch, number))
            value, missing = self.step(batch, epoch, number)
            total, rows, left_out = total + value * len(batch.row), rows + len(batch.row), left_out + missing
            if rows > self._rows:
                raise self._wrong_rows(epoch, f"more than {self._rows:,}")
            seconds = time.perf_counter() - started
            mean = total / rows
            self._on_progress(Progress(epoch, self.run.epochs, number, steps, mean, rows / seconds, best=best))
            if stop and number < steps:
                return None
        if rows != self._rows:
            raise self._wrong_rows(epoch, f"{rows:,}")
        self.step.settle()
        seconds = time.perf_counter() - started
        return EpochRecord(epoch, total / max(rows, 1), seconds, rows_without_negatives=left_out)

    def _wrong_rows(self, epoch: int, got: str) -> UsageError:
        name = "the order" if self.run.order is None else f"order {self.run.order.name}"
        return UsageError(
            f"{name} gave {got} rows in epoch {epoch}, the training log has {self._rows:,}; an order gives "
            f"each row once an epoch, which taurec.testing.check_order checks"
        )

    def _validate(self, record: EpochRecord) -> EpochRecord:
        assert self.valid is not None
        started = time.perf_counter()
        device = None if self.device.type == "cpu" else self.device
        scorer = UserScorer.of_log(self.ranker(), self._whole, self._known)
        given = scorer, self.valid, self._known, [self.run.metric]
        result = evaluate_ranker(*given, memory_mb=SCORING_MB, device=device, kernel=self.run.kernel)
        return dataclasses.replace(record, metrics=result.means(), eval_seconds=time.perf_counter() - started)

    def _report_groups(self) -> None:
        if "group" not in self.step.objective.loss.needs:
            return
        size = mean_group_size(self.train, self.order.batches(1))
        name = self.run.loss.name
        self._note(f"{name}: a row shares its batch with {size - 1:.2f} other rows of its user on average")
        if size < 1.5:
            self._note(
                f"warning: {name} pools the positives of a user, but hardly any row shares its batch with another row "
                f"of its user; "
                f"{self.step.objective.loss.without_groups}"
            )

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self._on_note(text)


def row_weights(train: Interactions, user_weight: float) -> Tensor | None:
    """[P] the weight of each training row, n^-user_weight of a user with n of them times its own; None for all 1.

    >>> row_weights(Interactions.from_pairs([0, 0, 1], [0, 1, 0], weight=[1.0, 3.0, 2.0]), 1.0)
    tensor([0.5000, 1.5000, 2.0000])
    """
    if not user_weight:
        return None if train.weight is None else torch.from_numpy(train.weight.copy())
    of_user = np.maximum(train.user_counts, 1).astype(np.float64) ** -user_weight
    own = of_user[train.user_of] * (1 if train.weight is None else train.weight)
    return torch.from_numpy(own.astype(np.float32))


def _better(record: EpochRecord, best: EpochRecord | None, metric: str) -> bool:
    return best is None or record.metrics[metric] > best.metrics[metric]
