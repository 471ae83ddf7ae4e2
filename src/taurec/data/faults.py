"""What is wrong with an input file, gathered until it is worth stopping: the first 20 are told."""

from __future__ import annotations

from taurec.errors import DataError

LISTED = 20
COUNTED = 100_000


class Faults:
    """Collects the faults of one file and raises them as one DataError.

    A fault has the form ``FILE:LINE:COLUMN: what is wrong; what was found; what to do``; lines and
    characters count from 1. The first 20 are kept, all are counted up to 100,000, then reading stops.

    >>> f = Faults("log.csv"); f.add(3, 4, "empty item id"); f.stop()
    Traceback (most recent call last):
    taurec.errors.DataError: log.csv:3:4: empty item id
    """

    def __init__(self, name: str):
        self.name = name
        self.count = 0
        self._told: list[tuple[int, str]] = []

    def add(self, line: int, column: int | str, text: str) -> None:
        """Note a fault at a line and a character position (or column name, in a frame)."""
        self.count += 1
        self._told.append((line, f"{self.name}:{line}:{column}: {text}"))
        if self.count >= COUNTED:
            self.stop()

    def more(self, count: int) -> None:
        """Count faults that are not told one by one."""
        self.count += count
        if self.count >= COUNTED:
            self.stop()

    @property
    def full(self) -> bool:
        """Whether enough are listed, so that further ones need only be counted."""
        return len(self._told) >= LISTED

    def stop(self) -> None:
        """Raise what was gathered, if anything, in the order of lines."""
        if not self.count:
            return
        told = [text for _, text in sorted(self._told, key=lambda pair: pair[0])[:LISTED]]
        if self.count > 1:
            many = f"{self.count}" if self.count < COUNTED else f"at least {self.count}"
            shown = f"; the first {len(told)} are listed" if self.count > len(told) else ""
            told.append(f"{many} faults in {self.name}{shown}; nothing was read")
        raise DataError("\n".join(told))
