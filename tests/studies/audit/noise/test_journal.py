"""A journal: what was added is there again, what was cut off is done again, what is not its own is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from taurec.errors import ArtefactError, UsageError
from taurec.studies.audit.noise.journal import Journal

HEAD = {"journal": "test", "data": "0a1b", "metrics": ["ndcg@20"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "deep" / "j.jsonl", HEAD)
    journal.add({"seed": 1, "level": 0.1}, {"value": 0.1 + 0.2})
    journal.add({"seed": 2, "level": 0.1}, {"value": 1})
    return tmp_path / "deep" / "j.jsonl"


def test_entries_come_back_to_the_bit(path: Path) -> None:
    again = Journal(path, {**HEAD, "metrics": ("ndcg@20",)})
    assert again.get({"level": 0.1, "seed": 1}) == {"value": 0.1 + 0.2}
    assert again.get({"level": 0.1, "seed": 3}) is None
    assert path.read_text().count("\n") == 3


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_last_line_that_was_cut_off_is_dropped_and_the_file_goes_on(path: Path, cut: int) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    notes: list[str] = []
    journal = Journal(path, HEAD, notes.append)
    assert journal.get({"seed": 1, "level": 0.1})
    assert journal.get({"seed": 2, "level": 0.1}) is None
    assert "cut off" in notes[0]
    journal.add({"seed": 2, "level": 0.1}, {"value": 1})
    assert path.read_bytes() == whole


def test_a_first_line_that_was_cut_off_is_written_again(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:20])
    Journal(path, HEAD)
    assert path.read_bytes() == whole.splitlines(keepends=True)[0]


@pytest.mark.parametrize("head", [{**HEAD, "data": "ffff"}, {**HEAD, "more": 1}, {"journal": "test"}])
def test_the_journal_of_another_experiment_is_refused_and_left_alone(path: Path, head: dict[str, object]) -> None:
    before = path.read_bytes()
    with pytest.raises(UsageError, match="another experiment"):
        Journal(path, head)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["user,item\n1,2\n", "no journal", "[1]\n", '{"journal":"test"\n{}\n'])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises((ArtefactError, UsageError)):
        Journal(path, HEAD)
    assert path.read_text() == text


@pytest.mark.parametrize("line", [b"{broken\n", b"\xff\xfe\n", b'{"key":1,"entry":{}}\n', b"[]\n"])
def test_a_broken_line_in_the_middle_is_named(path: Path, line: bytes) -> None:
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, line, *rest]))
    with pytest.raises(ArtefactError, match=r"j\.jsonl:2: not"):
        Journal(path, HEAD)
