"""The built-in log: which binary packages each Debian source package needs.

A user is a source package, an item a binary package that one of its packages depends on, pre-depends
on or recommends (the first of alternatives, its own packages left out); 5-core. ``scripts/make_debian.py``
makes it from the package index of the archive. It is real, skewed as logs are, readable, and free to pass on.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import polars as pl

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import ArtefactError

NAME = "debian.parquet"


def origin() -> Mapping[str, Any]:
    """What the log is: date, release, definition, counts, licence, SHA-256 of the file.

    >>> origin()["name"], origin()["core"]
    ('debian', 5)
    """
    return MappingProxyType(json.loads((files("taurec.data") / "debian.json").read_text(encoding="utf-8")))


def load() -> Interactions:
    """The log, with both vocabularies in alphabetical order.

    Raises: ArtefactError if the file is not the one that was shipped.

    >>> log = load()
    >>> "python3-numpy" in log.items, "pandas" in log.users
    (True, True)
    """
    content = (files("taurec.data") / NAME).read_bytes()
    expected, got = origin()["sha256"], hashlib.sha256(content).hexdigest()
    if got != expected:
        raise ArtefactError(
            f"{NAME} in the installed package is damaged: expected SHA-256 {expected}, got {got}; install taurec again"
        )
    frame = pl.read_parquet(io.BytesIO(content))
    ids = {column: frame[column].unique().sort() for column in ("user", "item")}
    user, item = (frame[c].cast(pl.Enum(ids[c])).to_physical().cast(pl.Int64).to_numpy() for c in ("user", "item"))
    return Interactions.from_pairs(user, item, Vocabulary(ids["user"]), Vocabulary(ids["item"]))
