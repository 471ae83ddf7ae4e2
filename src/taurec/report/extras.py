"""Check before any work that the packages for pages are installed."""

from __future__ import annotations

import importlib.util

from taurec.errors import UsageError

PACKAGES = ("matplotlib", "jinja2")


def require(*packages: str) -> None:
    """Check that packages of the extra ``report`` are installed, by default all of them.

    Commands with ``--html`` call it before they read data.

    Raises: UsageError naming the missing packages and the extra.

    >>> require("jinja2")
    """
    missing = [name for name in packages or PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise UsageError(
            f"{' and '.join(missing)} {are} not installed, which HTML reports need; pip install 'taurec[report]'"
        )
