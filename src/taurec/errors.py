"""Errors a user can act on; each class carries the exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TaurecError(Exception):
    """Root of the errors TauRec raises on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class UsageError(TaurecError, ValueError):
    """A request that cannot be met: an unknown name, a value out of range, contradicting options."""

    exit_code = 2


class DataError(UsageError):
    """Input data that cannot be read as interactions; the message starts with ``FILE:LINE:COLUMN``."""


class ArtefactError(TaurecError):
    """A saved model, result or download that is broken, tampered with or of another version."""

    exit_code = 3


class ResourceError(TaurecError):
    """The machine refuses: no permission, no space, no memory, no network."""

    exit_code = 4


class NonFiniteError(TaurecError, ArithmeticError):
    """Training met a value that is not finite; the message names where and under which settings."""

    exit_code = 5


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A suffix for an error message naming the nearest accepted word, or all of them.

    >>> did_you_mean("bsll", ["bpr", "bsl"])
    "; did you mean 'bsl'? (accepted: bpr, bsl)"
    >>> did_you_mean("ease", ["bpr", "bsl"])
    ' (accepted: bpr, bsl)'
    """
    accepted = sorted(choices)
    near = difflib.get_close_matches(word.lower(), accepted, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{hint} (accepted: {', '.join(accepted)})"
