"""The search of ``taurec tune``: its trials, which a storage keeps, and the evaluation of the best trial."""

from __future__ import annotations

import contextlib
import json
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taurec.errors import ArtefactError, ResourceError, TaurecError, UsageError
from taurec.studies.failed import reason_of
from taurec.studies.files import locked
from taurec.studies.opening import Note
from taurec.studies.result import Interrupted
from taurec.studies.tune.result import ENOUGH, LAST, Setting, Trial, Tuning
from taurec.studies.tune.space import Range, Space, settings_text, value_of, with_values
from taurec.studies.words import count, number, seconds

if TYPE_CHECKING:
    import optuna

    from taurec.data.split import Split
    from taurec.recommender import Recommender
    from taurec.run import Run
    from taurec.training.records import Progress

BASELINES = ("popularity", "ease", "ease-normalised", "slim-local")
"""Fitted next to the tuned model, which is compared with popularity and the best closed form on validation."""
BASELINES_SHARE = 0.25
"""Maximum time for the baselines, as a share of the budget and on top of it."""
WARM_UP = 5
"""Epochs before a trial may be stopped early, or the patience if that is more; a low learning rate needs them."""
_NOT_IDENTITY = {"source", "reading", "data_hash", "model", "device", "threads", "kernel", "found"}


class _Pruned(Exception):
    """A trial is below the median of earlier ones at the same epoch."""


