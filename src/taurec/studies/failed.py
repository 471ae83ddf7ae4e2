"""The reason why one of several models failed, for studies that continue with the others."""

from __future__ import annotations

from taurec.errors import NonFiniteError, ResourceError
from taurec.plugins import blamed, described
from taurec.run import Run
from taurec.studies.result import Interrupted


def reason_of(error: Exception, run: Run) -> str | None:
    """The reason why a fit or an evaluation failed, or None if the error must end the study.

    Two kinds of errors concern one model only: a value that is not finite, and any error of a model with a part from
    outside the package. Other errors are faults of the request, of the machine or of TauRec.

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
