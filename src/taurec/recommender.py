"""The Python interface of every model: fit, evaluate, recommend, save and load."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taurec.backbones import Backbone
from taurec.baselines import Baseline
from taurec.baselines.blend import Blend
from taurec.baselines.models import MODELS, is_picker
from taurec.baselines.protocol import Picker
from taurec.data.interactions import Interactions
from taurec.data.source import split_source
from taurec.data.split import Split, data_hash
from taurec.data.vocabulary import Vocabulary
from taurec.errors import DataError, UsageError, did_you_mean
from taurec.evaluation.metrics import DEFAULT_METRICS, Metric
from taurec.evaluation.ranking import Evaluation, evaluate_ranker
from taurec.evaluation.users import UserScorer
from taurec.fitting import Fitted, fit_run, joined, of_part
from taurec.ranker import EmbeddingRanker, Ranker, ScoresRanker, cosines
from taurec.recommendations import Recommendations, as_list, encode, histories_of, recommend
from taurec.run import SHARED_BY_PARTS, Run
from taurec.saved import SavedModel, read_folder, write_folder
from taurec.tracking import Tracker
from taurec.training.opened import opened
from taurec.training.presets import check_parts, has_auto, resolve
from taurec.training.records import EpochRecord, Progress

__all__ = ["Recommendations", "Recommender", "blend"]

NAMES_A_MODEL = frozenset({"model", "backbone", "loss", "negatives", "order", "settings"})
"""Without any of these the model is ``auto``."""

DEFAULT_SECONDS = 300.0
"""``tune_seconds`` of ``auto``."""

NAMED_SECONDS = 60.0
"""``tune_seconds`` of a named model on the command line."""


class Recommender:
    """A model: fit it to a log, evaluate it, recommend with it, save it.

    Args:
        backbone, loss: names as in ``taurec list``; or ``model`` for a baseline such as ``"ease"``, or for a blend of
            two, ``"blend:ease+mf:sl"``, whose trained halves get the other fields. Where a name is accepted, so are
            ``"module:Class"``, a class, and an object with its settings: ``loss=MyLoss(tau=0.2)``; the same holds for
            ``negatives`` and ``order``. A backbone is given by its class. Without any of these, and without
            ``settings``, the size of the log decides (:class:`taurec.baselines.auto.Auto`), and ``fit`` says which
            model it is and why.
        settings: single values by part, ``{"loss": {"tau_neg": 0.1}}``; ``"auto"`` for a temperature has ``fit``
            find it on validation, see :mod:`taurec.training.auto_temperature`, and for a setting of a baseline that its
            grid varies, see :mod:`taurec.tuning`.
        run: all settings at once, such as those of a saved ``run.json``, instead of the others.
        tune_seconds: time in which ``fit`` may choose, on validation, settings that are not given and have a short
            grid: those of a baseline, or the temperature of a loss. What is forecast to take longer keeps its default,
            and a note says so. 0 keeps all defaults, and so does None, unless the size of the log decides on the model:
            then it means 300. ``"auto"`` for a setting has no limit.
        fields: any other field of :class:`taurec.run.Run`, such as ``epochs``, ``lr`` or ``seed``.

    Attributes:
        run: every setting.
        records: one per epoch; ``best`` is that of the chosen epoch.
        notes: remarks of the last fit.
        metrics: part -> metric -> value, of the evaluations so far.
        stopped_by: the signal that ended the last fit early, or 0.
        finished: whether training reached its last epoch or the end of its patience.
        kernels: the kernel that ran, by part of training.
        fit_seconds: seconds of the last fit, validation included.

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
        backbone: str | type[Backbone] | None = None,
        loss: object | None = None,
        *,
        model: object | None = None,
        settings: dict[str, dict[str, Any]] | None = None,
        run: Run | None = None,
        tune_seconds: float | None = None,
        **fields: Any,
    ):
        named = {"backbone": backbone, "loss": loss, "model": model, "settings": settings}
        given = {k: v for k, v in named.items() if v is not None} | fields
        if run is not None and given:
            raise UsageError(f"run has every setting already, so {', '.join(given)} cannot be given with it")
        if model is not None and (backbone is not None or loss is not None):
            raise UsageError(f"model={model!r} has no backbone and no loss to give beside it; give one or the other")
        if run is None and not NAMES_A_MODEL & given.keys():
            given = {"model": "auto", **given}
            tune_seconds = DEFAULT_SECONDS if tune_seconds is None else tune_seconds
        self.run: Run = resolve(**given) if run is None else run
        self._given, self._limit = given, tune_seconds or None
        if tune_seconds and run is None and not self.undecided:
            self._limit = None if has_auto(self.run) else tune_seconds
            self.run = resolve(**opened(given))
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
        self._scorer: UserScorer | None = None

    @classmethod
    def from_run(cls, run: Run) -> Recommender:
        """An unfitted recommender with exactly these settings: ``Recommender(run=run)``."""
        return cls(run=run)

    @property
    def undecided(self) -> bool:
        """Whether the run names a model that the log decides."""
        return self.run.model is not None and is_picker(self.run.model.name)

    def decide(self, parts: Split) -> str:
        """Put the model for these parts of a log in place of ``auto``; :meth:`fit` does so first.

        Returns: which model, and why; an empty text where a model was named.
        """
        if self.run.model is None or not self.undecided:
            return ""
        picker = MODELS.build(self.run.model.name, given=self.run.model.settings, seed=self.run.seed)
        assert isinstance(picker, Picker)
        picked = picker.pick(parts.train, len(parts.valid) > 0)
        fields = {**self._given, **picked.fields}
        self.run = resolve(**(opened(fields) if self._limit else fields))
        why = f"{self.run.label} was picked: {picked.why}"
        self.run = self.run.but(found={**self.run.found, "model": why})
        return why

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
        signal, and 0 otherwise. A loop over fits must check it. While a half of a blend is trained, they end the fit.

        Args:
            data: a named set, a path, a frame, a scipy matrix, :class:`Interactions`, or a
                :class:`Split`; None takes the run's ``source``, which must still be the same data if
                the run names it (``data_hash``). Data without given parts are split
                by the run's ``split``, ``valid``, ``test`` and ``seed``.
            on_progress: called after each step and epoch with a :class:`Progress`.
            on_note: called with each remark of the trainer when it is made.
            resume: checkpoint file of a trained model, from which a run that was stopped or killed continues to the
                same bits, see :meth:`taurec.training.trainer.Trainer.fit`; it may be deleted after the fit.
            seconds: time limit of training, which stops after the epoch in which it is exceeded (the search for a
                temperature is included); ``finished`` says whether training was complete.
            trackers: receive the run, every epoch and the end, see :mod:`taurec.tracking`.
        Raises: UsageError, DataError for data or settings; NonFiniteError if training diverges.
        """
        check_parts(self.run)
        parts, source = split_source(self.run.source if data is None else data, self.run)
        found = data_hash(parts)
        if data is None and self.run.data_hash not in ("", found):
            raise DataError(
                f"{source} is not the log of this run: its data_hash is {found[:12]}..., that of the "
                f"run {self.run.data_hash[:12]}...; fit({source!r}) fits the log as it is now"
            )
        self._split, self._scorer = parts, None
        if (why := self.decide(parts)) and on_note is not None:
            on_note(why)
        self.run = self.run.but(source=source, data_hash=found, split=parts.how)
        self._take(fit_run(self.run, parts, on_progress, on_note, resume, seconds, trackers, self._limit))
        return self

    def _take(self, fitted: Fitted) -> None:
        self.run, self._ranker, self.records, self.best = fitted.run, fitted.ranker, fitted.records, fitted.best
        self.notes, self.stopped_by, self.kernels = fitted.notes, fitted.stopped_by, fitted.kernels
        self.finished, self.fit_seconds = fitted.finished, fitted.seconds
        self.metrics = {"valid": dict(self.best.metrics)} if self.best and self.best.metrics else {}

    def discard(self, resume: Path) -> None:
        """Delete the checkpoint of a fit that has ended, and those of the trained parts of a model made of others."""
        for path in (resume, *(of_part(resume, part) for part in range(len(self.run.parts)))):
            path.unlink(missing_ok=True)

    @property
    def ranker(self) -> Ranker:
        """The fitted ranker; it works on indices, not raw ids."""
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

    def evaluate(self, part: str = "test", metrics: Sequence[str | Metric] = DEFAULT_METRICS) -> Evaluation:
        """Metrics over the whole catalogue, on a part of the log.

        Items of the parts before it are masked: training for ``valid``, training and validation for
        ``test``. Users without an item in the part are left out and counted. The means are kept in
        ``self.metrics[part]``. A metric is a name, or a :class:`taurec.evaluation.metrics.Metric`.

        A user without training rows is ranked from the rows of the parts before this one, or by popularity if there
        are none, see :class:`taurec.evaluation.users.UserScorer`; ``warm_and_cold`` of the result has them apart.
        """
        relevant, before = self._relevant(part), self.split.known(part)
        scorer = UserScorer.of_part(self.ranker, self.split, part)
        result = evaluate_ranker(scorer, relevant, before, metrics)
        self.metrics[part] = result.means()
        return result

    def evaluate_from_history(
        self, part: str = "test", metrics: Sequence[str | Metric] = DEFAULT_METRICS
    ) -> Evaluation:
        """The same users ranked only from their history, as :meth:`recommend_from_history` would.

        The difference to :meth:`evaluate` is the loss in accuracy for a user whom the model does not know.
        """
        before = self.split.known(part)
        folded = UserScorer.of_histories(self.ranker, self.split.train, before)
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
        """The k best items for users of the log.

        A user without training rows is ranked from the rows of all parts, as by :meth:`recommend_from_history`; the
        column ``from`` of the lists says so.

        Args:
            users: raw ids; None for all users.
            only, without: raw item ids to choose from, or to leave out.
            filter_seen: leave out every item the user has in any part of the log.
        Returns: flat lists; fewer than k where the candidates run out.
        Raises: UsageError for an unknown user or item, or k < 1.
        """
        raw = self.users.ids.to_list() if users is None else as_list(users)
        if self._scorer is None:
            self._scorer = UserScorer.of_log(self.ranker, self.split.train, self.split.everything)
        seen = self.split.everything if filter_seen else None
        return recommend(self._scorer, encode(self.users, raw, "user"), raw, k, self.items, seen, only, without)

    def recommend_from_history(
        self,
        items: Iterable[object] | Sequence[Iterable[object]],
        k: int = 10,
        *,
        only: Iterable[object] | None = None,
        without: Iterable[object] | None = None,
        filter_seen: bool = True,
    ) -> Recommendations:
        """The k best items for users whom the model does not know, from the items they have.

        A ranker that ``folds_in`` ranks them as users with these training items; others take the mean of the items'
        unit vectors. Items without training rows are left out; if none is left, popular items are recommended.
        ``items`` is one history, or a list of histories.
        """
        histories = histories_of(as_list(items), self.items)
        scorer = UserScorer.of_histories(self.ranker, self.split.train, histories)
        people = np.arange(histories.n_users)
        names, seen = [str(n) for n in people], histories if filter_seen else None
        return recommend(scorer, people, names, k, self.items, seen, only, without)

    def similar_items(self, item: object, k: int = 10) -> Recommendations:
        """The k items whose vectors have the largest cosine with the vector of this item, which is left out.

        Raises: UsageError for an unknown item or a model without item vectors.
        """
        index = int(encode(self.items, [item], "item")[0])
        vectors = self.ranker.item_vectors()
        if vectors is None:
            raise UsageError(f"{self.run.label} has no item vectors, which similar items need")
        cosine = ScoresRanker(cosines(vectors, index)[None, :])
        return recommend(cosine, np.zeros(1, dtype=np.int64), [item], k, self.items, without=[item])

    def embeddings(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """[U, D] and [I, D]: the vectors whose dot product is the ranking score, in vocabulary order."""
        if not isinstance(self.ranker, EmbeddingRanker):
            raise UsageError(f"{self.run.label} has no embeddings")
        return self.ranker.user, self.ranker.item

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the model as one folder (see :mod:`taurec.saved`), completely or not at all."""
        saved = SavedModel(self.run, self.ranker, self.split, self.metrics, self.records, self.kernels)
        write_folder(Path(folder), saved, overwrite)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path, plugins: Sequence[type[Baseline] | str] = ()) -> Recommender:
        """A fitted recommender from a saved folder; the original log is not needed.

        No code is imported but that of ``plugins``. A trained model ranks without the loss, backbone or sampler it was
        trained with; only another :meth:`fit` needs them.

        Args:
            plugins: baselines from outside the package that the folder may hold, unless they are imported already:
                classes, or names ``module:Class`` and ``file.py:Class``, which are imported.
        """
        saved = read_folder(Path(folder), plugins)
        made = cls(run=saved.run)
        made._ranker, made._split = saved.ranker, saved.split
        made.metrics, made.records, made.kernels = saved.metrics, saved.records, saved.kernels
        return made

    def _relevant(self, part: str) -> Interactions:
        if part not in ("valid", "test"):
            raise UsageError(f"unknown part {part!r}{did_you_mean(part, ['valid', 'test'])}")
        relevant: Interactions = getattr(self.split, part)
        if not len(relevant):
            how = f"the log was split by {self.split.how!r}; fit with split='ratio' to hold some interactions out"
            raise UsageError(f"there is no {part} part: {how}")
        return relevant

    def _fitted(self) -> Fitted:
        fields = (self.records, self.best, self.notes, self.stopped_by, self.kernels, self.finished, self.fit_seconds)
        return Fitted(self.run, self.ranker, *fields)


