import gzip
import hashlib
import io
import stat
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from taurec import draw
from taurec.data import archive as archives
from taurec.data.archive import extract_members
from taurec.data.download import Pin
from taurec.errors import ArtefactError, ResourceError

GOOD = {"set/train.txt": b"0 1 2\n", "set/test.txt": b"0 3\n", "other/train.txt": b"0 9\n"}
WANTED = {
    "train.txt": Pin("sha256", hashlib.sha256(GOOD["set/train.txt"]).hexdigest()),
    "test.txt": Pin("sha256", hashlib.sha256(GOOD["set/test.txt"]).hexdigest()),
}


def tar_of(*members, mode="w:gz", **options):
    """A tar of (name, content or TarInfo) pairs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as file:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                file.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def special(kind, target=""):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def zip_of(*members, compression=zipfile.ZIP_DEFLATED):
    """A zip of (name or ZipInfo, content) pairs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return buffer.getvalue()


def entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def encrypted():
    content = bytearray(zip_of(*GOOD.items()))
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    return bytes(content)


def lying_size():
    """A zip whose first member declares fewer bytes than it unpacks to."""
    content = bytearray(zip_of(("train.txt", b"x" * 5000), ("test.txt", b"0 3\n")))
    at = content.index(b"PK\x01\x02")
    struct.pack_into("<L", content, at + 24, 10)
    return bytes(content)


GOOD_PAIRS = list(GOOD.items())
HOSTILE = {
    "tar: climbs": (tar_of(*GOOD_PAIRS, ("../evil", b"x")), r"'\.\./evil' climbs out of the folder"),
    "tar: climbs inside": (tar_of(*GOOD_PAIRS, ("a/../../evil", b"x")), "climbs"),
    "tar: absolute": (tar_of(*GOOD_PAIRS, ("/tmp/evil", b"x")), "'/tmp/evil' has an absolute path"),
    "tar: drive": (tar_of(*GOOD_PAIRS, ("C:/evil", b"x")), "absolute"),
    "tar: backslash": (tar_of(*GOOD_PAIRS, ("..\\evil", b"x")), "backslash"),
    "tar: symbolic link": (tar_of(*GOOD_PAIRS, ("link", special(tarfile.SYMTYPE, "/etc"))), "'link' is a link"),
    "tar: link, then through it": (
        tar_of(("set", special(tarfile.SYMTYPE, "/tmp")), ("set/train.txt", b"0 1 2\n")),
        "'set' is a link",
    ),
    "tar: wanted file is a link": (
        tar_of(("train.txt", special(tarfile.SYMTYPE, "/etc/passwd")), ("test.txt", b"0 3\n")),
        "'train.txt' is a link",
    ),
    "tar: hard link": (tar_of(*GOOD_PAIRS, ("link", special(tarfile.LNKTYPE, "/etc/passwd"))), "is a link"),
    "tar: character device": (tar_of(*GOOD_PAIRS, ("zero", special(tarfile.CHRTYPE))), "is a device"),
    "tar: block device": (tar_of(*GOOD_PAIRS, ("disk", special(tarfile.BLKTYPE))), "is a device"),
    "tar: pipe": (tar_of(*GOOD_PAIRS, ("pipe", special(tarfile.FIFOTYPE))), "is a device or another special"),
    "tar: twice": (tar_of(*GOOD_PAIRS, ("set/train.txt", b"0 7\n")), "'set/train.txt' stands there twice"),
    "tar: newline in a name": (tar_of(*GOOD_PAIRS, ("a\nb", b"x")), "no usable name"),
    "tar: too large": (tar_of(*GOOD_PAIRS, ("big", bytes(5 << 20))), "'big' takes the unpacked size beyond"),
    "tar: bomb in a header": (
        tar_of(*GOOD_PAIRS, format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * (30 << 20)}),
        "gzip bomb",
    ),
    "tar: nothing but zeros": (gzip.compress(bytes(1 << 20)), "no member named"),
    "tar: cut": (tar_of(*GOOD_PAIRS)[:-60], "broken archive"),
    "tar: no tar inside": (gzip.compress(b"<html>" * 1000), "broken archive"),
    "zip: climbs": (zip_of(*GOOD_PAIRS, ("../evil", b"x")), "climbs"),
    "zip: climbs at the end": (zip_of(*GOOD_PAIRS, ("a/..", b"x")), "climbs"),
    "zip: absolute": (zip_of(*GOOD_PAIRS, ("/tmp/evil", b"x")), "absolute"),
    "zip: drive": (zip_of(*GOOD_PAIRS, ("c:evil", b"x")), "absolute"),
    "zip: backslash": (zip_of(*GOOD_PAIRS, ("..\\evil", b"x")), "backslash"),
    "zip: symbolic link": (zip_of(*GOOD_PAIRS, (entry("link", stat.S_IFLNK | 0o777), "/etc")), "symbolic link"),
    "zip: device": (zip_of(*GOOD_PAIRS, (entry("zero", stat.S_IFCHR | 0o666), "")), "is a device"),
    "zip: pipe": (zip_of(*GOOD_PAIRS, (entry("pipe", stat.S_IFIFO | 0o666), "")), "is a device or another special"),
    "zip: encrypted": (encrypted(), "is encrypted"),
    "zip: unusual packing": (zip_of(*GOOD_PAIRS, compression=zipfile.ZIP_BZIP2), r"unusual way \(method 12\)"),
    "zip: bomb": (zip_of(*GOOD_PAIRS, ("big", bytes(5 << 20))), "beyond"),
    "zip: size that lies": (lying_size(), "broken archive"),
    "zip: cut": (zip_of(*GOOD_PAIRS)[:-30], "broken archive"),
    "zip: damaged content": (zip_of(*GOOD_PAIRS, compression=0).replace(b"0 1 2", b"0 1 3"), "broken archive"),
    "neither": (b"<!doctype html>", "neither a zip nor a gzipped tar"),
    "empty": (b"", "neither a zip nor a gzipped tar"),
    "plain tar": (tar_of(*GOOD_PAIRS, mode="w"), "neither a zip nor a gzipped tar"),
}


