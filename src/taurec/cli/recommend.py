"""``taurec recommend`` and ``taurec similar``: lists from a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.errors import UsageError

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.recommender import Recommendations, Recommender
    from taurec.studies.result import Table

SHOWN = 10
"""Items of a history that are shown before its list."""

ATTRIBUTES = "attributes"
"""What an item without training rows is from; the source of a user is another one."""

FROM = {
    "history": " (no training rows: ranked from these items)",
    "popularity": " (no training rows of the user or of these items: ranked by popularity)",
}
"""What is said of a list that is not made from the user as trained."""

ROWS = 1 << 20
"""Approximate number of rows of a block of the lists of all users."""


def recommend(
    folder: o.Folder,
    user: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Recommend for a user of the log; repeatable.")
    ] = None,
    like: Annotated[
        list[str] | None, typer.Option(metavar="ITEMS", help="Recommend for a new user with these items: a,b,c.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Recommend for every user of the log; needs --to.")] = False,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to FILE.parquet, .csv or .tsv.")] = None,
    k: o.K = 10,
    only: Annotated[list[str] | None, typer.Option(metavar="ITEMS", help="Rank only these items.")] = None,
    without: Annotated[list[str] | None, typer.Option(metavar="ITEMS", help="Do not rank these items.")] = None,
    items: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also recommend the items of this file that have no training row, by their texts."
        ),
    ] = None,
    with_seen: Annotated[bool, typer.Option("--with-seen", help="Also rank items that the user already has.")] = False,
    plugin: o.Plugin = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Recommend items for users of the log, for a history, or for all users into a file."""
    from taurec.cli.output import Output
    from taurec.cli.settings import split_names
    from taurec.recommender import Recommender
    from taurec.studies.files import TABLES, check_target, write_frame

    asked = [name for name, given in (("--user", user), ("--like", like), ("--all", everybody)) if given]
    if len(asked) != 1:
        got = " and ".join(asked) or "none of them"
        raise UsageError(f"give one of --user ID, --like ITEMS and --all --to FILE; got {got}")
    if everybody and to is None:
        raise UsageError("--all needs a file to write to; add --to lists.parquet (or .csv, .tsv)")
    if everybody and as_json:
        raise UsageError("--all writes a file and prints no lists; omit --json")
    if items is not None and (not user or only or without or with_seen):
        raise UsageError("--items goes with --user, and not with --only, --without or --with-seen")
    if k < 1:
        raise UsageError(f"-k must be at least 1, got {k}")
    output = Output(as_json, quiet)
    if to is not None:
        check_target(to, TABLES, "--to")
    model = Recommender.load(folder, plugin or ())
    known = model.items.ids.to_list() if any("," in v for v in [*(like or ()), *(only or ()), *(without or ())]) else ()
    filters: dict[str, Any] = {
        "only": split_names(only, known) if only else None,
        "without": split_names(without, known) if without else None,
        "filter_seen": not with_seen,
    }
    if everybody and to is not None:
        _write_all(model, to, k, filters, output)
        return
    if like:
        history = split_names(like, known)
        lists = model.recommend_from_history(history, k, **filters)
        histories = {"0": history}
    else:
        people = list(dict.fromkeys(user or ()))
        if items is None:
            lists = model.recommend(people, k, **filters)
        else:
            from taurec.data.item_texts import read_item_texts
            from taurec.new_items import recommend_with_new_items

            lists = recommend_with_new_items(model, people, read_item_texts(str(items)), k)
        histories = {person: _history(model, person) for person in people}
    if to is not None:
        write_frame(lists.to_frame().lazy(), to, "--to")
        output.note(f"{len(lists):,} rows written to {to}")
        return
    found: list[dict[str, Any]] = [
        {"user": one, "history": have, "from": _source(lists, one), "items": _rows(lists, one)}
        for one, have in histories.items()
    ]
    output.document(found)
    for number, entry in enumerate(found):
        history, more = entry["history"], len(entry["history"]) - SHOWN
        has = ", ".join(history[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")
        if number:
            output.say()
        how = "" if like and entry["from"] == "history" else FROM.get(entry["from"] or "", "")
        output.say(f"For {'a new user' if like else entry['user']}, who has {has or 'no items'}{how}:")
        output.say(_table(entry["items"], "score"))
        if len(entry["items"]) < k:
            output.note(f"only {len(entry['items'])} of {k}: there are no more candidates")


def similar(
    folder: o.Folder,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item of the log.")],
    k: o.K = 10,
    plugin: o.Plugin = None,
    as_json: o.Json = False,
) -> None:
    """Show the items with the highest cosine similarity to an item."""
    from taurec.cli.output import Output
    from taurec.recommender import Recommender

    output = Output(as_json)
    rows = _rows(Recommender.load(folder, plugin or ()).similar_items(item, k), item)
    output.document({"item": item, "similar": rows})
    output.say(_table(rows, "cosine", f"Similar to {item}"))


def _write_all(model: Recommender, path: Path, k: int, filters: dict[str, Any], output: Output) -> None:
    """Write the lists of every user in blocks, so that memory does not grow with the number of users.

    Columns user, item, score, rank, from; the file appears when it is complete.
    """
    import polars as pl
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from taurec.studies.files import folder_beside, write_frame

    users = model.users.ids.to_list()
    size, rows, parts = max(ROWS // k, 1), 0, []
    columns = (TextColumn("users"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = output.quiet or not output.err.is_terminal
    with folder_beside(path, "--to") as folder:
        with Progress(*columns, console=output.err, transient=True, disable=hidden) as progress:
            task = progress.add_task("users", total=len(users))
            for number, start in enumerate(range(0, len(users), size)):
                block = users[start : start + size]
                frame = model.recommend(block, k, **filters).to_frame()
                parts.append(folder / f"{number:06d}.parquet")
                frame.write_parquet(parts[-1])
                rows += frame.height
                progress.advance(task, len(block))
        write_frame(pl.scan_parquet(parts), path, "--to")
    output.note(f"{rows:,} rows for {len(users):,} users written to {path}")


def _history(model: Recommender, person: str) -> list[str]:
    """The items of a user in all parts of the log."""
    (index,) = model.users.encode([person])
    return [item for part in model.split.logs().values() for item in model.items.decode(part.items_of(int(index)))]


def _rows(lists: Recommendations, person: str) -> list[dict[str, Any]]:
    rows = zip(lists.user, lists.item, lists.score.tolist(), lists.rank.tolist(), strict=True)
    found: list[dict[str, Any]] = [
        {"rank": rank, "item": item, "score": score} for user, item, score, rank in rows if user == person
    ]
    of_user = [source for user, source in zip(lists.user, lists.source or [], strict=False) if user == person]
    if ATTRIBUTES in of_user:
        for row, source in zip(found, of_user, strict=True):
            row["from"] = source
    return found


def _source(lists: Recommendations, person: str) -> str | None:
    """What the list of a user was made from; None for an empty list."""
    rows = zip(lists.user, lists.source or [], strict=True)
    return next((source for user, source in rows if user == person and source != ATTRIBUTES), None)


def _table(rows: list[dict[str, Any]], score: str, title: str = "") -> Table:
    from taurec.studies.result import Column, Table

    columns = ("", "item", Column(score, spec=".3f"))
    if not any("from" in row for row in rows):
        return Table(title, columns, [(r["rank"], r["item"], r["score"]) for r in rows])
    return Table(title, (*columns, "from"), [(r["rank"], r["item"], r["score"], r["from"]) for r in rows])