def blend(first: Recommender, second: Recommender, weight: float | str = "auto") -> Recommender:
    """The blend of two fitted models, itself fitted: ``(1 - weight) z(first) + weight z(second)``.

    See :class:`taurec.baselines.blend.Blend`. The halves are not fitted again; ``fit`` of the result fits both.

    Args:
        first, second: fitted to the same parts of the same log.
        weight: of the second, 0 to 1; ``"auto"`` chooses it on validation, by the metric of the first.
    Raises: UsageError for models that are not fitted or fitted to other data, and for what the blend refuses.

    >>> from taurec.data.planted import planted
    >>> log = planted(n_users=60, n_items=40, seed=1).log
    >>> both = blend(Recommender(model="ease").fit(log), Recommender(model="itemknn").fit(log), weight=0.5)
    >>> both.run.label, len(both.recommend("0", k=3))
    ('blend:ease+itemknn', 3)
    """
    hashes = [(model.ranker, model.run.data_hash)[1] for model in (first, second)]
    if hashes[0] != hashes[1]:
        raise UsageError(
            f"{first.run.label} and {second.run.label} are fitted to different data (data_hash {hashes[0][:12]}... and "
            f"{hashes[1][:12]}...); fit both to the same parts of one log"
        )
    shared = {name: getattr(first.run, name) for name in SHARED_BY_PARTS}
    parts = [first.run, second.run.but(**shared)]
    run = resolve(model=Blend, settings={"model": {"parts": parts, "weight": weight}})
    return made_of([first, second], run)


def made_of(models: Sequence[Recommender], run: Run) -> Recommender:
    """The model of a run that is made of others, which are fitted already: to the same parts of one log.

    Args:
        models: fitted, in the order of ``run.parts``, which get their runs.
    """
    shared = {name: getattr(models[0].run, name) for name in SHARED_BY_PARTS}
    fitted = [replace(model._fitted(), run=model.run.but(**shared)) for model in models]
    made = Recommender(run=run.but(**shared).with_parts([one.run for one in fitted]))
    made._split = models[0].split
    made._take(joined(made.run, models[0].split, fitted))
    return made
