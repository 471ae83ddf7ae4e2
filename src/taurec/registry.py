"""Names for the things a user may choose: one explicit table per kind, built from short texts.

``uniform:800`` is the entry ``uniform`` with its first parameter set to 800; parameters may also be
given by name. What a user may set is read from the signature, so a registry line is all an entry needs.
A name may also be ``module:Class`` or ``file.py:Class``, or that of a plug-in of an installed package; and where a
name is accepted, a class or an object is accepted too (:mod:`taurec.plugins`).
"""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import to_jsonable_python

from taurec import plugins
from taurec.errors import UsageError, did_you_mean
from taurec.plugins import Plugin

T = TypeVar("T")


class Registry(Mapping[str, Callable[..., T]], Generic[T]):
    """The entries of one kind, by name. Iterating gives the built-in names.

    Args:
        kind: what the entries are, for messages: ``"loss"``.
        entries: name -> class or factory. Positional-only parameters of a factory and the
            parameters named in ``runtime`` are supplied by the program; the rest are the user's.
        runtime: names of parameters that a user cannot set, such as ``seed``.
        group: entry-point group in which packages offer more entries: ``"taurec.losses"``.
        members: attributes that a class from outside must have; none where entries are functions.
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, Callable[..., T]],
        runtime: frozenset[str] = frozenset(),
        group: str = "",
        members: frozenset[str] = frozenset(),
    ):
        self.kind = kind
        self._entries = dict(entries)
        self._runtime, self._group, self._members = runtime, group, members

    def __getitem__(self, name: str) -> Callable[..., T]:
        """The entry of a name: a built-in one, ``module:Class``, or a plug-in of an installed package."""
        if name in self._entries:
            return self._entries[name]
        if not plugins.is_dotted(name):
            name = self._installed(name)
        return self._checked(plugins.find(name, self.kind))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def extended(self, entries: Mapping[str, Callable[..., T]]) -> Registry[T]:
        """A registry of the same kind with more entries."""
        return Registry(self.kind, {**self._entries, **entries}, self._runtime, self._group, self._members)

    def plugins(self) -> list[Plugin]:
        """What installed packages offer; a plug-in with the name of a built-in entry is not among them."""
        return [plugin for plugin in plugins.installed(self._group) if plugin.name not in self._entries]

    def imported(self, name: str) -> Callable[..., T] | None:
        """The entry of a name if no code has to be imported for it, else None."""
        found = self._entries.get(name) or plugins.imported(name)
        return None if found is None else self._checked(found)

    def name_of(self, factory: Callable[..., T]) -> str:
        """The name of a class or function: that of the built-in entry, else ``module:Class``."""
        built_in = next((name for name, entry in self._entries.items() if entry is factory), None)
        return built_in or plugins.dotted_name(self._checked(factory))

    def accepts(self, thing: object) -> bool:
        """Whether a class or an object is of this kind."""
        factory = thing if inspect.isclass(thing) else type(thing)
        return self._members <= set(dir(factory))

    def version(self, name: str) -> str | None:
        """The version of the distribution of a ``module:Class``, the hash of a file; None for built-in entries."""
        return None if name in self._entries else plugins.version_of(name)

    def settings(self, name: str) -> dict[str, inspect.Parameter]:
        """The parameters a user may set for an entry, in order."""
        parameters = inspect.signature(self[name]).parameters.values()
        skip = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return {p.name: p for p in parameters if p.kind not in skip and p.name not in self._runtime}

    def read(self, given: object) -> tuple[str, dict[str, Any]]:
        """The name and the settings of a text ``name[:value...]``, of a class or of an object; values are unchecked.

        >>> Registry("negatives", {"uniform": lambda n=1, distinct=False: None}).read("uniform:800")
        ('uniform', {'n': '800'})
        """
        if not isinstance(given, str):
            return self._of_object(given)
        first, *values = given.split(":")
        name = first
        if first not in self._entries and values and plugins.is_dotted(f"{first}:{values[0]}"):
            name = f"{first}:{values.pop(0)}" if all(p.name != first for p in self.plugins()) else first
        if plugins.is_dotted(name):
            name = self._named_by_user(name)
        elif name not in self._entries:
            name = self._installed(name)
        settings = self.settings(name)
        if len(values) > len(settings):
            raise UsageError(
                f"{self.kind} {name!r} takes at most {len(settings)} values ({', '.join(settings) or 'none'}), "
                f"got {len(values)} in {given!r}"
            )
        for value in values:
            key, equals, _ = value.partition("=")
            if equals and key in settings:
                raise UsageError(
                    f"{given!r}: values after a colon have no names and come in the order {', '.join(settings)}; give "
                    f"one by its name as --set {self.kind}.{value}, or in Python in settings={{...}}"
                )
        return name, dict(zip(settings, values, strict=False))

    def parse(self, given: object, more: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """The name and the checked settings of a text, a class or an object, merged with ``more``.

        >>> Registry("negatives", {"uniform": lambda n=1, distinct=False: None}).parse("uniform:800")
        ('uniform', {'n': '800'})
        """
        name, settings = self.read(given)
        return name, self.checked(name, {**settings, **(more or {})})

    def checked(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of an entry with the types of its signature.

        Raises: UsageError for a setting that it does not have, or a value of another type.
        """
        settings, factory = self.settings(name), self[name]
        for key in given:
            if key not in settings:
                raise UsageError(f"{self.kind} {name!r} has no setting {key!r}{did_you_mean(key, settings)}")
        init = factory.__init__ if inspect.isclass(factory) else factory
        if name not in self._entries:
            _plain(factory, given)
        try:
            hints = typing.get_type_hints(init)
        except NameError as error:
            raise UsageError(
                f"{self.kind} {name!r}: an annotation of its parameters cannot be read ({error}); import that name "
                f"where the program runs, not for type checkers alone"
            ) from None
        return {k: _coerce(v, hints[k], f"{self.kind}.{k}") if k in hints else v for k, v in given.items()}

    def build(self, name: str, *positional: Any, given: Mapping[str, Any] | None = None, **offered: Any) -> T:
        """The entry of a name or text, constructed with its settings and the program's own arguments.

        Of the ``offered`` runtime parameters an entry gets those its signature names.
        """
        if name in self._entries or (plugins.is_dotted(name) and name.partition(":")[0] not in self._entries):
            settings = self.checked(name, given or {})
        else:
            name, settings = self.parse(name, given)
        for key, parameter in self.settings(name).items():
            if key not in settings and parameter.default is parameter.empty:
                raise UsageError(
                    f"{self.kind} {name!r} needs a value for {key!r}, which has no default; give it as "
                    f"{self.kind}.{key}, or give the parameter a default"
                )
        return self[name](*positional, **settings, **{k: v for k, v in offered.items() if k in self.runtime(name)})

    def runtime(self, name: str) -> frozenset[str]:
        """The parameters of an entry that the program supplies by name, such as ``seed``."""
        return self._runtime & set(inspect.signature(self[name]).parameters)

    def _checked(self, factory: Callable[..., T]) -> Callable[..., T]:
        plugins.check_members(factory, self.kind, self._members)
        return factory

    def _installed(self, name: str) -> str:
        """The ``module:Class`` of an installed plug-in; it is imported, so that a broken one is refused here."""
        offered = self.plugins()
        found = [plugin for plugin in offered if plugin.name == name]
        if not found:
            accepted = [*self._entries, *(plugin.name for plugin in offered)]
            raise UsageError(f"unknown {self.kind} {name!r}{did_you_mean(name, accepted)}")
        if len({plugin.target for plugin in found}) > 1:
            owners = " and ".join(f"{plugin.package} ({plugin.target})" for plugin in found)
            raise UsageError(f"{self.kind} {name!r} is offered by {owners}; name one as module:Class")
        plugin = found[0]
        try:
            plugins.find(plugin.target, self.kind)
        except UsageError as error:
            raise UsageError(
                f"{self.kind} {name!r} of the package {plugin.package} {plugin.version} is broken: {error}"
            ) from error
        return plugin.target

    def _named_by_user(self, name: str) -> str:
        """The name with a normalised path, once its file is imported; built-in names are mentioned if there is none."""
        try:
            name = plugins.load_file(name)
            return self.name_of(plugins.find(name, self.kind))
        except UsageError as error:
            first = name.partition(":")[0]
            near = did_you_mean(first, self._entries).partition(" (accepted")[0]
            if near.startswith("; did"):
                raise UsageError(f"unknown {self.kind} {first!r}{near} ({error})") from error
            raise

    def _of_object(self, thing: Any) -> tuple[str, dict[str, Any]]:
        """The name of a class; of an object also its settings, which must make an equal object again."""
        if inspect.isclass(thing) or not self._members:
            return self.name_of(thing), {}
        factory = type(thing)
        name = self.name_of(factory)
        for key in sorted(self._runtime & set(inspect.signature(factory).parameters)):
            default = inspect.signature(factory).parameters[key].default
            if plugins.settings_of(thing, [key])[key] != default:
                raise UsageError(f"{factory.__qualname__}: {key} is the run's; give {key}= there, not to the object")
        settings = plugins.settings_of(thing, self.settings(name))
        plain = _plain(factory, settings)
        again = self.build(name, given=plain)
        if to_jsonable_python(plugins.settings_of(again, settings)) != to_jsonable_python(settings):
            raise UsageError(
                f"{factory.__qualname__} made from its own settings {plain} has others; its attributes must keep the "
                f"values that its constructor got"
            )
        return name, self.checked(name, plain)


def _plain(factory: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a part from outside as JSON has them; others are refused."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{factory.__qualname__} has a setting that cannot be written as JSON ({error}); make it a frozen "
            f"dataclass of plain values: numbers, texts, true or false, and tuples of them"
        ) from None
    return plain


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """``value`` (a text from the command line, or JSON) as the annotated type."""
    if isinstance(value, str) and typing.get_origin(hint) is tuple:
        value = [part for part in value.split(",") if part]
    try:
        return TypeAdapter(hint).validate_python(value)
    except PydanticSchemaGenerationError:
        raise UsageError(
            f"{where} is annotated {hint}, which is no plain type; annotate it as a number, a text, "
            f"bool, or a tuple of them"
        ) from None
    except ValidationError as error:
        raise UsageError(f"{where}: {error.errors()[0]['msg'].lower()}; got {value!r}") from None
