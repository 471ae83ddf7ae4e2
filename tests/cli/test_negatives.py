"""``taurec negatives`` as somebody types it; the endpoint is a function."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from taurec.sampling.semantic.provider import Completion, OpenAIProvider


@pytest.fixture
def titles(tmp_path: Path) -> Path:
    """Item i07 is called ``tea no 7``."""
    path = tmp_path / "titles.csv"
    path.write_text("item,title\n" + "".join(f"i{n:02d},{'tea' if n % 2 else 'rice'} no {n}\n" for n in range(40)))
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts that were sent; each answer is the same."""
    prompts: list[str] = []

    def complete(self: OpenAIProvider, prompt: str) -> Completion:
        prompts.append(prompt)
        pick = '{"negatives": [1, 2]}'
        return Completion(pick if '"candidates"' in prompt else '{"negatives": ["tea no 7", "rice no 8"]}', 50)

    monkeypatch.setattr(OpenAIProvider, "complete", complete)
    return prompts


def test_a_dry_run_prints_a_prompt_and_sends_nothing(run, log_csv, tmp_path, asked):
    path = tmp_path / "t.csv"
    path.write_text("item,title\n" + "".join(f"i{n:02d},[bold]no[/bold] {n}\n" for n in range(40)))
    code, said, _ = run("negatives", log_csv, "--texts", path, "--dry-run")
    assert code == 0
    assert "[bold]no[/bold]" in said
    assert "Nothing was sent" in said
    assert not asked
    code, said, _ = run("negatives", log_csv, "--texts", path, "--dry-run", "--private", "--json")
    assert code == 0
    assert "[bold]" not in json.loads(said)["prompt"]


@pytest.mark.parametrize("how", ["write", "pick"])
def test_the_file_is_one_for_provided(run, log_csv, titles, tmp_path, asked, how):
    out = tmp_path / "negatives.csv"
    argv = ["negatives", log_csv, "--texts", titles, "--out", out, "--model", "m", "--users", "9", "--how", how]
    code, said, err = run(*argv)
    assert code == 0, err
    assert "taurec train" in said
    assert len(asked) == 9
    found = pl.read_csv(out)
    assert found["user"].n_unique() == 9
    assert set(found["item"]) <= {f"i{n:02d}" for n in range(40)}
    use = [
        "--negatives",
        "provided:4",
        "--set",
        f"negatives.path={out}",
        "--epochs",
        "1",
        "--set",
        "kernel=torch",
        "-q",
    ]
    code, _, err = run("train", log_csv, *use)
    assert code == 0, err
    again = run(*argv, "--overwrite", "--json")
    document = json.loads(again[1])
    assert (document["calls"], document["reused"], document["pairs"]) == (0, 9, found.height)
    assert len(asked) == 9


def test_a_budget_stops_and_the_command_goes_on(run, log_csv, titles, tmp_path, asked):
    out = tmp_path / "negatives.csv"
    argv = ["negatives", log_csv, "--texts", titles, "--out", out, "--model", "m", "--users", "5"]
    code, _, err = run(*argv, "--max-calls", "3")
    assert code == 4
    assert "budget of 3 calls is reached" in err
    assert not out.exists()
    assert run(*argv)[0] == 0
    assert len(asked) == 5


def test_useless_answers_are_counted_or_refused(run, log_csv, titles, tmp_path, monkeypatch):
    said_by_model = iter(["nothing", '{"negatives": ["tea no 7"]}', "no", "no"])
    monkeypatch.setattr(OpenAIProvider, "complete", lambda self, prompt: Completion(next(said_by_model), 1))
    argv = ["negatives", log_csv, "--texts", titles, "--model", "m", "--users", "2", "--json"]
    document = json.loads(run(*argv, "--out", tmp_path / "a.csv")[1])
    assert (document["unusable"], document["users"]) == (1, 2)
    code, _, err = run(*argv, "--out", tmp_path / "b.csv")
    assert code == 2
    assert "none of the 2 answers names an item" in " ".join(err.split())


def test_users_whose_items_have_no_text_are_not_asked_for(run, log_csv, tmp_path, asked):
    """Only item i00 has a text, and users with even numbers may have it."""
    path = tmp_path / "t.csv"
    path.write_text("item,title\ni00,rice\n")
    code, said, err = run("negatives", log_csv, "--texts", path, "--dry-run")
    assert code == 0, err
    assert '{"liked": ["rice"]}' in said
    assert "left out: none of their items has a text" in err
    assert "warning:" in err
    assert "a text for 1 of 40 items" in " ".join(err.split())


def test_what_is_missing_is_named(run, log_csv, tmp_path):
    for argv, message in (
        ([], "--out"),
        (["--out", tmp_path / "n.csv"], "--model NAME"),
        (["--out", tmp_path / "n.xyz"], "--out"),
        (["--dry-run", "--users", "0"], "--users must be"),
        (["--dry-run", "--how", "guess"], "--how"),
        (["--dry-run", "--base-url", "http://a:b@c/"], "no user name"),
    ):
        code, _, err = run("negatives", log_csv, *argv)
        assert code == 2
        assert message in " ".join(err.split())
