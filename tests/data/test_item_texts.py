"""Texts of items from files."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import polars as pl
import pytest

from taurec.data.item_texts import read_item_texts
from taurec.errors import DataError

WANTED = {"1": "Toy Story", "2": "Up, again", "x": ""}


def written(folder: Path, name: str, text: str, encoding: str = "utf-8") -> str:
    path = folder / name
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'movieId,title,year\n1,Toy Story,1995\n2,"Up, again",2009\nx,,\n'),
        ("a.csv.gz", 'movieId,title,year\n1,Toy Story,1995\n2,"Up, again",2009\nx,,\n'),
        ("a.tsv", "item_id\tname\n1\t Toy  Story\n2\tUp, again\nx\t\n"),
        ("a.item", "item_id:token\ttitle:token_seq\n1\tToy Story\n2\tUp, again\nx\t\n"),
        ("movies.dat", "1::Toy Story::Animation\n2::Up, again::Drama\nx::::\n"),
        ("u.item", "".join(f"{i}|{t}{'|0' * 22}\n" for i, t in WANTED.items())),
    ],
)
def test_formats(tmp_path: Path, name: str, text: str):
    assert read_item_texts(written(tmp_path, name, text)) == WANTED


def test_parquet(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"asin": [1, 2], "title": ["Toy Story", None]}).write_parquet(path)
    assert read_item_texts(str(path)) == {"1": "Toy Story", "2": ""}


def test_files_of_movielens_are_latin_1(tmp_path: Path):
    path = written(tmp_path, "movies.dat", "1::Misérables, Les::Drama\n", "latin-1")
    assert read_item_texts(path) == {"1": "Misérables, Les"}


def test_named_columns_are_joined(tmp_path: Path):
    path = written(tmp_path, "a.csv", "sku,brand,what\nk,Acme,big anvil\n")
    assert read_item_texts(path, "sku", ["what", "brand"]) == {"k": "big anvil Acme"}


@pytest.mark.parametrize(
    ("name", "text", "columns", "message"),
    [
        ("a.csv", "item,titel\n1,x\n", (), "which column is that of the texts"),
        ("a.csv", "key,title\n1,x\n", (), "which column is that of the item ids"),
        ("a.csv", "item,title\n1,x\n", ("titel",), "no column 'titel'; did you mean 'title'"),
        ("a.csv", "item,title\n1,x\n1,y\n", (), r"a.csv:3:1: item '1' has another text"),
        ("a.csv", "item,title\n,x\n", (), r"a.csv:2:1: empty item id"),
        ("a.csv", "item,title\n1,x,y\n", (), r"a.csv:2:1: 3 fields, expected 2"),
        ("a.csv", "item,title\n", (), "no row of data"),
        ("u.data", "1\t2\t3\t4\n", (), "is a format of logs"),
        ("a.parquet", "x", (), "not a readable Parquet file"),
    ],
)
def test_faults_are_located(tmp_path: Path, name: str, text: str, columns: tuple[str, ...], message: str):
    with pytest.raises(DataError, match=message):
        read_item_texts(written(tmp_path, name, text), columns=columns)


@pytest.mark.data
@pytest.mark.skipif("TAUREC_DATA" not in os.environ, reason="TAUREC_DATA names no folder of logs")
def test_the_titles_of_movielens():
    found = read_item_texts(str(Path(os.environ["TAUREC_DATA"]) / "ml-100k" / "u.item"))
    assert len(found) == 1682
    assert found["1"] == "Toy Story (1995)"
