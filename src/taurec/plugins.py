"""Parts from outside the package: named ``module:Class`` or ``file.py:Class``, or offered by an installed package.

Importing a plug-in runs its code. It happens only for what a user names, hands over, or has installed under an entry
point and asks for by name; a name that stands in a saved file never runs a file.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from taurec.errors import UsageError

_contents: dict[str, str] = {}
"""The hash of the content of each file that :func:`load_file` imported, by the name of its module."""

_asked: dict[str, str] = {}
"""The kind of each part that :func:`find` found, by its name: ``{"./mine.py:MeanGap": "loss"}``."""


class _FromSource(importlib.machinery.SourceFileLoader):
    """Imports a file from its text, whose hash it keeps: a cached file may be of an earlier text."""

    def get_code(self, fullname: str) -> CodeType:
        content = self.get_data(self.path)
        _contents[fullname] = f"sha256:{hashlib.sha256(content).hexdigest()[:16]}"
        return self.source_to_code(content, self.path)


@dataclass(frozen=True)
class Plugin:
    """An entry point of an installed package.

    Attributes:
        name: by which it is chosen.
        target: ``module:Class``, the name that ``run.json`` records.
        package: the distribution that offers it.
        version: of that distribution.
    """

    name: str
    target: str
    package: str
    version: str


def installed(group: str) -> list[Plugin]:
    """The plug-ins that installed packages offer under an entry-point group, by name; nothing is imported."""
    found = importlib.metadata.entry_points(group=group) if group else ()
    named = [(p, p.dist) for p in found]
    return sorted(
        (Plugin(p.name, p.value, d.name if d else "unknown", d.version if d else "") for p, d in named),
        key=lambda plugin: (plugin.name, plugin.package),
    )


def is_dotted(name: str) -> bool:
    """Whether a name is ``module:Class`` or ``file.py:Class``.

    >>> is_dotted("my_pkg.losses:MyLoss"), is_dotted("sl"), is_dotted("sl:0.1")
    (True, False, False)
    """
    module, colon, attribute = name.partition(":")
    return bool(module and colon) and all(part.isidentifier() for part in attribute.split("."))


def importable(module: str) -> bool:
    """Whether a text is the path of a file or the name of a module that can be found; it is not imported."""
    if module.endswith(".py") or module in sys.modules:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def dotted_name(factory: Any) -> str:
    """``module:Class`` of a class or function.

    Raises: UsageError for one that is defined inside a function, which no later run could find.
    """
    name = f"{factory.__module__}:{factory.__qualname__}"
    if not is_dotted(name):
        raise UsageError(
            f"{factory.__qualname__} is defined inside a function, so that a run could not name it; "
            f"define it at the top level of a module or of a file"
        )
    return name


def load_file(name: str) -> str:
    """Import the file of ``file.py:Class``, unless that is done; returns the name with a normalised path.

    A name of a module is returned as it is. The module of the file is kept in ``sys.modules`` under its path.
    """
    module, _, attribute = name.partition(":")
    if not module.endswith(".py"):
        return name
    path = Path(module)
    known = path.as_posix()
    if _module_of(known) is None:
        if not path.is_file():
            raise UsageError(
                f"{name}: there is no file {path}; write the path of a Python file, as in ./my_loss.py:MyLoss"
            )
        loader = _FromSource(known, str(path.resolve()))
        spec = importlib.util.spec_from_file_location(known, path.resolve(), loader=loader)
        assert spec is not None
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[known] = loaded
        try:
            loader.exec_module(loaded)
        except Exception as error:
            del sys.modules[known]
            raise UsageError(f"{name}: {path} cannot be imported: {type(error).__name__}: {error}") from error
    return f"{known}:{attribute}"


def imported(name: str) -> Any | None:
    """What ``module:Class`` names if its module is imported already, else None; never imports."""
    module, _, attribute = name.partition(":")
    found: Any = _module_of(module)
    for part in attribute.split("."):
        found = None if found is None else vars(found).get(part)
    return found


def find(name: str, kind: str) -> Any:
    """What ``module:Class`` names; its module is imported, a file is not.

    Raises: UsageError saying what is missing and what to do.
    """
    module, _, attribute = name.partition(":")
    if module.endswith(".py"):
        if _module_of(module) is None:
            raise UsageError(
                f"{kind} {name!r} is a class in a file, and a name in a saved run does not run a file; "
                f"import the file and hand the class over, or name it in the command"
            )
    elif module not in sys.modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            raise UsageError(
                f"{kind} {name!r} cannot be imported ({type(error).__name__}: {error}); install the package that has "
                f"it, add its folder to PYTHONPATH, or name a file, as in ./{module.split('.')[-1]}.py:{attribute}"
            ) from error
    found = imported(name)
    if found is None:
        raise UsageError(f"{kind} {name!r}: {module} has no {attribute}")
    _asked[name] = kind
    return found


def blamed(error: BaseException) -> tuple[str, str] | None:
    """The part from outside whose code raised an error, and what it raised where; None if no frame is of a part.

    The innermost such frame counts. In a file of several parts it is the part whose method it is, else all are named.
    """
    parts: dict[str | None, list[str]] = {}
    for name in _asked:
        module = _module_of(name.partition(":")[0])
        file = None if module is None else vars(module).get("__file__")  # a built-in module has none
        parts.setdefault(file, []).append(name)
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        code = frame.f_code
        if code.co_filename in parts:
            names = parts[code.co_filename]
            own = [name for name in names if code.co_qualname.startswith(f"{name.partition(':')[2]}.")] or names
            who = " or ".join(f"{_asked[name]} {name}" for name in own)
            return who, f"{described(error)} in {code.co_name} ({Path(code.co_filename).name}:{line})"
    return None


def described(error: BaseException) -> str:
    """The type of an error and its message on one line.

    >>> described(ValueError("no such\\n  item")), described(KeyError())
    ('ValueError: no such item', 'KeyError')
    """
    text = " ".join(str(error).split())[:300]
    return type(error).__name__ + (f": {text}" if text else "")


def version_of(name: str) -> str | None:
    """The version of the distribution that has a ``module:Class``, None where there is none; of a file that
    :func:`load_file` imported, the hash of its content at that time.
    """
    module = name.partition(":")[0]
    if module.endswith(".py"):
        return _contents.get(module)
    if module == "__main__":
        return None
    owners = importlib.metadata.packages_distributions().get(module.split(".")[0], [])
    return importlib.metadata.version(owners[0]) if owners else None


def check_members(factory: Any, kind: str, members: Iterable[str]) -> None:
    """Refuse a class that is not of a kind: by the names it must have."""
    name = getattr(factory, "__qualname__", repr(factory))
    if not callable(factory) or (members and not inspect.isclass(factory)):
        raise UsageError(f"{name} is not a class, so it cannot be a {kind}")
    missing = sorted(set(members) - set(dir(factory))) or sorted(getattr(factory, "__abstractmethods__", ()))
    if missing:
        raise UsageError(f"{name} cannot be a {kind}: it has no {', '.join(missing)}")


def settings_of(thing: Any, names: Iterable[str]) -> dict[str, Any]:
    """The constructor parameters of an object, from its attributes of the same names.

    Raises: UsageError for a parameter that is not kept.
    """
    found = {}
    for name in names:
        try:
            found[name] = getattr(thing, name)
        except AttributeError:
            raise UsageError(
                f"{type(thing).__qualname__} does not keep its parameter {name!r}, so that a run cannot record it; "
                f"make it a frozen dataclass of plain values, or keep it in an attribute {name!r}"
            ) from None
    return found


def _module_of(name: str) -> ModuleType | None:
    """The imported module of a name or of the path of a file; a file of the same name elsewhere is another one."""
    module = sys.modules.get(name)
    if module is not None and name.endswith(".py") and module.__file__ != str(Path(name).resolve()):
        return None
    return module
