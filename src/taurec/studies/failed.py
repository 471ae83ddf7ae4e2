"""Why one of several models failed, where the others go on."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from taurec.errors import NonFiniteError, ResourceError
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
    outside = [part.name.rpartition(":")[0] for part in parts if part is not None and ":" in part.name]
    if not outside or isinstance(error, Interrupted | ResourceError):
        return None
    files = {vars(sys.modules[module]).get("__file__") for module in outside if module in sys.modules}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    where = f" in {frames[-1].name} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}{f': {message}' if message else ''}{where}"
