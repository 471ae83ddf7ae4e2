"""Tables in memory and Parquet files to rows: polars and pandas frames, scipy matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from taurec.data.assemble import Assembler
from taurec.data.columns import Columns, Wanted, choose
from taurec.data.faults import LISTED, Faults
from taurec.data.lines import regular_file
from taurec.data.textlog import parse
from taurec.data.values import as_text, faulty, time_kind
from taurec.errors import DataError, UsageError

ROWS = 1 << 21


def kind_of(source: Any) -> str | None:
    """What sort of table in memory this is: polars, pandas or scipy; None for anything else."""
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        return "polars frame"
    root = type(source).__module__.split(".")[0]
    if root == "pandas" and hasattr(source, "columns"):
        return "pandas frame"
    if root == "scipy" and hasattr(source, "tocoo"):
        return "scipy matrix"
    return None


def read_frame(source: Any, name: str, wanted: Wanted, into: Assembler) -> Columns:
    """Read a polars or pandas frame; ids may be strings, integers or categories, times also dates."""
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    names = [str(c) for c in source.columns]
    columns = choose(names, wanted, name)
    used = list(dict.fromkeys(columns.roles().values()))
    if isinstance(source, pl.DataFrame):
        table = source.select(used)
    else:
        table = pl.DataFrame([_from_pandas(source.iloc[:, names.index(c)], c) for c in used])
    _read_parts(table.iter_slices(ROWS), name, columns, into)
    return columns


def read_parquet(name: str, wanted: Wanted, into: Assembler) -> Columns:
    """Read a Parquet file in slices of two million rows, only the columns needed."""
    path = regular_file(name)
    if not path.stat().st_size:
        raise DataError(f"{name}: empty file, 0 bytes")
    try:
        lazy = pl.scan_parquet(path, glob=False)
        names = lazy.collect_schema().names()
        columns = choose(names, wanted, name)
        part = lazy.select(list(dict.fromkeys(columns.roles().values())))
        rows = int(lazy.select(pl.len()).collect().item())
        _read_parts((part.slice(at, ROWS).collect() for at in range(0, max(rows, 1), ROWS)), name, columns, into)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{name}: not a readable Parquet file: {str(error).splitlines()[0]}") from None
    return columns


def read_matrix(source: Any, name: str, wanted: Wanted, into: Assembler) -> Columns:
    """Read a scipy sparse matrix: row number = user, column number = item, for every row and column.

    The stored values count only as ``weight="data"`` or, with a least rating, as ratings; a stored
    zero is an absent pair.
    """
    coo = source.tocoo()
    table = {"user": coo.row, "item": coo.col, "data": coo.data}
    rated = wanted.min_rating is not None
    columns = Columns("user", "item", None, "data" if rated else None, wanted.weight)
    if wanted.weight not in (None, "data"):
        raise UsageError(f"{name}: the only weights of a matrix are its values, weight='data'; got {wanted.weight!r}")
    if any(getattr(wanted, role) is not None for role in ("user", "item", "time")):
        raise UsageError(f"{name}: a matrix has no named columns; leave user=, item=, time= out")
    into.users.add(pl.int_range(coo.shape[0], eager=True).cast(pl.String))
    into.items.add(pl.int_range(coo.shape[1], eager=True).cast(pl.String))
    here = np.asarray(coo.data != 0)
    frame = pl.DataFrame({k: np.asarray(v)[here] for k, v in table.items()})
    _read_parts(frame.iter_slices(ROWS), name, columns, into)
    return columns


def _read_parts(parts: Iterator[pl.DataFrame], name: str, columns: Columns, into: Assembler) -> None:
    faults, kind, first = Faults(name), "", 1
    for part in parts:
        ids = {role: as_text(part[getattr(columns, role)], name).alias(role) for role in ("user", "item")}
        rest = {r: part[c].alias(r) for r, c in columns.roles().items() if r not in ids}
        cells = pl.DataFrame({**ids, **rest})
        if not kind and "time" in rest and cells.height:
            kind = time_kind(cells["time"])
        parsed = parse(cells, kind)
        _check(cells, parsed, columns, kind, first, faults)
        if not faults.count:
            into.add(cells, parsed)
        first += part.height
    faults.stop()


def _check(
    cells: pl.DataFrame, parsed: dict[str, pl.Series], columns: Columns, kind: str, first: int, faults: Faults
) -> None:
    for role, mask, problem in faulty(cells, parsed, {}, kind):
        rows: Sequence[int] = mask.arg_true().to_list()
        name = columns.roles()[role]
        for row in rows[:LISTED]:
            faults.add(first + row, name, f"{problem}; found {cells[role][row]!r}")
        faults.more(len(rows[LISTED:]))


def _from_pandas(column: Any, name: str) -> pl.Series:
    """One pandas column without the help of pyarrow; missing values become null."""
    kind = column.dtype
    if str(kind).startswith("datetime64"):
        naive = column.dt.tz_convert(None) if getattr(kind, "tz", None) is not None else column
        return pl.Series(name, naive.to_numpy().astype("datetime64[us]"))
    if isinstance(kind, np.dtype) and kind.kind in "iufb":
        return pl.Series(name, column.to_numpy())
    missing = column.isna().to_numpy()
    values = [None if gone else str(value) for value, gone in zip(column.tolist(), missing, strict=True)]
    return pl.Series(name, values, dtype=pl.String)