@dataclass
class Search:
    """One search: the trials, then the evaluation of the best."""

    preset: Run
    space: Space
    given: Mapping[str, Any]
    trials: int
    end: float
    storage: Path | None
    say: Note
    note: Note
    models: dict[int, Recommender] = field(default_factory=dict)
    """The preset's and the best trial's model, if they were fitted in this process."""

    def run(self, source: Any, metrics: list[str], started: float) -> Tuning:
        from taurec.data.source import split_source
        from taurec.data.split import data_hash

        parts, name = split_source(source, self.preset)
        if not len(parts.valid):
            raise UsageError(f"tune needs a validation part; the split {parts.how!r} has none")
        self.preset = self.preset.but(source=name, split=parts.how, data_hash=data_hash(parts))
        lock = locked(self.storage, "--storage") if self.storage else contextlib.nullcontext()
        with _quiet_optuna(), lock:
            study = self._open()
            self._trials(study, parts)
            return self._evaluated(study, parts, metrics, started)

    def _open(self) -> optuna.study.Study:
        """The study in the storage, or a new one.

        Raises: UsageError if the storage holds a search of another log, of other settings or of another space.
        """
        import optuna
        from optuna.storages.journal import JournalFileBackend

        # The preset is the first trial, and the median of fewer than five trials prunes nothing.
        pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(WARM_UP, self.preset.patience))
        try:
            where = None
            if self.storage is not None:
                where = optuna.storages.JournalStorage(JournalFileBackend(str(self.storage)))
            study = optuna.create_study(
                storage=where, study_name="taurec", direction="maximize", pruner=pruner, load_if_exists=True
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ArtefactError(f"--storage {self.storage}: not a journal of Optuna ({error})") from None
        except OSError as error:
            raise ResourceError(f"--storage {self.storage}: cannot be written ({error.strerror})") from None
        expected, stored = json.loads(json.dumps(_identity(self.preset, self.space))), study.user_attrs.get("taurec")
        if stored is None:
            values = {name: value_of(self.preset, name) for name in self.space}
            first = {n: v if isinstance(self.space[n], Range) else str(v) for n, v in values.items()}
            study.enqueue_trial(first, skip_if_exists=True)
            study.set_user_attr("taurec", expected)
        elif stored != expected:
            different = [name for name in {**stored, **expected} if stored.get(name) != expected.get(name)]
            raise UsageError(
                f"--storage {self.storage} holds another search: "
                + "; ".join(f"{name} is {stored.get(name)} there and {expected.get(name)} here" for name in different)
                + "; give the options of that search, or another file"
            )
        if done := len(_ended(study)):
            self.note(f"{count(done, 'trial')} of {self.trials} done already, from {self.storage}")
        return study

    def _trials(self, study: optuna.study.Study, parts: Split) -> None:
        import optuna

        from taurec import draw

        while len(_ended(study)) < self.trials and time.monotonic() < self.end:
            unfinished = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING])
            number_of_next = unfinished[0].number if unfinished else len(_ended(study))
            # A seed for each trial, so that a search that was stopped draws what an uninterrupted one draws.
            seed = int(draw.integers(draw.key(self.preset.seed, "tune"), number_of_next, 1 << 31)[0])
            study.sampler = optuna.samplers.TPESampler(seed=seed)
            trial = optuna.trial.Trial(study, unfinished[0]._trial_id) if unfinished else study.ask()
            if not self._trial(study, trial, parts):
                self.note(f"the budget ended trial {trial.number + 1}, which does not count")
                return

    def _trial(self, study: optuna.study.Study, trial: optuna.trial.Trial, parts: Split) -> bool:
        """Train one setting and keep its value; False if the budget stopped it."""
        from optuna.trial import TrialState

        from taurec.recommender import Recommender

        for name, domain in self.space.items():
            domain.suggest(trial, name)
        values, first, label = self._values(trial.params), trial.number == 0, f"trial {trial.number + 1}"
        self.say(f"{label} of {self.trials}: {settings_text(values)}")
        checkpoint = self.storage and self.storage.with_name(
            f"{self.storage.name}.trial-{trial.number + 1}.safetensors"
        )
        reported = dict(study.trials[trial.number].intermediate_values)
        started, metric, state = time.monotonic(), self.preset.metric, TrialState.COMPLETE

        def on_epoch(progress: Progress) -> None:
            if progress.record is None or metric not in progress.record.metrics:
                return
            if progress.epoch not in reported:
                reported[progress.epoch] = progress.record.metrics[metric]
                trial.report(reported[progress.epoch], progress.epoch)
            if not first and trial.should_prune():
                raise _Pruned

        try:
            model = Recommender.from_run(self._run_of(study, trial.number))
            left = None if self.end == math.inf else max(0.0, self.end - started)
            model.fit(parts, on_progress=on_epoch, resume=checkpoint, seconds=left)
        except _Pruned:
            state, outcome = TrialState.PRUNED, f"stopped early at epoch {max(reported)}"
        except Exception as error:
            why = reason_of(error, self.preset)
            if why is None and (first or not isinstance(error, TaurecError)):
                raise
            state, outcome = TrialState.FAIL, f"failed: {why or error}"
            trial.set_user_attr("error", why or str(error))
        else:
            if model.stopped_by:
                resume = f"; the same command continues {self.storage}" if self.storage else ""
                finished = f"{count(len(_ended(study)), 'trial')} finished"
                raise Interrupted(model.stopped_by, f"stopped by a signal in {label}, {finished}{resume}")
            if not model.finished:
                return False
        took, complete = time.monotonic() - started, state == TrialState.COMPLETE
        trial.set_user_attr("epochs", len(model.records) if complete else max(reported, default=0))
        trial.set_user_attr("seconds", took)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
        value = model.best.metrics[metric] if complete and model.best else None
        study.tell(trial, value, state)
        if value is not None:
            best = _best_of(study)
            if trial.number in (0, best):
                self.models = {n: m for n, m in {**self.models, trial.number: model}.items() if n in (0, best)}
            rank = f"the best is {number(study.best_value)}" if trial.number != best else "the best so far"
            outcome = f"{metric} {number(value)}, {count(len(model.records), 'epoch')}, {seconds(took)}; {rank}"
        self.note(f"{label}: {settings_text(values)}: {outcome}")
        return True

    def _fitted(self, study: optuna.study.Study, n: int, parts: Split) -> Recommender:
        """The model of a trial; one of an earlier process is fitted again, to the same bits."""
        from taurec.recommender import Recommender
        from taurec.training.interrupt import pass_on

        if n not in self.models:
            self.say(f"fitting trial {n + 1} again for the evaluation")
            self.models[n] = Recommender.from_run(self._run_of(study, n)).fit(parts)
            pass_on(self.models[n].stopped_by)
        return self.models[n]

    def _values(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a trial, from its parameters in Optuna."""
        return {name: domain.value(stored[name]) for name, domain in self.space.items()}

    def _run_of(self, study: optuna.study.Study, n: int) -> Run:
        return self.preset if n == 0 else with_values(self.preset, self._values(study.trials[n].params))

    def _evaluated(self, study: optuna.study.Study, parts: Split, metrics: list[str], started: float) -> Tuning:
        """The best trial by validation, with the evaluations that belong to it."""
        from taurec.evaluation.significance import bootstrap_all, compare_paired, holm
        from taurec.studies.compare.protocol import valid_of
        from taurec.studies.search.baselines import fit_baselines

        metric, seed = self.preset.metric, self.preset.seed
        trials = [self._record(one) for one in _ended(study)]
        whole = [one for one in trials if one.state == "complete"]
        if not whole:
            failed = [f"trial {one.number}: {one.error}" for one in trials if one.error][-LAST:]
            why = "no training finished within the budget; give a longer --budget or fewer --epochs"
            if failed:
                why = f"all {len(trials)} failed, the last of them with {'; '.join(failed)}; give other settings"
            raise UsageError(f"no trial has a value: {why}")
        best = _best_of(study)
        chosen = self._fitted(study, best, parts)
        models, valid_paired = {f"{chosen.run.label}, tuned": chosen}, None
        if best != 0 and whole[0].number == 1:
            models["the preset"] = self._fitted(study, 0, parts)
            tuned, before = (model.evaluate("valid", [metric]) for model in models.values())
            valid_paired = compare_paired(tuned, before, metric, seed=seed)
        until = time.monotonic() + BASELINES_SHARE * (self.end - started)
        baselines = fit_baselines(parts, self.given, until, self.say, BASELINES)
        models |= _shown(baselines.best)
        self.say("evaluating")
        test_uses = 0
        if len(parts.test):
            test_uses = study.user_attrs.get("test_uses", 0) + 1
            study.set_user_attr("test_uses", test_uses)
        on_test = {label: model.evaluate("test", metrics) for label, model in models.items() if len(parts.test)}
        first, *others = on_test or [""]
        compared = {label: compare_paired(on_test[first], on_test[label], metric, seed=seed) for label in others}
        corrected = holm([paired.p_value for paired in compared.values()])
        for model in (*models.values(), *baselines.best.values()):
            model.run = model.run.but(source=self.preset.source)
        return Tuning(
            source=self.preset.source,
            metric=metric,
            planned=self.trials,
            seconds=time.monotonic() - started,
            trials=trials,
            best=best + 1,
            chosen=chosen,
            searched=_settings(study, self.preset, chosen.run, self.space),
            valid_paired=valid_paired,
            valid={label: valid_of(model) for label, model in baselines.best.items()},
            baselines={label: model.run for label, model in baselines.best.items()},
            test={label: bootstrap_all(found, seed=seed) for label, found in on_test.items()},
            test_paired={
                label: replace(paired, p_value=p)
                for (label, paired), p in zip(compared.items(), corrected, strict=True)
            },
            n_users=next((found.n_users for found in on_test.values()), 0),
            notes=baselines.notes,
            test_uses=test_uses,
        )

    def _record(self, one: optuna.trial.FrozenTrial) -> Trial:
        state, attributes = one.state.name.lower().replace("fail", "failed"), one.user_attrs
        value = one.value if state == "complete" else max(one.intermediate_values.values(), default=None)
        spent = attributes.get("epochs", 0), attributes.get("seconds", 0.0)
        return Trial(one.number + 1, state, value, *spent, self._values(one.params), attributes.get("error", ""))


def _shown(baselines: Mapping[str, Recommender]) -> dict[str, Recommender]:
    """The baselines that the test part is used for: popularity, and the best closed form on validation."""
    from taurec.baselines.models import is_closed_form
    from taurec.studies.compare.protocol import valid_of

    closed = {label: model for label, model in baselines.items() if is_closed_form(model.run)}
    shown = {label: model for label, model in baselines.items() if label not in closed}
    if closed:
        best = max(closed, key=lambda label: valid_of(closed[label]))
        shown[f"{best}, the best closed form"] = closed[best]
    return shown


def _ended(study: optuna.study.Study) -> list[optuna.trial.FrozenTrial]:
    return [one for one in study.get_trials(deepcopy=False) if one.state.is_finished()]


def _complete(study: optuna.study.Study) -> list[optuna.trial.FrozenTrial]:
    return [one for one in _ended(study) if one.state.name == "COMPLETE"]


def _best_of(study: optuna.study.Study) -> int:
    """The number, from 0, of the complete trial with the highest value; the first of equal ones."""
    return max(_complete(study), key=lambda one: (one.value, -one.number)).number


def _settings(study: optuna.study.Study, preset: Run, best: Run, space: Space) -> list[Setting]:
    """The settings that were varied; what mattered is computed from :data:`ENOUGH` complete trials on."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from scipy.stats import spearmanr

    complete = _complete(study)
    importance, correlation = dict[str, float](), dict[str, float]()
    if len(complete) >= ENOUGH:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of constant values, and of an evaluator that may still change
            importance = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.25))
            for name in (name for name, domain in space.items() if isinstance(domain, Range)):
                of = [one.params[name] for one in complete], [one.value for one in complete]
                correlation[name] = float(spearmanr(*of).statistic)
    return [
        Setting(
            name, str(domain), value_of(preset, name), value_of(best, name), importance.get(name),
            None if math.isnan(correlation.get(name, math.nan)) else correlation[name],
        )
        for name, domain in space.items()
    ]  # fmt: skip


def _identity(preset: Run, space: Space) -> dict[str, Any]:
    """All that the values of the trials depend on: the settings that are not varied, the space and the log."""
    fixed: dict[str, Any] = {}
    for name, value in preset.model_dump(mode="json", exclude=_NOT_IDENTITY).items():
        if isinstance(value, dict) and "settings" in value:
            fixed |= {name: value["name"], **{f"{name}.{k}": v for k, v in value["settings"].items()}}
        else:
            fixed[name] = value
    searched = {name: f"searched in {domain}" for name, domain in space.items()}
    return {**fixed, **searched, "log": f"data_hash {preset.data_hash[:12]}"}


@contextlib.contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Let Optuna log only warnings within the block."""
    import optuna  # sets the level of its logger when it is imported

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
