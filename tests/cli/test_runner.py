"""A study in one function and one line gets a command, a terminal view, a JSON document and a page."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest

from taurec import __version__
from taurec.studies import STUDIES
from taurec.studies.names import Names
from taurec.studies.options import Fields, Option, Reading, RunFields, Source
from taurec.studies.result import Column, Figure, Interrupted, Result, Series, Table


@dataclass(frozen=True)
class Popular(Result):
    schema: ClassVar[str] = "test.popular/1"
    source: str
    counts: dict[str, int]
    order: str
    fields: dict[str, Any]
    names: Names = field(default_factory=Names)
    stopped_by: int = 0

    def title(self) -> str:
        return f"Popular items of {self.source}"

    def document(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "counts": self.counts,
            "order": self.order,
            "fields": self.fields,
            "gap": float("nan"),
        }

    def verdict(self) -> list[str]:
        return [f"{max(self.counts, key=lambda i: self.counts[i])} is taken most often."]

    def tables(self) -> list[Table]:
        columns = ["item", Column("users", better="higher"), Column("share", spec=".1%")]
        total = sum(self.counts.values())
        rows = [(item, n, n / total) for item, n in self.counts.items()]
        return [Table("The most popular", columns, rows, note="Of all pairs.", section="Items")]

    def figures(self) -> list[Figure]:
        series = [Series("items", list(self.counts), [float(n) for n in self.counts.values()])]
        return [Figure("bar", series, "item", "users", "Users of each item.", "The first has most.", section="Items")]

    def settings(self) -> dict[str, Any]:
        return {"order": self.order}


def popular(
    source: Source,
    n: Annotated[int, Option("Number of items.")] = 3,
    order: Annotated[Literal["most", "least"], Option("Which end.")] = "most",
    skip: Annotated[tuple[str, ...], Option("Items to leave out.", metavar="NAMES")] = (),
    listed: Annotated[Path | None, Option("Write the items to FILE.csv.", metavar="FILE", endings=(".csv",))] = None,
    stop: Annotated[bool, Option("Stop early.")] = False,
    *,
    fields: Annotated[Fields, RunFields(("seed", "threads"))],
    reading: Reading,
    names: Names | None = None,
    on_progress: Any = print,
    on_note: Any = print,
) -> Popular:
    """Show the most popular items."""
    import numpy as np

    from taurec.data.source import open_source
    from taurec.studies.files import write_text

    on_progress("counting")
    log = open_source(source, **reading).everything()
    at = np.argsort(-log.item_counts if order == "most" else log.item_counts, kind="stable")
    shown = names or Names()
    counts = {
        shown.item(i): int(log.item_counts[k]) for k, i in zip(at, log.items.decode(at), strict=True) if i not in skip
    }
    if stop:
        raise Interrupted(15, "stopped as requested; nothing is saved")
    if listed is not None:
        write_text(listed, "\n".join(counts), "--listed")
        on_note(f"items written to {listed}")
    return Popular(source, dict(list(counts.items())[:n]), order, dict(fields), shown)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(STUDIES, "popular", popular)


@pytest.fixture
def toy(tmp_path) -> Path:
    path = tmp_path / "toy.csv"
    path.write_text(
        "user,item\n" + "".join(f"u{u},{'tea' if i == 0 else f'i{i}'}\n" for i in range(4) for u in range(9 - i))
    )
    return path


def test_it_shows_a_table_and_the_verdict(run, toy):
    code, out, err = run("popular", toy, "--n", 2)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0
    assert lines[:2] == ["The most popular", "item users ↑ share"]
    assert "tea 9 52.9%" in lines
    assert lines[-1] == "tea is taken most often."
    assert "counting" in err
    assert run("popular", toy, "-q")[2] == ""


def test_help_lists_its_options_and_their_groups(run):
    code, out, _ = run("popular", "--help")
    assert code == 0
    for word in ("Show the most popular items.", "--order", "--seed", "--set", "--min-rating", "--html", "--config"):
        assert word in out, word
    assert max(map(len, out.splitlines())) <= 80


def test_its_document_has_a_schema_and_a_version(run, toy, tmp_path):
    path = tmp_path / "new" / "popular.json"
    code, out, _ = run("popular", toy, "--json", "--out", path, "--threads", 1, "--skip", "tea,i1")
    document = json.loads(out)
    assert code == 0
    assert list(document)[:2] == ["schema", "version"]
    assert (document["schema"], document["version"]) == ("test.popular/1", __version__)
    assert list(document["counts"]) == ["i2", "i3"]
    assert document["gap"] is None
    assert document["fields"] == {"threads": 1}
    assert json.loads(path.read_text()) == document


def test_its_page_has_the_answer_the_parts_and_the_command(run, toy, tmp_path):
    page = tmp_path / "popular.html"
    assert run("popular", toy, "--order", "least", "--html", page)[0] == 0
    text = page.read_text()
    for word in ("Popular items of", "taken most often", "<h2", "Items", "<svg", "Of all pairs.", "popular"):
        assert word in text, word
    assert f"taurec popular {toy} --order least" in text
    assert text.index("taken most often") < text.index("<svg") < text.index('<h2 id="how-to-repeat-it"')


def test_private_hashes_the_ids_everywhere(run, toy, tmp_path):
    page = tmp_path / "popular.html"
    _, out, _ = run("popular", toy, "--private", "--json", "--html", page)
    assert "tea" not in out
    assert ">tea<" not in page.read_text()
    assert all(item.startswith("item-") for item in json.loads(out)["counts"])


def test_files_are_refused_before_any_work(run, toy, tmp_path):
    for option, name in (("--out", "a.txt"), ("--html", "a.txt"), ("--listed", "a.txt"), ("--out", ".")):
        code, _, err = run("popular", toy, option, tmp_path / name)
        assert (code, option in err, "counting" in err) == (2, True, False), err
    code, _, err = run("popular", toy, "--listed", tmp_path / "items.csv")
    assert code == 0
    assert "items written to" in err
    assert (tmp_path / "items.csv").read_text().startswith("tea")


def test_a_choice_is_refused_with_the_nearest(run, toy):
    code, _, err = run("popular", toy, "--order", "mots")
    assert (code, "did you mean 'most'?" in err) == (2, True)


def test_a_stopped_study_leaves_with_the_signal(run, toy):
    code, out, err = run("popular", toy, "--stop", "-q")
    assert (code, out) == (128 + 15, "")
    assert err == "warning: stopped as requested; nothing is saved\n"


def test_a_file_gives_the_options_and_the_command_line_wins(run, toy, tmp_path):
    config = tmp_path / "popular.toml"
    config.write_text(f'source = "{toy}"\nn = 1\norder = "least"\nskip = ["i3"]\nthreads = 1\n')
    document = json.loads(run("popular", "--config", config, "--json")[1])
    assert document["counts"] == {"i2": 7}
    assert document["fields"] == {"threads": 1}
    document = json.loads(run("popular", "--config", config, "--order", "most", "--json")[1])
    assert document["counts"] == {"tea": 9}


@pytest.mark.parametrize(
    ("content", "given", "made"),
    [
        ('set = {lr = 0.5, "loss.tau" = 2}', ["lr=0.25"], {"lr": "0.25", "settings": {"loss": {"tau": "2"}}}),
        ('set = ["lr=0.5", "l2=1"]', [" l2 = 3", "patience=4"], {"lr": "0.5", "l2": "3", "patience": "4"}),
        ("set = {lr = 0.5}", [], {"lr": "0.5"}),
    ],
)
def test_settings_of_a_file_and_of_the_command_line_are_merged_by_key(run, toy, tmp_path, content, given, made):
    config = tmp_path / "popular.toml"
    config.write_text(content)
    words = [word for text in given for word in ("--set", text)]
    code, out, err = run("popular", toy, "--config", config, "--json", "-q", *words)
    assert (code, err) == (0, "")
    assert json.loads(out)["fields"] == made


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("n = true", "n takes a whole number, got true"),
        ("n = 1.5", "n takes a whole number, got 1.5"),
        ("n = [1]", "n takes a whole number, got [1]"),
        ("min-rating = true", "min-rating takes a number, got true"),
        ("order = true", "order takes a text, got true"),
        ('quiet = "yes"', "quiet takes true or false, got 'yes'"),
        ("private = 1", "private takes true or false, got 1"),
    ],
)
def test_a_value_of_another_type_in_a_file_is_refused(run, toy, tmp_path, content, said):
    config = tmp_path / "popular.toml"
    config.write_text(content)
    code, out, err = run("popular", toy, "--config", config)
    assert (code, out, err) == (2, "", f"error: --config {config}: {said}\n")


def test_what_a_file_has_wrong_is_named(run, toy, tmp_path):
    config = tmp_path / "popular.toml"
    for content, code, said in (
        ("ordr = 'least'", 2, "did you mean 'order'?"),
        ("order = 'least", 2, "not TOML"),
        ("n = 'many'", 2, "invalid value for '--n'"),
        ("order = 'mots'", 2, "did you mean 'most'?"),
        ("n = {a = 1}", 2, "takes a value, not a table"),
    ):
        config.write_text(content)
        found, _, err = run("popular", toy, "--config", config)
        assert (found, said in err) == (code, True), err
    assert run("popular", toy, "--config", tmp_path / "absent.toml")[0] == 2


def test_the_page_repeats_what_a_file_gave(run, toy, tmp_path):
    config, page = tmp_path / "popular.toml", tmp_path / "popular.html"
    config.write_text("n = 1\n")
    run("popular", toy, "--config", config, "--html", page)
    assert f"--config {config}" in page.read_text()
