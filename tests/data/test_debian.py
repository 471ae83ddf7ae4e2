import hashlib
import importlib.util
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from taurec.data import debian
from taurec.errors import ArtefactError

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_debian.py"

INDEX = """\
Package: app
Source: suite (1.2-3)
Filename: pool/main/s/suite/app.deb
Depends: libc6 (>= 2.34), app-data (= 1), python3:any | python3.11, perlapi-5.36.0
Recommends: zoo [amd64] <!nocheck>
Description: a program
 with a second line: Depends: nothing

Package: app-data
Source: suite
Filename: pool/main/s/suite/app-data.deb
Pre-Depends: dpkg (>= 1.15)
Suggests: toy

Package: libc6
Filename: pool/main/g/libc6.deb

Package: zoo
Filename: pool/main/z/zoo.deb
Depends: libc6, zoo

Package: dpkg
Filename: pool/main/d/dpkg.deb

Package: python3
Version: 1
Depends: libc6

Package: toy
Filename: pool/main/t/toy.deb
"""


@pytest.fixture(scope="module")
def log():
    return debian.load()


@pytest.fixture(scope="module")
def script():
    if not SCRIPT.exists():
        pytest.skip("scripts/make_debian.py is not part of this distribution")
    spec = importlib.util.spec_from_file_location("make_debian", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sizes_are_those_stated_with_the_log(log):
    said = debian.origin()
    assert (log.n_users, log.n_items, len(log)) == (said["users"], said["items"], said["pairs"])
    assert (log.n_users, log.n_items, len(log)) == (10842, 3739, 115846)
    assert said["date"] == "2026-11-22"
    assert said["release"].startswith("Debian 12")
    assert "redistributable" in said["licence"]


def test_it_is_a_5_core_without_repeats_in_alphabetical_order(log):
    assert log.user_counts.min() >= 5
    assert log.item_counts.min() >= 5
    assert log.merged == 0
    assert log.users.ids.is_sorted()
    assert log.items.ids.is_sorted()
    assert log.time is None
    assert log.weight is None


def test_the_file_is_small_and_carries_its_origin():
    content = (files("taurec.data") / debian.NAME).read_bytes()
    assert len(content) < 400_000
    assert hashlib.sha256(content).hexdigest() == debian.origin()["sha256"]
    inside = json.loads(pl.read_parquet_metadata(str(files("taurec.data") / debian.NAME))["origin"])
    assert inside == {key: value for key, value in debian.origin().items() if key != "sha256"}


def test_known_facts_are_in_it(log):
    (pandas,) = log.users.encode(["pandas"])
    needs = set(log.items.decode(log.items_of(pandas)))
    assert {"python3-numpy", "python3-dateutil", "python3-tz"} <= needs
    assert not any(name.startswith("python3-pandas") for name in needs)


def test_software_with_numpy_and_pandas_needs_scipy_and_matplotlib(log):
    given = log.items.encode(["python3-numpy", "python3-pandas"])
    matrix = log.csr()
    both = np.flatnonzero(matrix[:, given].sum(axis=1) == 2)
    together = matrix[both].sum(axis=0)
    cosine = together / np.sqrt(log.item_counts * len(both))
    cosine[given] = -1
    best = log.items.decode(np.argsort(-cosine, kind="stable")[:5])
    assert best[0] == "python3-scipy"
    assert "python3-matplotlib" in best


def test_numpy_and_scipy_stand_together_far_beyond_chance(log):
    numpy, scipy = (
        log.csr()[:, [i]].toarray().ravel() > 0 for i in log.items.encode(["python3-numpy", "python3-scipy"])
    )
    expected = numpy.sum() * scipy.sum() / log.n_users
    assert (numpy & scipy).sum() > 15 * expected


def test_a_damaged_file_is_refused(monkeypatch, tmp_path):
    for name in (debian.NAME, "debian.json"):
        (tmp_path / name).write_bytes((files("taurec.data") / name).read_bytes())
    with (tmp_path / debian.NAME).open("r+b") as file:
        file.seek(1000)
        file.write(b"\0")
    monkeypatch.setattr(debian, "files", lambda _: tmp_path)
    with pytest.raises(ArtefactError, match=r"debian.parquet in the installed package is damaged: expected SHA-256"):
        debian.load()


def test_script_reads_the_index_as_defined(script):
    index = list(script.stanzas(INDEX.split("\n")))
    assert [s["Package"] for s in index] == ["app", "app-data", "libc6", "zoo", "dpkg", "python3", "toy"]
    assert index[0]["Description"] == "a program with a second line: Depends: nothing"
    # own packages, virtual names, later alternatives, suggestions and the paragraph without Filename are out
    assert script.pairs(index) == {
        ("suite", "libc6"), ("suite", "python3"), ("suite", "zoo"), ("suite", "dpkg"), ("zoo", "libc6"),
    }  # fmt: skip
    assert ("suite", "perlapi-5.36.0") in script.pairs(index, virtual=True)
    assert ("suite", "zoo") not in script.pairs(index, ("Depends",))


def test_script_takes_the_core_and_writes_the_same_bytes_twice(script, tmp_path):
    square = {(u, i) for u in "abcde" for i in "vwxyz"}
    log = script.core(square | {("a", "once"), ("f", "v")})
    assert (log.n_users, log.n_items, len(log)) == (5, 5, 25)
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        script.write(log, list(script.stanzas(INDEX.split("\n"))), "2026-01-31", tmp_path / name)
        written.append((tmp_path / name / debian.NAME).read_bytes())
    assert written[0] == written[1]
    frame = pl.read_parquet(tmp_path / "one" / debian.NAME)
    assert set(frame.iter_rows()) == square


@pytest.mark.parametrize(("version", "release"), [("12.4+deb12u15", "12.15"), ("13.8", "13.0"), ("12.4", "12.0")])
def test_script_knows_the_release(script, version, release):
    assert script.release([{"Package": "base-files", "Version": version}]) == release
