"""Write the reference: one page in Markdown per public package, made from its docstrings (``make docs``)."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import taurec
from taurec.registry import Registry

DOCS = Path(__file__).resolve().parents[1] / "docs" / "reference"
PACKAGES = (
    "taurec", "taurec.data", "taurec.losses", "taurec.backbones", "taurec.sampling", "taurec.sampling.semantic",
    "taurec.baselines", "taurec.evaluation",
    "taurec.kernels", "taurec.tracking", "taurec.studies.compare", "taurec.studies.search",
    "taurec.studies.recipes", "taurec.adapters", "taurec.testing",
)  # fmt: skip
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Source", "Example", "Laws")


def main(folder: Path = DOCS) -> list[Path]:
    """Write all pages and return their paths.

    Raises: SystemExit naming every public thing without a docstring.
    """
    missing = [name for package in PACKAGES for name in undocumented(importlib.import_module(package))]
    if missing:
        raise SystemExit("no docstring: " + ", ".join(missing))
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for package in PACKAGES:
        path = folder / f"{package}.md"
        path.write_text(page(importlib.import_module(package)), encoding="utf-8")
        written.append(path)
    return written


def public(module: ModuleType) -> list[str]:
    """The public names of a package, in alphabetical order."""
    return sorted(name for name in module.__all__ if not name.startswith("__"))


def documentation(module: ModuleType, name: str) -> str:
    """The docstring of a name, or of a constant the text after its assignment or the list of its entries."""
    value = getattr(module, name)
    if isinstance(value, Registry):
        rows = [f"- `{entry}`: {first_line(value[entry])}" for entry in value]
        return f"Registry of each {value.kind} by name:\n\n" + "\n".join(rows)
    if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
        doc = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
        generated = inspect.isclass(value) and (doc or "").startswith(f"{value.__name__}(")
        return "" if generated else inspect.cleandoc(doc or "")
    return constant_text(module, name)


def constant_text(module: ModuleType, name: str) -> str:
    """The string literal after the assignment of a constant, in the module that assigns it."""
    for candidate in [module, *(m for key, m in sorted(sys.modules.items()) if key.startswith(module.__name__))]:
        try:
            source = inspect.getsource(candidate)
        except (OSError, TypeError):
            continue
        found = re.search(rf'^{name}\b[^\n]*=.*?^"""(.*?)"""', source, re.MULTILINE | re.DOTALL)
        if found and not re.search(r"^(?:def|class) ", found[0], re.MULTILINE):
            return inspect.cleandoc(found[1])
    return ""


def undocumented(module: ModuleType) -> Iterator[str]:
    """The public names of a package that have no docstring."""
    for name in public(module):
        if not documentation(module, name):
            yield f"{module.__name__}.{name}"


def first_line(value: Any) -> str:
    """The first paragraph of a docstring as one line."""
    return plain(" ".join(inspect.cleandoc(value.__doc__ or "").split("\n\n")[0].split()))


def plain(text: str) -> str:
    """Markup of docstrings as Markdown."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text)
    return text.replace("``", "`")


def markdown(doc: str) -> str:
    """A docstring as Markdown: sections in bold, their entries as lists, examples and formulas as code."""
    lines: list[str] = []
    code = False
    section = False
    for line in doc.splitlines():
        text = line.strip()
        example = text.startswith((">>>", "..."))
        formula = not section and line.startswith("    ") and not code
        if (example or formula) and not code:
            lines += ["", "```python" if example else "```text"]
            code = True
        if code and (not text or (not example and lines[-1].startswith("```text") and not line.startswith("    "))):
            lines.append("```")
            code = False
        head = re.match(rf"({'|'.join(SECTIONS)}):\s*(.*)", text)
        if not code and head and not line.startswith(" "):
            lines += ["", plain(f"**{head[1]}** {head[2]}".rstrip()), ""]
            section = True
        elif code:
            lines.append(text if section else line)
        elif section and (entry := re.match(r"    (\w[\w, ]*): (.*)", line)):
            lines.append(plain(f"- `{entry[1]}`: {entry[2]}"))
        else:
            lines.append(plain(f"  {text}" if section and text else text))
            section = section and (bool(text) and line.startswith(" "))
    return "\n".join([*lines, *(["```"] if code else [])]).strip()


def signature(value: Any) -> str:
    """The parameters of a callable as in a call, or nothing."""
    try:
        return re.sub(r"<[^>]*>", "...", str(inspect.signature(value)))
    except (TypeError, ValueError):
        return ""


def methods(value: type) -> Iterator[str]:
    """One line for each documented public method and property that a class defines itself."""
    for name, member in vars(value).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if name.startswith("_") or not inspect.isfunction(function) or not function.__doc__:
            continue
        form = "" if isinstance(member, property) else signature(function)
        yield f"- `{name}{form}`: {first_line(function)}"


def page(module: ModuleType) -> str:
    """The page of a package."""
    own = module.__name__
    lines = [f"# {own}", "", "<!-- written by scripts/make_reference.py from docstrings -->", ""]
    lines += [markdown(inspect.cleandoc(module.__doc__ or "")), ""]
    for name in public(module):
        value = getattr(module, name)
        root = {where.rpartition(":")[2]: label for where, label in taurec.PUBLIC.values()}
        stability = taurec.PUBLIC[name][1] if own == "taurec" else root.get(name, "provisional")
        lines += [f"## {name}", "", f"*{stability}*", ""]
        if inspect.isclass(value) or inspect.isroutine(value):
            lines += ["```python", f"{name}{signature(value)}", "```", ""]
        lines += [markdown(documentation(module, name)), ""]
        if inspect.isclass(value) and (found := list(methods(value))):
            lines += ["**Methods**", "", *found, ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=DOCS)
    print("\n".join(map(str, main(parser.parse_args().folder))))
