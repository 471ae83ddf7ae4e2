"""The face for users: fit, evaluate, recommend, save and load, for every model alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.baselines import BASELINES
from taurec.data.interactions import Interactions
from taurec.data.source import split_source
from taurec.data.split import Split, data_hash
from taurec.data.vocabulary import Vocabulary
from taurec.errors import DataError, UsageError, did_you_mean
from taurec.evaluation.metrics import DEFAULT_METRICS
from taurec.evaluation.ranking import Evaluation, TopK, evaluate_ranker, top_k
from taurec.ranker import HistoryRanker, Ranker, ScoresRanker, unit_rows
from taurec.run import Run
from taurec.saved import SavedModel, read_folder, write_folder
from taurec.tracking import Tracker, follow
from taurec.training.auto_temperature import find_temperature
from taurec.training.device import use_threads
from taurec.training.presets import auto_settings, resolve
from taurec.training.records import EpochRecord, Progress
from taurec.training.trainer import Trainer


@dataclass(frozen=True)
class Recommendations:
    """Ranked lists as flat columns, best first within each user; short lists are short.

    Attributes:
        user: raw user id of each row (the history's number, as text, for lists from histories).
        item: raw item id.
        score: the model's score; comparable within a user only.
        rank: 1 for the best.
    """

    user: list[str]
    item: list[str]
    score: NDArray[np.float32]
    rank: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.item)

    def to_frame(self) -> pl.DataFrame:
        """A polars frame with the columns user, item, score, rank."""
        return pl.DataFrame({"user": self.user, "item": self.item, "score": self.score, "rank": self.rank})

    def to_pandas(self) -> Any:
        """A pandas frame with the same columns; needs the extra ``taurec[pandas]``."""
        return self.to_frame().to_pandas()


class Recommender:
    """A model to be fitted to a log, or one that was.

    Args:
        backbone, loss: names as in ``taurec list``; or ``model`` for a baseline such as ``"ease"``.
        settings: single values by part, ``{"loss": {"tau_neg": 0.1}}``; ``"auto"`` for a temperature has ``fit``
            find it on validation, see :mod:`taurec.training.auto_temperature`.
        fields: any other field of :class:`taurec.run.Run`, such as ``epochs``, ``lr`` or ``seed``.

    Example:
        >>> from taurec.data.planted import planted
        >>> world = planted(n_users=60, n_items=40, seed=1)
        >>> model = Recommender(model="ease").fit(world.log)
        >>> lists = model.recommend("0", k=3)
        >>> len(lists), sorted(model.evaluate(metrics=["recall@5"]).means())
        (3, ['recall@5'])
    """

    def __init__(
        self,
        backbone: str | None = None,
        loss: str | None = None,
        *,
        model: str | None = None,
        settings: dict[str, dict[str, Any]] | None = None,
        **fields: Any,
    ):
        if model is not None and (backbone is not None or loss is not None):
            raise UsageError(f"model={model!r} is a baseline without backbone and loss; give one or the other")
        named = {"backbone": backbone, "loss": loss, "model": model}
        given = {k: v for k, v in named.items() if v is not None}
        self.run: Run = resolve(**given, settings=settings, **fields)
        self.records: list[EpochRecord] = []
        self.best: EpochRecord | None = None
        self.notes: list[str] = []
        self.metrics: dict[str, dict[str, float]] = {}
        self.stopped_by = 0
        self.finished = True
        self.kernels: dict[str, str] = {}
        self.fit_seconds = 0.0
        self._ranker: Ranker | None = None
        self._split: Split | None = None
        self._all: Interactions | None = None

    @classmethod
    def from_run(cls, run: Run) -> Recommender:
        """An unfitted recommender with exactly these settings, such as those of a saved ``run.json``."""
        made = cls.__new__(cls)
        made.__dict__.update(cls(model="popularity").__dict__)
        made.run = run
        return made

    def get_params(self) -> dict[str, Any]:
        """Every setting of the run, as plain values."""
        return self.run.model_dump(mode="json")

    def fit(
        self,
        data: Any = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_note: Callable[[str], None] | None = None,
        resume: Path | None = None,
        seconds: float | None = None,
        trackers: Sequence[Tracker] = (),
    ) -> Recommender:
        """Fit to a log.

        Ctrl-C and SIGTERM end a training at its next step, with the best epoch so far; ``stopped_by`` is then the
        signal, and 0 otherwise, which a loop over fits must ask to end too.

        Args:
            data: a named set, a path, a frame, a scipy matrix, :class:`Interactions`, or a
                :class:`Split`; None takes the run's ``source``, which must still be the same data if
                the run says which (``data_hash``). What is not split already is split
                by the run's ``split``, ``valid``, ``test`` and ``seed``.
            on_progress: called after each step and epoch with a :class:`Progress`.
            on_note: called with each remark of the trainer when it is made.
            resume: a file in which a trained model keeps where it stands, so that a run that was stopped or
                killed goes on from there to the same bits, see :meth:`taurec.training.trainer.Trainer.fit`;
                it may be deleted once the run has ended.
            seconds: of a trained model: stop after the epoch in which so many have passed (what finding a
                temperature took counts); ``finished`` says whether it came to its end before.
            trackers: told of the run, of every epoch and of the end, see :mod:`taurec.tracking`.
        Raises: UsageError, DataError for data or settings; NonFiniteError if training diverges.
        """
        parts, source = split_source(self.run.source if data is None else data, self.run)
        found = data_hash(parts)
        if data is None and self.run.data_hash not in ("", found):
            raise DataError(
                f"{source} is not the log that this run was made from: its data_hash is {found[:12]}..., that of the "
                f"run {self.run.data_hash[:12]}...; fit({source!r}) learns from what is there now"
            )
        self._split = parts
        self.run = self.run.but(source=source, data_hash=found, split=parts.how)
        started = time.perf_counter()
        valid = parts.valid if len(parts.valid) else None
        if self.run.model is not None:
            if not len(parts.train):
                raise UsageError("no training pairs: 0 interactions are left for training")
            model = self.run.model
            use_threads(self.run.threads)
            baseline = BASELINES.build(model.name, given=model.settings, seed=self.run.seed)
            self._ranker = baseline.fit(parts.train)
            self.fit_seconds = time.perf_counter() - started
            values = {}
            if valid is not None:
                values = evaluate_ranker(self._ranker, valid, parts.train, [self.run.metric]).means()
            with follow(trackers, self.run, on_note=on_note) as following:
                following.summary |= {**values, "fit_seconds": self.fit_seconds}
            self.best = EpochRecord(1, 0.0, self.fit_seconds, metrics=values)
            self.records = [self.best]
        else:
            self.notes, stopped = [], 0
            if auto_settings(self.run.loss):
                temperature = find_temperature(self.run, parts.train, valid, on_progress, on_note)
                self.run, stopped = temperature.run, temperature.stopped_by
                self.notes.append(temperature.note)
                seconds = None if seconds is None else max(seconds - (time.perf_counter() - started), 0.0)
            with follow(trackers, self.run, on_progress, on_note, resume) as following:
                trainer = Trainer(self.run, parts.train, valid, following.hook, on_note)
                trained = trainer.untrained(stopped) if stopped else trainer.fit(resume, seconds=seconds)
            self._ranker, self.records, self.best = trained.ranker, trained.records, trained.best
            self.notes += trained.notes
            self.stopped_by, self.kernels = trained.stopped_by, trained.kernels
            self.finished = trained.finished
            self.fit_seconds = time.perf_counter() - started
        self.metrics = {"valid": dict(self.best.metrics)} if self.best and self.best.metrics else {}
        return self

    @property
    def ranker(self) -> Ranker:
        """What ranks; its scores are on indices, not raw ids."""
        if self._ranker is None:
            raise UsageError("this recommender is not fitted yet; call fit(data) or load(folder)")
        return self._ranker

    @property
    def split(self) -> Split:
        """The parts of the log it was fitted to."""
        _ = self.ranker
        assert self._split is not None
        return self._split

    @property
    def users(self) -> Vocabulary:
        return self.split.train.users

    @property
    def items(self) -> Vocabulary:
        return self.split.train.items

    def evaluate(self, part: str = "test", metrics: Sequence[str] = DEFAULT_METRICS) -> Evaluation:
        """All-ranking metrics on a part of the log.

        Items of the parts before it are masked: training for ``valid``, training and validation for
        ``test``. Users without an item in the part are left out and counted. The means are kept in
        ``self.metrics[part]``.
        """
        result = evaluate_ranker(self.ranker, self._relevant(part), self._before(part), metrics)
        self.metrics[part] = result.means()
        return result

    def evaluate_from_history(self, part: str = "test", metrics: Sequence[str] = DEFAULT_METRICS) -> Evaluation:
        """The same users ranked only from their history, as :meth:`recommend_from_history` would.

        Its gap to :meth:`evaluate` is what a person unknown to the model loses.
        """
        before = self._before(part)
        folded = HistoryRanker(self.ranker, before.csr())
        result = evaluate_ranker(folded, self._relevant(part), before, metrics)
        self.metrics[f"{part}_from_history"] = result.means()
        return result

    def recommend(
        self,
        users: str | Iterable[object] | None = None,
        k: int = 10,
        *,
        only: Iterable[object] | None = None,
        without: Iterable[object] | None = None,
        filter_seen: bool = True,
    ) -> Recommendations:
        """The k best items for known users.

        Args:
            users: raw ids; None for all users.
            only, without: raw item ids to choose from, or to leave out.
            filter_seen: leave out every item the user has in the log, whatever its part.
        Returns: flat lists; fewer than k where the candidates run out.
        Raises: UsageError for an unknown user or item, or k < 1.
        """
        raw = self.users.ids.to_list() if users is None else _as_list(users)
        index = _encode(self.users, raw, "user")
        found = top_k(
            self.ranker,
            index,
            _checked_k(k),
            seen=self._everything() if filter_seen else None,
            only=_item_filter(self.items, only),
            without=_item_filter(self.items, without),
            item_ids=self.items,
        )
        return self._lists(raw, found)

    def recommend_from_history(
        self,
        items: Iterable[object] | Sequence[Iterable[object]],
        k: int = 10,
        *,
        only: Iterable[object] | None = None,
        without: Iterable[object] | None = None,
        filter_seen: bool = True,
    ) -> Recommendations:
        """The k best items for somebody the model never saw, from the items they have.

        Embedding models take the mean of the items' unit vectors as the user; baselines fold the
        history in by their own formula. ``items`` is one history, or a list of histories.
        """
        given: list[Any] = _as_list(items)
        histories = given if given and not isinstance(given[0], str | int) else [given]
        encoded = [_encode(self.items, _as_list(h), "item") for h in histories]
        if not all(len(h) for h in encoded):
            raise UsageError("a history is empty; give at least one item")
        matrix = _binary_rows(encoded, len(self.items))
        found = top_k(
            HistoryRanker(self.ranker, matrix),
            np.arange(len(encoded)),
            _checked_k(k),
            seen=Interactions.from_pairs(*_coordinates(encoded), Vocabulary.numbered(len(encoded)), self.items)
            if filter_seen
            else None,
            only=_item_filter(self.items, only),
            without=_item_filter(self.items, without),
            item_ids=self.items,
        )
        return self._lists([str(n) for n in range(len(encoded))], found)

    def similar_items(self, item: object, k: int = 10) -> Recommendations:
        """The k items whose vectors have the largest cosine with this item's, itself left out."""
        index = int(_encode(self.items, [item], "item")[0])
        vectors = self.ranker.item_vectors()
        if isinstance(vectors, np.ndarray):
            unit = unit_rows(vectors.astype(np.float32))
            cosine = unit @ unit[index]
        else:
            norm = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
            dots = np.asarray((vectors @ vectors[[index]].T).todense()).ravel()
            cosine = dots / np.maximum(norm * norm[index], 1e-12)
        found = top_k(
            ScoresRanker(cosine.astype(np.float32)[None, :]),
            np.zeros(1, dtype=np.int64),
            _checked_k(k),
            without=np.array([index]),
            item_ids=self.items,
        )
        return self._lists([str(item)], found)

    def embeddings(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """[U, D] and [I, D]: the vectors whose dot product is the ranking score, in vocabulary order."""
        ranker = self.ranker
        user, item = getattr(ranker, "user", None), getattr(ranker, "item", None)
        if user is None or item is None:
            raise UsageError(f"{self.run.label} has no embeddings; it ranks by other means")
        return user, item

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the model as one folder (see :mod:`taurec.saved`), whole or not at all."""
        saved = SavedModel(self.run, self.ranker, self.split, self.metrics, self.records, self.kernels)
        write_folder(Path(folder), saved, overwrite)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Recommender:
        """A fitted recommender from a saved folder; the original file is not needed."""
        saved = read_folder(Path(folder))
        made = cls.from_run(saved.run)
        made._ranker, made._split = saved.ranker, saved.split
        made.metrics, made.records, made.kernels = saved.metrics, saved.records, saved.kernels
        return made

    def _relevant(self, part: str) -> Interactions:
        if part not in ("valid", "test"):
            raise UsageError(f"unknown part {part!r}{did_you_mean(part, ['valid', 'test'])}")
        relevant: Interactions = getattr(self.split, part)
        if not len(relevant):
            raise UsageError(
                f"there is no {part} part: the log was split by {self.split.how!r}; "
                f"fit with split='ratio' to hold some interactions out"
            )
        return relevant

    def _before(self, part: str) -> Interactions:
        train, valid = self.split.train, self.split.valid
        return train.union(valid) if part == "test" and len(valid) else train

    def _everything(self) -> Interactions:
        if self._all is None:
            parts = self.split
            self._all = parts.train.union(parts.valid).union(parts.test)
        return self._all

    def _lists(self, raw: Sequence[object], found: TopK) -> Recommendations:
        rows, columns = np.nonzero(found.items >= 0)
        return Recommendations(
            [str(raw[int(r)]) for r in rows],
            self.items.decode(found.items[rows, columns]),
            found.scores[rows, columns],
            columns + 1,
        )


def _as_list(values: Any) -> list[Any]:
    return [values] if isinstance(values, str | int) else list(values)


def _encode(vocabulary: Vocabulary, raw: Sequence[object], kind: str) -> NDArray[np.int64]:
    index = vocabulary.encode(raw)
    if (index < 0).any():
        unknown = [str(r) for r, i in zip(raw, index, strict=True) if i < 0]
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        near = did_you_mean(unknown[0], vocabulary.ids.to_list()).split(" (accepted")[0].rstrip(";")
        raise UsageError(
            f"unknown {kind} {', '.join(map(repr, unknown[:5]))}{more}{near}; "
            f"the model knows {len(vocabulary):,} {kind}s"
        )
    return index


def _item_filter(items: Vocabulary, raw: Iterable[object] | None) -> NDArray[np.int64] | None:
    return None if raw is None else _encode(items, _as_list(raw), "item")


def _checked_k(k: int) -> int:
    if isinstance(k, bool) or int(k) != k or k < 1:
        raise UsageError(f"k must be a whole number of at least 1, got {k!r}")
    return int(k)


def _coordinates(rows: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.repeat(np.arange(len(rows)), [len(r) for r in rows]), np.concatenate(rows)


def _binary_rows(rows: Sequence[NDArray[np.int64]], n_items: int) -> csr_array:
    user, item = _coordinates(rows)
    matrix = csr_array((np.ones(len(user), dtype=np.float32), (user, item)), shape=(len(rows), n_items))
    matrix.data[:] = 1.0  # an item named twice in a history counts once
    return matrix
