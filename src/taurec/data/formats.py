"""The file formats TauRec reads: one table, looked up by name or by file name, never by content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from taurec.errors import DataError, UsageError, did_you_mean


@dataclass(frozen=True)
class Format:
    """How a file's bytes stand for rows.

    Attributes:
        name: what ``format=`` and ``--format`` accept.
        separator: the text between fields; empty for Parquet.
        quotes: whether a field may be put in double quotes (RFC 4180).
        columns: the column names of a format without a header; empty where line 1 is the header.
        typed: header cells carry a type, as in ``user_id:token`` (RecBole).
        lists: a line is one user followed by all its items (LightGCN).
    """

    name: str
    separator: str
    quotes: bool = False
    columns: tuple[str, ...] = ()
    typed: bool = False
    lists: bool = False


_RATED = ("user", "item", "rating", "timestamp")

FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("csv", ",", quotes=True),
        Format("csv-semicolon", ";", quotes=True),
        Format("tsv", "\t"),
        Format("parquet", ""),
        Format("inter", "\t", typed=True),
        Format("lightgcn", " ", lists=True),
        Format("u.data", "\t", columns=_RATED),
        Format("ratings.dat", "::", columns=_RATED),
    )
}

FILE_NAMES = {
    "u.data": "u.data",
    "ratings.dat": "ratings.dat",
    "train.txt": "lightgcn",
    "valid.txt": "lightgcn",
    "test.txt": "lightgcn",
}
SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet", ".inter": "inter"}

SEPARATOR_NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", " ": "blank", "::": "double colon"}


def format_of(path: str, format: str | None = None) -> Format:
    """The format of a file: the one asked for, else the one its name says (``.gz`` aside).

    Raises: UsageError for an unknown format; DataError where the file name says nothing.

    >>> format_of("logs/ratings.csv.gz").name, format_of("ml/u.data").name
    ('csv', 'u.data')
    """
    if format is not None:
        if format not in FORMATS:
            raise UsageError(f"unknown format {format!r}{did_you_mean(format, FORMATS)}")
        return FORMATS[format]
    name = PurePath(path).name.lower().removesuffix(".gz")
    found = FILE_NAMES.get(name) or SUFFIXES.get(PurePath(name).suffix)
    if found is None:
        raise DataError(
            f"{path}: the file name does not tell the format; known endings are {', '.join(SUFFIXES)} "
            f"and names {', '.join(FILE_NAMES)}; say format= (--format) one of {', '.join(FORMATS)}"
        )
    return FORMATS[found]


def likely_separator(line: str, but: str) -> str | None:
    """The separator that cuts a line into most fields, other than ``but``; None where none occurs.

    >>> likely_separator("user;item;time", ",")
    ';'
    """
    found = max((s for s in SEPARATOR_NAMES if s not in (but, " ")), key=line.count)
    return found if found in line else None
