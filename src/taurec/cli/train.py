"""``taurec train``: fit one model, evaluate it on held-out data, and save it in a folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.cli.config import Config
from taurec.cli.evaluate import metric_table
from taurec.cli.failures import Stopped
from taurec.cli.signature import with_options
from taurec.errors import ArtefactError
from taurec.studies.options import Fields, Reading, RunFields, Source
from taurec.studies.words import count

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.data.split import Split
    from taurec.evaluation.ranking import Evaluation
    from taurec.evaluation.significance import Interval
    from taurec.recommender import Recommender
    from taurec.run import Run
    from taurec.studies.result import Table


@with_options
def train(
    source: Source = "debian",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Save the model in this folder.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a saved model in DIR.")] = False,
    metrics: o.Metrics = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:PATH",
            help="Record each epoch in csv:FILE, tensorboard:DIR, mlflow:DIR or wandb:DIR; repeatable.",
        ),
    ] = None,
    tune_seconds: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Choose settings that are not given on validation, where that takes no longer; 0 keeps the defaults. "
            "[default: 60; 300 where the size of the log decides on the model]",
        ),
    ] = None,
    *,
    fields: Annotated[Fields, RunFields(tuple(o.FIELDS))],
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    config: Config = None,
    reading: Reading,
) -> None:
    """Train a model on a log, evaluate it on held-out data, and save it.

    Without a model, backbone, loss or negatives the size of the log decides: a blend of a closed form and a softmax
    over histories, as far as it is affordable. Settings that are not given are chosen on validation.
    """
    from taurec.cli.output import Output
    from taurec.evaluation.metrics import DEFAULT_METRICS, parse_all
    from taurec.evaluation.significance import bootstrap_all
    from taurec.recommender import NAMED_SECONDS, Recommender
    from taurec.report.progress import show
    from taurec.saved import check_writable, update_metrics
    from taurec.studies.beside import remarks
    from taurec.studies.evidence import plain
    from taurec.studies.opening import fit_with_notes, open_and_split
    from taurec.studies.warm_cold import WarmCold, cold_words, table
    from taurec.tracking import open_tracker
    from taurec.training.device import pick_device

    chosen = [str(m) for m in (parse_all(metrics) if metrics is not None else DEFAULT_METRICS)]
    trackers = [open_tracker(text) for text in track or ()]
    recommender = Recommender(**fields, source=source, reading=reading, tune_seconds=tune_seconds)
    if tune_seconds is None and not recommender.undecided:
        recommender = Recommender(**fields, source=source, reading=reading, tune_seconds=NAMED_SECONDS)
    pick_device(recommender.run.device)
    if out is not None and (overwrite or not _may_be(out, recommender)):
        check_writable(out, overwrite)
    output = Output(as_json, quiet)
    opened, parts = open_and_split(recommender.run, output.note)
    if why := recommender.decide(parts):
        output.note(why)
    repeated = out is not None and not overwrite and _same_settings(out, recommender.run)
    if out is not None and not repeated:
        check_writable(out, overwrite)
    asked = [text for text in (metrics, fields.get("metric")) if text is not None]
    if asked:
        parse_all(",".join(asked), parts.train.n_items)
    done = _finished(out, parts) if out is not None and repeated else None
    if done is not None:
        output.note(f"{out} already holds this run, finished; --overwrite runs it again")
        recommender = done
    else:
        if out is not None:
            check_writable(out, overwrite)
        _forecast(recommender, output, parts)
        resume = None
        if out is not None and recommender.run.trained:  # kept until the run is saved
            resume = out.resolve().parent / f".{out.name}.checkpoint.safetensors"
        with show(output.err, output.quiet) as hook:
            fit_with_notes(recommender, opened, parts, output.note, hook, resume=resume, trackers=trackers)
        if out is not None:
            recommender.save(out, overwrite)
        if resume is not None and not recommender.stopped_by:
            recommender.discard(resume)
        _leave_if_stopped(recommender, out, resume, output)
        for remark in () if output.quiet else remarks(recommender):
            output.note(remark)
    intervals: dict[str, Interval] = {}
    found: Evaluation | None = None
    if len(parts.test):
        found = recommender.evaluate("test", chosen)
        intervals = bootstrap_all(found, seed=recommender.run.seed)
        if out is not None:
            update_metrics(out, "test", recommender.metrics["test"])
    apart = None if found is None else WarmCold.of(found)
    sources = {} if found is None else found.sources()
    output.document({**_document(recommender, intervals, out), "from": sources, "warm_and_cold": plain(apart)})
    words = cold_words(sources, recommender.ranker.folds_in)
    _show(
        recommender, intervals, words, None if apart is None else table({recommender.run.label: apart}, chosen), output
    )
    _show_saved(recommender, out, output)


def _leave_if_stopped(model: Recommender, saved: Path | None, resume: Path | None, output: Output) -> None:
    """Raise :class:`Stopped` if a signal ended the fit, after a note on what was saved."""
    if not model.stopped_by:
        return
    where = f"saved to {saved}" if saved else "nothing was saved, as there is no --out"
    if resume is not None and resume.exists():
        where += "; the same command with --overwrite continues from there"
    output.note(f"warning: stopped by a signal after {count(len(model.records), 'whole epoch')}; {where}")
    raise Stopped(model.stopped_by)


def _may_be(folder: Path, recommender: Recommender) -> bool:
    """Whether a folder may hold the run of this recommender, before the log is read that decides on its model."""
    from taurec.run import Run

    if not recommender.undecided:
        return _same_settings(folder, recommender.run)
    try:
        saved = Run.from_json(folder / "run.json")
    except ArtefactError:
        return False
    return "model" in saved.found and saved.source == recommender.run.source


def _same_settings(folder: Path, run: Run) -> bool:
    """Whether a folder's ``run.json`` has every setting of a run, apart from what is known once the data is read."""
    from taurec.run import Run

    path = folder / "run.json"
    if not path.is_file():
        return False
    try:
        saved = Run.from_json(path)
    except ArtefactError:
        return False
    return _wanted(run) in (_wanted(saved), _wanted(saved, as_given=True))


