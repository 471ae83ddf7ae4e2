"""Why one of several models failed, where the others go on."""

from __future__ import annotations

from taurec.errors import NonFiniteError, ResourceError
from taurec.plugins import blamed, described
from taurec.run import Run
from taurec.studies.result import Interrupted


def reason_of(error: Exception, run: Run) -> str | None:
    """What made a fit or an evaluation fail, or None if the error must end the study.

    A model fails alone by a value that is not finite, and by any error with a part from outside the package. Other
    errors are those of the request, of the machine or of TauRec.

    >>> from taurec.training.presets import resolve
    >>> reason_of(NonFiniteError("the loss is nan"), resolve()), reason_of(KeyError("oops"), resolve())
    ('the loss is nan', None)
    """
    if isinstance(error, NonFiniteError):
        return str(error)
    parts = [run.model] if run.model is not None else [run.backbone, run.loss, run.negatives, run.order]
    outside = any(":" in part.name for part in parts if part is not None)
    if not outside or isinstance(error, Interrupted | ResourceError):
        return None
    found = blamed(error)
    return described(error) if found is None else found[1]
