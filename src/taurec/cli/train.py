"""``taurec train``: fit one model, judge it on held-out data, save it as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.data.source import Opened
    from taurec.data.split import Split
    from taurec.evaluation.significance import Interval
    from taurec.recommender import Recommender

_MODEL = "Model and training"


def train(
    source: o.Source = "debian",
    model: Annotated[
        str | None, typer.Option(help="A baseline (taurec list baselines); or else:", rich_help_panel=_MODEL)
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="mf, lightgcn, ngcf.", rich_help_panel=_MODEL)] = None,
    loss: Annotated[
        str | None, typer.Option(help="taurec list losses; bsl if not given.", rich_help_panel=_MODEL)
    ] = None,
    negatives: Annotated[
        str | None, typer.Option(help="Where negatives come from: uniform:800, in-batch, ...", rich_help_panel=_MODEL)
    ] = None,
    order: Annotated[
        str | None, typer.Option(help="Order of rows: shuffled, user-blocks:4.", rich_help_panel=_MODEL)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step.", rich_help_panel=_MODEL)] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many.", rich_help_panel=_MODEL)] = None,
    lr: Annotated[float | None, typer.Option(help="Step size of Adam.", rich_help_panel=_MODEL)] = None,
    l2: Annotated[float | None, typer.Option(help="Strength of the L2 term.", rich_help_panel=_MODEL)] = None,
    metric: Annotated[
        str | None, typer.Option(help="Chooses the epoch on validation: ndcg@20.", rich_help_panel=_MODEL)
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many evaluations without a better one.", rich_help_panel=_MODEL)
    ] = None,
    assign: o.Set = None,
    split: o.Split = None,
    seed: o.Seed = None,
    device: o.Device = None,
    threads: o.Threads = None,
    metrics: o.Metrics = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Save the model here.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a saved model in DIR.")] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    user: o.User = None,
    item: o.Item = None,
    time: o.Time = None,
    weight: o.Weight = None,
    rating: o.Rating = None,
    min_rating: o.MinRating = None,
    format: o.Format = None,
    no_header: o.NoHeader = False,
    encoding: o.Encoding = None,
    unknown: o.Unknown = None,
) -> None:
    """Train a model on a log, evaluate it on held-out data, and save it.

    Without further options: BSL on matrix factorisation, on the built-in log of Debian packages.
    """
    from taurec.cli.output import Output
    from taurec.cli.settings import reading_fields, run_fields
    from taurec.evaluation.metrics import DEFAULT_METRICS, parse_all
    from taurec.recommender import Recommender
    from taurec.saved import check_writable

    given = run_fields(
        assign, model=model, backbone=backbone, loss=loss, negatives=negatives, order=order, batch_size=batch_size,
        epochs=epochs, lr=lr, l2=l2, metric=metric, patience=patience, split=split, seed=seed, device=device,
        threads=threads,
    )  # fmt: skip
    reading = reading_fields(
        user=user, item=item, time=time, weight=weight, rating=rating, min_rating=min_rating, format=format,
        no_header=no_header, encoding=encoding, unknown=unknown,
    )  # fmt: skip
    wanted = DEFAULT_METRICS if metrics is None else parse_all(metrics)
    recommender = Recommender(**given, source=source, reading=reading)
    if out is not None:
        check_writable(out, overwrite)
    output = Output(as_json, quiet)
    fit_source(recommender, output)
    saved = recommender.save(out, overwrite) if out is not None else None
    _leave_if_stopped(recommender, saved, output)
    tested = recommender.split.test is not None and len(recommender.split.test) > 0
    intervals = judged(recommender, wanted) if tested else {}
    if saved is not None and tested:
        from taurec.saved import update_metrics

        update_metrics(saved, "test", recommender.metrics["test"])
    output.document(_document(recommender, intervals, saved))
    _show(recommender, intervals, saved, output)


def fit_source(recommender: Recommender, output: Output) -> None:
    """Open and split the run's source, say what was read, and fit with progress."""
    from taurec.data.source import open_source
    from taurec.recommender import split_source
    from taurec.report.progress import show
    from taurec.report.tables import seconds

    run = recommender.run
    opened = open_source(run.source, **run.reading)
    parts, _ = split_source(opened, run)
    _say_read(opened, parts, output)
    output.note(f"run: {settings_text(recommender)}")
    with show(output.err, output.quiet) as hook:
        recommender.fit(parts, on_progress=hook)
    recommender.run = recommender.run.but(source=opened.name)
    for note in recommender.notes:
        output.note(note)
    best = recommender.best
    chosen = ""
    if best is not None and best.metrics and recommender.run.model is None:
        values = ", ".join(f"{name} {value:.4f}" for name, value in best.metrics.items())
        chosen = f"; best on validation: epoch {best.epoch} of {len(recommender.records)} ({values})"
    output.note(f"fitted in {seconds(recommender.fit_seconds)}{chosen}")


