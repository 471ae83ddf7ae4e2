import dataclasses
import re

import pytest

from taurec.data.planted import planted
from taurec.data.split import split
from taurec.recommender import Recommender
from taurec.report.page import render
from taurec.report.result_page import result_page
from taurec.report.terminal import fit_to_width
from taurec.studies.audit.fairness.audit import audit_fairness
from taurec.studies.audit.fairness.groups import attribute_groups
from taurec.studies.names import Hashed

PARTS = split(planted(n_users=120, n_items=60, seed=2, skew=1.0).log, seed=1)
MODELS = ("popularity", "itemknn", "ease", "ials")


@pytest.fixture(scope="module")
def audit():
    users = PARTS.train.users.ids.to_list()
    land = attribute_groups(PARTS.train, "land", users[:90], ["<b>" if int(u) % 2 else "fi" for u in users[:90]])
    models = {name: Recommender(model=name).fit(PARTS) for name in MODELS}
    return audit_fairness(models, k=5, users=[land], n_popularity=4, n_activity=3)


def text(table):
    from rich.console import Console

    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(fit_to_width(table, 80))
    return console.export_text()


def test_tables_fit_and_add_up(audit):
    lines = [text(t) for t in audit.tables() if not t.folded]
    assert len(lines) == 6
    for said in lines:
        assert max(map(len, said.splitlines())) <= 80
        assert "…" not in said
        assert all(name in said for name in MODELS)
    last = lines[1].splitlines()[-1].split()
    assert last == ["sum", "60", "1.000", *(f"{m.fairness.ndcg.mean:.4f}" for m in audit.models)]


def test_the_verdict_names_the_worst_group_with_its_uncertainty(audit):
    said = " ".join(audit.verdict())
    worst = audit.best.fairness.users[0].worst
    assert f"{audit.best.label} serves {worst.name!r} worst: ndcg@5 {worst.ndcg.mean:.4f} (" in said
    assert ("do not overlap" in said) == any(d.apart for d in audit.best.fairness.users)
    assert "n = 4" in said


def test_the_page(audit):
    names = Hashed()
    hidden = dataclasses.replace(audit, names=names)
    html = render(result_page(hidden, "taurec audit fairness", names=names))
    assert len(html.encode()) < 2_000_000
    assert html.count("<svg") == 8
    assert "item-" in html
    assert "salted hashes" in html
    assert "&lt;b&gt;" in html
    assert not re.search(r"<b>", html)
    assert "30 users with held-out items have no value" in html
    for title in ("Models", "Items by popularity", "Users by activity", "Users by land", "Spread of scores"):
        assert f">{title}</h2>" in html


def test_groups_without_anybody_to_judge():
    train = PARTS.train
    few = PARTS.test.take(PARTS.test.user_of == PARTS.test.user_of[0])
    model = Recommender(model="popularity").fit(type(PARTS)(train, PARTS.valid, few, "ratio"))
    audit = audit_fairness({"popularity": model}, k=5)
    assert "fewer than two groups" in " ".join(audit.verdict())
    by_activity = next(t for t in audit.tables() if "by activity" in t.title)
    assert "-" in text(by_activity)
    render(result_page(audit))
