"""The pages of a comparison and of a search, on a planted world."""

from __future__ import annotations

import importlib.util
import re

import pytest

from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.vocabulary import Vocabulary
from taurec.report.page import render
from taurec.report.people import Lists
from taurec.report.result_page import result_page
from taurec.report.tryit import TryIt
from taurec.studies.compare import compare
from taurec.studies.names import Hashed
from taurec.studies.result import Figure, Table
from taurec.studies.search import search

if importlib.util.find_spec("matplotlib") is None or importlib.util.find_spec("jinja2") is None:
    pytest.skip("matplotlib or jinja2 is not installed", allow_module_level=True)

WORLD = planted(n_users=60, n_items=40, seed=2, noise=0.1).log
USERS, ITEMS = ([f"{kind}-{n:02d}" for n in range(size)] for kind, size in (("person", 60), ("thing", 40)))
LOG = Interactions.from_pairs(WORLD.user_of, WORLD.indices, Vocabulary(USERS), Vocabulary(ITEMS))
QUICK = {"epochs": 2, "batch_size": 64, "negatives": "uniform:4", "settings": {"backbone": {"dim": 8}}, "threads": 1}


@pytest.fixture(scope="module")
def found():
    return compare(LOG, ["mf:sl"], tune="none", seeds=2, fields=QUICK)


def blocks(page, kind):
    return [block for section in page.sections for block in section.blocks if isinstance(block, kind)]


def test_the_page_of_a_comparison(found) -> None:
    page = result_page(found, "taurec compare x", {"cpu": "a cpu"})
    titles = [section.title for section in page.sections]
    assert titles == [
        "Accuracy", "Learning curves", "Quality and cost", "Who is served", "How it was evaluated", "A few users",
        "Try it",
    ]  # fmt: skip
    accuracy = blocks(page, Table)[0]
    row = accuracy.rows[0]
    assert row[0] == found.best.label
    assert found.best.metrics["ndcg@20"].mean == row[1].mean
    assert len(blocks(page, Figure)) >= 5
    html = render(page)
    assert "taurec compare x" in html
    assert "Best trained model (mf:sl) against the best closed form (" in html
    assert "person-" in html
    assert "thing-" in html


def test_private_ids_are_nowhere(found) -> None:
    html = render(result_page(found, names=Hashed("salt")))
    assert not re.search(r"person-\d|thing-\d", html)
    assert "salted hashes" in html


def test_people_have_lists_without_what_they_had_and_marks_on_what_they_took(found) -> None:
    (lists,) = blocks(result_page(found), Lists)
    train, test = found.split.train, found.split.test
    for person in lists.people:
        user = int(train.users.encode([person.name])[0])
        had = set(train.items.decode(train.items_of(user))) | set(train.items.decode(found.split.valid.items_of(user)))
        assert set(person.history) <= had
        assert set(person.hits) == set(train.items.decode(test.items_of(user)))
        for items in person.lists.values():
            assert not had & set(items)


def test_the_panel_has_the_model_to_use_and_one_of_the_other_kind(found) -> None:
    (panel,) = blocks(result_page(found), TryIt)
    labels = [model.label for model in panel.models]
    assert labels[0] == found.chosen.run.label
    assert {":" in label for label in labels} == {True, False}


def test_the_page_of_a_search() -> None:
    searched = search(LOG, 3.0, ["mf:sl"], fields=QUICK)
    page = result_page(searched, "taurec compare x --budget 3s", names=Hashed("s"))
    html = render(page)
    (make,) = searched.commands()
    assert make.startswith("taurec train")
    assert make.split(" --", 1)[1] in html
    assert not re.search(r"person-\d|thing-\d", html)
    best, rest = blocks(page, Table)[0], [table for table in blocks(page, Table) if table.folded]
    assert len({row[0] for row in best.rows}) == len(best.rows)
    assert [row[3] for row in best.rows] == sorted((row[3] for row in best.rows), reverse=True)
    assert len(rest[0].rows) == len(searched.trials)
