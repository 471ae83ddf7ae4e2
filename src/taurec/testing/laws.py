"""Laws: named checks of one kind of object, run one by one or all together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from taurec.errors import UsageError, did_you_mean

T = TypeVar("T")

Exceptions = Sequence[tuple[str, str]]
"""Laws that the object breaks on purpose: pairs of the law's name and the reason."""


class NotApplicable(Exception):
    """Raised by a law that says nothing about this object; the message says why."""


@dataclass(frozen=True)
class Law(Generic[T]):
    """One law: its name, a sentence, and the check, which raises AssertionError if the law is broken."""

    name: str
    check: Callable[[T], None]

    def __str__(self) -> str:
        return self.name


class Laws(Generic[T]):
    """The laws of one kind of object, in the order in which they were declared."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._laws: dict[str, Law[T]] = {}

    def __iter__(self) -> Iterator[Law[T]]:
        return iter(self._laws.values())

    def __len__(self) -> int:
        return len(self._laws)

    def law(
        self, name: str, each: Mapping[str, Any] | None = None
    ) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Decorator that declares a function to be the check of a law.

        Args:
            name: the law as a sentence.
            each: declares one law for each entry: its key replaces ``{}`` in the name, its value is the second
                argument of the check.
        """

        def declare(check: Callable[..., None]) -> Callable[..., None]:
            if each is None:
                self._laws[name] = Law(name, check)
            for key, value in (each or {}).items():
                full = name.format(key)
                self._laws[full] = Law(full, lambda subject, value=value: check(subject, value))  # type: ignore[misc]
            return check

        return declare

    def check(self, subject: T, exceptions: Exceptions = ()) -> None:
        """Check every law and report all that are broken together.

        Args:
            subject: the object.
            exceptions: pairs (law, reason) for laws that it breaks on purpose. They are checked too: an exception for
                a law that holds is reported as an error.
        Raises: AssertionError naming the broken laws; UsageError for an exception that names no law.
        """
        broken = []
        for name, reason in exceptions:
            if name not in self._laws:
                raise UsageError(f"no law of a {self.kind} is called {name!r}{did_you_mean(name, self._laws)}")
            if not reason.strip():
                raise UsageError(f"the exception from the law {name!r} needs a reason")
        for law in self:
            try:
                self.check_one(law, subject, exceptions)
            except NotApplicable:
                continue
            except AssertionError as error:
                broken.append(str(error))
        if broken:
            raise AssertionError("\n".join(broken))

    def check_one(self, law: Law[T], subject: T, exceptions: Exceptions = ()) -> None:
        """Check one law.

        Raises: AssertionError if it is broken, or if it holds although ``exceptions`` names it; NotApplicable if the
            law says nothing about this object.
        """
        excepted = dict(exceptions)
        try:
            law.check(subject)
        except NotApplicable as error:
            if law.name in excepted:
                raise AssertionError(f"exception not needed: the law {law.name!r} does not apply: {error}") from None
            raise
        except Exception as error:
            if law.name in excepted:
                return
            detail = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            raise AssertionError(f"law broken: {law.name}: {detail}") from error
        if law.name in excepted:
            raise AssertionError(f"exception not needed: the law {law.name!r} holds; remove {excepted[law.name]!r}")


def require(condition: object, message: str) -> None:
    """Raise AssertionError with this message unless the condition is true."""
    if not condition:
        raise AssertionError(message)


def require_object(given: object, kind: str, members: Sequence[str], example: str) -> None:
    """Raise UsageError unless an object has the members of its kind, and is not a class."""
    missing = [name for name in members if not hasattr(given, name)]
    if isinstance(given, type):
        raise UsageError(f"a {kind} is checked as an object, got the class {given.__name__}; give {example}")
    if missing:
        raise UsageError(f"a {kind} has {' and '.join(members)}, got {given!r} without {missing[0]}; give {example}")


def require_class(given: object, kind: str, members: Sequence[str], example: str) -> None:
    """Raise UsageError unless this is a class that has the members of its kind."""
    if not isinstance(given, type):
        raise UsageError(f"a {kind} is checked as a class, got {given!r}; give {example}")
    missing = [name for name in members if not hasattr(given, name)]
    if missing:
        accepted = " and ".join(members)
        raise UsageError(
            f"a {kind} has {accepted}, got the class {given.__name__} without {missing[0]}; give {example}"
        )


def require_refused(call: Callable[[], object], pattern: str) -> None:
    """Require that a call raises UsageError whose message matches a regular expression."""
    import re

    try:
        call()
    except UsageError as error:
        require(re.search(pattern, str(error)), f"the error should match {pattern!r}, got {str(error)!r}")
        return
    raise AssertionError(f"nothing was raised; expected UsageError matching {pattern!r}")