def _wanted(run: Run, as_given: bool = False) -> dict[str, Any]:
    """The settings of a run and its parts without those that the data say; ``as_given`` has ``auto`` for found ones."""
    document = run.model_dump(mode="json", exclude={"data_hash", "split", "found"})
    for key in run.found if as_given else ():
        part, _, name = key.partition(".")
        if not name:
            continue
        document[part]["settings"][name] = "auto"
    if run.parts:
        document["model"]["settings"]["parts"] = [_wanted(part, as_given) for part in run.parts]
    return document


def _finished(folder: Path, parts: Split) -> Recommender | None:
    """The saved model, if it was fitted to these parts and its training is finished."""
    from taurec.data.split import data_hash
    from taurec.recommender import Recommender

    model = Recommender.load(folder)
    run, epochs = model.run, len(model.records)
    evaluated = [r for r in model.records if run.metric in r.metrics]
    finished = run.model is not None or epochs >= run.epochs
    if not finished and evaluated:
        best = max(evaluated, key=lambda r: r.metrics[run.metric])
        finished = epochs - best.epoch >= run.patience * run.eval_every
    return model if finished and run.data_hash == data_hash(parts) else None


def _forecast(recommender: Recommender, output: Output, parts: Split) -> None:
    """Print the forecast of time and memory; a run that does not fit into memory is refused."""
    from taurec.studies.words import seconds
    from taurec.training.calibrate import cost
    from taurec.training.forecast import Sizes, check_memory
    from taurec.training.presets import settled

    for run in recommender.run.parts or (recommender.run,):
        run, sizes = settled(run), Sizes.of(parts.train, parts.valid)
        if run.model is not None or run.device != "cpu" or not sizes.pairs:
            continue
        needed = check_memory(run, sizes)
        if not output.quiet:
            found = cost(run, sizes)
            epoch = found.epoch + found.validation / run.eval_every
            of = f"{run.label}, " if recommender.run.parts else ""
            time = f"about {seconds(epoch)} an epoch, {run.epochs} at most"
            output.note(f"forecast: {of}{time}, {needed / 1e9:.1f} GB of memory beyond the log")


def _document(recommender: Recommender, intervals: dict[str, Interval], saved: Path | None) -> dict[str, Any]:
    best = recommender.best
    parts = recommender.split
    return {
        "run": recommender.get_params(),
        "users": parts.train.n_users,
        "items": parts.train.n_items,
        "pairs": {name: len(log) for name, log in parts.logs().items()},
        "epochs": len(recommender.records) if recommender.run.model is None else 0,
        "best_epoch": best.epoch if best is not None and recommender.run.model is None else None,
        "fit_seconds": recommender.fit_seconds,
        "valid": recommender.metrics.get("valid", {}),
        "test": {name: vars(value) for name, value in intervals.items()},
        "kernels": recommender.kernels,
        "notes": recommender.notes,
        "saved": None if saved is None else str(saved),
    }


def _show(
    recommender: Recommender, intervals: dict[str, Interval], cold: str, apart: Table | None, output: Output
) -> None:
    """The metrics on the test part; ``cold`` is a sentence on users without training rows, ``apart`` their means."""
    users = int((recommender.split.test.user_counts > 0).sum())
    left_out = len(recommender.users) - users
    if intervals:
        output.say(metric_table(f"{recommender.run.label} on the test part, {users:,} users", intervals, {}))
    else:
        output.say("No test part, so nothing was evaluated.")
    if intervals and left_out:
        output.say(f"{count(left_out, 'user')} without test items left out of the means.")
    if cold:
        output.say(cold)
    if apart is not None:
        output.say()
        output.say(apart)
    output.say()


def _show_saved(recommender: Recommender, saved: Path | None, output: Output) -> None:
    if saved is None:
        output.say("Nothing was saved; add --out DIR to keep the model.")
    else:
        output.say(f"Saved to {saved}. Next:")
        run = recommender.run
        models = [one.model.name for one in (run, *run.parts) if one.model is not None]
        plugin = [word for name in models if ":" in name for word in ("--plugin", name)]
        user = recommender.users.decode([0])[0]
        output.command(shlex.join(["taurec", "recommend", str(saved), *plugin, "--user", user]))
