"""``taurec audit temperature``: the effect of the temperature of a trained model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from taurec.errors import UsageError
from taurec.studies.options import Argument, Fields, Option, Reading, RunFields

if TYPE_CHECKING:
    from taurec.studies.audit.temperature.results import TemperatureAudit
    from taurec.training.records import Progress

_FIELDS = RunFields(
    ("backbone", "loss", "negatives", "epochs", "patience", "split", "seed", "device", "threads"),
    "The model that is trained",
)


def temperature(
    source: Annotated[
        str | None,
        Argument(
            "A named set, a file, or a folder with train and test files: a model is trained on it; debian if neither "
            "it nor --saved is given."
        ),
    ] = None,
    saved: Annotated[Path | None, Option("Audit this saved model instead of training one.", metavar="DIR")] = None,
    taus: Annotated[
        tuple[float, ...],
        Option("Other temperatures to compare with; else 1/4, 1/2, 2 and 4 times the model's.", metavar="NUMBERS"),
    ] = (),
    users: Annotated[int, Option("Maximum number of users in the audit, drawn with the seed.")] = 1000,
    *,
    fields: Annotated[Fields, _FIELDS],
    reading: Reading,
    on_epoch: Callable[[Progress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> TemperatureAudit:
    """Show the effect of a model's temperature: effective number of negatives, DRO radius, mean and variance.

    A model is trained on SOURCE and audited after each epoch (--set loss.tau=0.2 sets its temperature), or a saved
    one is audited as it is. Test data are not used.
    """
    import dataclasses

    from taurec.recommender import Recommender
    from taurec.studies.audit.temperature.audit import audit_saved, audit_training, tau_of
    from taurec.studies.opening import open_and_split, settings_lines, silent
    from taurec.training.device import pick_device
    from taurec.training.presets import resolve

    if any(not 0 < tau < float("inf") for tau in taus):
        raise UsageError(
            f"--taus {', '.join(f'{tau:g}' for tau in taus)}: a temperature must be a finite number above 0"
        )
    note = on_note or silent
    if saved is not None:
        if source is not None or fields or reading:
            raise UsageError("--saved looks at a model as it is; drop SOURCE and the options of training and of files")
        return audit_saved(Recommender.load(saved), taus, users)
    run = resolve(**fields, source=source or "debian", reading=reading)
    tau_of(run, taus)
    pick_device(run.device)
    opened, parts = open_and_split(run, note)
    for line in settings_lines(run):
        note(line)
    found = audit_training(run, parts, taus, users, on_progress=on_epoch, on_note=note)
    return dataclasses.replace(found, source=opened.name)
