"""Bad input of the table of faulty inputs, one case a line, named by row number.

A case gives the files of a folder, what is read, and what the message must hold. Every case also
checks that nothing in the folder was altered. Rows about options, saved models, training and
serving have tables of their own beside this one.
"""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from taurec.data import lines
from taurec.data.interactions import Interactions
from taurec.data.readers import read_log, read_split
from taurec.data.split import split, split_given
from taurec.errors import DataError, TaurecError, UsageError

HEAD = "user,item,time\n"
ROWS = "".join(f"u{n % 7},i{n % 11},{n}\n" for n in range(3000))


@dataclass(frozen=True)
class Case:
    """A source that must be refused: its name, its content, and the parts of the message in order."""

    id: str
    content: str | bytes | None
    parts: tuple[str, ...]
    reading: dict[str, Any] = field(default_factory=dict)
    error: type[TaurecError] = DataError
    name: str = "log.csv"


def gz(text: str) -> bytes:
    return gzip.compress(text.encode())


CUT = gz(ROWS * 20)[:-2000]
LONG = "x" * (1 << 20)

REFUSED = [
    Case("01-missing", None, ("absent.csv: no such file: /", "nearest existing folder is /"), name="absent.csv"),
    Case("01-missing-folder", None, ("no such file: /", "nearest existing folder is /"), name="no/such/log.csv"),
    Case("03-empty", "", ("log.csv: empty file, 0 bytes",)),
    Case("03-empty-gz", gz(""), ("log.csv.gz: empty file, 0 bytes",), name="log.csv.gz"),
    Case("03-empty-gz-nothing", "", ("log.csv.gz: empty file, 0 bytes",), name="log.csv.gz"),
    Case("03-empty-parquet", "", ("log.parquet: empty file, 0 bytes",), name="log.parquet"),
    Case("03-empty-list", "", ("train.txt: empty file, 0 bytes",), name="train.txt"),
    Case("04-header-only", HEAD, ("log.csv: 0 interactions",)),
    Case("04-header-only-cut", "user,item", ("log.csv: 0 interactions",)),
    Case("04-blank-only", "\n\n", ("log.csv:", "0 interactions")),
    Case("04-list-without-items", "0\n1\n", ("train.txt: 0 interactions",), name="train.txt"),
    Case("05-no-header", "1,2,3\n4,5,6\n", ("log.csv:1:1:", "line 1 looks like data", "--no-header")),
    Case("05-no-header-words", "ann,tea\nbob,rum\n", ("log.csv:1:1:", "'ann', 'tea'", "--no-header")),
    Case("05-no-header-twins", "5,5\n6,7\n", ("log.csv:1:1:", "twice", "--no-header")),
    Case(
        "05-no-header-named", "1,2\n3,4\n", ("log.csv:1:1:", "'user'", "looks like data", "--no-header"),
        {"user": "user", "item": "item"},
    ),
    Case("06-header-twice", HEAD + "a,b,1\n" + HEAD + "c,d,2\n", ("log.csv:3:1:", "header again")),
    Case("06-header-twice-far", HEAD + ROWS + HEAD + ROWS, ("log.csv:3002:1:", "header again")),
    Case(
        "07-column-absent", "who,what\na,b\n", ("log.csv:1:1:", "user or the item", "'who', 'what'", "--user")
    ),
    Case(
        "07-column-near", "userid,item\na,b\n", ("log.csv:1:1:", "no user column 'user_id'",
        "did you mean 'userid'", "accepted: item, userid"), {"user": "user_id"},
    ),
    Case("07-column-two", "user,movie_id,item_id\na,b,c\n", ("log.csv:1:1:", "each be the item", "--item")),
    Case("07-no-rating", HEAD + "a,b,1\n", ("log.csv:1:1:", "rating column"), {"min_rating": 4}),
    Case("08-column-twice", "user,item,user\na,b,c\n", ("log.csv:1:1:", "'user' occurs twice", "1 and 3")),
    Case("09-tabs-in-csv", "user\titem\na\tb\n", ("log.csv:1:1:", "wrong separator", "a tab", "tsv")),
    Case("09-semicolons", "user;item\na;b\n", ("log.csv:1:1:", "a semicolon", "csv-semicolon")),
    Case("09-commas-in-tsv", "user,item\na,b\n", ("log.tsv:1:1:", "a comma", "csv"), name="log.tsv"),
    Case("09-bars", "user|item\na|b\n", ("log.csv:1:1:", "a bar", "convert")),
    Case("09-colons-in-u.data", "1::2::3::4\n", ("u.data:1:1:", "a double colon", "ratings.dat"), name="u.data"),
    Case("09-commas-in-list", "0,1,2\n1,2\n", ("train.txt:1:1:", "a comma"), name="train.txt"),
    Case("09-one-column", "user\na\n", ("log.csv:1:1:", "one column only")),
    Case("10-short", HEAD + "a,b,1\nc,d\n", ("log.csv:3:4:", "expected 3 fields, found 2")),
    Case("10-short-inter", "user_id:token\titem_id:token\na\n", ("x.inter:2:2:", "expected 2"), name="x.inter"),
    Case("10-short-u.data", "1\t2\t3\t4\n1\t2\t3\n", ("u.data:2:6:", "expected 4 fields, found 3"), name="u.data"),
    Case("10-short-ratings.dat", "1::2::3::4\n1::2\n", ("ratings.dat:2:5:", "expected 4"), name="ratings.dat"),
    Case("11-long", HEAD + "a,b,1,x\n", ("log.csv:2:7:", "expected 3 fields, found 4", "'x'")),
    Case("10-11-cancel", HEAD + "a,b\nc,d,2,3\n", ("log.csv:2:4:", "short", "log.csv:3:7:", "long", "2 faults")),
    Case("12-quote-open", HEAD + 'a,b,1\nc,"d,2\ne,f,3\n', ("log.csv:3:3:", "never closed")),
    Case("12-quote-open-later-quotes", HEAD + 'a,"b,1\nc,d,2\ne,"f",3\n', ("log.csv:2:3:", "not closed")),
    Case("12-quote-open-swallows", HEAD + 'a,"b,1\nc,d",2\n', ("log.csv:2:3:", "line end in the item id")),
    Case("12-quote-stray", HEAD + 'a,5" b,2\n', ("log.csv:2:4:", "quote inside a field")),
    Case("12-quote-stray-pair", HEAD + 'a,5" or 6",2\n', ("log.csv:2:4:", "quote inside a field")),
    Case("12-quote-then-text", HEAD + 'a,"b"c,2\n', ("log.csv:2:3:", "'c' behind the closing quote")),
    Case("13-cut", HEAD + "a,b,1\nc,d", ("log.csv:3:4:", "expected 3 fields, found 2", "middle of this row")),
    Case("14-latin1", HEAD.encode() + b"a,b,1\nc,\xe9x,2\n", ("log.csv:3:3:", "byte 3", "e9", "--encoding")),
    Case("14-utf16", (HEAD + "a,b,1\n").encode("utf-16"), ("log.csv:1:1:", "not UTF-8", "--encoding", "utf-16")),
    Case("14-wrong-encoding", b"user,item\na,\xff\x81\n", ("log.csv:2", "not shift_jis"), {"encoding": "shift_jis"}),
    Case("14-unknown-encoding", HEAD, ("unknown encoding 'utf8x'",), {"encoding": "utf8x"}, UsageError),
    Case("14-latin1-list", b"0 1\n1 \xe9\n", ("train.txt:2:3:", "e9"), name="train.txt"),
    Case("16-nul", HEAD + "a,b,1\nc,d\0,2\n", ("log.csv:3:4:", "NUL")),
    Case("17-field-too-long", HEAD + f"a,b,1\n{LONG}x,d,2\n", ("log.csv:3:1:", "1,048,577 characters")),
    Case("18-empty-user", HEAD + "a,b,1\n,d,2\n", ("log.csv:3:1:", "'user'", "empty user id")),
    Case("18-empty-item", HEAD + "a,,1\n", ("log.csv:2:3:", "'item'", "empty item id")),
    Case("18-blank-item", HEAD + "a, ,1\n", ("log.csv:2:3:", "empty item id")),
    Case("18-empty-quoted", HEAD + '"a, b","",1\n', ("log.csv:2:8:", "empty item id")),
    Case("18-empty-after-quoted-lines", 'note,user,item\n"two\nlines",a,\n', ("log.csv:3:10:", "empty item")),
    Case("24-float-ids", None, ("log.parquet:user:", "Float64", "12.0"), name="log.parquet"),
    Case("26-time-nan", HEAD + "a,b,1\nc,d,NaN\n", ("log.csv:3:5:", "'time'", "not a time", "'NaN'")),
    Case("26-time-empty", HEAD + "a,b,1\nc,d,\n", ("log.csv:3:5:", "not a time")),
    Case("26-time-text", HEAD + "a,b,1\nc,d,soon\n", ("log.csv:3:5:", "'soon'")),
    Case("26-time-infinite", HEAD + "a,b,1\nc,d,inf\n", ("log.csv:3:5:", "'inf'")),
    Case("26-time-mixed", HEAD + "a,b,1\nc,d,2024-01-01\ne,f,3\n", ("log.csv:3:5:", "numbers of seconds")),
    Case("26-no-such-day", HEAD + "a,b,2024-02-29\nc,d,2023-02-29\n", ("log.csv:3:5:", "ISO dates")),
    Case("26-time-first-nan", HEAD + "a,b,nan\n" + ROWS, ("log.csv:2:5:", "numbers of seconds", "'nan'")),
    Case("29-rating-nan", "user,item,rating\na,b,nan\n", ("log.csv:2:5:", "'rating'", "not a rating")),
    Case("29-rating-infinite", "user,item,rating\na,b,1e999\n", ("log.csv:2:5:", "not a rating")),
    Case("29-rating-negative", "user,item,rating\na,b,-1\n", ("log.csv:2:5:", "from 0 up")),
    Case("29-weight-zero", "user,item,w\na,b,0\n", ("log.csv:2:5:", "not a weight", "above 0"), {"weight": "w"}),
    Case("29-weight-nan", "user,item,w\na,b,nan\n", ("log.csv:2:5:", "not a weight"), {"weight": "w"}),
    Case("29-weight-huge", "user,item,w\na,b,1e60\n", ("log.csv:2:5:", "not a weight"), {"weight": "w"}),
    Case("31-one-item", "user,item\na,x\nb,x\n", ("log.csv: one item only", "'x'", "nothing to rank")),
    Case("38-gz-cut", CUT, ("log.csv.gz: the gzip stream ends early, after", "lines"), name="log.csv.gz"),
    Case("38-gz-broken", CUT[:400] + b"\x55" * 40 + CUT[440:], ("log.csv.gz: broken gzip data",), name="log.csv.gz"),
    Case("39-not-gz", HEAD + "a,b,1\n", ("log.csv.gz: named .gz", "75 73 65 72", "not gzip"), name="log.csv.gz"),
    Case("39-gz-unnamed", gz(HEAD), ("log.csv: its first bytes say gzip", ".gz")),
    Case("39-zip", b"PK\x03\x04rest", ("log.csv: its first bytes say zip", "unpack")),
    Case("39-not-parquet", "user,item\na,b\n", ("log.parquet: not a readable Parquet file",), name="log.parquet"),
    Case("45-format", HEAD, ("unknown format 'cvs'", "did you mean 'csv'"), {"format": "cvs"}, UsageError),
    Case("45-format-unknown", HEAD, ("log.dat: the file name does not tell the format", "--format"), name="log.dat"),
    Case("45-columns-of-list", "0 1\n", ("lists of items",), {"user": "u"}, UsageError, name="train.txt"),
    Case("45-min-rating", "user,item,rating\na,b,1\nb,c,2\n", ("0 interactions", "below 4"), {"min_rating": 4}),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_refused(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if case.id == "24-float-ids":
        pl.DataFrame({"user": [1.0, 2.0], "item": ["a", "b"]}).write_parquet(case.name)
    elif case.content is not None:
        Path(case.name).write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    before = contents(tmp_path)
    with pytest.raises(case.error) as caught:
        read_log(case.name, **case.reading)
    in_order(str(caught.value), case.parts)
    assert contents(tmp_path) == before
    assert caught.value.exit_code == 2


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def in_order(message: str, parts: tuple[str, ...]) -> None:
    at = 0
    for part in parts:
        assert part in message[at:], f"{part!r} not in {message[at:]!r}"
        at = message.index(part, at) + len(part)


def test_02_directory_fifo_socket(tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    os.mkfifo(tmp_path / "f.csv")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "s.csv"))
        for name, kind in (("d.csv", "a directory"), ("f.csv", "a FIFO"), ("s.csv", "a socket")):
            with pytest.raises(DataError, match=f"{name}: {kind}, not a file"):
                read_log(tmp_path / name)


def test_10_first_twenty_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(HEAD + "a,b,1\nc,d\n" * 300 + "e,,2\n")
    with pytest.raises(DataError) as caught:
        read_log(path)
    told = str(caught.value).split("\n")
    assert len(told) == 21
    assert told[19].startswith(f"{path}:41:4: row too short")
    assert told[20].startswith("301 faults in")
    assert "first 20 are listed" in told[20]


def test_13_no_line_end_is_a_remark(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(HEAD + "a,b,1\nc,d,2")
    log, report = read_log(path)
    assert len(log) == 2
    assert any("does not end with a line end" in note for note in report.notes)


def test_17_no_line_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 1 << 12)
    monkeypatch.setattr(lines, "RECORD_LIMIT", 1 << 16)
    path = tmp_path / "log.csv"
    path.write_text(HEAD + "a,b,1\n" + "x" * (1 << 18))
    with pytest.raises(DataError, match=r"log\.csv:3:1: no line end within"):
        read_log(path)
    path.write_text(HEAD + 'a,b,1\nc,"' + "x,y\n" * (1 << 16))
    with pytest.raises(DataError, match=r"log\.csv:3:3: a quote opened .* never closed"):
        read_log(path)


@pytest.mark.parametrize(
    "make",
    [
        lambda t: b"\xef\xbb\xbf" + t,
        lambda t: t.replace(b"\n", b"\r\n"),
        lambda t: t.replace(b"\n", b"\r"),
        lambda t: b"\xef\xbb\xbf" + t.replace(b"\n", b"\r\n"),
    ],
    ids=["15-bom", "15-crlf", "15-cr", "15-bom-crlf"],
)
def test_15_marks_and_line_ends(make: Callable[[bytes], bytes], tmp_path: Path) -> None:
    text = (HEAD + ROWS).encode()
    (tmp_path / "plain.csv").write_bytes(text)
    (tmp_path / "other.csv").write_bytes(make(text))
    assert_equal(read_log(tmp_path / "plain.csv")[0], read_log(tmp_path / "other.csv", user="user")[0])


@pytest.mark.parametrize("block", [1, 2, 3, 50])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_15_lines_are_counted_alike(end: bytes, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    path = tmp_path / "log.csv"
    path.write_bytes((HEAD + "a,b,1\nc,d,2\ne,f\n").encode().replace(b"\n", end))
    with pytest.raises(DataError, match=r"log\.csv:4:4: row too short"):
        read_log(path)


def assert_equal(a: Interactions, b: Interactions) -> None:
    assert (a.users, a.items) == (b.users, b.items)
    np.testing.assert_array_equal(a.indptr, b.indptr)
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.time, b.time)


def test_20_25_look_alikes_stay_distinct_and_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item\n12,a\n12.0,b\n0012,A\nx,a \n", encoding="utf-8")
    log, report = read_log(path)
    assert log.users.ids.to_list() == ["12", "12.0", "0012", "x"]
    assert log.items.ids.to_list() == ["a", "b", "A", "a "]
    notes = "\n".join(report.notes)
    assert "3 user ids differ from another only by number" in notes
    assert "2 item ids differ from another only by case" in notes
    assert "2 item ids differ from another only by blanks" in notes


@pytest.mark.parametrize("raw", ["-1", str(2**63), str(2**64), "1" + "0" * 20, "4000000000", "99.5"])
def test_21_to_24_numbers_are_only_text(raw: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"user,item\n{raw},a\nb,{raw}\n")
    log, _ = read_log(path)
    assert log.users.ids.to_list() == [raw, "b"]
    assert log.items.ids.to_list() == ["a", raw]


def test_28_equal_times() -> None:
    log = Interactions.from_pairs([0, 0, 1], [0, 1, 0], time=[5.0, 5.0, 5.0])
    with pytest.raises(DataError, match=r"all 3 timestamps are equal \(5\)"):
        split(log, "time")


def test_30_exact_duplicates_are_merged_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(HEAD + "a,x,5\na,x,3\na,x,5\nb,y,1\nb,y,1\n")
    log, report = read_log(path)
    assert (report.rows, report.kept, report.merged, report.exact) == (5, 2, 3, 2)
    assert log.time is not None
    assert log.time.tolist() == [3.0, 1.0]
    assert any("3 of 5 rows repeat a pair and were merged" in n and "2 of them are exact" in n for n in report.notes)


def test_31_one_user_is_a_remark(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item\na,x\na,y\n")
    _, report = read_log(path)
    assert any("one user only" in note for note in report.notes)


def test_33_users_without_test_items_are_kept_out_of_the_test_part() -> None:
    log = Interactions.from_pairs([0, 1, 1, 1, 1, 1], [0, 0, 1, 2, 3, 4])
    assert split(log).test.user_counts.tolist() == [0, 1]


def test_36_unknown_ids_in_the_test_part(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0 1 2\n1 1 3\n")
    (tmp_path / "test.txt").write_text("0 3 77\n9 1\n")
    with pytest.raises(DataError, match=r"test\.txt: 1 users of the test part have no training row, in 1 rows: 9; say"):
        read_split(tmp_path)
    train, test = read_split(tmp_path, unknown="skip")
    assert len(test) == 1
    assert train.items == test.items
    train, test = read_split(tmp_path, unknown="keep")
    assert (len(test), train.n_users, train.n_items) == (3, 3, 4)


def test_37_overlap(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0 1 2\n1 1 3\n")
    (tmp_path / "test.txt").write_text("0 2 3\n")
    with pytest.raises(DataError, match=r"test\.txt: 1 pairs stand in .*train\.txt too, such as \(0, 2\)"):
        read_split(tmp_path)
    log = Interactions.from_pairs([0, 0], [0, 1])
    with pytest.raises(DataError, match="share pairs"):
        split_given(log, log.take([1]))


def test_37_test_older_than_train(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(HEAD + "a,x,5\nb,y,9\n")
    (tmp_path / "test.csv").write_text(HEAD + "a,y,7\nb,x,10\n")
    notes: list[str] = []
    read_split(tmp_path, on_note=notes.append)
    assert any("50% of the test rows are older" in note for note in notes)


@pytest.mark.parametrize(
    ("case", "frame", "parts"),
    [
        ("18-null-id", pl.DataFrame({"user": ["a", None], "item": ["x", "y"]}), ("polars frame:2:user:", "empty user")),
        ("24-float-id", pl.DataFrame({"user": [1.5], "item": ["x"]}), ("polars frame:user:", "Float64")),
        ("26-null-time", pl.DataFrame({"user": ["a"], "item": ["x"], "time": [float("nan")]}), ("frame:1:time:",)),
        ("07-no-column", pl.DataFrame({"who": ["a"], "item": ["x"]}), ("polars frame:", "'who'", "--user")),
        (
            "04-no-row",
            pl.DataFrame({"user": [], "item": []}, schema={"user": pl.String, "item": pl.String}),
            ("0 inter",),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_frames(case: str, frame: pl.DataFrame, parts: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as caught:
        read_log(frame)
    in_order(str(caught.value), parts)


def test_29_stored_values_of_a_matrix() -> None:
    matrix = csr_array(np.array([[1.0, -2.0], [3.0, 0.0]]))
    with pytest.raises(DataError, match="scipy matrix:2:data: not a weight"):
        read_log(matrix, weight="data")
