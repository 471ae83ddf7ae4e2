import re

import pytest

from taurec.data.planted import planted
from taurec.data.split import split
from taurec.recommender import Recommender
from taurec.report import fairness as shown
from taurec.report.fairness_pages import fairness_page
from taurec.report.page import render
from taurec.studies.audit.fairness.audit import audit_fairness
from taurec.studies.audit.fairness.groups import attribute_groups

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
    console.print(table)
    return console.export_text()


def test_tables_fit_and_add_up(audit):
    tables = [shown.global_table(audit), shown.item_table(audit), shown.exposure_table(audit)]
    tables += [shown.user_table(audit, 0), shown.user_table(audit, 1), shown.score_table(audit)]
    lines = [text(t) for t in tables]
    for said in lines:
        assert max(map(len, said.splitlines())) <= 80
        assert "…" not in said
        assert all(name in said for name in MODELS)
    last = lines[1].splitlines()[-1].split()
    assert last == ["sum", "1.000", *(f"{m.fairness.ndcg.mean:.4f}" for m in audit.models)]


def test_the_verdict_names_the_worst_group_with_its_uncertainty(audit):
    said = " ".join(shown.verdict(audit))
    worst = audit.best.fairness.users[0].worst
    assert f"{audit.best.label} serves {worst.name!r} worst: ndcg@5 {worst.ndcg.mean:.4f} (" in said
    assert ("do not meet" in said) == any(d.apart for d in audit.best.fairness.users)
    assert "n = 4" in said


def test_the_page(audit):
    page = fairness_page(audit, command="taurec audit fairness", items=[f"thing{i}" for i in range(60)], note="A note.")
    html = render(page)
    assert len(html.encode()) < 2_000_000
    assert html.count("<svg") == 8
    assert "thing" in html
    assert "A note." in html
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
    assert "fewer than two groups" in " ".join(shown.verdict(audit))
    assert "-" in text(shown.user_table(audit, 0))
    render(fairness_page(audit))
