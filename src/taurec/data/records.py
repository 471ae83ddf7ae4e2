"""The slow pass: one record at a time, each field with its line and character. It names what is wrong.

The fast pass (``blocks``) reads regular text; this one reads the rest and locates faults in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from taurec.data.formats import Format

Place = tuple[int, int]


@dataclass(slots=True)
class Record:
    """One row of text.

    Attributes:
        fields: the values, without quotes.
        places: (line, character) where each field starts, from 1.
        end: offset in the text behind the record's line end.
        fault: what is wrong with its quotes and where; nothing behind it can be read.
    """

    fields: list[str]
    places: list[Place]
    end: int
    fault: tuple[int, int, str] | None = None


def records(text: str, first: int, form: Format) -> Iterator[Record]:
    r"""The records of a text whose first line has number ``first``; blank lines are skipped.

    >>> from taurec.data.formats import FORMATS
    >>> [(r.fields, r.places) for r in records('a,"b,c"\n', 7, FORMATS["csv"])]
    [(['a', 'b,c'], [(7, 1), (7, 3)])]
    """
    at, line = 0, first
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if end == at:
            at, line = at + 1, line + 1
            continue
        whole = text[at:end]
        if form.quotes and '"' in whole:
            record = _quoted(text, at, line, form.separator)
            yield record
            if record.fault:
                return
            line += text.count("\n", at, record.end)
            at = record.end
            continue
        fields = whole.split(form.separator)
        places, column = [], 1
        for value in fields:
            places.append((line, column))
            column += len(value) + len(form.separator)
        at, line = end + 1, line + 1
        yield Record(fields, places, at)


def _quoted(text: str, at: int, line: int, separator: str) -> Record:
    """One record that holds quotes: a field is quoted whole, with its quotes doubled, or holds none."""
    fields: list[str] = []
    places: list[Place] = []
    start = at
    while True:
        place = (line, at - start + 1)
        places.append(place)
        if text[at : at + 1] == '"':
            close = _closing(text, at)
            if close < 0:
                return _broken(fields, places, place, "quote opened here is never closed; close it or double it")
            value = text[at + 1 : close].replace('""', '"')
            behind = text[close + 1 : close + 2]
            if behind not in ("", "\n", separator):
                if "\n" in value:
                    problem = "quote opened here is not closed on its line; close it or double it"
                else:
                    problem = f"text {behind!r} behind the closing quote of the field opened here; double inner quotes"
                return _broken(fields, places, place, problem)
            if "\n" in value:
                line += value.count("\n")
                start = text.rfind("\n", at, close) + 1
            at = close + 1
        else:
            stops = [p for p in (text.find(separator, at), text.find("\n", at)) if p >= 0]
            stop = min(stops, default=len(text))
            value = text[at:stop]
            if '"' in value:
                place = (line, at - start + value.index('"') + 1)
                return _broken(fields, places, place, "quote inside a field that is not quoted; quote the whole field")
            at = stop
        fields.append(value)
        if text[at : at + 1] != separator:
            return Record(fields, places, at + 1)
        at += 1


def _closing(text: str, opened: int) -> int:
    """Where the quote opened at ``opened`` closes; doubled quotes are content. -1 if it never does."""
    at = opened + 1
    while (at := text.find('"', at)) >= 0:
        if text[at + 1 : at + 2] != '"':
            return at
        at += 2
    return -1


def _broken(fields: list[str], places: list[Place], place: Place, problem: str) -> Record:
    return Record(fields, places, -1, (*place, problem))