def everything_under(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archive_is_refused_whole_and_nothing_is_written(case, tmp_path):
    content, message = HOSTILE[case]
    archive, inside = tmp_path / "archive", tmp_path / "deep" / "inside"
    archive.write_bytes(content)
    inside.mkdir(parents=True)
    (inside / "train.txt").write_bytes(b"earlier")
    before = everything_under(tmp_path)
    with pytest.raises(ArtefactError, match=message):
        extract_members(archive, dict.fromkeys(WANTED) if "lies" in case else WANTED, inside)
    assert everything_under(tmp_path) == before


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_the_pinned_member_is_taken_whatever_its_folder(make, tmp_path):
    archive = tmp_path / "archive"
    archive.write_bytes(make(*reversed(GOOD_PAIRS)))
    result = extract_members(archive, WANTED, tmp_path / "new" / "folder")
    assert {name: path.read_bytes() for name, path in result.items()} == {"train.txt": b"0 1 2\n", "test.txt": b"0 3\n"}
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == ["test.txt", "train.txt"]


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_a_wrong_or_missing_member_leaves_nothing(make, tmp_path):
    archive, inside = tmp_path / "archive", tmp_path / "inside"
    archive.write_bytes(make(*GOOD_PAIRS))
    wrong = WANTED | {"train.txt": Pin("sha256", "0" * 64)}
    with pytest.raises(ArtefactError, match=r"train.txt is not the pinned file; expected SHA-256 0000"):
        extract_members(archive, wrong, inside)
    with pytest.raises(ArtefactError, match=r"no member named valid.txt; it holds test.txt, train.txt"):
        extract_members(archive, {"valid.txt": None}, inside)
    assert everything_under(inside) == {}


def test_without_a_pin_the_first_of_a_name_is_taken(tmp_path):
    archive = tmp_path / "archive"
    archive.write_bytes(zip_of(*GOOD_PAIRS))
    assert extract_members(archive, {"train.txt": None}, tmp_path)["train.txt"].read_bytes() == b"0 1 2\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive", "train.txt"]


def test_an_honest_archive_may_hold_folders_and_compress_well(tmp_path):
    folder = tarfile.TarInfo()
    folder.type = tarfile.DIRTYPE
    archive = tmp_path / "archive"
    archive.write_bytes(tar_of(("set", folder), ("set/train.txt", b"1 " * 400_000), format=tarfile.PAX_FORMAT))
    assert archive.stat().st_size < 4000
    assert extract_members(archive, {"train.txt": None}, tmp_path)["train.txt"].stat().st_size == 800_000


def test_the_limits_are_the_callers(tmp_path):
    archive = tmp_path / "archive"
    archive.write_bytes(zip_of(("a", bytes(3 << 20))))
    assert extract_members(archive, {"a": None}, tmp_path, max_ratio=2000)["a"].stat().st_size == 3 << 20
    with pytest.raises(ArtefactError, match="beyond 1000 bytes"):
        extract_members(archive, {"a": None}, tmp_path, max_ratio=2000, max_bytes=1000)


def test_a_gzip_bomb_is_not_unpacked_to_its_end(tmp_path, monkeypatch):
    read = []
    original = archives._Bounded.read
    monkeypatch.setattr(archives._Bounded, "read", lambda self, n=-1: read.append(n) or original(self, n))
    archive = tmp_path / "archive"
    archive.write_bytes(gzip.compress(tar_of(("big", bytes(200 << 20)), mode="w"), compresslevel=1))
    with pytest.raises(ArtefactError, match="'big' takes the unpacked size beyond"):
        extract_members(archive, {"a": None}, tmp_path)
    assert sum(read) < 1 << 20


def test_a_folder_that_cannot_be_made_is_a_resource_error(tmp_path):
    archive = tmp_path / "archive"
    archive.write_bytes(zip_of(*GOOD_PAIRS))
    with pytest.raises(ResourceError, match="cannot write to"):
        extract_members(archive, WANTED, archive / "inside")


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_damaged_bytes_never_end_in_another_error(make, tmp_path):
    good = make(*GOOD_PAIRS)
    archive, inside = tmp_path / "archive", tmp_path / "inside"
    at = draw.integers(draw.key(0, "damage", 0), np.arange(300), len(good), 3)
    to = draw.integers(draw.key(0, "damage", 1), np.arange(300), 256, 3)
    refused = 0
    for places, values in zip(at, to, strict=True):
        content = bytearray(good)
        for place, value in zip(places, values, strict=True):
            content[place] = value
        archive.write_bytes(content)
        try:
            result = extract_members(archive, WANTED, inside)
        except ArtefactError:
            refused += 1
        else:
            assert {name: path.read_bytes() for name, path in result.items()} == {
                "train.txt": b"0 1 2\n",
                "test.txt": b"0 3\n",
            }
        assert set(everything_under(tmp_path)) <= {"archive", "inside/train.txt", "inside/test.txt"}
    assert refused > 100
