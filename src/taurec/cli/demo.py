"""``taurec demo``: compare models on the built-in log, and recommend with the best."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from taurec.cli import options as o

MODELS = (
    "popularity", "itemknn", "ease", "ease-normalised", "slim-local", "ials", "mf:bpr", "mf:sl", "mf:bsl", "mf:mml",
)  # fmt: skip
TRIES = 4
"""Settings of each baseline, spread over its grid."""
HISTORIES = {
    "data analysis": ("python3-numpy", "python3-pandas"),
    "a web service": ("python3-flask", "python3-sqlalchemy"),
    "a game": ("libsdl2-2.0-0", "libopenal1"),
}
INTRODUCTION = """\
Which packages does software like yours need? Users are Debian source packages, items the
binary packages they depend on or recommend: {size}.
"""
BEST = """
Best on validation, so used from here on: {label}.
Its recommendations for users who have these packages:
"""
NEXT = """\
The model is in {folder}. Next:
  taurec recommend {folder} --like python3-numpy,python3-matplotlib
  taurec evaluate {folder}
and the same on your own log, a CSV with columns for the user and the item:
  taurec compare my.csv
  taurec train my.csv --out my-model
(taurec is .venv/bin/taurec if you came here by `make demo`.)"""


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the best model.")] = Path("demo-run"),
    quiet: o.Quiet = False,
) -> None:
    """Compare models on the built-in log, and show recommendations of the best one.

    In the log, users are Debian source packages and items the binary packages they depend on or recommend.
    """
    from taurec.cli.output import Output, progress_line
    from taurec.cli.runner import show
    from taurec.data import debian
    from taurec.saved import check_writable
    from taurec.studies.compare import compare
    from taurec.studies.words import count

    output = Output(quiet=quiet)
    check_writable(out, overwrite=True)
    log = debian.load()
    size = f"{count(log.n_users, 'user')}, {count(log.n_items, 'item')}, {count(len(log), 'pair')}"
    output.say(INTRODUCTION.format(size=size))
    metrics, fields = ["recall@20", "ndcg@20"], {"epochs": 10, "patience": 3}
    with progress_line(output) as say:
        found = compare(
            "debian", MODELS, metrics=metrics, fields=fields, tune="baselines", tries=TRIES, on_progress=say
        )
    show(found, output)
    model = found.chosen
    output.say(BEST.format(label=model.run.label))
    for name, history in HISTORIES.items():
        items = ", ".join(model.recommend_from_history(history, k=6).item)
        output.say(f"  {name}: {', '.join(history)}")
        output.say(textwrap.fill(items, 78, initial_indent="    -> ", subsequent_indent=" " * 7))
        output.say()
    output.say(NEXT.format(folder=model.save(out, overwrite=True)))
