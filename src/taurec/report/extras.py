"""What pages need beyond a plain installation, asked for before the work begins."""

from __future__ import annotations

import importlib.util

from taurec.errors import UsageError

PACKAGES = ("matplotlib", "jinja2")


def require(*packages: str) -> None:
    """A :class:`UsageError` naming the extra if a package of it is missing; all of them by default.

    Commands with ``--html`` call it before they read data.

    >>> require("jinja2")
    """
    missing = [name for name in packages or PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise UsageError(
            f"{' and '.join(missing)} {are} not installed, which HTML reports need; pip install 'taurec[report]'"
        )
