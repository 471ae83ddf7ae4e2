"""``taurec audit fairness``: who is served badly by which model, and with what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.cli.reading import Reading, reads_files
from taurec.errors import UsageError

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.recommender import Recommender
    from taurec.run import Run
    from taurec.studies.audit.fairness.audit import FairnessAudit
    from taurec.studies.audit.fairness.groups import Groups

MODELS = "popularity,ease,mf:bpr,mf:sl,mf:bsl,mf:mml"


@reads_files
def fairness(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(help="A named set, a file, or a folder with train and test files; debian if nothing is given."),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help=f"Baselines by name, trained models as backbone:loss; {MODELS} if neither this nor --saved is given.",
        ),
    ] = None,
    saved: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="A folder written by taurec train --out, on the same data; repeatable."),
    ] = None,
    k: o.K = 20,
    user_attributes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A CSV with a column of user ids and columns of attributes.")
    ] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Column that divides the users; repeatable.")
    ] = None,
    attribute_user: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of user ids in the file; else one with a usual name.")
    ] = None,
    groups: Annotated[int, typer.Option(help="How many popularity groups of items.")] = 10,
    user_groups: Annotated[int, typer.Option(help="How many activity groups of users.")] = 5,
    tune: o.Tune = "baselines",
    epochs: Annotated[int | None, typer.Option(help="At most so many.")] = None,
    assign: o.Set = None,
    split: o.Split = None,
    seed: o.Seed = None,
    device: o.Device = None,
    threads: o.Threads = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to FILE.html.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything to FILE.json.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Show hashes in place of item ids.")] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    *,
    reading: Reading,
) -> None:
    """Fit models and judge them by group: items by popularity, users by activity and by attributes of theirs.

    With --saved alone the fitted models and their own data are taken, and no SOURCE is needed.
    """
    from taurec.cli.files import check_target, write_text
    from taurec.cli.output import Output, plain
    from taurec.cli.settings import run_fields, split_names, tune_of
    from taurec.cli.typed import typed_command
    from taurec.report.private import Hashed
    from taurec.studies.audit.fairness.audit import audit_fairness
    from taurec.studies.compare.candidates import candidates
    from taurec.training.device import pick_device

    fields = run_fields(assign, epochs=epochs, split=split, seed=seed, device=device, threads=threads)
    folders = saved or []
    _check_attributes(user_attributes, attribute, attribute_user)
    names = split_names([models if models is not None else "" if folders else MODELS])
    if not names and not folders:
        raise UsageError("no models to audit; name some with --models, such as ease,mf:sl, or give --saved DIR")
    if not names and (source is not None or fields or reading):
        raise UsageError(
            "--saved alone takes the models with their own data and settings; a SOURCE or a setting would have no "
            "effect, so leave it out or add --models"
        )
    for path, ending, option in ((out, ".json", "--out"), (html, ".html", "--html")):
        if path is not None:
            check_target(path, [ending], option)
    if html is not None:
        from taurec.report.extras import require

        require()
    pick_device(fields.get("device", "cpu"))
    common = {**fields, "source": source or "debian", **({"reading": reading} if reading else {})}
    runs = {name: candidates(name, tune_of(tune), common) for name in names}
    output = Output(as_json, quiet)
    loaded = _load(folders, output, taken=list(runs))
    fitted = {**loaded, **_fit(runs, output)}
    divisions = _divisions(fitted, user_attributes, attribute or [], attribute_user, output)
    output.note(f"judging {len(fitted)} models" if len(fitted) > 1 else "judging the model")
    found = audit_fairness(
        fitted, k, users=divisions, n_popularity=groups, n_activity=user_groups, seed=int(fields.get("seed", 0))
    )
    hashed = Hashed() if private else None
    shown = hashed.items(found.parts.train.items.ids.to_list()) if hashed else None
    content = {**found.document(shown), "runs": {label: m.run.model_dump(mode="json") for label, m in fitted.items()}}
    if out is not None:
        write_text(out, json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n", "--out")
        output.note(f"written to {out}")
    if html is not None:
        _write_page(html, found, content["runs"], shown, typed_command(context), output)
    output.document(content)
    _show(found, output)


def _check_attributes(file: Path | None, attribute: list[str] | None, user: str | None) -> None:
    if file is None and (attribute or user):
        raise UsageError("--attribute and --attribute-user name columns of a file; add --user-attributes FILE")
    if file is not None and not attribute:
        raise UsageError("--user-attributes needs the columns to divide users by; add --attribute COLUMN")


def _load(folders: list[Path], output: Output, taken: list[str]) -> dict[str, Recommender]:
    """Saved models by their names, or by name and folder where a name is taken already."""
    from taurec.recommender import Recommender

    loaded: dict[str, Recommender] = {}
    for folder in folders:
        model = Recommender.load(folder)
        label = model.run.label
        if label in loaded or label in taken:
            label += f" ({folder})"
        if label in loaded:
            raise UsageError(f"--saved {folder} is given twice; give it once")
        loaded[label] = model
        output.note(f"{folder}: {model.run.label} of {model.run.source}")
    return loaded


def _fit(runs: dict[str, list[Run]], output: Output) -> dict[str, Recommender]:
    """Every model on one division, with progress; of several settings the one that is best on validation."""
    from taurec.cli.fitting import fit, leave_if_stopped, open_and_split
    from taurec.recommender import Recommender
    from taurec.studies.compare.protocol import valid_of

    fitted: dict[str, Recommender] = {}
    opened = parts = None
    for number, (name, settings) in enumerate(runs.items(), start=1):
        if opened is None or parts is None:
            opened, parts = open_and_split(settings[0], output)
            if not len(parts.test):
                raise UsageError(
                    f"there is no test part: the log was split by {parts.how!r}; use --split ratio, or leave it out"
                )
            if not len(parts.valid) and any(len(tried) > 1 for tried in runs.values()):
                raise UsageError("there is no validation part to choose settings on; add --tune none, or hold some out")
        for tried, run in enumerate(settings, start=1):
            of = f", setting {tried} of {len(settings)}" if len(settings) > 1 else ""
            output.note(f"{name}: model {number} of {len(runs)}{of}")
            model = Recommender.from_run(run)
            fit(model, opened, parts, output)
            leave_if_stopped(model, None, output)
            if name not in fitted or valid_of(model) > valid_of(fitted[name]):
                fitted[name] = model
    return fitted


def _divisions(
    fitted: dict[str, Recommender], file: Path | None, attributes: list[str], user: str | None, output: Output
) -> list[Groups]:
    from taurec.studies.audit.fairness.attributes import read_attribute
    from taurec.studies.audit.fairness.groups import attribute_groups

    train = next(iter(fitted.values())).split.train
    made = []
    for name in attributes:
        assert file is not None
        users, values = read_attribute(file, name, user)
        unknown = int((train.users.encode(users) < 0).sum())
        groups = attribute_groups(train, name, users, values)
        if unknown or groups.n_without:
            output.note(
                f"{file}: {unknown:,} of {len(users):,} users are not in the log; {groups.n_without:,} of "
                f"{train.n_users:,} users of the log have no {name}"
            )
        made.append(groups)
    return made


def _write_page(
    path: Path,
    found: FairnessAudit,
    runs: dict[str, Any],
    items: list[str] | None,
    command: str,
    output: Output,
) -> None:
    from taurec.provenance import facts
    from taurec.report.fairness_pages import fairness_page
    from taurec.report.page import write_page
    from taurec.report.private import NOTE

    page = fairness_page(
        found,
        command=command,
        facts=facts(),
        config=runs,
        items=items,
        note=NOTE if items else "",
    )
    write_page(page, path)
    output.note(f"written to {path}")


def _show(found: FairnessAudit, output: Output) -> None:
    from taurec.report.fairness import (
        exposure_table,
        global_table,
        item_table,
        score_table,
        user_table,
        verdict,
    )

    tables = [global_table(found), item_table(found), exposure_table(found)]
    tables += [user_table(found, d) for d in range(len(found.best.fairness.users))]
    for part in [*tables, score_table(found)]:
        output.say(part)
        output.say()
    for line in verdict(found):
        output.say(line)
