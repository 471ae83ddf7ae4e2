import hashlib
import http.server
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from taurec.data.download import Pin, fetch
from taurec.errors import ArtefactError, ResourceError, UsageError

CONTENT = b"".join(b"%d %d\n" % (i, i * 7 % 1000) for i in range(60_000))
PIN = Pin("sha256", hashlib.sha256(CONTENT).hexdigest())
GIT = Pin("git", hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest())
PAGE = b"\n  <!DOCTYPE html><html><body>please log in</body></html>"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the path: each one is a way for a transfer to go, well or badly."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        getattr(self, self.path.strip("/").replace("-", "_"))()

    def log_message(self, *args):
        pass

    def answer(self, content, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def good(self):
        self.answer(CONTENT, Content_Type="text/plain")

    def good_called_html(self):
        self.answer(CONTENT, Content_Type="text/html")

    def no_length(self):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(CONTENT)

    def altered(self):
        self.answer(CONTENT.replace(b"5", b"6", 1))

    def short(self):
        self.answer(CONTENT[:-1], length=len(CONTENT))

    def nothing(self):
        self.answer(b"", length=len(CONTENT))

    def short_without_length(self):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2])

    def broken_chunks(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"%x\r\n" % len(CONTENT) + CONTENT[:1000])

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True
        self.connection.close()
        self.wfile = self.rfile = type("Closed", (), {"closed": True, "close": lambda _: None})()

    def silent(self):
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.flush()
        self.server.release.wait(10)

    def long(self):
        self.answer(CONTENT + b"1 1\n")

    def page(self):
        self.answer(PAGE, Content_Type="text/html; charset=utf-8")

    def fragment(self):
        self.answer(b"<p>please log in", Content_Type="text/html")

    def page_called_data(self):
        self.answer(PAGE, Content_Type="application/octet-stream")

    def missing(self):
        self.answer(b"not here", 404)

    def down(self):
        self.answer(b"", 503)

    def moved_here(self):
        self.answer(b"", 302, Location="/good")

    def moved_away(self):
        self.answer(b"", 302, Location=f"http://localhost:{self.server.server_port}/good")

    def moved_port(self):
        self.answer(b"", 301, Location="http://127.0.0.1:9/good")

    def moved_to_https(self):
        self.answer(b"", 302, Location=f"https://127.0.0.1:{self.server.server_port}/good")

    def moved_to_file(self):
        self.answer(b"", 302, Location="file:///etc/passwd")

    def moved_in_circles(self):
        self.answer(b"", 302, Location="/moved-in-circles")


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as it:
        it.release = threading.Event()
        threading.Thread(target=it.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{it.server_port}"
        it.release.set()
        it.shutdown()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def get(server, path, destination, pin=PIN, **options):
    return fetch(f"{server}/{path}", destination, pin, allow_loopback_http=True, timeout=5.0, **options)


def test_pins_of_known_content(tmp_path):
    file = tmp_path / "hello"
    file.write_bytes(b"hello\n")
    assert Pin("git", "ce013625030ba8dba906f756967f9e9ca394464a").matches(file)
    assert Pin("sha256", "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03").matches(file)
    file.write_bytes(b"hello")
    assert not Pin("git", "ce013625030ba8dba906f756967f9e9ca394464a").matches(file)


def test_git_pin_is_what_git_says(tmp_path):
    file = tmp_path / "content"
    file.write_bytes(CONTENT)
    try:
        said = subprocess.run(["git", "hash-object", "--no-filters", file], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    assert GIT.of(file) == said.stdout.strip()


@pytest.mark.parametrize(
    ("kind", "digest"), [("md5", "0" * 32), ("sha256", "0" * 63), ("git", "G" * 40), ("git", "A" * 40)]
)
def test_a_pin_that_cannot_be_one_is_refused(kind, digest):
    with pytest.raises(UsageError, match="pin"):
        Pin(kind, digest)


@pytest.mark.parametrize("path", ["good", "good-called-html", "no-length", "moved-here"])
@pytest.mark.parametrize("pin", [PIN, GIT], ids=["sha256", "git"])
def test_the_pinned_file_arrives(server, path, pin, tmp_path):
    destination = tmp_path / "new" / "folder" / "train.txt"
    assert get(server, path, destination, pin) == destination
    assert destination.read_bytes() == CONTENT
    assert os.listdir(destination.parent) == ["train.txt"]


def test_progress_rises_to_the_whole(server, tmp_path):
    seen = []
    get(server, "good", tmp_path / "a", progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert len(seen) > 1
    get(server, "no-length", tmp_path / "a", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(CONTENT), None)


HASHES = f"expected SHA-256 {PIN.digest}, got [0-9a-f]{{64}}"
REFUSED = {
    "altered": (ArtefactError, f"not the file that was pinned; {HASHES}; nothing was kept"),
    "short": (ArtefactError, f"short transfer, {len(CONTENT) - 1} of {len(CONTENT)} bytes; {HASHES}; run the same"),
    "nothing": (ArtefactError, f"short transfer, 0 of {len(CONTENT)} bytes; {HASHES}"),
    "short-without-length": (ArtefactError, f"not the file that was pinned; {HASHES}"),
    "broken-chunks": (ResourceError, r"the connection broke in mid-transfer \(IncompleteRead\); nothing was kept"),
    "reset": (
        ResourceError,
        r"no network: .*/reset cannot be reached .*; fetch .* and put it at .*train\.txt \(SHA-256",
    ),
    "long": (ArtefactError, HASHES),
    "page": (ArtefactError, f"a web page came instead of the data .*{HASHES}; open the address in a browser"),
    "fragment": (ArtefactError, f"a web page came instead of the data .*{HASHES}"),
    "page-called-data": (ArtefactError, f"a web page came instead of the data .*{HASHES}"),
    "missing": (ResourceError, r"the server answers 404 .*put it at .*train\.txt"),
    "down": (ResourceError, "the server answers 503"),
    "moved-away": (
        ArtefactError,
        r"/moved-away refused: it redirects to http://localhost:\d+, and only the named host",
    ),
    "moved-port": (ArtefactError, "redirects to http://127.0.0.1:9,"),
    "moved-to-https": (ArtefactError, "redirects to https://127.0.0.1:"),
    "moved-to-file": (ResourceError, "the server answers 302"),
    "moved-in-circles": (ResourceError, "the server answers 302"),
}


@pytest.mark.parametrize("path", REFUSED)
def test_refused_and_nothing_is_left_or_altered(server, path, tmp_path):
    error, message = REFUSED[path]
    destination = tmp_path / "train.txt"
    with pytest.raises(error, match=f"(?s){message}"):
        get(server, path, destination)
    assert os.listdir(tmp_path) == []
    destination.write_bytes(b"earlier")
    with pytest.raises(error):
        get(server, path, destination)
    assert os.listdir(tmp_path) == ["train.txt"]
    assert destination.read_bytes() == b"earlier"
    assert get(server, "good", destination).read_bytes() == CONTENT


def test_without_a_pin_a_page_and_a_short_transfer_are_still_refused(server, tmp_path):
    for path, message in (("page", "web page"), ("page-called-data", "web page"), ("short", "short transfer")):
        with pytest.raises(ArtefactError, match=message):
            get(server, path, tmp_path / "a", None)
    assert get(server, "good", tmp_path / "a", None).read_bytes() == CONTENT


def test_a_silent_server_is_given_up(server, tmp_path):
    with pytest.raises(ResourceError, match=r"broke in mid-transfer \(TimeoutError\)"):
        fetch(f"{server}/silent", tmp_path / "a", PIN, allow_loopback_http=True, timeout=0.2)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", ["good", "no-length"])
def test_more_than_the_limit_is_not_taken(server, path, tmp_path):
    with pytest.raises(ArtefactError, match="more than 1000"):
        get(server, path, tmp_path / "a", max_bytes=1000)
    assert os.listdir(tmp_path) == []


def test_no_network_names_the_place_and_what_to_do(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/train.txt"
        with pytest.raises(ResourceError, match="no network") as caught:
            fetch(url, tmp_path / "train.txt", PIN, allow_loopback_http=True)
    assert f"fetch {url} on another machine and put it at {tmp_path / 'train.txt'} ({PIN})" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://example.org/a", False),
        ("http://example.org/a", True),
        ("http://127.0.0.1:1/a", False),
        ("http://127.0.0.1.example.org/a", True),
        ("file:///etc/passwd", True),
        ("ftp://127.0.0.1/a", True),
        ("https:///a", True),
        ("train.txt", True),
    ],
)
def test_only_https_is_fetched(url, loopback, tmp_path):
    with pytest.raises(UsageError, match="only https"):
        fetch(url, tmp_path / "a", PIN, allow_loopback_http=loopback)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match=r"cannot write .*TAUREC_CACHE"):
        get(server, "good", tmp_path / "file" / "train.txt")


def test_an_interruption_leaves_nothing(server, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, "good", tmp_path / "a", progress=stop)
    assert list(Path(tmp_path).iterdir()) == []
