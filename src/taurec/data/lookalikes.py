"""Ids that are distinct but look alike: kept apart, and counted, since they may be one thing twice."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

_FORMS = {
    "number": pl.col("id").str.replace(r"^([+-]?)0*(\d+?)(?:\.0*)?$", "${1}${2}"),
    "blanks": pl.col("id").str.replace_all(r"\s+", ""),
    "case": pl.col("id").str.to_lowercase(),
    "unicode form": pl.col("id").str.normalize("NFKC"),
}


@dataclass(frozen=True)
class Alike:
    """Ids that one way of writing would make equal.

    Attributes:
        by: what they differ in: number (``12``, ``012``, ``12.0``), blanks, case, unicode form.
        count: how many ids have such a double.
        examples: a few of them, two and two.
    """

    by: str
    count: int
    examples: tuple[str, ...]


def lookalikes(ids: pl.Series) -> list[Alike]:
    """The kinds of look-alikes among distinct ids.

    >>> lookalikes(pl.Series(["12", "0012", "a", "a "]))
    [Alike(by='number', count=2, examples=('12', '0012')), Alike(by='blanks', count=2, examples=('a', 'a '))]
    """
    frame = ids.alias("id").to_frame()
    found = []
    for by, form in _FORMS.items():
        written = frame.with_columns(form=form)
        changed = written.filter(pl.col("form") != pl.col("id"))
        if not changed.height:
            continue
        doubled = written.join(changed, on="form", how="semi").filter(pl.len().over("form") > 1)
        if doubled.height:
            shown = doubled.sort("form", maintain_order=True)["id"].head(4).to_list()
            found.append(Alike(by, doubled.height, tuple(shown)))
    return found


def alike_groups(ids: pl.Series) -> list[tuple[str, list[int]]]:
    """Which ids look alike: what they differ in and their positions, each group once.

    >>> alike_groups(pl.Series(["12", "b", "0012", "a", "a "]))
    [('number', [0, 2]), ('blanks', [3, 4])]
    """
    frame = ids.alias("id").to_frame().with_row_index("at")
    seen: set[tuple[int, ...]] = set()
    found = []
    for by, form in _FORMS.items():
        written = frame.with_columns(form=form)
        changed = written.filter(pl.col("form") != pl.col("id")).select("form").unique()
        groups = written.join(changed, on="form", how="semi").group_by("form").agg(pl.col("at").sort())
        for at in sorted(groups["at"].to_list()):
            if len(at) > 1 and tuple(at) not in seen:
                seen.add(tuple(at))
                found.append((by, [int(n) for n in at]))
    return found
