"""``taurec evaluate``: judge a saved model on one of its held-out parts."""

from __future__ import annotations

from typing import Annotated

import typer

from taurec.cli import options as o


def evaluate(
    folder: o.Folder,
    part: Annotated[str, typer.Option(help="test or valid.")] = "test",
    metrics: o.Metrics = None,
    from_history: Annotated[
        bool,
        typer.Option(help="Also rank every user from their items alone, as for people the model does not know."),
    ] = True,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Evaluate a saved model; the values are kept in its metrics.json."""
    from taurec.cli.output import Output
    from taurec.evaluation.metrics import DEFAULT_METRICS, parse_all
    from taurec.evaluation.significance import bootstrap_all
    from taurec.recommender import Recommender
    from taurec.report.tables import count, interval, number, table
    from taurec.saved import update_metrics

    wanted = [str(m) for m in (DEFAULT_METRICS if metrics is None else parse_all(metrics))]
    output = Output(as_json, quiet)
    model = Recommender.load(folder)
    if metrics is not None:
        parse_all(metrics, len(model.items))
    output.note(f"{folder}: {model.run.label} of {model.run.source}")
    before = {name: dict(values) for name, values in model.metrics.items()}
    result = model.evaluate(part, wanted)
    intervals = bootstrap_all(result, seed=model.run.seed)
    folded = model.evaluate_from_history(part, wanted).means() if from_history else {}
    # Before anything is printed: a reader that has enough, such as head, ends the command.
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
            "metrics": {name: vars(value) for name, value in intervals.items()},
            "from_history": folded,
        }
    )
    columns = ["metric", "value", "95 % interval", *(["from history", "gap"] if folded else [])]
    rows = []
    for name, value in intervals.items():
        row = [name, number(value.mean), interval(value.low, value.high)]
        if folded:
            row += [number(folded[name]), f"{folded[name] - value.mean:+.4f}"]
        rows.append(row)
    title = f"{model.run.label} on the {part} part, {count(result.n_users, 'user')}"
    output.say(table(columns, rows, title=title, right=["value", "from history", "gap"]))
    output.say()
    output.say(f"{count(result.n_left_out, 'user')} without {part} items left out of the means.")
    if result.n_cold:
        output.say(f"{count(result.n_cold, 'user')} without a training item: ranked by what the model has for them.")
    if folded:
        output.say(
            "from history: the same users ranked from their items alone; the gap is what an unknown person loses."
        )
