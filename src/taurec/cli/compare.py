"""``taurec compare``: several models on one log under one protocol."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.cli.reading import Reading, reads_files
from taurec.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from taurec.studies.compare import Comparison

MODELS = "popularity,itemknn,ease,ials,mf:bpr,mf:sl,mf:bsl,mf:mml"
METRICS = "recall@20,ndcg@20"


@reads_files
def compare(
    context: typer.Context,
    source: o.Source = "debian",
    models: Annotated[
        str, typer.Option(metavar="NAMES", help="Baselines by name, trained models as backbone:loss.")
    ] = MODELS,
    seeds: Annotated[int, typer.Option(help="Runs of each trained model.")] = 1,
    tune: o.Tune = "baselines",
    tries: Annotated[
        int | None, typer.Option(help="The same number of settings for every model, as far as its grid has so many.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Instead: choose model, loss and temperature for this log within 90s, 10m, 1h of wall-clock time.",
        ),
    ] = None,
    metrics: Annotated[str, typer.Option(metavar="NAMES", help="Shown, judged on the test part.")] = METRICS,
    metric: Annotated[str | None, typer.Option(help="Chooses settings and epochs on validation: ndcg@20.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many.")] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many evaluations without a better one.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step.")] = None,
    assign: o.Set = None,
    split: o.Split = None,
    seed: o.Seed = None,
    device: o.Device = None,
    threads: o.Threads = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything to FILE.json.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to FILE.html.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Show hashes in place of ids in the page.")] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    *,
    reading: Reading,
) -> None:
    """Compare models: fitted on training, chosen on validation, judged once on test.

    Popularity, item-kNN, EASE and iALS always stand beside what is asked for.
    """
    started = monotonic()
    from taurec.cli import budget as within
    from taurec.cli.compare_page import check_page, write_comparison, write_search
    from taurec.cli.files import check_target
    from taurec.cli.output import Output, progress_line
    from taurec.cli.settings import run_fields, split_names, tune_of
    from taurec.cli.typed import typed_command
    from taurec.evaluation.metrics import parse_all
    from taurec.studies.compare import compare as compare_models
    from taurec.training.device import pick_device

    shown = [str(m) for m in parse_all(metrics)]
    chosen = tune_of(tune)
    if seeds < 1:
        raise UsageError(f"--seeds must be at least 1, got {seeds}")
    if tries is not None and tries < 1:
        raise UsageError(f"--tries must be at least 1, got {tries}")
    seconds = None if budget is None else within.parse_budget(budget)
    idle = [
        name
        for name, given in {"--seeds": seeds != 1, "--tune": tune != "baselines", "--tries": tries is not None}.items()
        if given and seconds is not None
    ]
    if idle:
        raise UsageError(f"{', '.join(idle)} would have no effect with --budget, which plans its own; leave it out")
    fields = run_fields(
        assign, metric=metric, epochs=epochs, patience=patience, batch_size=batch_size, split=split, seed=seed,
        device=device, threads=threads,
    )  # fmt: skip
    if reading:
        fields["reading"] = reading
    pick_device(fields.get("device", "cpu"))
    if out is not None:
        check_target(out, [".json"], "--out")
    check_page(html, private)
    output = Output(as_json, quiet)
    if seconds is not None:
        from taurec.studies.search.pool import MODELS as pool

        asked = list(pool) if models == MODELS else [m for m in split_names([models]) if ":" in m]
        searched = within.search(source, seconds, started, asked, shown, fields, output)
        content = within.document(searched, fields)
        _write(content, out, output)
        if html is not None:
            write_search(searched, content["command"], html, private, typed_command(context), output)
        output.document(content)
        within.show(searched, fields, output)
        return
    with progress_line(output) as say:
        found = compare_models(
            source,
            split_names([models]),
            seeds=seeds,
            tune=chosen,
            metrics=shown,
            fields=fields,
            on_progress=say,
            tries=tries,
        )
    content = document(found)
    _write(content, out, output)
    if html is not None:
        write_comparison(found, html, private, typed_command(context), output)
    output.document(content)
    show(found, shown, output.say, output.out.width)


def _write(content: dict[str, Any], out: Path | None, output: Any) -> None:
    from taurec.cli.files import write_text
    from taurec.cli.output import plain

    if out is not None:
        write_text(out, json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n", "--out")
        output.note(f"written to {out}")


def document(found: Comparison) -> dict[str, Any]:
    """A comparison as plain values."""
    from taurec.report.words import summary
    from taurec.studies.compare import on_front

    versus = found.versus
    return {
        "source": found.source,
        "split": found.split.how,
        "chosen_by": found.metric,
        "seeds": found.seeds,
        "users": found.n_users,
        "best": found.best.label,
        "chosen": found.chosen.run.label,
        "front": {cost: on_front(found.rows, found.metric, (cost,)) for cost in ("seconds", "tune_seconds", "peak_mb")},
        "trained_against_baseline": versus
        and {
            "trained": versus.trained,
            "baseline": versus.baseline,
            "difference": vars(versus.paired.difference),
            "p_value": versus.paired.p_value,
        },
        "words": summary(found),
        "rows": [
            {
                **{name: getattr(row, name) for name in _ROW_FIELDS},
                "metrics": {name: vars(value) for name, value in row.metrics.items()},
                "spread": {name: vars(value) for name, value in row.spread.items()},
                "run": row.run.model_dump(mode="json"),
            }
            for row in found.rows
        ],
    }


_ROW_FIELDS = ("label", "valid", "p_value", "epochs", "seconds", "tune_seconds", "tried", "peak_mb")


def show(found: Comparison, metrics: list[str], say: Any, width: int) -> None:
    """The comparison for people: a table with the best row marked, and what it says in words."""
    from taurec.report.comparison import comparison_table
    from taurec.report.words import summary

    parts: list[RenderableType] = [comparison_table(found, metrics, width)]
    for part in [*parts, *(f"\n{line}" for line in summary(found))]:
        say(part)
