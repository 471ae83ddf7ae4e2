"""Vocabularies: both ways, exactly as written."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taurec.data.vocabulary import Vocabulary, VocabularyBuilder

Ids = st.lists(st.text(st.characters(codec="utf-8"), max_size=4), max_size=30)


def test_ids_stay_as_written() -> None:
    v = Vocabulary(["0012", "12", "12.0", "a", "a "])
    assert v.encode(["12", "0012", 12, "b"]).tolist() == [1, 0, 1, -1]
    assert v.encode(pl.Series(["12", "0012", "b", None])).tolist() == [1, 0, -1, -1]
    assert v.encode(pl.Series([12, 13])).tolist() == [1, -1]
    assert v.decode([4, 2]) == ["a ", "12.0"]
    assert "a" in v
    assert "b" not in v


@pytest.mark.parametrize("ids", [["a", "a"], ["a", None]])
def test_ids_are_distinct_and_present(ids: list[str]) -> None:
    with pytest.raises(ValueError, match="distinct and present"):
        Vocabulary(ids)


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_never_wraps(index: int) -> None:
    with pytest.raises(IndexError, match=r"outside 0\.\.1"):
        Vocabulary(["a", "b"]).decode([index])


def test_extended_keeps_the_indices() -> None:
    v = Vocabulary(["a", "b"])
    assert v.extended(Vocabulary(["c", "b", "d"])).ids.to_list() == ["a", "b", "c", "d"]
    assert v.extended(Vocabulary(["b"])) is v


@settings(deadline=None, max_examples=25)
@given(st.lists(Ids, max_size=4))
def test_builder_follows_first_appearance(blocks: list[list[str]]) -> None:
    builder = VocabularyBuilder()
    codes = [c for block in blocks for c in builder.add(pl.Series(block, dtype=pl.String)).tolist()]
    v = builder.build()
    raw = [r for block in blocks for r in block]
    assert v.ids.to_list() == list(dict.fromkeys(raw))
    assert v.decode(codes) == raw
    assert v.encode(raw).tolist() == codes
