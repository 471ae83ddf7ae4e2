"""Fetching one file whose content is known beforehand.

The bytes go to a temporary file beside the destination, are checked there, and only then take its
name; a file of that name is never left half written, and every refusal removes the temporary file.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Literal

from taurec.errors import ArtefactError, ResourceError, UsageError

Progress = Callable[[int, "int | None"], None]
_BLOCK = 1 << 18
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Pin:
    """The fingerprint that makes a file the right one.

    Attributes:
        kind: ``sha256`` of the content, or ``git``: the blob id that a git repository shows for the
            file, which is SHA-1 over ``b"blob " + length in decimal + b"\\0" + content``.
        digest: lower-case hexadecimal.

    >>> Pin("git", "ce013625030ba8dba906f756967f9e9ca394464a").kind     # of the content b"hello\\n"
    'git'
    """

    kind: Literal["sha256", "git"]
    digest: str

    def __post_init__(self) -> None:
        length = {"sha256": 64, "git": 40}.get(self.kind)
        if length is None:
            raise UsageError(f"a pin is 'sha256' or 'git', got {self.kind!r}")
        if len(self.digest) != length or set(self.digest) - set("0123456789abcdef"):
            raise UsageError(f"a {self.kind} pin has {length} lower-case hexadecimal digits, got {self.digest!r}")

    def of(self, path: Path) -> str:
        """The digest of the same kind of a file."""
        if self.kind == "sha256":
            digest = hashlib.sha256()
        else:
            digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def matches(self, path: Path) -> bool:
        """Whether a file is the pinned one."""
        return self.of(path) == self.digest

    def __str__(self) -> str:
        return f"{'SHA-256' if self.kind == 'sha256' else 'git blob id'} {self.digest}"


def fetch(
    url: str,
    destination: str | os.PathLike[str],
    pin: Pin | None,
    *,
    progress: Progress | None = None,
    max_bytes: int = 1 << 31,
    timeout: float = 30.0,
    allow_loopback_http: bool = False,
) -> Path:
    """Download ``url`` to ``destination`` and check that it is the pinned file.

    Args:
        url: an https address. Redirects are followed on the same host and port over https only.
        destination: the file to make; its folder is created; a file there is replaced on success only.
        pin: what the content must be. ``None`` only for an archive whose members are pinned.
        progress: called with (bytes so far, all bytes or None) after each block.
        max_bytes: the largest transfer accepted.
        timeout: seconds without a byte after which the transfer is given up.
        allow_loopback_http: accept plain http to this machine itself (for tests).
    Returns: the destination.
    Raises:
        UsageError: the address is not https.
        ArtefactError: another content, a web page, a short transfer, a forbidden redirect.
        ResourceError: no network, an error of the server, a folder that cannot be written.
    """
    destination = Path(destination)
    _allowed(url, allow_loopback_http)
    part: Path | None = None
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{destination.name}.", suffix=".part", dir=destination.parent)
        part = Path(name)
        with os.fdopen(handle, "wb") as file:
            expected, page = _transfer(
                url, file, progress, max_bytes, timeout, allow_loopback_http, by_hand(url, destination, pin)
            )
        _check(url, part, pin, expected, page)
        part.chmod(0o644)
        part.replace(destination)
    except OSError as error:
        raise ResourceError(
            f"cannot write {destination}: {error.strerror or error}; "
            "make room or name another cache folder in TAUREC_CACHE"
        ) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    return destination


def by_hand(url: str, destination: Path, pin: Pin | None) -> str:
    """How to do without the network, for messages."""
    return f"fetch {url} on another machine and put it at {destination}" + (f" ({pin})" if pin else "")


def _transfer(
    url: str,
    file: IO[bytes],
    progress: Progress | None,
    max_bytes: int,
    timeout: float,
    loopback: bool,
    instead: str,
) -> tuple[int | None, bool]:
    """Copy the answer into ``file``; returns the announced length and whether it calls itself a web page."""
    request = urllib.request.Request(url, headers={"User-Agent": "taurec", "Accept-Encoding": "identity"})
    try:
        with urllib.request.build_opener(_SameHost(url, loopback)).open(request, timeout=timeout) as answer:
            length = answer.headers.get("Content-Length", "")
            expected = int(length) if length.isdecimal() else None
            page = answer.headers.get_content_type() in ("text/html", "application/xhtml+xml")
            done = 0
            while block := _read(answer, url):
                done += len(block)
                if max(done, expected or 0) > max_bytes:
                    raise ArtefactError(
                        f"{url} refused: it sends {max(done, expected or 0)} bytes, more than {max_bytes}"
                    )
                file.write(block)
                if progress is not None:
                    progress(done, expected)
    except urllib.error.HTTPError as error:
        raise ResourceError(
            f"{url}: the server answers {error.code} {error.reason}; try again later, or {instead}"
        ) from None
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise ResourceError(f"no network: {url} cannot be reached ({reason}); " + instead) from None
    return expected, page


def _read(answer: http.client.HTTPResponse, url: str) -> bytes:
    """One block of the answer."""
    try:
        return answer.read(_BLOCK)
    except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        raise ResourceError(
            f"{url}: the connection broke in mid-transfer ({type(error).__name__}); nothing was kept, "
            "run the same command again"
        ) from None


def _check(url: str, part: Path, pin: Pin | None, expected: int | None, page: bool) -> None:
    size = part.stat().st_size
    got = "" if pin is None else f"; expected {pin}, got {pin.of(part)}"
    if expected is not None and size != expected:
        raise ArtefactError(
            f"{url} refused: short transfer, {size} of {expected} bytes{got}; run the same command again"
        )
    if pin is not None and pin.matches(part):
        return
    with part.open("rb") as file:
        start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if page or start.startswith((b"<!doctype html", b"<html")):
        raise ArtefactError(
            f"{url} refused: a web page came instead of the data (a login or error page?){got}; "
            "open the address in a browser to see what it says"
        )
    if pin is not None:
        raise ArtefactError(
            f"{url} refused: not the file that was pinned{got}; nothing was kept. "
            "A proxy may alter the transfer, or the public file has changed: then it is other data"
        )


def _allowed(url: str, loopback: bool) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if not (loopback and parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise UsageError(f"only https addresses are fetched, got {url!r}")


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to the same host and port over the same scheme."""

    def __init__(self, url: str, loopback: bool):
        self._first = urllib.parse.urlsplit(url)
        self._loopback = loopback

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        there = urllib.parse.urlsplit(newurl)
        if (there.scheme, there.netloc) != (self._first.scheme, self._first.netloc):
            fp.close()
            raise ArtefactError(
                f"{self._first.geturl()} refused: it redirects to {there.scheme}://{there.netloc}, "
                "and only the named host over https is trusted"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)
