"""The documentation holds: its examples run, its commands parse, its tables agree with the code."""

from __future__ import annotations

import re
import shlex
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer

import taurec
from taurec.baselines import BASELINES
from taurec.baselines.models import MODELS
from taurec.cli.app import app
from taurec.cli.listing import entries
from taurec.cli.settings import run_fields
from taurec.data.datasets import DATASETS
from taurec.data.planted import planted
from taurec.evaluation.metrics import METRICS, parse
from taurec.losses import LOSSES, loss_class
from taurec.training.labels import fields_of
from taurec.training.presets import resolve

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, *languages: str) -> list[tuple[int, str]]:
    """(line it starts at, text) of the fenced blocks of these languages."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start(2)) + 1, m[2]) for m in FENCE.finditer(text) if m[1] in languages]


def table_rows(page: str) -> list[list[str]]:
    """The cells of every table row of a page that begins with a name in code."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder with a small ``my.csv``; numba is left out, for it compiles."""
    log = planted(n_users=30, n_items=24, seed=1).log
    people = ["ann", "bob", *(f"user-{n:02d}" for n in range(2, 30))]
    things = ["tea", "rice", "soap", "ink", "milk", *(f"item-{n:02d}" for n in range(5, 24))]
    pairs = zip(log.user_of, log.indices, strict=True)
    rows = (f"{people[u]},{things[i]},{1_700_000_000 + 60 * n}" for n, (u, i) in enumerate(pairs))
    (tmp_path / "my.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("taurec.kernels.WORTH", 1 << 62)
    before = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(before)


@each_page
def test_examples_run(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    module = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)
    for line, text in blocks(page, "python"):
        code = compile("\n" * (line - 1) + text, str(page), "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102


def commands(page: Path) -> list[list[str]]:
    """The arguments of every ``taurec`` line in the page's shell blocks, comments and prompts taken off."""
    found = []
    for _, text in blocks(page, "console", "sh", "bash", "shell"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ ").strip(), comments=True)
            if words and Path(words[0]).name == "taurec":
                found.append(words[1:])
    return found


@each_page
def test_commands_parse(page: Path) -> None:
    for words in commands(page):
        check_command(words)


def check_command(words: list[str]) -> None:
    """Parse a command without running it; what it names must exist."""
    command: Any = typer.main.get_command(app)
    path, rest = ["taurec"], [w for w in words if w not in ("--debug", "--version")]
    while rest and hasattr(command, "commands"):
        assert rest[0] in command.commands, f"no command {' '.join([*path, rest[0]])}"
        command = command.commands[rest[0]]
        path.append(rest.pop(0))
    if {"--help", "-h"} & set(rest) or not rest:
        return
    given = command.make_context(" ".join(path), rest).params
    if path[1] == "list":
        assert entries(given["kind"])
    if path[1] in ("train", "compare"):
        options = {k: v for k, v in given.items() if k in (*taurec.Run.model_fields, "model", "loss", "backbone")}
        options = {k: v for k, v in options.items() if k not in ("source", "device")}
        assert resolve(**run_fields(given["assign"], **options))
    for name in given["models"].split(",") if path[1] == "compare" else ():
        assert name in BASELINES or resolve(**fields_of(name))


@pytest.mark.parametrize(
    "line",
    [
        "trian debian",
        "train debian --los sl",
        "train --loss slx",
        "train --set loss.tauu=1 --loss sl",
        "compare --models mf:slx",
        "list loses",
        "data chek my.csv",
    ],
)
def test_a_wrong_command_would_be_found(line: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no command|no such option|unknown|no setting|nothing to list"):
        check_command(shlex.split(line))


@each_page
def test_links_resolve(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file) if file else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link} names no heading"


def anchors(page: Path) -> set[str]:
    """The headings of a page as they are linked to."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


SETTINGS = {
    "losses.md": [taurec.LOSSES],
    "negatives.md": [taurec.NEGATIVES, taurec.ORDERS],
    "models.md": [taurec.BACKBONES, MODELS],
}


@pytest.mark.parametrize(
    ("page", "registry", "name"),
    [(page, registry, name) for page, kinds in SETTINGS.items() for registry in kinds for name in registry],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_entry_has_a_row_with_its_settings(page: str, registry: Any, name: str) -> None:
    settings = ", ".join(f"{key}={p.default!r}" for key, p in registry.settings(name).items())
    expected = f"`{settings}`" if settings else ""
    rows = [cells for cells in table_rows(page) if cells[0] == f"`{name}`"]
    assert any(cells[1] == expected for cells in rows), f"docs/{page} needs a row | `{name}` | {expected} | ... |"


def test_every_loss_has_its_source() -> None:
    first_cells = " ".join(cells[0] for cells in table_rows("losses.md") if len(cells) == 3)
    for name in LOSSES:
        family = "bsl-authors-*" if name.startswith("bsl-authors-") else name
        assert f"`{family}`" in first_cells


def test_grids_of_baselines() -> None:
    said = {cells[0].strip("`"): cells[2] for cells in table_rows("models.md") if len(cells) == 3}
    for name, baseline in BASELINES.items():
        tried: dict[str, list[float]] = {}
        for point in getattr(baseline, "GRID", ()):
            for key, value in point.items():
                tried.setdefault(key, []).append(value)
        text = "; ".join(
            f"{key} in {', '.join(f'{v:g}' for v in dict.fromkeys(values))}" for key, values in tried.items()
        )
        assert said[name] == text


def test_presets() -> None:
    rows = [cells for cells in table_rows("training.md") if len(cells) == 5]
    said = {name.strip("`"): cells[1:] for cells in rows for name in cells[0].split(", ")}
    lines = (DOCS / "training.md").read_text(encoding="utf-8").splitlines()
    others = next(line for line in lines if line.startswith("| all others"))
    rest = [cell.strip() for cell in others.strip("|").split("|")][1:]
    for name in LOSSES:
        run = resolve(loss=name)
        ranked = "" if run.rank_score == run.train_score else f", ranked by {run.rank_score}"
        code = [run.train_score + ranked, f"`{_drawn(run)}`", f"{run.lr:g}", f"{run.l2:g}"]
        assert said.get(name, rest) == code, f"docs/training.md says otherwise of {name}"


def _drawn(run: taurec.Run) -> str:
    """The negatives of a run as the table has them."""
    settings = run.negatives.settings
    n = f":{settings['n']}" if "n" in settings else ""
    return f"{run.negatives.name}{n}{':true' if settings.get('exclude') else ''}"


def test_the_list_worked_by_hand() -> None:
    """Hits at ranks 1 and 5 of 20, three held-out items: the values printed are those of the code."""
    hits = [np.isin(np.arange(1, 21), (1, 5))]
    rows = {c[0].strip("`"): c[1] for c in table_rows("evaluation.md") if len(c) == 4}
    assert set(rows) == set(METRICS)
    for name, value in rows.items():
        assert value == f"{parse(f'{name}@20').mean(hits, [3]):.3f}", name


def test_sizes_of_named_sets() -> None:
    rows = {c[0].strip("`"): c[1:6] for c in table_rows("data.md") if len(c) == 7}
    assert set(rows) == set(DATASETS)
    for name, sizes in rows.items():
        found = DATASETS[name]
        counts = (found.users, found.items, found.train, found.valid, found.test)
        assert sizes == [f"{n:,}" if n else "" for n in counts], name


def test_grids() -> None:
    rows = [cells for cells in table_rows("training.md") if len(cells) == 2]
    said = {name.strip("`"): cells[1] for cells in rows for name in cells[0].split(", ")}
    for loss in LOSSES:
        grid = loss_class(loss).grid()
        text = "; ".join(f"`{key}` {', '.join(f'{value:g}' for value in values)}" for key, values in grid.items())
        assert said[loss] == text, f"docs/training.md says otherwise of the grid of {loss}"
