"""A journal of finished work, one JSON line per entry, from which an interrupted experiment continues."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taurec.errors import ArtefactError, ResourceError, UsageError


class Journal:
    """Entries by key, in a file that only grows.

    The first line identifies the experiment. Every other line is an entry, which is written in one piece and synced. A
    last line that was cut off is dropped with a note, and its work is done again.

    Args:
        path: the file; it is created if it does not exist. None keeps the entries in memory only.
        head: what identifies the experiment, as plain values; a file with another head is refused.
        on_note: called with a line about an existing file.
    Raises: UsageError for the journal of another experiment; ArtefactError for a file that is not a journal or is
        broken before its end; ResourceError if it cannot be read or written.

    >>> journal = Journal(None, {"data": "0a1b"})
    >>> journal.add({"seed": 1}, {"value": 0.5})
    >>> journal.get({"seed": 1}), journal.get({"seed": 2})
    ({'value': 0.5}, None)
    """

    def __init__(
        self, path: Path | None, head: Mapping[str, Any], on_note: Callable[[str], None] | None = None
    ) -> None:
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        if path is None:
            return
        with _file_errors(path, "read"):
            lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        whole = self._read(path, lines, json.loads(json.dumps(head)))
        with _file_errors(path, "written"):
            path.absolute().parent.mkdir(parents=True, exist_ok=True)
            if whole < sum(map(len, lines)):
                os.truncate(path, whole)
                if whole and on_note:
                    on_note(f"warning: the last line of {path} was cut off and is left out")
        if not whole:
            self._append(head)
        elif on_note:
            on_note(f"{path} holds {len(self.entries):,} finished fits")

    def get(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """The entry with this key, or None."""
        return self.entries.get(_text(key))

    def add(self, key: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
        """Add an entry; it is on disk when this returns."""
        self.entries[_text(key)] = dict(entry)
        self._append({"key": key, "entry": entry})

    def _read(self, path: Path, lines: list[bytes], head: Mapping[str, Any]) -> int:
        """Read the entries of a file; returns the number of bytes in its complete lines."""
        whole = 0
        for number, line in enumerate(lines, start=1):
            content = _parsed(line)
            if content is None:
                first_is_cut = not line.endswith(b"\n") and line.startswith(b"{")  # then nothing was done yet
                if number == len(lines) and (number > 1 or first_is_cut):
                    break
                raise ArtefactError(f"{path}:{number}: not a line of a journal; name another file, or remove this one")
            if number == 1:
                _same_head(path, content, head)
            elif isinstance(content.get("key"), dict) and isinstance(content.get("entry"), dict):
                self.entries[_text(content["key"])] = content["entry"]
            else:
                raise ArtefactError(f"{path}:{number}: not an entry of a journal; remove the line to do it again")
            whole += len(line)
        return whole

    def _append(self, content: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        line = json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        with _file_errors(self.path, "written"), self.path.open("ab", buffering=0) as out:
            out.write(line)
            os.fsync(out.fileno())


@contextmanager
def _file_errors(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(f"{path}: cannot be {done} ({error.strerror}); name another journal") from None


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a complete line, or None."""
    try:
        content = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _same_head(path: Path, found: Mapping[str, Any], head: Mapping[str, Any]) -> None:
    if found == head:
        return
    name = next((name for name in head if found.get(name) != head[name]), "its first line")
    texts = [repr(values.get(name)) for values in (found, head)]
    there, here = (text if len(text) <= 24 else f"{text[:20]}..." for text in texts)
    raise UsageError(
        f"{path} is the journal of another experiment: {name} is {there} there and {here} here; name another file, or "
        "remove this one"
    )


def _text(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)
