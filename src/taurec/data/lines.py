"""A log file as blocks of whole records: UTF-8 bytes, LF line ends, no mark at the start."""

from __future__ import annotations

import codecs
import gzip
import stat
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from taurec.data.faults import Faults
from taurec.errors import DataError, ResourceError, UsageError, did_you_mean

BLOCK = 1 << 25
RECORD_LIMIT = 1 << 26
FIELD_LIMIT = 1 << 20

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
MAGIC = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"PAR1": "Parquet",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh91AY": "bzip2",
    b"\xfd7zXZ": "xz",
    b"SQLite": "SQLite",
}


@dataclass
class Source:
    """One file being read; what it learns on the way is for the report.

    Attributes:
        name: the path as given, which starts every message about it.
        ended: False where the last line has no line end.
    """

    name: str
    encoding: str = "utf-8"
    quotes: bool = False
    ended: bool = True
    lines: int = field(default=0)

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """(number of the first line, bytes ending in LF) of each run of whole records, about 32 MiB each.

        Raises: DataError naming the file, and the line and column where there is one; ResourceError
            where the system refuses.
        """
        _codec(self.encoding)
        first, rest, size = 1, b"", 0
        with _open(self.name) as stream:
            for chunk in self._text(stream):
                size += len(chunk)
                rest += chunk
                cut = _last_end(rest, self.quotes)
                if not cut:
                    if len(rest) > RECORD_LIMIT:
                        self._too_long(rest, first)
                    continue
                block, rest = rest[:cut], rest[cut:]
                self._check(block, first)
                yield first, block
                first += block.count(b"\n")
        if not size:
            raise DataError(f"{self.name}: empty file, 0 bytes of text; give a file with at least one row")
        if rest:
            self.ended = rest.endswith(b"\n")
            block = rest if self.ended else rest + b"\n"
            self._check(block, first)
            yield first, block
            first += block.count(b"\n")
        self.lines = first - 1

    def _text(self, stream: BinaryIO) -> Iterator[bytes]:
        """UTF-8 chunks with LF line ends."""
        plain = codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig", "ascii")
        decoder = None if plain else codecs.getincrementaldecoder(self.encoding)()
        lines, start = 1, True
        while True:
            chunk = self._read(stream, BLOCK, lines)
            while chunk.endswith(b"\r") and (more := self._read(stream, 1, lines)):
                chunk += more
            last = not chunk
            if decoder is not None:
                try:
                    chunk = decoder.decode(chunk, final=last).encode()
                except UnicodeDecodeError as error:
                    line = lines + error.object[: error.start].count(b"\n")
                    found = error.object[error.start : error.end].hex(" ")
                    raise DataError(
                        f"{self.name}:{line}: not {self.encoding}: bytes {found}; name the right encoding= (--encoding)"
                    ) from None
            if start:
                chunk = chunk.removeprefix(codecs.BOM_UTF8)
                start = not chunk
            if b"\r" in chunk:
                chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            lines += chunk.count(b"\n")
            if chunk:
                yield chunk
            if last:
                return

    def _read(self, stream: BinaryIO, size: int, lines: int) -> bytes:
        try:
            return stream.read(size)
        except EOFError:
            where = f"after {lines - 1} lines"
            raise DataError(f"{self.name}: the gzip stream ends early, {where}; fetch the file again") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                f"{self.name}: broken gzip data after {lines - 1} lines ({error}); fetch the file again"
            ) from None
        except OSError as error:
            raise ResourceError(f"{self.name}: cannot be read: {error.strerror or error}") from None

    def _check(self, block: bytes, first: int) -> None:
        """Refuse what is not text: bytes that are not UTF-8, NUL."""
        try:
            if not block.isascii():
                block.decode()
        except UnicodeDecodeError as error:
            line, _ = position(block, error.start, first)
            byte = error.start - block.rfind(b"\n", 0, error.start)
            found = block[error.start : error.end].hex(" ")
            guess = "utf-16" if block.startswith(UTF16) and line == 1 else "latin-1"
            problem = f"not UTF-8: byte {byte} of the line is {found}; say encoding= (--encoding), such as {guess}"
            self._refuse(line, byte, problem)
        if (at := block.find(0)) >= 0:
            line, column = position(block, at, first)
            self._refuse(line, column, "NUL byte; is this a text file, and encoding= (--encoding) right?")

    def _too_long(self, rest: bytes, first: int) -> None:
        if self.quotes and (at := rest.find(b'"')) >= 0 and rest.count(b'"') % 2:
            line, column = position(rest, at, first)
            self._refuse(line, column, "a quote opened at or after this place is never closed; close or double it")
        self._refuse(first, 1, f"no line end within {len(rest) >> 20} MiB; is this a text file?")

    def _refuse(self, line: int, column: int, text: str) -> None:
        faults = Faults(self.name)
        faults.add(line, column, text)
        faults.stop()