def settings_text(recommender: Recommender) -> str:
    """The run in a line or two: what was chosen, defaults included."""
    run = recommender.run
    if run.model is not None:
        return f"{run.model.text}, seed {run.seed}"
    order = run.order.text if run.order else ""
    texts = [
        f"{run.backbone.text} + {run.loss.text}",
        f"negatives {run.negatives.text}",
        f"order {order}",
        f"{run.train_score} scores",
        f"batch {run.batch_size}",
        f"lr {run.lr:g}",
        f"l2 {run.l2:g}" if run.l2 else "no l2",
        f"at most {run.epochs} epochs",
        f"seed {run.seed}",
        run.device,
    ]
    return ", ".join(texts)


def judged(recommender: Recommender, metrics: Any, part: str = "test") -> dict[str, Interval]:
    """Metrics on a part with their bootstrap intervals; the means are kept in the recommender."""
    from taurec.evaluation.significance import bootstrap_all

    return bootstrap_all(recommender.evaluate(part, metrics), seed=recommender.run.seed)


def _say_read(opened: Opened, parts: Split, output: Output) -> None:
    from taurec.report.tables import count

    for note in opened.notes:
        output.note(note)
    sizes = {"training": parts.train, "validation": parts.valid, "test": parts.test}
    held = ", ".join(f"{len(log):,} {name}" for name, log in sizes.items() if log is not None)
    log = parts.train
    output.note(
        f"{opened.name}: {count(log.n_users, 'user')}, {count(log.n_items, 'item')}; {held} pairs (split: {parts.how})"
    )


def _leave_if_stopped(recommender: Recommender, saved: Path | None, output: Output) -> None:
    if not recommender.stopped_by:
        return
    from taurec.cli.failures import Stopped

    epochs = len(recommender.records)
    where = f"saved to {saved}" if saved else "nothing was saved, as there is no --out"
    output.note(f"warning: stopped by a signal after {epochs} whole epochs; {where}")
    raise Stopped(recommender.stopped_by)


def _document(recommender: Recommender, intervals: dict[str, Interval], saved: Path | None) -> dict[str, Any]:
    best = recommender.best
    parts = recommender.split
    return {
        "run": recommender.get_params(),
        "users": parts.train.n_users,
        "items": parts.train.n_items,
        "pairs": {name: len(getattr(parts, name) or ()) for name in ("train", "valid", "test")},
        "epochs": len(recommender.records) if recommender.run.model is None else 0,
        "best_epoch": best.epoch if best is not None and recommender.run.model is None else None,
        "fit_seconds": recommender.fit_seconds,
        "valid": recommender.metrics.get("valid", {}),
        "test": {name: vars(value) for name, value in intervals.items()},
        "notes": recommender.notes,
        "saved": None if saved is None else str(saved),
    }


def _show(recommender: Recommender, intervals: dict[str, Interval], saved: Path | None, output: Output) -> None:
    from taurec.report.tables import metric_table

    if intervals:
        users = int((recommender.split.test.user_counts > 0).sum()) if recommender.split.test is not None else 0
        output.say(metric_table(intervals, f"{recommender.run.label} on the test part, {users:,} users"))
    else:
        output.say("No test part, so nothing was evaluated.")
    output.say()
    if saved is None:
        output.say("Nothing was saved; add --out DIR to keep the model.")
    else:
        example = recommender.users.decode([0])[0]
        output.say(f"Saved to {saved}. Next: taurec recommend {saved} --user {example}")
