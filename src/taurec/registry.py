"""Names for the things a user may choose: one explicit table per kind, built from short texts.

``uniform:800`` is the entry ``uniform`` with its first parameter set to 800; parameters may also be
given by name. What a user may set is read from the signature, so a registry line is all an entry needs.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from taurec.errors import UsageError, did_you_mean

T = TypeVar("T")


class Registry(Mapping[str, Callable[..., T]], Generic[T]):
    """The entries of one kind, by name.

    Args:
        kind: what the entries are, for messages: ``"loss"``.
        entries: name -> class or factory. Positional-only parameters of a factory and the
            parameters named in ``runtime`` are supplied by the program; the rest are the user's.
        runtime: names of parameters that a user cannot set, such as ``seed``.
    """

    def __init__(self, kind: str, entries: Mapping[str, Callable[..., T]], runtime: frozenset[str] = frozenset()):
        self.kind = kind
        self._entries = dict(entries)
        self._runtime = runtime

    def __getitem__(self, name: str) -> Callable[..., T]:
        if name not in self._entries:
            raise UsageError(f"unknown {self.kind} {name!r}{did_you_mean(name, self._entries)}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def settings(self, name: str) -> dict[str, inspect.Parameter]:
        """The parameters a user may set for an entry, in order."""
        parameters = inspect.signature(self[name]).parameters.values()
        skip = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return {p.name: p for p in parameters if p.kind not in skip and p.name not in self._runtime}

    def parse(self, text: str, given: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Split ``name[:value...]`` into the name and its checked settings, merged with ``given``.

        >>> Registry("negatives", {"uniform": lambda n=1, distinct=False: None}).parse("uniform:800")
        ('uniform', {'n': '800'})
        """
        name, *values = text.split(":")
        settings = self.settings(name)
        if len(values) > len(settings):
            raise UsageError(
                f"{self.kind} {name!r} takes at most {len(settings)} values ({', '.join(settings) or 'none'}), "
                f"got {len(values)} in {text!r}"
            )
        merged: dict[str, Any] = dict(zip(settings, values, strict=False))
        for key, value in (given or {}).items():
            if key not in settings:
                raise UsageError(f"{self.kind} {name!r} has no setting {key!r}{did_you_mean(key, settings)}")
            merged[key] = value
        factory = self[name]
        init = factory.__init__ if inspect.isclass(factory) else factory
        hints = typing.get_type_hints(init)
        return name, {k: _coerce(v, hints[k], f"{self.kind}.{k}") if k in hints else v for k, v in merged.items()}

    def build(self, text: str, *positional: Any, given: Mapping[str, Any] | None = None, **offered: Any) -> T:
        """The entry named by ``text``, constructed with its settings and the program's own arguments.

        Of the ``offered`` runtime parameters an entry gets those its signature names.
        """
        name, settings = self.parse(text, given)
        return self[name](*positional, **settings, **{k: v for k, v in offered.items() if k in self.runtime(name)})

    def runtime(self, name: str) -> frozenset[str]:
        """The parameters of an entry that the program supplies by name, such as ``seed``."""
        return self._runtime & set(inspect.signature(self[name]).parameters)


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """``value`` (a text from the command line, or JSON) as the annotated type."""
    if isinstance(value, str) and typing.get_origin(hint) is tuple:
        value = [part for part in value.split(",") if part]
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        raise UsageError(f"{where}: {error.errors()[0]['msg'].lower()}; got {value!r}") from None
