"""Texts of items from a file: titles, names or descriptions, each with the item's id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import polars as pl

from taurec.data.columns import USUAL
from taurec.data.faults import Faults
from taurec.data.formats import FORMATS, Format, format_of
from taurec.data.lines import Source, regular_file
from taurec.data.records import records
from taurec.errors import DataError, did_you_mean

TITLES = ("title", "name", "text", "itemtitle", "itemname", "movietitle", "productname", "producttitle", "description")
"""Usual names of a column of texts, compared without case and signs; the first that a file has is read."""


@dataclass(frozen=True)
class KnownFile:
    """A file without a header that is known by its name.

    Attributes:
        form: its separator and columns.
        encoding: of its text.
    """

    form: Format
    encoding: str


_MORE = tuple(f"more{n}" for n in range(22))
KNOWN_FILES = {
    "u.item": KnownFile(Format("u.item", "|", columns=("item", "title", *_MORE)), "latin-1"),
    "movies.dat": KnownFile(Format("movies.dat", "::", columns=("item", "title", "genres")), "latin-1"),
}
"""MovieLens-100K and MovieLens-1M."""


def read_item_texts(path: str, item: str = "", columns: Sequence[str] = ()) -> dict[str, str]:
    """The text of each item id in a file; several columns are joined by a blank.

    Args:
        path: CSV, TSV, RecBole ``.item``, Parquet, or MovieLens ``u.item`` or ``movies.dat``, each text also as
            ``.gz``; UTF-8, except for the two of MovieLens, which are Latin-1.
        item: column of the ids; guessed by its usual names if empty.
        columns: columns of the texts; guessed by :data:`TITLES` if empty.
    Returns: id -> text; ids as written, texts without blanks at the ends. A text may be empty.
    Raises: DataError for a file that cannot be read, a column that it does not have or that cannot be guessed, a row
        of another length, an empty id, and an id with two different texts.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write('movieId,title\\n1,Toy Story\\n2,"Up, again"\\n'), file.flush()
    ...     read_item_texts(file.name)
    {'1': 'Toy Story', '2': 'Up, again'}
    """
    rows = _parquet(path, item, columns) if path.endswith((".parquet", ".pq")) else _text(path, item, columns)
    found: dict[str, str] = {}
    faults = Faults(path)
    for line, name, text in rows:
        if not name:
            faults.add(line, 1, "empty item id; give each row the id of its item, as in the log")
        elif found.setdefault(name, text) != text:
            faults.add(line, 1, f"item {name!r} has another text here than before; give each item one text")
    faults.stop()
    if not found:
        raise DataError(f"{path}: no row of data; a file of texts has an item id and a text in each row")
    return found


def _text(path: str, item: str, columns: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """(line, id, text) of each row of a text file."""
    known = KNOWN_FILES.get(PurePath(path).name.removesuffix(".gz"))
    form, encoding = (known.form, known.encoding) if known else (_form(path), "utf-8")
    faults = Faults(path)
    names: Sequence[str] = form.columns
    at: tuple[int, list[int]] | None = None
    for first, block in Source(path, encoding, form.quotes).blocks():
        for record in records(block.decode(), first, form):
            if record.fault:
                faults.add(*record.fault)
                break
            line = record.places[0][0]
            if at is None:
                headed, names = not names, names or record.fields
                at = _choose(names, item, columns, f"{path}:{line}:1", form.typed)
                if headed:
                    continue
            if len(record.fields) != len(names):
                faults.add(line, 1, f"{len(record.fields)} fields, expected {len(names)}; quote a text with separators")
                continue
            yield line, record.fields[at[0]], _joined(record.fields[n] for n in at[1])
    faults.stop()


def _form(path: str) -> Format:
    """The format that a file's name says; RecBole's files of items end in ``.item``."""
    if path.removesuffix(".gz").endswith(".item"):
        return replace(FORMATS["inter"], name="item")
    form = format_of(path)
    if form.lists or form.columns:
        raise DataError(
            f"{path}: {form.name} is a format of logs and has no texts; accepted are csv, tsv, parquet, item, "
            f"{' and '.join(KNOWN_FILES)}"
        )
    return form


def _parquet(path: str, item: str, columns: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    file = regular_file(path)
    try:
        names = pl.scan_parquet(file, glob=False).collect_schema().names()
        at, texts = _choose(names, item, columns, path, typed=False)
        table = pl.read_parquet(file, columns=list(dict.fromkeys(names[n] for n in (at, *texts))), glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {str(error).splitlines()[0]}") from None
    table = table.with_columns(pl.all().cast(pl.String).fill_null(""))
    for line, row in enumerate(table.iter_rows(named=True), 1):
        yield line, row[names[at]], _joined(row[names[n]] for n in texts)


def _joined(parts: Iterator[str]) -> str:
    return " ".join(filter(None, (" ".join(part.split()) for part in parts)))


def _choose(names: Sequence[str], item: str, columns: Sequence[str], where: str, typed: bool) -> tuple[int, list[int]]:
    """The positions of the column of ids and of those of texts."""
    bare = [name.split(":")[0] if typed else name for name in names]
    plain = ["".join(filter(str.isalnum, name.lower())) for name in bare]
    ids = [item] if item else [name for name, short in zip(bare, plain, strict=True) if short in USUAL["item"]]
    texts = list(columns) or [bare[plain.index(name)] for name in TITLES if name in plain][:1]
    for wanted in (*ids, *texts):
        if wanted not in bare:
            raise DataError(f"{where}: no column {wanted!r}{did_you_mean(wanted, bare)}")
    ids = [name for name in ids if item or name not in texts]
    if len(ids) != 1 or not texts:
        missing = "of the item ids" if len(ids) != 1 else "of the texts"
        raise DataError(
            f"{where}: cannot tell which column is that {missing}; found {', '.join(map(repr, bare[:12]))}; name them, "
            f"with negatives as --set negatives.item_column=NAME --set negatives.text_columns=NAME"
        )
    return bare.index(ids[0]), [bare.index(name) for name in texts]
