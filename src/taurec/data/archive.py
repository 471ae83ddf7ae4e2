"""Taking single files out of a zip or tar.gz that came from elsewhere.

The whole archive is checked before anything is written: one bad member, and it is refused. Members are
written only under names the caller chose, never under their own, so nothing can land elsewhere; the
rules here are stricter than those of ``tarfile.data_filter`` (PEP 706) and hold for zip as well.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from taurec.data.download import Pin
from taurec.errors import ArtefactError, ResourceError

_BLOCK = 1 << 18
_SMALL = 1 << 20
_MAX_MEMBERS = 10_000
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    fault: str | None
    is_file: bool
    open: Callable[[], IO[bytes] | None]


def extract_members(
    archive: str | os.PathLike[str],
    wanted: Mapping[str, Pin | None],
    destination: str | os.PathLike[str],
    *,
    max_bytes: int = 1 << 30,
    max_ratio: float = 200.0,
) -> dict[str, Path]:
    """Write the wanted files of an archive into one folder.

    Args:
        archive: a zip or a gzipped tar; told apart by their first bytes.
        wanted: base name of a member -> its pin. The folder inside the archive does not matter; of
            several members with one base name, the one that matches the pin is taken.
        destination: the folder that receives them, created if need be; files there are replaced.
        max_bytes: the most the whole archive may unpack to.
        max_ratio: the most it may unpack to as a multiple of the archive's size (not applied below 1 MiB).
    Returns: base name -> path of the file written.
    Raises:
        ArtefactError: a member that is absolute, climbs with ``..``, is a link or a device, is
            encrypted or stands twice; an archive that unpacks beyond a limit, is broken, or lacks a
            wanted file. Nothing is written.
        ResourceError: the folder cannot be written.
    """
    archive, destination = Path(archive), Path(destination)
    limit = min(max_bytes, max(int(max_ratio * archive.stat().st_size), _SMALL))
    found = _judge(archive, limit)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ArtefactError(
            f"{archive}: no member named {', '.join(missing)}; it holds {', '.join(sorted(found)[:20])}"
        )
    staged: dict[str, Path] = {}
    try:
        destination.mkdir(parents=True, exist_ok=True)
        _stage(archive, limit, wanted, destination, staged)
        for name, pin in wanted.items():
            if name not in staged:
                raise ArtefactError(f"{archive}: its member {name} is not the pinned file; expected {pin}")
        result = {}
        for name, part in list(staged.items()):
            part.chmod(0o644)
            result[name] = part.replace(destination / name)
            del staged[name]
        return result
    except OSError as error:
        raise ResourceError(f"cannot write to {destination}: {error.strerror or error}") from error
    finally:
        for part in staged.values():
            part.unlink(missing_ok=True)


def _judge(archive: Path, limit: int) -> set[str]:
    """The base names of the files, after every member was found harmless."""
    total = 0
    seen: set[str] = set()
    files: set[str] = set()
    for member in _members(archive, limit):
        fault = member.fault or _name_fault(member.name)
        total += member.size
        name = member.name.rstrip("/")
        if fault is None and name in seen:
            fault = "stands there twice"
        if fault is None and total > limit:
            fault = f"takes the unpacked size beyond {limit} bytes"
        if fault is None and len(seen) >= _MAX_MEMBERS:
            fault = f"is one of more than {_MAX_MEMBERS}"
        if fault is not None:
            raise ArtefactError(
                f"{archive} refused as a whole: its member {member.name!r} {fault}; nothing was written"
            )
        seen.add(name)
        if member.is_file:
            files.add(name.rsplit("/", 1)[-1])
    return files


def _name_fault(name: str) -> str | None:
    if not name or any(ord(c) < 32 for c in name):
        return "has no usable name"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    if "\\" in name:
        return "has a backslash in its path"
    if ".." in name.split("/"):
        return "climbs out of the folder with '..'"
    return None


def _stage(
    archive: Path, limit: int, wanted: Mapping[str, Pin | None], destination: Path, staged: dict[str, Path]
) -> None:
    for member in _members(archive, limit):
        name = member.name.rsplit("/", 1)[-1]
        if not member.is_file or name not in wanted or name in staged:
            continue
        handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=destination)
        part, pin, kept = Path(temporary), wanted[name], False
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(_blocks(archive, member))
            if pin is None or pin.matches(part):
                staged[name], kept = part, True
        finally:
            if not kept:
                part.unlink(missing_ok=True)


def _blocks(archive: Path, member: _Member) -> Iterator[bytes]:
    """The content; a member that yields more than it declares is one the readers call broken."""
    with _readable(archive):
        source = member.open()
        while source is not None and (block := source.read(_BLOCK)):
            yield block


def _members(archive: Path, limit: int) -> Iterator[_Member]:
    with _readable(archive):
        with archive.open("rb") as file:
            magic = file.read(4)
        if magic[:2] == b"\x1f\x8b":
            yield from _tar_members(archive, limit)
        elif magic in (b"PK\x03\x04", b"PK\x05\x06"):
            yield from _zip_members(archive)
        else:
            raise ArtefactError(f"{archive} is neither a zip nor a gzipped tar archive")


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = info.external_attr >> 16
            kind, fault = stat.S_IFMT(mode), None
            if stat.S_ISLNK(mode):
                fault = "is a symbolic link"
            elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                fault = "is a device or another special file"
            elif info.flag_bits & 0x1:
                fault = "is encrypted"
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                fault = f"is packed in an unusual way (method {info.compress_type})"
            name = info.orig_filename
            yield _Member(name, info.file_size, fault, not info.is_dir(), partial(file.open, info))


def _tar_members(archive: Path, limit: int) -> Iterator[_Member]:
    # Headers and padding unpack too; 512 bytes a member plus one record is what an honest archive adds.
    with gzip.open(archive) as unpacked:
        bounded = _Bounded(unpacked, archive, limit + 1024 * _MAX_MEMBERS)
        with tarfile.open(fileobj=bounded, mode="r|") as file:
            for info in file:
                fault = None
                if info.issym() or info.islnk():
                    fault = "is a link"
                elif info.issparse():
                    fault = "is a sparse file"
                elif not (info.isreg() or info.isdir()):
                    fault = "is a device or another special file"
                yield _Member(info.name, info.size, fault, info.isreg(), partial(file.extractfile, info))


class _Bounded(io.RawIOBase):
    """A stream that refuses to yield more than ``limit`` bytes, so that a gzip bomb stops early."""

    def __init__(self, source: gzip.GzipFile, archive: Path, limit: int):
        self._source, self._archive, self._left = source, archive, limit

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(_BLOCK if size < 0 else size)
        self._left -= len(block)
        if self._left < 0:
            raise ArtefactError(f"{self._archive} refused as a whole: it unpacks far beyond its limit (a gzip bomb?)")
        return block


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    """Turn whatever the readers raise for a broken archive into one error.

    It stands inside the generators that read, so an error of the code that writes does not pass here.
    """
    try:
        yield
    except _BROKEN as error:
        raise ArtefactError(
            f"{archive} is a broken archive ({error or type(error).__name__}); delete it and fetch it again"
        ) from error
