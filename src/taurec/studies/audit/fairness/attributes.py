"""A file of user attributes: which user has which value of one column."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taurec.data.columns import USUAL
from taurec.errors import DataError, UsageError, did_you_mean


def read_attribute(path: str | Path, attribute: str, user: str | None = None) -> tuple[list[str], list[str]]:
    """The users of a CSV file (``.tsv``: tab-separated) with a header, and their values of one column, as text.

    Spaces around ids and values are dropped. Every row counts; who of the users is in a log is not looked at here.

    Args:
        path: a UTF-8 file.
        attribute: the column to read.
        user: the column of user ids; by default the one with a usual name (``user``, ``userId``, ``uid``, ...).
    Raises: UsageError for a file or a column that is not there; DataError, with ``FILE:LINE``, for a row of
        another length, a row without id, a user with two different values, and bytes that are not UTF-8.

    >>> import tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "users.csv"
    ...     _ = path.write_text("user,country\\nann,fi\\nbob,no\\n")
    ...     read_attribute(path, "country")
    (['ann', 'bob'], ['fi', 'no'])
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file; --user-attributes takes a CSV file with a header")
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter="\t" if path.suffix == ".tsv" else ",")
            head = [name.strip() for name in next(reader, [])]
            if not head:
                raise DataError(f"{path}:1: empty file; a header with a user column and {attribute!r} is needed")
            at = _column(head, user, attribute, path)
            return _rows(reader, head, *at, path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8") from None
    except (csv.Error, OSError) as error:
        raise DataError(f"{path}: not readable as CSV: {error}") from None


def _column(head: Sequence[str], user: str | None, attribute: str, path: Path) -> tuple[int, int]:
    if user is None:
        plain = ["".join(c for c in name.lower() if c.isalnum()) for name in head]
        usual = [n for n, name in enumerate(plain) if name in USUAL["user"]]
        if len(usual) != 1:
            found = "none" if not usual else "several"
            raise UsageError(
                f"{path}:1: {found} of the columns {', '.join(head)} has a usual name of a user column; "
                "name it with --attribute-user"
            )
        at = usual[0]
    elif user in head:
        at = head.index(user)
    else:
        raise UsageError(f"{path}:1: no column {user!r}{did_you_mean(user, head)}")
    others = [name for n, name in enumerate(head) if n != at]
    if attribute not in others:
        raise UsageError(f"{path}:1: no column {attribute!r}{did_you_mean(attribute, others)}")
    return at, head.index(attribute)


def _rows(reader: Any, head: Sequence[str], user: int, attribute: int, path: Path) -> tuple[list[str], list[str]]:
    known: dict[str, str] = {}
    for row in reader:
        where = f"{path}:{reader.line_num}"
        if not row:
            continue
        if len(row) != len(head):
            raise DataError(f"{where}: {len(row)} cells, and the header has {len(head)}")
        name, value = row[user].strip(), row[attribute].strip()
        if not name:
            raise DataError(f"{where}: no user id in column {head[user]!r}")
        if known.setdefault(name, value) != value:
            raise DataError(
                f"{where}: user {name!r} has {head[attribute]} {value!r} here and {known[name]!r} before; "
                "give each user one value"
            )
    return list(known), list(known.values())
