"""The import rules of the house: three storeys, every module imports only downwards, and no module in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src" / "taurec"

LAYERS: list[set[str]] = [
    {"errors", "notices", "types", "plugins", "registry", "run", "draw", "foldin", "ranker", "provenance", "_version"},
    {"data", "losses", "kernels", "evaluation.metrics", "evaluation.significance", "evaluation.scores"},
    {"sampling", "backbones", "baselines", "evaluation"},
    {"scoring"},
    {"training"},
    {"saved", "tracking", "recommendations", "adapters"},
    {"tuning"},
    {"fitting"},
    {"recommender"},
    {"new_items"},
    {"testing"},
    {"studies"},
    {"report"},
    {"cli"},
    {"__main__"},
]
"""From the bottom up; a longer name wins over the package it lies in. Studies and faces are the last three."""

FORBIDDEN = {("losses", "kernels"), ("data", "losses"), ("data", "kernels"), ("kernels", "losses")}
"""Pairs of layer 1 that must not know each other although the numbers would allow it."""

DESCRIPTION = "kernels.reductions"
"""What a loss may know about kernels: the description of its reduction, which imports nothing of ours."""

ONLY_INSIDE_FUNCTIONS = {"numba", "triton", "onnx", "matplotlib", "fastapi", "pandas", "pyarrow", "implicit"}
ONLY_INSIDE_FUNCTIONS |= {"jinja2", "tensorboard", "mlflow", "wandb", "playwright", "optuna", "lightning"}
ONLY_INSIDE_FUNCTIONS |= {"sklearn", "sentence_transformers", "transformers", "datasets", "openai"}


def part(module: str) -> str:
    """The entry of LAYERS that a module belongs to."""
    names = {name for layer in LAYERS for name in layer}
    pieces = module.split(".")
    for length in (2, 1):
        if ".".join(pieces[:length]) in names:
            return ".".join(pieces[:length])
    raise AssertionError(f"{module} has no layer; add it to LAYERS")


def level(module: str) -> int:
    return next(n for n, layer in enumerate(LAYERS) if part(module) in layer)


def modules() -> list[Path]:
    return [p for p in sorted(ROOT.rglob("*.py")) if p != ROOT / "__init__.py"]


def name_of(path: Path) -> str:
    pieces = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(pieces[:-1] if pieces[-1] == "__init__" else pieces)


NAMES = {name_of(path) for path in modules()}


def imports(tree: ast.AST) -> Iterator[str]:
    """The modules below ``taurec`` that a tree imports, in functions too but not for type checkers alone."""
    for node in walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "taurec":
            below = node.module.removeprefix("taurec").lstrip(".")
            for alias in node.names:
                longer = f"{below}.{alias.name}".lstrip(".")
                if longer in NAMES:
                    yield longer
                elif below:
                    yield below
        if isinstance(node, ast.Import):
            yield from (a.name.removeprefix("taurec.") for a in node.names if a.name.startswith("taurec."))


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from walk(node)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_down(path: Path) -> None:
    """Also those for type checkers: a module must not know what lies above it."""
    own = name_of(path)
    everything = ast.parse(path.read_text().replace("if TYPE_CHECKING:", "if True:"))
    for target in imports(everything):
        if part(target) == part(own) or target.split(".")[0] == own.split(".")[0]:
            continue
        if (own.split(".")[0], target) == ("losses", DESCRIPTION):
            continue
        assert level(target) < level(own) or (level(own) == 0 == level(target)), f"{own} imports {target}"
        assert (own.split(".")[0], target.split(".")[0]) not in FORBIDDEN, f"{own} imports {target}"


def test_the_description_of_reductions_imports_nothing_of_ours() -> None:
    assert not set(imports(ast.parse((ROOT / f"{DESCRIPTION.replace('.', '/')}.py").read_text())))


def test_no_module_is_in_a_circle() -> None:
    """Within packages too, and wherever in a module the import stands."""
    graph = {name_of(path): set(imports(ast.parse(path.read_text()))) - {name_of(path)} for path in modules()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError("modules import each other: " + " -> ".join(error.args[1])) from None


def top_level(path: Path) -> set[str]:
    """What a module imports when it is imported itself, as full names."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_heavy_packages_are_imported_where_used() -> None:
    """At the top only of modules that are themselves imported inside functions, such as compiled loops."""
    tops = {name_of(path): top_level(path) for path in modules()}
    heavy = {name for name, top in tops.items() if {t.split(".")[0] for t in top} & ONLY_INSIDE_FUNCTIONS}
    for name, top in tops.items():
        if name not in heavy:
            assert not top & {f"taurec.{h}" for h in heavy}, f"{name} imports {top} at its top"


def test_import_taurec_is_light() -> None:
    code = "import sys, taurec; sys.exit(any(m in sys.modules for m in ('torch', 'numba', 'polars', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


FACES = {
    "report": {"errors", "provenance"},
    "cli": {
        "errors", "run", "plugins", "provenance", "recommender", "saved", "tracking", "kernels", "new_items",
        "data.source", "data.split", "data.catalog", "data.debian", "data.item_texts", "evaluation.metrics",
        "evaluation.significance", "training.calibrate", "training.device", "training.forecast", "training.presets",
    },
}  # fmt: skip
"""Modules of the library that a face may import: those that read, save, or do the whole work of a command. Everything
else is computed in a study."""

PANELS = {"report.folded", "report.people", "report.tryit"}
"""The exceptions: they turn fitted models into the lists and the try-it panel of a page."""

ARRAYS = {"torch", "numpy", "scipy", "polars"}
MAY_IMPORT_ARRAYS = PANELS | {"report.json", "cli.doctor", "cli.recommend"}
"""JSON turns numpy scalars into plain ones, doctor shows versions, recommend joins files."""


@pytest.mark.parametrize("path", [p for p in modules() if name_of(p).split(".")[0] in FACES], ids=name_of)
def test_faces_compute_nothing(path: Path) -> None:
    own, tree = name_of(path), ast.parse(path.read_text())
    face = own.split(".")[0]
    if own not in PANELS:
        library = {target for target in imports(tree) if level(target) < level("studies")}
        assert library <= FACES[face], f"{own} imports {library - FACES[face]}; compute it in a study"
    if own not in MAY_IMPORT_ARRAYS:
        names = {alias.name for node in walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        used = {name.split(".")[0] for name in names} & ARRAYS
        assert not used, f"{own} imports {used}; compute it in a study"
