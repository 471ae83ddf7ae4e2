"""Contracts instead of names: no module outside a registry decides by a registry name, and nothing is probed for."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import taurec
from taurec import scoring
from taurec.baselines.models import MODELS
from taurec.recommender import Recommender
from taurec.studies.protocols import PROTOCOLS
from taurec.training.adam import Adam
from taurec.training.objective import Objective
from taurec.training.state import State
from taurec.training.step import Step
from taurec.training.trainer import Trainer

PACKAGE = Path(taurec.__file__).parent
REGISTRIES = (taurec.LOSSES, taurec.BACKBONES, MODELS, taurec.NEGATIVES, taurec.ORDERS)
NAMES = frozenset(name for registry in (*REGISTRIES, PROTOCOLS) for name in registry)
HOMES = {f"{part}/__init__.py" for part in ("losses", "backbones", "baselines", "sampling")}
HOMES |= {"studies/protocols.py", "baselines/models.py"}

NAMES_ALLOWED = {
    ("__init__.py", "blend"): "the public function that blends two fitted models",
    ("backbones/init.py", "uniform"): "a distribution of initial values",
    ("data/split.py", "none"): "a way to split: no split",
    ("kernels/__init__.py", "auto"): "a value of kernel, which chooses one",
    ("studies/warm_cold.py", "popularity"): "what the scores of a user come from, in taurec.evaluation.users",
    ("cli/recommend.py", "popularity"): "what the scores of a user come from, in taurec.evaluation.users",
    ("kernels/reductions.py", "hinge"): "a function phi of the description of reductions",
    ("losses/adaptive.py", "none"): "a mode of the temperature",
    ("studies/audit/log/study.py", "bsl"): "a key of the document, for the run that --bsl makes",
    ("studies/audit/log/flags.py", "uniform"): "a sign of a bot",
    ("studies/audit/noise/verdict.py", "none"): "a value of --tune",
    ("studies/compare/candidates.py", "none"): "a value of --tune",
}
"""Texts that are compared or used as a key, and what they name instead of a registry entry."""

PROBES_ALLOWED = {
    ("baselines/memory.py", "sysconf"): "an operating system may lack it",
    ("provenance.py", "sched_getaffinity"): "an operating system may lack it",
    ("training/checkpoint.py", "strerror"): "an OSError has it, an error of safetensors has not",
    ("data/download.py", "reason"): "a URLError has it, a time-out has not",
    ("data/values.py", "time_zone"): "polars dtypes differ",
    ("data/frames.py", "columns"): "a frame of pandas, which is not imported",
    ("data/frames.py", "tocoo"): "a matrix of scipy, which is not imported",
    ("data/frames.py", "tz"): "pandas dtypes differ",
    ("plugins.py", "__qualname__"): "anything may be handed over, and the message names it",
    ("plugins.py", "__abstractmethods__"): "only abstract classes have it",
    ("studies/recipes/__init__.py", "__module__"): "any value of a module",
    ("cli/failures.py", "format_message"): "errors of click, which typer may bring along under another module",
    ("cli/failures.py", "ctx"): "errors of click",
    ("cli/failures.py", "possibilities"): "errors of click",
    ("cli/failures.py", "option_name"): "errors of click",
    ("testing/losses.py", "reduce"): "a loss to check may lack it",
}
"""Attributes that are asked for by a constant text, and why the object cannot declare them."""


def decided_by(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, text) of constants that are compared, looked for, matched, or keys of a dict or a subscript."""
    for node in ast.walk(tree):
        found: list[ast.expr | None] = []
        if isinstance(node, ast.Compare):
            found = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            found = list(node.keys)
        elif isinstance(node, ast.Subscript) and not _is_literal(node):
            found = [node.slice]
        elif isinstance(node, ast.MatchValue):
            found = [node.value]
        for part in found:
            yield from _texts(part)


def _is_literal(node: ast.Subscript) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "Literal"


def _texts(node: ast.expr | None) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for element in node.elts:
            yield from _texts(element)


def probed(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, attribute) of ``hasattr`` and of ``getattr`` with a constant text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hasattr", "getattr"):
            yield from _texts(node.args[1])


def modules() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_no_module_outside_a_registry_decides_by_a_registry_name() -> None:
    found = {
        (module, text): line
        for module, tree in modules()
        if module not in HOMES
        for line, text in decided_by(tree)
        if text in NAMES
    }
    wrong = [f"{module}:{found[module, text]} {text!r}" for module, text in found.keys() - NAMES_ALLOWED.keys()]
    assert not wrong, f"declare it on the class instead: {wrong}"
    assert not NAMES_ALLOWED.keys() - found.keys(), "an allowance that is not needed"


def test_no_module_probes_for_an_attribute() -> None:
    found = {(module, text): line for module, tree in modules() for line, text in probed(tree)}
    wrong = [f"{module}:{found[module, text]} {text!r}" for module, text in found.keys() - PROBES_ALLOWED.keys()]
    assert not wrong, f"declare it in a protocol instead: {wrong}"
    assert not PROBES_ALLOWED.keys() - found.keys(), "an allowance that is not needed"


@pytest.mark.parametrize(
    "code",
    [
        'if run.loss.name == "bsl": pass',
        'run.loss.name in ("sl", "bsl")',
        'cost = {"lightgcn": 3}[name]',
        'costs["ease"]',
        'match name:\n    case "mf": pass',
    ],
)
def test_a_decision_by_name_would_be_found(code: str) -> None:
    assert any(text in NAMES for _, text in decided_by(ast.parse(code)))


def test_a_probe_would_be_found() -> None:
    assert [text for _, text in probed(ast.parse('hasattr(x, "a"), getattr(x, "b", None), getattr(x, name)'))] == [
        "a",
        "b",
    ]


ANY_ALLOWED = {
    ("Recommender.__init__", "settings"): "values of settings, which the registry checks",
    ("Recommender.__init__", "fields"): "values of run fields, which the run checks",
    ("Recommender.fit", "data"): "a path, a frame, a matrix, a log or a split",
}


def _functions(home: Any) -> Iterator[tuple[str, Any]]:
    """Public functions of a module or public methods of a class, with their names."""
    name = home.__name__.rpartition(".")[2]
    for key, value in vars(home).items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        own = inspect.isfunction(function) and function.__module__ == getattr(home, "__module__", home.__name__)
        if own and (not key.startswith("_") or key == "__init__"):
            yield f"{name}.{key}", function


def loose(home: Any) -> Iterator[tuple[str, str]]:
    """(function, parameter) of the public functions with a parameter that is ``Any`` or holds it, but in an array."""
    for name, function in _functions(home):
        for parameter, annotation in inspect.get_annotations(function).items():
            words = str(annotation).replace("NDArray[Any]", "")
            if parameter != "return" and re.search(r"\bAny\b", words):
                yield name, parameter


def test_public_parameters_are_typed() -> None:
    homes = (scoring, Trainer, Step, Objective, Adam, State, Recommender)
    found = {pair for home in homes for pair in loose(home)}
    assert not found - ANY_ALLOWED.keys(), "give them a protocol"
    assert not ANY_ALLOWED.keys() - found, "an allowance that is not needed"
