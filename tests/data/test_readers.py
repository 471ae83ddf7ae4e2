"""Readers: the same log out of every format, and laws on random files."""

from __future__ import annotations

import csv
import gzip
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array, csr_matrix

from taurec.data import lines
from taurec.data.blocks import split_fast, split_slow
from taurec.data.faults import Faults
from taurec.data.formats import FORMATS
from taurec.data.interactions import Interactions
from taurec.data.readers import read_interactions, read_log, read_split
from taurec.data.values import DATED, seconds
from taurec.errors import DataError, UsageError

ROWS = [("ann", "0012", 4, 100), ("bob", "12", 1, 50), ("ann", "é x", 5, 7), ("cy", "12", 3, 9), ("bob", "0012", 2, 8)]


def table(log: Interactions) -> dict[tuple[str, str], float | None]:
    users, items = log.users.decode(log.user_of), log.items.decode(log.indices)
    times = log.time.tolist() if log.time is not None else [None] * len(log)
    return dict(zip(zip(users, items, strict=True), times, strict=True))


EXPECTED = {(u, i): float(t) for u, i, _, t in ROWS}


def joined(separator: str, header: str = "", end: str = "\n") -> str:
    return header + "".join(separator.join(map(str, row)) + end for row in ROWS)


SOURCES = {
    "log.csv": joined(",", "user_id,item_id,rating,timestamp\n"),
    "ratings.csv": joined(",", "userId,movieId,rating,timestamp\n"),
    "quoted.csv": "user,item,stars,time\n" + "".join(f'"{u}","{i}","{r}","{t}"\n' for u, i, r, t in ROWS),
    "notes.csv": "user,note,item,rating,time\n" + "".join(f'{u},"a ""b"", c\nd",{i},{r},{t}\n' for u, i, r, t in ROWS),
    "log.tsv": joined("\t", "visitorid\titemid\tscore\tts\n"),
    "x.inter": joined("\t", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"),
    "u.data": joined("\t"),
    "ratings.dat": joined("::"),
    "blank-lines.csv": "\n" + joined(",", "user,item,rating,time\n", "\n\n"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", SOURCES)
def test_text_formats(name: str, packed: bool, tmp_path: Path) -> None:
    raw = SOURCES[name].encode()
    path = tmp_path / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(raw) if packed else raw)
    log, report = read_log(path)
    assert table(log) == EXPECTED
    assert log.users.ids.to_list() == ["ann", "bob", "cy"]
    assert log.items.ids.to_list() == ["0012", "12", "é x"]
    assert (report.rows, report.kept, report.merged, report.below_rating) == (5, 5, 0, 0)


def test_lists(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("7 3 1  2\n5 1 \n9\n8\t3\n")
    log, report = read_log(tmp_path / "train.txt")
    assert log.users.ids.to_list() == ["7", "5", "9", "8"]
    assert table(log) == dict.fromkeys([("7", "3"), ("7", "1"), ("7", "2"), ("5", "1"), ("8", "3")])
    assert log.user_counts.tolist() == [3, 1, 0, 1]
    assert report.rows == 5
    (tmp_path / "any.log").write_text("7 3 1 2\n5 1\n9\n8 3")
    assert table(read_interactions(tmp_path / "any.log", format="lightgcn")) == table(log)


def test_frames_and_parquet(tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS, schema=["user", "item", "rating", "time"], orient="row")
    frame.write_parquet(tmp_path / "log.parquet")
    sources = [
        frame,
        frame.lazy(),
        frame.with_columns(pl.col("item").cast(pl.Categorical)),
        frame.with_columns(pl.from_epoch("time", "s")),
        frame.with_columns(pl.from_epoch("time", "s").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")),
        pd.DataFrame(ROWS, columns=["user", "item", "rating", "time"]),
        pd.DataFrame(ROWS, columns=["user", "item", "rating", "time"]).astype({"item": "category"}),
        pd.DataFrame(ROWS, columns=["user", "item", "rating", "time"]).assign(
            time=lambda d: pd.to_datetime(d["time"], unit="s", utc=True)
        ),
        tmp_path / "log.parquet",
    ]
    for source in sources:
        assert table(read_interactions(source)) == EXPECTED


def test_integer_ids_of_a_frame_are_their_digits() -> None:
    for make in (pl.DataFrame, pd.DataFrame):
        log = read_interactions(make({"user": [3, 1], "item": [2**62, -5]}))
        assert log.items.ids.to_list() == [str(2**62), "-5"]


def test_missing_ids_of_a_pandas_frame_are_refused() -> None:
    with pytest.raises(DataError, match="pandas frame:2:item: empty item id"):
        read_log(pd.DataFrame({"user": ["a", "b"], "item": ["x", None]}))
    with pytest.raises(DataError, match="ids of type Float64"):
        read_log(pd.DataFrame({"user": [1, 2], "item": [3, None]}))


def test_matrices_keep_their_shape_and_values_only_when_asked() -> None:
    dense = np.array([[0, 2.5, 0], [0, 0, 0], [1, 0.5, 0]])
    for matrix in (csr_matrix(dense), coo_array(dense)):
        log = read_interactions(matrix)
        assert (log.n_users, log.n_items, log.weight) == (3, 3, None)
        assert log.csr().toarray().tolist() == (dense > 0).astype(float).tolist()
        weighted = read_interactions(matrix, weight="data")
        assert weighted.weight is not None
        assert weighted.weight.tolist() == [2.5, 1.0, 0.5]
        assert len(read_interactions(matrix, min_rating=1)) == 2
    with pytest.raises(UsageError, match="only weights of a matrix"):
        read_log(coo_array(dense), weight="w")


def test_columns_named_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("a,b,rating,time,n\nu,x,nan,soon,2\nv,x,3,later,0.5\n")
    notes: list[str] = []
    log = read_interactions(path, user="b", item="a", rating="none", time="none", weight="n", on_note=notes.append)
    assert table(log) == {("x", "u"): None, ("x", "v"): None}
    assert log.weight is not None
    assert log.weight.tolist() == [2.0, 0.5]
    assert notes == ["columns: user = 'b', item = 'a', weight = 'n'", "one user only: metrics will have no interval"]


def test_no_header(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("5,a,x\n6,b,y\n")
    assert table(read_interactions(path, no_header=True)) == {("5", "a"): None, ("6", "b"): None}
    log = read_interactions(path, no_header=True, user="3", time="1")
    assert table(log) == {("x", "a"): 5.0, ("y", "b"): 6.0}


def test_notes_tell_what_was_guessed(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(SOURCES["ratings.csv"])
    notes: list[str] = []
    read_interactions(path, on_note=notes.append)
    assert (
        notes[0] == "columns: user = 'userId', item = 'movieId', time = 'timestamp' (guessed: user, item, time, rating)"
    )
    assert "'rating' not used: every row is a positive" in notes[1]


def test_least_rating(tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    path.write_text(SOURCES["u.data"])
    log, report = read_log(path, min_rating=3)
    assert set(table(log)) == {(u, i) for u, i, r, _ in ROWS if r >= 3}
    assert (report.rows, report.kept, report.below_rating) == (5, 3, 2)
    assert log.n_users == 2


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252", "utf-8-sig"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(SOURCES["log.csv"].encode(encoding))
    assert table(read_interactions(path, encoding=encoding)) == EXPECTED


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(SOURCES["log.csv"].encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    with pytest.raises(UsageError, match="--format"):
        read_log("-")
    assert table(read_interactions("-", format="csv")) == EXPECTED


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1970-01-01", 0.0),
        ("2024-02-29", 1709164800.0),
        ("2024-02-29T12:30", 1709209800.0),
        ("2024-02-29 12:30:15.25", 1709209815.25),
        ("2024-02-29T12:30:15,250Z", 1709209815.25),
        ("2024-02-29T12:30:15+02:00", 1709202615.0),
        ("2024-02-29T12:30:15-0130", 1709215215.0),
        ("1969-12-31 23:59:59", -1.0),
        ("2023-02-29", None),
        ("2024-02-29 25:00", None),
        ("29.02.2024", None),
        ("2024-2-9", None),
    ],
)
def test_iso_times(text: str, value: float | None) -> None:
    assert seconds(pl.Series([text]), DATED).to_list() == [value]


def test_what_is_no_log() -> None:
    with pytest.raises(UsageError, match="got list"):
        read_log([(1, 2)])
    with pytest.raises(UsageError, match="are for files; got a polars frame"):
        read_log(pl.DataFrame({"user": ["a"], "item": ["x"]}), format="csv")


def test_split_folder_shares_the_vocabularies(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("user_procid\titem_procid\n0\t5\n1\t6\n1\t7\n")
    (tmp_path / "test.tsv").write_text("user_procid\titem_procid\n1\t5\n")
    train, test = read_split(tmp_path)
    assert train.users is test.users
    assert table(test) == {("1", "5"): None}
    assert table(read_split(tmp_path / "train.tsv", tmp_path / "test.tsv")[1]) == table(test)
    (tmp_path / "test.txt").write_text("1 5\n")
    with pytest.raises(DataError, match=r"expected one test\.\* in the folder, found 2"):
        read_split(tmp_path)


Field = st.text(st.sampled_from('ab1 ,"\né;'), max_size=4)


@given(
    rows=st.lists(st.tuples(*[st.text(st.sampled_from("abc"), min_size=1, max_size=2)] * 2, Field), max_size=30),
    block=st.sampled_from([1, 7, 64, 1 << 20]),
    always=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_csv_agrees_with_the_standard_library(rows: list[tuple[str, str, str]], block: int, always: bool) -> None:
    """Whatever the module csv writes is read back, however the file is cut into blocks, by either pass."""
    out = io.StringIO()
    style = csv.QUOTE_ALL if always else csv.QUOTE_MINIMAL
    csv.writer(out, lineterminator="\n", quoting=style).writerows([("user", "item", "note"), *rows])
    text = out.getvalue().encode()
    got: list[tuple[str, ...]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", block)
        patch.setattr(lines, "_open", lambda _: io.BytesIO(text))
        for first, part in lines.Source("log.csv", quotes=True).blocks():
            slow = split_slow(part, first, FORMATS["csv"], "abc", [0, 1, 2], Faults("log.csv"), cut=False)
            fast = split_fast(part, FORMATS["csv"], 3, [0, 1, 2])
            assert fast is None or fast.equals(slow)
            got += slow.rows()
    assert got == [("user", "item", "note"), *rows]


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=40),
    least=st.none() | st.integers(0, 3),
)
@settings(deadline=None, max_examples=100)
def test_every_row_is_accounted_for(rows: list[tuple[int, int, int]], least: int | None) -> None:
    frame = pl.DataFrame(rows, schema=["user", "item", "rating"], orient="row")
    kept = [row for row in rows if least is None or row[2] >= least]
    try:
        log, report = read_log(frame, min_rating=least)
    except DataError:
        assert len({i for _, i, _ in kept}) < 2
        return
    assert report.rows == len(rows) == report.kept + report.merged + report.below_rating
    assert report.below_rating == len(rows) - len(kept)
    assert report.kept == len(log) == len({(u, i) for u, i, _ in kept})


Broken = st.lists(st.sampled_from(["a,b,1", "c,d,2", "a,b", "a,b,1,2", ",b,1", "a,,1", "a,b,x", "user,item,time"]))


@given(lines_=Broken, block=st.sampled_from([5, 64, 1 << 20]))
@settings(deadline=None, max_examples=150)
def test_the_faulty_lines_and_only_they_are_named(lines_: list[str], block: int) -> None:
    text = "\n".join(["user,item,time", *lines_]) + "\n"
    bad = [n for n, line in enumerate(lines_, start=2) if line not in ("a,b,1", "c,d,2")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", block)
        patch.setattr(lines, "_open", lambda _: io.BytesIO(text.encode()))
        patch.setattr("taurec.data.readers.regular_file", lambda name: name)
        try:
            _, report = read_log("log.csv")
        except DataError as error:
            told = str(error).split("\n")
            if bad:
                assert [int(line.split(":")[1]) for line in told[: min(len(bad), 20)]] == bad[:20]
                assert len(bad) == 1 or told[-1].startswith(f"{len(bad)} faults in log.csv")
            else:
                assert "0 interactions" in told[0] or "one item only" in told[0]
        else:
            assert not bad
            assert report.rows == len(lines_)


@pytest.mark.data
@pytest.mark.skipif(not os.environ.get("TAUREC_DATA"), reason="needs the folder named by TAUREC_DATA")
@pytest.mark.parametrize(
    ("name", "users", "items", "train", "test"),
    [("movielens-1m", 6022, 3043, 796244, 99455), ("amazon-electronics", 13455, 8360, 182398, 52123)],
)
def test_public_splits(name: str, users: int, items: int, train: int, test: int) -> None:
    a, b = read_split(Path(os.environ["TAUREC_DATA"]) / name)
    assert (a.n_users, a.n_items, len(a), len(b)) == (users, items, train, test)


@pytest.mark.data
@pytest.mark.skipif(not os.environ.get("TAUREC_DATA"), reason="needs the folder named by TAUREC_DATA")
def test_raw_movielens() -> None:
    log, report = read_log(Path(os.environ["TAUREC_DATA"]) / "ml-100k" / "u.data", min_rating=4)
    assert (report.rows, report.kept, report.below_rating) == (100_000, 55_375, 44_625)
    assert log.time is not None
    assert 874_724_710 <= log.time.min() < log.time.max() <= 893_286_638
