"""``taurec train``: fit one model, evaluate it on held-out data, and save it in a folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.cli.config import Config
from taurec.cli.reading import Reading, reads_files

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.data.split import Split
    from taurec.evaluation.significance import Interval
    from taurec.recommender import Recommender


@reads_files
def train(
    source: o.Source = "debian",
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
    model: Annotated[str | None, o.field("model")] = None,
    backbone: Annotated[str | None, o.field("backbone")] = None,
    loss: Annotated[str | None, o.field("loss")] = None,
    negatives: Annotated[str | None, o.field("negatives")] = None,
    assign: Annotated[list[str] | None, o.assignments()] = None,
    order: Annotated[str | None, o.field("order")] = None,
    batch_size: Annotated[int | None, o.field("batch_size")] = None,
    epochs: Annotated[int | None, o.field("epochs")] = None,
    lr: Annotated[float | None, o.field("lr")] = None,
    l2: Annotated[float | None, o.field("l2")] = None,
    metric: Annotated[str | None, o.field("metric")] = None,
    patience: Annotated[int | None, o.field("patience")] = None,
    split: Annotated[str | None, o.field("split")] = None,
    seed: Annotated[int | None, o.field("seed")] = None,
    device: Annotated[str | None, o.field("device")] = None,
    threads: Annotated[int | None, o.field("threads")] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    config: Config = None,
    *,
    reading: Reading,
) -> None:
    """Train a model on a log, evaluate it on held-out data, and save it.

    Without options: matrix factorisation with the softmax loss (SL), on the built-in log of Debian packages.
    """
    from taurec.cli.fitting import checkpoint_of, fit, leave_if_stopped
    from taurec.cli.output import Output
    from taurec.cli.repeat import finished, same_settings
    from taurec.cli.settings import run_fields
    from taurec.evaluation.metrics import DEFAULT_METRICS, parse_all
    from taurec.evaluation.significance import bootstrap_all
    from taurec.recommender import Recommender
    from taurec.saved import check_writable, update_metrics
    from taurec.studies.opening import open_and_split
    from taurec.tracking import open_tracker
    from taurec.training.device import pick_device

    given = run_fields(
        assign, model=model, backbone=backbone, loss=loss, negatives=negatives, order=order, batch_size=batch_size,
        epochs=epochs, lr=lr, l2=l2, metric=metric, patience=patience, split=split, seed=seed, device=device,
        threads=threads,
    )  # fmt: skip
    chosen = [str(m) for m in (parse_all(metrics) if metrics is not None else DEFAULT_METRICS)]
    trackers = [open_tracker(text) for text in track or ()]
    recommender = Recommender(**given, source=source, reading=reading)
    pick_device(recommender.run.device)
    repeated = out is not None and not overwrite and same_settings(out, recommender.run)
    if out is not None and not repeated:
        check_writable(out, overwrite)
    output = Output(as_json, quiet)
    opened, parts = open_and_split(recommender.run, output.note)
    asked = [text for text in (metrics, metric) if text is not None]
    if asked:
        parse_all(",".join(asked), parts.train.n_items)
    done = finished(out, parts) if out is not None and repeated else None
    if done is not None:
        output.note(f"{out} already holds this run, finished; --overwrite runs it again")
        recommender = done
    else:
        if out is not None:
            check_writable(out, overwrite)
        _forecast(recommender, output, parts)
        resume = None if out is None or recommender.run.model is not None else checkpoint_of(out)
        fit(recommender, opened, parts, output, resume, trackers)
        if out is not None:
            recommender.save(out, overwrite)
        if resume is not None and not recommender.stopped_by:
            resume.unlink(missing_ok=True)
        leave_if_stopped(recommender, out, output)
    intervals: dict[str, Interval] = {}
    if len(parts.test):
        intervals = bootstrap_all(recommender.evaluate("test", chosen), seed=recommender.run.seed)
        if out is not None:
            update_metrics(out, "test", recommender.metrics["test"])
    output.document(_document(recommender, intervals, out))
    _show(recommender, intervals, out, output)


def _forecast(recommender: Recommender, output: Output, parts: Split) -> None:
    """Print the forecast of time and memory; a run that does not fit into memory is refused."""
    from taurec.studies.words import seconds
    from taurec.training.calibrate import cost
    from taurec.training.forecast import Sizes, check_memory
    from taurec.training.presets import settled

    run, sizes = settled(recommender.run), Sizes.of(parts.train, parts.valid)
    if run.model is not None or run.device != "cpu" or not sizes.pairs:
        return
    needed = check_memory(run, sizes)
    if not output.quiet:
        found = cost(run, sizes)
        epoch = found.epoch + found.validation / run.eval_every
        output.note(f"forecast: about {seconds(epoch)} an epoch, {needed / 1e9:.1f} GB of memory beyond the log")


def _document(recommender: Recommender, intervals: dict[str, Interval], saved: Path | None) -> dict[str, Any]:
    best = recommender.best
    parts = recommender.split
    return {
        "run": recommender.get_params(),
        "users": parts.train.n_users,
        "items": parts.train.n_items,
        "pairs": {name: len(getattr(parts, name)) for name in ("train", "valid", "test")},
        "epochs": len(recommender.records) if recommender.run.model is None else 0,
        "best_epoch": best.epoch if best is not None and recommender.run.model is None else None,
        "fit_seconds": recommender.fit_seconds,
        "valid": recommender.metrics.get("valid", {}),
        "test": {name: vars(value) for name, value in intervals.items()},
        "kernels": recommender.kernels,
        "notes": recommender.notes,
        "saved": None if saved is None else str(saved),
    }


def _show(recommender: Recommender, intervals: dict[str, Interval], saved: Path | None, output: Output) -> None:
    from taurec.report.tables import metric_table
    from taurec.studies.words import count

    if intervals:
        users = int((recommender.split.test.user_counts > 0).sum())
        output.say(metric_table(intervals, f"{recommender.run.label} on the test part, {users:,} users"))
        left_out = len(recommender.users) - users
        if left_out:
            output.say(f"{count(left_out, 'user')} without test items left out of the means.")
    else:
        output.say("No test part, so nothing was evaluated.")
    output.say()
    if saved is None:
        output.say("Nothing was saved; add --out DIR to keep the model.")
    else:
        output.say(f"Saved to {saved}. Next:")
        output.command(
            f"taurec recommend {shlex.quote(str(saved))} --user {shlex.quote(recommender.users.decode([0])[0])}"
        )