def position(block: bytes, at: int, first: int) -> tuple[int, int]:
    """Line and character, both from 1, of a byte in a block whose first line has number ``first``.

    >>> position(b"a,b\\n\\xc3\\xa9,\\x00", 7, 10)
    (11, 3)
    """
    start = block.rfind(b"\n", 0, at) + 1
    return first + block.count(b"\n", 0, at), len(block[start:at].decode(errors="replace")) + 1


def _last_end(text: bytes, quotes: bool) -> int:
    """Where the last whole record ends: behind the last LF that is outside quotes, 0 if there is none."""
    if not quotes or b'"' not in text:
        return text.rfind(b"\n") + 1
    raw = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero((raw == 10) & ~inside_quotes(raw))
    return int(ends[-1]) + 1 if len(ends) else 0


def inside_quotes(raw: np.ndarray) -> np.ndarray:
    """[bytes] bool, whether an odd number of quotes stands up to and at each byte."""
    quotes = (raw == 34).view(np.uint8)
    return np.bitwise_and(np.cumsum(quotes, dtype=np.uint8), 1).view(bool)


def _codec(encoding: str) -> None:
    try:
        codecs.lookup(encoding)
    except LookupError:
        known = ("utf-8", "utf-16", "latin-1", "cp1252", "cp1251", "gbk", "shift_jis")
        raise UsageError(f"unknown encoding {encoding!r}{did_you_mean(encoding, known)}") from None


def _open(name: str) -> BinaryIO:
    """The bytes of a file, unpacked where its name ends in ``.gz``; ``-`` is standard input."""
    if name == "-":
        return sys.stdin.buffer
    path = regular_file(name)
    try:
        stream = path.open("rb")
        head = stream.read(8)
        stream.seek(0)
    except OSError as error:
        raise ResourceError(f"{name}: cannot be opened: {error.strerror}") from None
    kind = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)
    packed = name.lower().endswith(".gz")
    if packed == (kind == "gzip") and (packed or kind is None or not head):
        return gzip.open(stream) if packed else stream  # type: ignore[return-value]
    stream.close()
    if not head:
        raise DataError(f"{name}: empty file, 0 bytes; give a file with at least one row")
    if packed:
        raise DataError(f"{name}: named .gz, but its first bytes {head[:4].hex(' ')} are not gzip; rename it")
    advice = "name it .gz" if kind == "gzip" else "name its format= (--format)" if kind == "Parquet" else "unpack it"
    raise DataError(f"{name}: its first bytes say {kind}, its name says text; {advice}")


def regular_file(name: str) -> Path:
    """The path of an existing ordinary file.

    Raises: DataError naming the absolute path and its nearest existing parent, or what stands there instead.
    """
    path = Path(name)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        full = path.absolute()
        parent = next(p for p in full.parents if p.is_dir())
        try:
            near = did_you_mean(path.name, (p.name for p in parent.iterdir())) if parent == full.parent else ""
        except OSError:
            near = ""
        near = near.split(" (accepted")[0] if "did you mean" in near else ""
        raise DataError(f"{name}: no such file: {full}; the nearest existing folder is {parent}{near}") from None
    except PermissionError:
        raise ResourceError(f"{name}: no permission to look at it") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{name!r}: not a usable path: {error}") from None
    if stat.S_ISREG(mode):
        return path
    kinds = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
    kind = next((kind for test, kind in kinds if test(mode)), "a device")
    advice = "give one file in it" if kind == "a directory" else "pipe it in and give - as the source"
    raise DataError(f"{name}: {kind}, not a file; {advice}")
