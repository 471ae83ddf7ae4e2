"""``taurec audit fairness``: fit or load models and compare them by group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from taurec.errors import UsageError
from taurec.studies.names import Names
from taurec.studies.opening import Note, silent
from taurec.studies.options import Argument, Fields, K, Option, Reading, RunFields, Tune

if TYPE_CHECKING:
    from taurec.recommender import Recommender
    from taurec.run import Run
    from taurec.studies.audit.fairness.audit import FairnessAudit
    from taurec.training.records import Progress

MODELS = ("popularity", "ease", "mf:bpr", "mf:sl", "mf:bsl", "mf:mml")


def fairness(
    source: Annotated[
        str | None,
        Argument("A named set, a file, or a folder with train and test files; debian if nothing is given."),
    ] = None,
    models: Annotated[
        tuple[str, ...] | None,
        Option(
            "Baselines by name, trained models as backbone:loss; "
            f"{','.join(MODELS)} if neither this nor --saved is given.",
            metavar="NAMES",
        ),
    ] = None,
    saved: Annotated[
        list[Path] | None,
        Option("A folder written by taurec train --out, on the same data; repeatable.", metavar="DIR"),
    ] = None,
    k: K = 20,
    user_attributes: Annotated[
        Path | None, Option("A CSV with a column of user ids and columns of attributes.", metavar="FILE")
    ] = None,
    attribute: Annotated[
        list[str] | None, Option("Column that divides the users; repeatable.", metavar="COLUMN")
    ] = None,
    attribute_user: Annotated[
        str | None, Option("Column of user ids in the file; by default one with a usual name.", metavar="COLUMN")
    ] = None,
    groups: Annotated[int, Option("Number of popularity groups of items.")] = 10,
    user_groups: Annotated[int, Option("Number of activity groups of users.")] = 5,
    tune: Tune = "baselines",
    *,
    fields: Annotated[Fields, RunFields(("epochs", "split", "seed", "device", "threads"))],
    reading: Reading,
    names: Names | None = None,
    on_note: Note = silent,
    on_epoch: Callable[[Progress], None] | None = None,
) -> FairnessAudit:
    """Fit models and evaluate them by group: items by popularity, users by activity and by their attributes.

    With --saved alone the saved models are taken with their own data, and no SOURCE is needed.
    """
    from taurec.studies.audit.fairness.audit import audit_fairness
    from taurec.studies.audit.fairness.groups import attribute_groups, read_attribute
    from taurec.studies.compare.candidates import candidates
    from taurec.studies.words import count
    from taurec.training.device import pick_device

    folders = saved or []
    if user_attributes is None and (attribute or attribute_user):
        raise UsageError("--attribute and --attribute-user name columns of a file; add --user-attributes FILE")
    if user_attributes is not None and not attribute:
        raise UsageError("--user-attributes needs the columns to divide users by; add --attribute COLUMN")
    labels = models if models is not None else () if folders else MODELS
    if not labels and not folders:
        raise UsageError("no models to audit; name some with --models, such as ease,mf:sl, or give --saved DIR")
    if not labels and (source is not None or fields or reading):
        raise UsageError(
            "--saved alone takes the models with their own data and settings; a SOURCE or a setting would have no "
            "effect, so leave it out or add --models"
        )
    pick_device(fields.get("device", "cpu"))
    common = {**fields, "source": source or "debian", **({"reading": reading} if reading else {})}
    runs = {label: candidates(label, tune, common) for label in labels}
    fitted = {**_load(folders, runs, on_note), **(_fit(runs, on_note, on_epoch) if runs else {})}
    train = next(iter(fitted.values())).split.train
    divisions = []
    for column in attribute or ():
        assert user_attributes is not None
        ids, values = read_attribute(user_attributes, column, attribute_user)
        divisions.append(attribute_groups(train, column, ids, values))
        unknown, without = int((train.users.encode(ids) < 0).sum()), divisions[-1].n_without
        if unknown or without:
            on_note(
                f"{user_attributes}: {unknown:,} of {len(ids):,} users are not in the log; {without:,} of "
                f"{train.n_users:,} users of the log have no {column}"
            )
    on_note(f"evaluating {count(len(fitted), 'model')}")
    seed, sizes = int(fields.get("seed", 0)), {"n_popularity": groups, "n_activity": user_groups}
    return audit_fairness(fitted, k, users=divisions, **sizes, seed=seed, names=names)


def _load(folders: Sequence[Path], taken: Mapping[str, object], on_note: Note) -> dict[str, Recommender]:
    """Saved models by their labels, with the folder added where a label is taken already."""
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
        on_note(f"{folder}: {model.run.label} of {model.run.source}")
    return loaded


def _fit(
    runs: Mapping[str, Sequence[Run]], on_note: Note, on_epoch: Callable[[Progress], None] | None
) -> dict[str, Recommender]:
    """One fitted model a label, on one split; of several settings the best on validation."""
    from taurec.recommender import Recommender
    from taurec.studies.compare.protocol import valid_of
    from taurec.studies.opening import fit_with_notes, open_and_split
    from taurec.studies.result import Interrupted
    from taurec.studies.words import count

    fitted: dict[str, Recommender] = {}
    opened, parts = open_and_split(next(iter(runs.values()))[0], on_note)
    if not len(parts.test):
        raise UsageError(f"there is no test part: the log was split by {parts.how!r}; use --split ratio, or omit it")
    if not len(parts.valid) and any(len(settings) > 1 for settings in runs.values()):
        raise UsageError("there is no validation part to choose settings on; add --tune none, or hold some out")
    for number, (label, settings) in enumerate(runs.items(), start=1):
        for tried, run in enumerate(settings, start=1):
            of = f", setting {tried} of {len(settings)}" if len(settings) > 1 else ""
            on_note(f"{label}: model {number} of {len(runs)}{of}")
            model = Recommender.from_run(run)
            fit_with_notes(model, opened, parts, on_note, on_epoch)
            if model.stopped_by:
                epochs = count(len(model.records), "complete epoch")
                raise Interrupted(model.stopped_by, f"stopped by a signal after {epochs} of {label}; nothing is saved")
            if label not in fitted or valid_of(model) > valid_of(fitted[label]):
                fitted[label] = model
    return fitted
