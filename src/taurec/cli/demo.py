"""``taurec demo``: compare models on the built-in log, and recommend with the best."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o

if TYPE_CHECKING:
    from taurec.recommender import Recommender

MODELS = ("popularity", "itemknn", "ease", "ials", "mf:bpr", "mf:sl", "mf:bsl", "mf:mml")
METRICS = ["recall@20", "ndcg@20"]
FIELDS: dict[str, Any] = {"epochs": 10, "patience": 3}
HISTORIES = {
    "data analysis": ("python3-numpy", "python3-pandas"),
    "a web service": ("python3-flask", "python3-sqlalchemy"),
    "a game": ("libsdl2-2.0-0", "libopenal1"),
}
K = 6


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
    output.say("Which packages does software like yours need? Users are Debian source packages, items the")
    output.say(f"binary packages they depend on or recommend: {size}.\n")
    with progress_line(output) as say:
        found = compare("debian", MODELS, metrics=METRICS, fields=FIELDS, tune="baselines", on_progress=say)
    show(found, output)
    model = found.chosen
    output.say(f"\nBest on validation, so used from here on: {model.run.label}. Its recommendations for")
    output.say("users who have these packages:\n")
    for name, history in HISTORIES.items():
        output.say(f"  {name}: {', '.join(history)}")
        output.say(textwrap.fill(_recommended(model, history), 78, initial_indent="    -> ", subsequent_indent=" " * 7))
        output.say()
    folder = model.save(out, overwrite=True)
    output.say(f"The model is in {folder}. Next:")
    output.say(f"  taurec recommend {folder} --like python3-numpy,python3-matplotlib")
    output.say(f"  taurec evaluate {folder}")
    output.say("and the same on your own log, a CSV with columns for the user and the item:")
    output.say("  taurec compare my.csv")
    output.say("  taurec train my.csv --out my-model")
    output.say("(taurec is .venv/bin/taurec if you came here by `make demo`.)")


def _recommended(model: Recommender, history: tuple[str, ...]) -> str:
    return ", ".join(model.recommend_from_history(history, K).item)
