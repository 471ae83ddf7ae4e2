"""Every name in code type in the docs exists: options, modules, attributes of classes, settings, other identifiers."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

import taurec
from taurec.baselines.models import MODELS
from taurec.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
REGISTRIES = {
    "loss": [taurec.LOSSES],
    "backbone": [taurec.BACKBONES],
    "negatives": [taurec.NEGATIVES],
    "order": [taurec.ORDERS],
    "model": [MODELS],
}
FILES = {
    "csv",
    "json",
    "jsonl",
    "md",
    "py",
    "npz",
    "txt",
    "db",
    "html",
    "parquet",
    "safetensors",
    "tsv",
    "inter",
    "zip",
    "dat",
    "data",
}
ELSEWHERE = {"F", "torch", "np", "numpy", "pytest", "polars", "pl", "scipy"}
"""First parts of dotted names that belong to other packages."""


@cache
def options() -> set[str]:
    """The options of all commands."""
    found, waiting = set(), [typer.main.get_command(app)]
    while waiting:
        command: Any = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        found |= {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    return found | {"--help"}


@cache
def words() -> frozenset[str]:
    """Every identifier in the code, its tests, benchmarks and build files."""
    paths = [p for folder in ("src", "tests", "benchmarks", "scripts") for p in (ROOT / folder).rglob("*.py")]
    paths = [p for p in paths if p != Path(__file__)] + [ROOT / "Makefile", ROOT / "pyproject.toml"]
    return frozenset(w for p in paths for w in re.findall(r"\w+", p.read_text(encoding="utf-8")))


@cache
def classes() -> dict[str, frozenset[str]]:
    """Class -> the names of its methods, fields and attributes set on ``self``, over all of the package."""
    found: dict[str, frozenset[str]] = {}
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                own = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
                own |= {
                    n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
                }
                own |= {
                    n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "self"
                }
                found[node.name] = found.get(node.name, frozenset()) | own
    return found


def resolves(name: str) -> bool:
    """Whether a dotted name below ``taurec`` can be imported or got by attributes."""
    pieces = name.split(".")
    for length in range(len(pieces), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(pieces[:length]))
        except ImportError:
            continue
        for attribute in pieces[length:]:
            if not hasattr(value, attribute) and attribute not in getattr(value, "__dataclass_fields__", {}):
                return False
            value = getattr(value, attribute, None)
        return True
    return False


def unknown(text: str) -> str:
    """What does not exist of a piece of text in code type, or nothing."""
    missing = [option for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", text) if option not in options()]
    if missing and not re.match(r"(?:pip|python|tensorboard) ", text):
        return missing[0]
    name = re.sub(r"\(.*\)$", "", text)
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name):
        return ""
    first, _, rest = name.partition(".")
    if not rest:
        checked = "_" in name or text.endswith(")") or re.fullmatch(r"[A-Z][a-z]+[A-Z]\w*", name)
        return name if checked and name not in words() else ""
    if first == "taurec":
        return "" if resolves(name) else name
    if rest.rpartition(".")[2] in FILES or first in ELSEWHERE:
        return ""
    if first in REGISTRIES:
        known = any(rest in registry.settings(entry) for registry in REGISTRIES[first] for entry in registry)
        return "" if known else name
    if first in classes():
        return "" if rest.split(".")[0] in classes()[first] else name
    return "" if all(piece in words() for piece in name.split(".")) else name


def test_errors_name_options_that_exist() -> None:
    raised = [
        (path.name, part.value)
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise)
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    named = {(name, option) for name, text in raised for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)}
    assert len(named) > 40
    assert not {(name, option) for name, option in named if option not in options()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_exist(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = {word: unknown(word.replace("\n", " ")) for word in re.findall(r"`([^`]+)`", text)}
    assert not {word: missing for word, missing in found.items() if missing}


@pytest.mark.parametrize(
    "text",
    [
        "--no-such-option",
        "taurec.losses.NoLoss",
        "Trainer.settle()",
        "loss.no_setting",
        "no_such_name",
        "NoSuchName",
    ],
)
def test_a_name_that_does_not_exist_is_found(text: str) -> None:
    assert unknown(text)
