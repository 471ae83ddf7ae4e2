"""The training loop: batches, scores, loss, Adam, validation, and the best epoch kept."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from taurec import draw, kernels
from taurec.backbones import BACKBONES
from taurec.data.interactions import Interactions
from taurec.errors import NonFiniteError, UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.kernels import catalogue, hop
from taurec.kernels import tables as passes
from taurec.kernels.memory import keep_freed_memory
from taurec.kernels.tables import unit_rows
from taurec.losses import LOSSES
from taurec.losses.protocol import Scores
from taurec.ranker import EmbeddingRanker
from taurec.run import Run
from taurec.sampling import NEGATIVES, ORDERS, mean_group_size
from taurec.sampling.per_row import PerRow
from taurec.scoring import batch_scores, catalogue_scores, streams
from taurec.training import checkpoint
from taurec.training.adam import Adam
from taurec.training.clipping import clip
from taurec.training.device import pick_device, use_threads
from taurec.training.forecast import SCORING_MB, Sizes, check_memory
from taurec.training.interrupt import StopRequest, stop_on_signal
from taurec.training.objective import NONE, Objective
from taurec.training.penalty import count
from taurec.training.plain import PlainTables, Taken, by_counts, strength
from taurec.training.records import EpochRecord, Progress, Trained
from taurec.training.schedule import share, waits
from taurec.training.side import side_of
from taurec.training.state import State
from taurec.types import Batch, Embeddings, NegativeIds


class Trainer:
    """Trains the backbone of a run with its loss.

    Args:
        run: a resolved run (see :func:`taurec.training.presets.resolve`).
        train: the training pairs.
        valid: pairs that choose the epoch; None trains all epochs and keeps the last.
        on_progress: called after each step and each epoch.
        on_note: called with each remark when it is made, the size of the groups before the first step.
    """

    def __init__(
        self,
        run: Run,
        train: Interactions,
        valid: Interactions | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_note: Callable[[str], None] | None = None,
    ):
        if not len(train):
            raise UsageError("no training pairs: 0 interactions are left for training")
        if run.order is None:
            raise UsageError("the run is not resolved: no order of rows; call taurec.training.resolve(run)")
        self.negatives = NEGATIVES.build(run.negatives.name, given=run.negatives.settings).bind(train, run.seed)
        self._seen = train
        train = getattr(self.negatives, "trained", train)  # a source may hold positives out, to be false negatives
        self.run, self.train, self.valid = run, train, valid
        self.device = pick_device(run.device)
        check_memory(run, Sizes.of(train, valid))
        use_threads(run.threads)
        keep_freed_memory()
        loss = LOSSES.build(run.loss.name, given=run.loss.settings)
        self.side = side_of(loss, train, run.seed)
        supplied = frozenset[str]() if self.side is None else self.side.supplies
        self.objective = Objective(loss, run.logq, run.l2, run.l2_mode, run.l2_on, supplied)
        backbone: Any = BACKBONES.build(run.backbone.name, train, given=run.backbone.settings, seed=run.seed)
        _check_scores(run, loss.scores, backbone.biased)
        self.backbone = backbone.to(self.device)
        if hasattr(backbone, "kernel"):
            backbone.kernel = run.kernel
        if self.device.type == "cuda" and run.kernel != "torch" and kernels.available()["triton"] == "ok":
            self.negatives = self.negatives.on(self.device) if isinstance(self.negatives, PerRow) else self.negatives
        self.order = ORDERS.build(run.order.name, given=run.order.settings).bind(train, run.batch_size, run.seed)
        self.optimizer = Adam(self.backbone.parameters(), run.lr, run.l2 if run.l2_mode == "adam" else 0.0)
        named = [name for name, _ in self.backbone.named_parameters()]
        self._moments = dict(zip(named, self.optimizer.moments, strict=True))
        self.tables: PlainTables | None = None
        self.kernels: dict[str, str] = {}
        self.notes: list[str] = []
        self._waits = 0
        self._on_progress = on_progress or (lambda progress: None)
        self._on_note = on_note or (lambda note: None)
        self._user, self._item = torch.from_numpy(train.user_of), torch.from_numpy(train.indices.copy())
        self._weight = None if train.weight is None else torch.from_numpy(train.weight.copy())

    def fit(self, resume: Path | None = None, every: float = 20.0, seconds: float | None = None) -> Trained:
        """Train until the last epoch, until validation no longer improves, or until a signal asks to stop.

        Args:
            resume: a file that holds where the run stands. It is read if it is there, and the run goes on from it
                to the same bits; it is written after an epoch, once so many seconds passed, and when training ends.
            every: seconds between two writes; an epoch is the least.
            seconds: stop after the epoch in which so many have passed; with ``resume`` the run can go on later.
        Raises: ArtefactError or UsageError for a file that is broken or of another run.
        """
        run, records = self.run, list[EpochRecord]()
        best: EpochRecord | None = None
        # Taken now: among the arrays that steps and validation take and free it would leave holes of no use.
        weights = {name: torch.empty_like(value) for name, value in self.backbone.state_dict().items()}
        state = State(self.backbone, weights, self._moments, self.side)
        who = checkpoint.identity(run, self.train, self.valid) if resume is not None else {}
        if resume is not None and resume.exists():
            arrays, progress = checkpoint.read(resume, who)
            state.load(arrays)
            self.optimizer.steps = int(progress["steps"])
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
                    told = [dataclasses.asdict(r) for r in records]
                    progress = {"records": told, "best": best and best.epoch, "steps": self.optimizer.steps}
                    checkpoint.write(resume, who, state.arrays(), progress)
                    written = time.perf_counter()
                steps = self.order.steps(epoch)
                speed = len(self.train) / max(record.train_seconds, 1e-9)
                self._on_progress(Progress(epoch, run.epochs, steps, steps, record.loss, speed, record, best))
                if leave:
                    break
        if best is not None:
            self.backbone.load_state_dict(weights)
        return Trained(self.ranker(), self.backbone, records, best, self.notes, stop.signum, self.kernels, finished)

    def untrained(self, signum: int) -> Trained:
        """What there is where a signal came before the first step."""
        return Trained(self.ranker(), self.backbone, [], None, self.notes, signum, finished=False)

    def _at_end(self, epoch: int, best: EpochRecord | None) -> bool:
        """Whether no epoch follows this one."""
        patience = self.run.patience * self.run.eval_every
        waited = self.valid is not None and best is not None and epoch - best.epoch >= patience
        return epoch >= self.run.epochs or waited

    def ranker(self) -> EmbeddingRanker:
        """The present weights as something that ranks, by the run's ranking score."""
        self.settle()
        self.backbone.eval()
        with torch.no_grad():
            e = self.backbone.embed()
            if self.run.rank_score == "cosine":
                user, item = unit_rows(e.user), unit_rows(e.item)
            else:
                user, item = e.user.clone(), e.item.clone()
        return EmbeddingRanker(user.cpu().numpy(), item.cpu().numpy())

    def _vectors(self) -> tuple[Tensor, Tensor]:
        """All final vectors as training scores see them, without dropout and without gradient."""
        self.settle()
        self.backbone.eval()
        with torch.no_grad():
            e = self.backbone.embed()
            return (unit_rows(e.user), unit_rows(e.item)) if self.run.train_score == "cosine" else (e.user, e.item)

    def _keep(self, weights: dict[str, Tensor]) -> None:
        """Copy the present weights into those kept."""
        for name, value in self.backbone.state_dict().items():
            weights[name].copy_(value)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, with their negatives, on the run's device."""
        for rows in self.order.batches(epoch):
            row = torch.from_numpy(rows)
            user, item = self._user[row], self._item[row]
            ids = self.negatives.draw(user, item, row, epoch)
            moved = {f.name: getattr(ids, f.name) for f in dataclasses.fields(ids)}
            moved = {k: v.to(self.device) if isinstance(v, Tensor) else v for k, v in moved.items()}
            weight = None if self._weight is None else self._weight[row].to(self.device)
            yield Batch(user.to(self.device), item.to(self.device), row, type(ids)(**moved), weight)

    def step(self, batch: Batch, epoch: int, number: int) -> tuple[float, int]:
        """One step of Adam; returns the scalar loss and how many rows had no negative."""
        run = self.run
        self.backbone.begin_step(epoch, number)
        self._use_lr(epoch, number)
        embeddings = self._embed(batch)
        taken = self._take(embeddings, batch)
        embeddings, local = taken.embeddings, taken.batch
        user_at, item_at, negatives = _places(embeddings, local)
        if not self.kernels:
            self.kernels = self._paths(embeddings, batch)
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

    def _use_lr(self, epoch: int, number: int) -> None:
        done = (epoch - 1 + (number - 1) / self.order.steps(epoch)) / self.run.epochs
        self.optimizer.lr = self.run.lr * share(self.run.lr_schedule, min(done, 1.0), self._waits)
        if self.tables is not None:
            self.tables.use_lr(self.optimizer.lr)

    def _take(self, embeddings: Embeddings, batch: Batch) -> Taken:
        """What the step works on: the rows of its batch, where the backbone yields its tables themselves."""
        if embeddings.user is not embeddings.ego_user or embeddings.item is not embeddings.ego_item:
            counted = None
            if by_counts(self.run) and self._holds(embeddings.ego_user) and self._holds(embeddings.ego_item):
                counted = count(batch, len(embeddings.ego_user), len(embeddings.ego_item))
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

    def _paths(self, embeddings: Embeddings, batch: Batch) -> dict[str, str]:
        """Which kernel each part of the step runs."""
        run, negatives, graph = self.run, batch.negatives, getattr(self.backbone, "adjacency", None)
        given = embeddings.user, embeddings.item
        scores = "torch"
        if self._streamed(batch):
            scores = catalogue.chosen(*given, run.kernel)
        elif negatives.layout == "per_row" and negatives.ids is not None:
            scores = kernels.chosen(*given, negatives.ids, run.kernel)
        paths = {"scores": scores, "tables": passes.path(embeddings.ego_user)}
        if graph is not None:
            matrix, kernel = hop.Csr(*graph.matrix()), getattr(self.backbone, "kernel", "auto")
            paths["hop"] = hop.chosen(matrix, embeddings.ego_user, kernel)
            if run.kernel == "triton" != paths["hop"]:
                raise UsageError(f"kernel 'triton' cannot serve the hops of {run.backbone.name}; use kernel='auto'")
        return paths

    def settle(self) -> None:
        """Bring all weights of the backbone up to date; within an epoch rows may owe steps."""
        if self.tables is not None:
            self.tables.settle()

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
        if negatives.ids is None or (negatives.layout == "per_row" and 2 * negatives.ids.numel() > self.train.n_items):
            return None
        return batch.user, torch.cat([batch.item, negatives.ids.reshape(-1)])

    def _epoch(self, epoch: int, stop: StopRequest, best: EpochRecord | None) -> EpochRecord | None:
        started = time.perf_counter()
        if self.side is not None:
            self.side.begin_epoch(epoch, self._vectors)
        self.backbone.train()
        steps = self.order.steps(epoch)
        total = seconds = 0.0
        rows = left_out = 0
        for number, batch in enumerate(self.batches(epoch), start=1):
            value, missing = self.step(batch, epoch, number)
            total, rows, left_out = total + value * len(batch.row), rows + len(batch.row), left_out + missing
            seconds = time.perf_counter() - started
            mean = total / rows
            self._on_progress(Progress(epoch, self.run.epochs, number, steps, mean, rows / seconds, best=best))
            if stop and number < steps:
                return None
        self.settle()
        seconds = time.perf_counter() - started
        return EpochRecord(epoch, total / max(rows, 1), seconds, rows_without_negatives=left_out)

    def _validate(self, record: EpochRecord) -> EpochRecord:
        assert self.valid is not None
        started = time.perf_counter()
        device = None if self.device.type == "cpu" else self.device
        given = self.ranker(), self.valid, self._seen, [self.run.metric]
        result = evaluate_ranker(*given, memory_mb=SCORING_MB, device=device)
        return dataclasses.replace(record, metrics=result.means(), eval_seconds=time.perf_counter() - started)

    def _dropout_mask(self, row: Tensor, like: Tensor, epoch: int) -> Tensor:
        kept = draw.uniform(draw.key(self.run.seed, "user dropout", epoch), row.numpy(), like.shape[1])
        keep = 1.0 - self.run.user_dropout
        mask = torch.from_numpy(kept < keep).to(like) / keep
        if self.backbone.biased:
            mask[:, -1] = 1.0
        return mask

    def _report_groups(self) -> None:
        if "group" not in self.objective.loss.needs:
            return
        size = mean_group_size(self.train, self.order.batches(1))
        name = self.run.loss.name
        self._note(f"{name}: a row shares its batch with {size - 1:.2f} other rows of its user on average")
        if size < 1.5:
            self._note(
                f"warning: {name} pools the positives of a user, but hardly any row has a partner in its batch; "
                f"without groups BSL is SL. Use --order user-blocks:4 or --loss sl"
            )

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self._on_note(text)

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


def _better(record: EpochRecord, best: EpochRecord | None, metric: str) -> bool:
    return best is None or record.metrics[metric] > best.metrics[metric]
