"""``taurec evaluate``: measure a saved model on one of its held-out parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taurec.evaluation.significance import Interval
    from taurec.studies.result import Table


def evaluate(
    folder: o.Folder,
    part: Annotated[str, typer.Option(help="Part to evaluate on: test or valid.")] = "test",
    metrics: o.Metrics = None,
    from_history: Annotated[
        bool,
        typer.Option(help="Also evaluate with every user ranked from their items alone, like an unknown user."),
    ] = True,
    plugin: o.Plugin = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Evaluate a saved model; the values are saved in its metrics.json."""
    from taurec.cli.output import Output
    from taurec.evaluation.metrics import DEFAULT_METRICS, parse_all
    from taurec.evaluation.significance import bootstrap_all
    from taurec.recommender import Recommender
    from taurec.saved import update_metrics
    from taurec.studies import warm_cold
    from taurec.studies.evidence import plain
    from taurec.studies.words import count

    wanted = [str(m) for m in (DEFAULT_METRICS if metrics is None else parse_all(metrics))]
    output = Output(as_json, quiet)
    model = Recommender.load(folder, plugin or ())
    if metrics is not None:
        parse_all(metrics, len(model.items))
    output.note(f"{folder}: {model.run.label} of {model.run.source}")
    before = {name: dict(values) for name, values in model.metrics.items()}
    result = model.evaluate(part, wanted)
    intervals = bootstrap_all(result, seed=model.run.seed)
    by_model = result.n_cold < result.n_users  # else all are ranked from their history already
    folded = model.evaluate_from_history(part, wanted).means() if from_history and by_model else {}
    apart = warm_cold.WarmCold.of(result)
    # Saved before anything is printed: a reader such as head may close the pipe and end the command.
    for name in (part, f"{part}_from_history"):
        if name in model.metrics:
            update_metrics(folder, name, {**before.get(name, {}), **model.metrics[name]})
    output.document(
        {
            "model": model.run.label,
            "part": part,
            "users": result.n_users,
            "users_left_out": result.n_left_out,
            "users_cold": result.n_cold,
            "from": result.sources(),
            "folds_in": model.ranker.folds_in,
            "warm_and_cold": plain(apart),
            "metrics": {name: vars(value) for name, value in intervals.items()},
            "from_history": folded,
        }
    )
    title = f"{model.run.label} on the {part} part, {count(result.n_users, 'user')}"
    output.say(metric_table(title, intervals, folded))
    output.say()
    output.say(f"{count(result.n_left_out, 'user')} without {part} items left out of the means.")
    if result.n_cold:
        output.say(warm_cold.cold_words(result.sources(), model.ranker.folds_in, part))
    if folded:
        how = warm_cold.EXACT if model.ranker.folds_in else warm_cold.MEAN
        output.say(
            f"from history: the same users ranked from their items alone, by {how}. The gap is the loss in accuracy "
            "for a user whom the model does not know."
        )
    if apart is not None:
        output.say()
        output.say(warm_cold.table({model.run.label: apart}, wanted))


def metric_table(title: str, intervals: Mapping[str, Interval], folded: Mapping[str, float]) -> Table:
    """Metrics with their 95 % intervals, and beside them those of users ranked from their items alone, if there are."""
    from taurec.studies.result import Column, Table
    from taurec.studies.words import interval

    columns = [Column("metric"), Column("value", better="higher", spec=".4f"), Column("95 % interval", whole=True)]
    rows: list[list[Any]] = [[name, value.mean, interval(value.low, value.high)] for name, value in intervals.items()]
    if folded:
        columns += [Column("from history", spec=".4f"), Column("gap", spec="+.4f")]
        rows = [[name, mean, bounds, folded[name], folded[name] - mean] for name, mean, bounds in rows]
    return Table(title, columns, rows)
