import dataclasses
import json
import math

import pytest

from taurec.data.planted import planted
from taurec.data.split import split
from taurec.errors import UsageError
from taurec.recommender import Recommender
from taurec.report.json import plain
from taurec.studies.audit.fairness.audit import audit_fairness
from taurec.studies.audit.fairness.groups import attribute_groups
from taurec.studies.names import Hashed

PARTS = split(planted(n_users=120, n_items=60, seed=2, skew=1.0).log, seed=1)


@pytest.fixture(scope="module")
def models():
    return {name: Recommender(model=name).fit(PARTS) for name in ("popularity", "itemknn", "ease")}


@pytest.fixture(scope="module")
def audit(models):
    users = PARTS.train.users.ids.to_list()
    parity = attribute_groups(PARTS.train, "parity", users, ["odd" if int(u) % 2 else "even" for u in users])
    return audit_fairness(models, k=5, users=[parity], n_popularity=4, n_activity=3)


def test_each_model_is_judged_as_evaluate_judges_it(audit, models):
    for judged in audit.models:
        means = models[judged.label].evaluate("test", ["recall@5", "ndcg@5"]).means()
        assert judged.fairness.recall.mean == means["recall@5"]
        assert judged.fairness.ndcg.mean == means["ndcg@5"]
        assert len(judged.fairness.items) == 4
        assert [d.what for d in judged.fairness.users] == ["activity", "parity"]
    assert audit.best.fairness.ndcg.mean == max(m.fairness.ndcg.mean for m in audit.models)


def test_most_exposed(audit):
    for judged in audit.models:
        shares = [share for _, share, _ in judged.most_exposed]
        assert shares == sorted(shares, reverse=True)
        item, share, popularity = judged.most_exposed[0]
        assert share == judged.fairness.exposure.max() / judged.fairness.n_users
        assert popularity == PARTS.train.item_counts[item] / len(PARTS.train)


def test_correlations_say_over_how_many(audit, models):
    for correlation in audit.between_models().values():
        assert correlation.n == 3
        assert -1 <= correlation.rho <= 1
    two = audit_fairness({k: models[k] for k in ("popularity", "ease")}, k=5)
    assert math.isnan(two.between_models()["tail_share"].rho)  # two points always lie on a line
    assert two.models[0].variance_tail.n == two.models[0].fairness.n_users


def test_the_document_has_ids_or_what_stands_for_them(audit):
    content = json.dumps(plain(audit.document()))
    assert "NaN" not in content
    hidden = dataclasses.replace(audit, names=Hashed()).document()
    assert all(e["item"].startswith("item-") for m in hidden["models"] for e in m["most_exposed"])
    assert hidden["models"][0]["fairness"]["user_groups"][1]["by"] == "parity"


def test_wrong_requests(models):
    with pytest.raises(UsageError, match="no models"):
        audit_fairness({})
    other = Recommender(model="popularity").fit(split(planted(n_users=120, n_items=60, seed=3).log, seed=1))
    with pytest.raises(UsageError, match="other was fitted to another log or another split than ease"):
        audit_fairness({"ease": models["ease"], "other": other})
    whole = Recommender(model="popularity").fit(split(planted(n_users=30, n_items=20).log, "none"))
    with pytest.raises(UsageError, match="no test part"):
        audit_fairness({"popularity": whole})
