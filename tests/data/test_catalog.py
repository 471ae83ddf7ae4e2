import hashlib
import http.server
import io
import os
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from taurec.data.catalog import DATASETS, cache_folder, load, locate, named, read
from taurec.data.datasets import Archive, Dataset, Part
from taurec.data.download import Pin
from taurec.errors import ArtefactError, DataError, ResourceError, UsageError

FILES = {"train.txt": b"0 10 11\n1 11 12\n2 10 12\n", "valid.txt": b"1 10\n2 13\n", "test.txt": b"0 12\n1 14\n"}
DATA = os.environ.get("TAUREC_DATA")


def pin(content):
    return Pin("sha256", hashlib.sha256(content).hexdigest())


def packed(kind):
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as file:
            for name, content in FILES.items():
                file.writestr(f"tiny/{name}", content)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as file:
            for name, content in FILES.items():
                info = tarfile.TarInfo(f"tiny/{name}")
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tiny(base, archive=None, archive_pin=None):
    """A data set of three parts whose public home is the local server."""
    parts = tuple(
        Part(name.removesuffix(".txt"), name, pin(content), None if archive else f"{base}/{name}")
        for name, content in FILES.items()
    )
    home = Archive(archive, f"{base}/{archive}", archive_pin) if archive else None
    return Dataset("tiny", "", 3, 5, 6, "here", valid=2, test=2, parts=parts, archive=home, format="lightgcn")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        content = self.server.files.get(name)
        self.server.asked.append(name)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as it:
        it.files, it.asked = FILES | {"tiny.zip": packed("zip"), "tiny.tar.gz": packed("tar")}, []
        it.base = f"http://127.0.0.1:{it.server_port}"
        threading.Thread(target=it.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield it
        it.shutdown()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache of its own, no TAUREC_DATA and no proxy."""
    monkeypatch.setenv("TAUREC_CACHE", str(tmp_path / "cache"))
    for name in ("TAUREC_DATA", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "tiny"


def put(folder, **changed):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(changed.get(name.removesuffix(".txt"), content))


@pytest.mark.parametrize("archive", [None, "tiny.zip", "tiny.tar.gz"])
def test_fetched_once_then_found_in_the_cache(server, cache, archive):
    dataset = tiny(server.base, archive)
    first = locate(dataset, allow_loopback_http=True)
    assert first == {name.removesuffix(".txt"): cache / name for name in FILES}
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == FILES
    assert len(server.asked) == (1 if archive else 3)
    assert locate(dataset, allow_download=False) == first
    assert len(server.asked) == (1 if archive else 3)


def test_the_given_folder_comes_before_the_cache(cache, tmp_path, monkeypatch):
    put(cache)
    put(tmp_path / "given" / "tiny")
    monkeypatch.setenv("TAUREC_DATA", str(tmp_path / "given"))
    assert locate(tiny("http://127.0.0.1:1"))["train"] == tmp_path / "given" / "tiny" / "train.txt"
    (tmp_path / "given" / "tiny" / "valid.txt").unlink()
    assert locate(tiny("http://127.0.0.1:1"))["train"] == cache / "train.txt"


def test_a_file_edited_in_the_cache_is_named_and_refused(cache):
    edited = FILES["test.txt"] + b"2 11\n"
    put(cache, test=edited)
    with pytest.raises(ArtefactError, match=r"test\.txt is not a file of tiny.*delete it, and it is fetched") as caught:
        locate(tiny("http://127.0.0.1:1"))
    assert f"expected {pin(FILES['test.txt'])}, got {pin(edited).digest}" in str(caught.value)
    assert str(cache / "test.txt") in str(caught.value)
    assert (cache / "test.txt").read_bytes() == edited


def test_other_data_in_the_given_folder_is_refused_even_if_the_cache_is_right(cache, tmp_path, monkeypatch):
    put(cache)
    put(tmp_path / "given" / "tiny", train=b"0 1\n")
    monkeypatch.setenv("TAUREC_DATA", str(tmp_path / "given"))
    with pytest.raises(ArtefactError, match=r"given.tiny.train\.txt is not a file of tiny.*or unset TAUREC_DATA"):
        locate(tiny("http://127.0.0.1:1"))


@pytest.mark.parametrize("archive", [None, "tiny.zip", "tiny.tar.gz"])
def test_other_data_at_the_public_home_is_refused(server, cache, archive):
    server.files["train.txt"] = b"0 1\n"
    for name in ("tiny.zip", "tiny.tar.gz"):
        server.files[name] = b"PK\x03\x04 no archive"
    with pytest.raises(ArtefactError):
        locate(tiny(server.base, archive), allow_loopback_http=True)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_pinned_archive_is_checked_before_it_is_opened(server, cache):
    with pytest.raises(ArtefactError, match=r"tiny\.zip refused: not the file that was pinned"):
        locate(tiny(server.base, "tiny.zip", pin(b"other")), allow_loopback_http=True)
    assert list(cache.iterdir()) == []
    cache.joinpath("tiny.zip").write_bytes(packed("zip"))
    with pytest.raises(ArtefactError, match=r"tiny\.zip is not a file of tiny"):
        locate(tiny(server.base, "tiny.zip", pin(b"other")), allow_loopback_http=True)


def test_an_archive_put_there_by_hand_is_used_without_the_network(cache):
    cache.mkdir(parents=True)
    cache.joinpath("tiny.zip").write_bytes(packed("zip"))
    assert (
        locate(tiny("http://127.0.0.1:1", "tiny.zip", pin(packed("zip"))))["train"].read_bytes() == FILES["train.txt"]
    )


def test_a_missing_file_is_fetched_alone(server, cache):
    put(cache)
    (cache / "test.txt").unlink()
    locate(tiny(server.base), allow_loopback_http=True)
    assert server.asked == ["test.txt"]


def test_without_network_the_message_names_the_place(cache, tmp_path, monkeypatch):
    with pytest.raises(ResourceError, match="data set tiny is not here") as caught:
        locate(tiny("http://127.0.0.1:1"), allow_loopback_http=True)
    assert f"put it at {cache / 'train.txt'}" in str(caught.value)
    assert "no network" in str(caught.value)
    (tmp_path / "given").mkdir()
    monkeypatch.setenv("TAUREC_DATA", str(tmp_path / "given"))
    with pytest.raises(
        ResourceError, match=r"put train\.txt, valid\.txt, test\.txt there, or allow the down"
    ) as caught:
        locate(tiny("http://127.0.0.1:1"), allow_download=False)
    assert f"looked in {tmp_path / 'given' / 'tiny'}, then in {cache}" in str(caught.value)


def test_parts_share_indices_and_keep_raw_ids(cache):
    put(cache)
    dataset = tiny("http://127.0.0.1:1")
    loaded = read(dataset, locate(dataset))
    assert loaded.given_split
    assert (loaded.train.n_users, loaded.train.n_items) == (dataset.users, dataset.items)
    for part, name in ((loaded.train, "train"), (loaded.valid, "valid"), (loaded.test, "test")):
        assert part.items == loaded.train.items
        assert part.users == loaded.train.users
        raw = [
            (u, i) for line in FILES[f"{name}.txt"].decode().splitlines() for u, *rest in [line.split()] for i in rest
        ]
        pairs = zip(part.users.decode(part.user_of), part.items.decode(part.indices), strict=True)
        assert sorted(pairs) == sorted(raw)


@pytest.mark.parametrize(("part", "pair"), [("valid", "0 10"), ("test", "1 11"), ("valid", "0 12"), ("test", "1 10")])
def test_a_pair_in_two_parts_is_refused(cache, part, pair):
    put(cache, **{part: FILES[f"{part}.txt"] + f"{pair}\n".encode()})
    with pytest.raises(DataError, match="stand in"):
        read(tiny(""), {name.removesuffix(".txt"): cache / name for name in FILES})


def test_built_in_sets_have_the_sizes_the_table_states(monkeypatch):
    monkeypatch.setenv("TAUREC_DATA", "/does/not/matter")
    for name in ("debian", "planted"):
        said, loaded = named(name), load(name)
        assert (loaded.train.n_users, loaded.train.n_items) == (said.users, said.items)
        assert len(loaded.train) == said.train
        assert (len(loaded.test) if loaded.test else 0) == said.test
        assert loaded.given_split == said.given_split


def test_every_public_home_is_https_and_every_content_is_pinned():
    fetched = [d for d in DATASETS.values() if d.parts]
    assert [d.name for d in fetched] == [
        "yelp2018", "gowalla", "movielens-1m", "amazon-electronics", "amazon-beauty", "ml-100k", "amazon-book",
        "amazon",
    ]  # fmt: skip
    for dataset in fetched:
        urls = [part.url for part in dataset.parts if part.url] + ([dataset.archive.url] if dataset.archive else [])
        assert all(url.startswith("https://") for url in urls)
        assert len(urls) == (1 if dataset.archive else len(dataset.parts))
        names = {part.part for part in dataset.parts}
        assert names == ({"train", "test"} if dataset.given_split else {"log"}) | (
            {"valid"} if dataset.valid else set()
        )
    assert named("yelp2018").parts[0].url == (
        "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/"
        "947ca2b3b1d2d3545b114145710cb06c4e57b3d2/data/yelp2018/train.txt"
    )


def test_unknown_names_and_folders_are_refused(monkeypatch, tmp_path):
    with pytest.raises(UsageError, match="unknown data set 'yelp'; did you mean 'yelp2018'"):
        load("yelp")
    monkeypatch.setenv("TAUREC_DATA", str(tmp_path / "absent"))
    with pytest.raises(UsageError, match=r"TAUREC_DATA is .*absent', which is no folder"):
        load("yelp2018")


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("TAUREC_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("TAUREC_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "taurec"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "taurec"


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    [
        "ml-100k",
        "amazon-electronics",
        "amazon-beauty",
        "movielens-1m",
        pytest.param("gowalla", marks=pytest.mark.slow),
        pytest.param("yelp2018", marks=pytest.mark.slow),
    ],
)
def test_named_sets_have_the_sizes_the_table_states(name):
    if not DATA or not (Path(DATA) / name).is_dir():
        pytest.skip(f"needs the folder {name} under TAUREC_DATA")
    said, loaded = named(name), load(name, allow_download=False)
    assert (loaded.train.n_users, loaded.train.n_items) == (said.users, said.items)
    assert len(loaded.train) == said.train
    assert loaded.given_split == said.given_split
    if loaded.test is None:
        assert loaded.train.time is not None
    else:
        assert len(loaded.test) == said.test
        assert loaded.train.user_counts.min() >= 1
