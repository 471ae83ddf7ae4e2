"""The reference can be built, has every public name, and refuses a public name without a docstring."""

from __future__ import annotations

import ast
import importlib
import sys
import types
from pathlib import Path

import taurec

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
make_reference = importlib.import_module("make_reference")
sys.path.pop(0)


def test_every_public_name_is_in_the_reference(tmp_path: Path) -> None:
    pages = make_reference.main(tmp_path)
    assert [path.stem for path in pages] == list(make_reference.PACKAGES)
    for path in pages:
        text = path.read_text(encoding="utf-8")
        for name in make_reference.public(importlib.import_module(path.stem)):
            assert f"\n## {name}\n\n*" in text, f"{path.stem}.{name}"
        assert text.count("```") % 2 == 0, f"{path.name} has a code block that is not closed"


def test_packages_with_public_names_have_a_page() -> None:
    """But the operations behind the door of ``taurec.kernels``, which are not public."""
    found = {
        ".".join(path.parent.relative_to(ROOT / "src").parts)
        for path in (ROOT / "src" / "taurec").rglob("__init__.py")
        if "__all__" in path.read_text(encoding="utf-8") and path.parent.parent.name != "kernels"
    }
    assert found - set(make_reference.PACKAGES) == set()


def test_a_public_name_without_a_docstring_is_found() -> None:
    module = types.ModuleType("made")

    def bare() -> None: ...

    module.__dict__.update(__all__=["bare", "split"], bare=bare, split=taurec.split)
    assert list(make_reference.undocumented(module)) == ["made.bare"]


def test_stability_is_shown(tmp_path: Path) -> None:
    make_reference.main(tmp_path)
    text = (tmp_path / "taurec.md").read_text(encoding="utf-8")
    for name, (_, label) in taurec.PUBLIC.items():
        assert f"## {name}\n\n*{label}*" in text
    assert "## SL\n\n*stable*" in (tmp_path / "taurec.losses.md").read_text(encoding="utf-8")


def test_the_table_of_public_names_is_what_type_checkers_see() -> None:
    tree = ast.parse((ROOT / "src" / "taurec" / "__init__.py").read_text(encoding="utf-8"))
    checking = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: f"{node.module}:{alias.name}"
        for node in checking.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    public = {name: where if ":" in where else f"taurec:{name}" for name, (where, _) in taurec.PUBLIC.items()}
    assert seen == public
    for name in taurec.__all__:
        assert getattr(taurec, name) is not None
