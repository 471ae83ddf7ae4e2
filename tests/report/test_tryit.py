import json
import os
import re

import numpy as np
import pytest
from scipy.sparse.linalg import svds

from taurec.baselines import EASE, IALS, ItemKNN, Popularity
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.ranker import EmbeddingRanker
from taurec.recommender import Recommender
from taurec.report.page import LIMIT, Page, Section, render, write_page
from taurec.report.tryit import BUDGET, TryIt, try_it

WORLD = planted(n_users=80, n_items=50, seed=3).log
EVIL = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "a\u2028b", '"', "<!--<script>"]


def vectors(n, dim=16, seed=0):
    return EmbeddingRanker(np.zeros((80, dim), "f4"), np.random.default_rng(seed).normal(size=(n, dim)).astype("f4"))


def everything(n_items=50, log=WORLD):
    fitted = [m.fit(log) for m in (IALS(dim=8), ItemKNN(k=20), EASE(l2=10.0), Popularity())]
    return {"mf": vectors(n_items), **{type(m).__name__: m for m in fitted}}


def wide(n_items, n_users=400):
    """A log whose item i has about 1 / (i + 1) of the users."""
    counts = np.maximum(1, n_users // (np.arange(n_items) + 1))
    items = np.repeat(np.arange(n_items), counts)
    users = np.arange(len(items)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Interactions.from_pairs(users, items, Vocabulary.numbered(n_users), Vocabulary.numbered(n_items))


@pytest.mark.parametrize("label", everything())
def test_the_lists_are_those_of_the_recommender(label):
    ranker = everything()[label]
    panel = try_it({label: ranker}, WORLD, k=10)
    # the groups of a planted world hold items whose iALS scores are nearly equal
    assert panel.models[0].agreement >= (0.8 if label == "IALS" else 0.95)
    model = Recommender(model="popularity").fit(WORLD)
    model._ranker = ranker
    for history in (["3"], ["1", "4", "9"]):
        listed = [panel.items[i] for i in panel.best(0, [panel.items.index(h) for h in history])]
        exact = model.recommend_from_history(history, k=10).item
        assert len(set(listed) & set(exact)) >= (7 if label == "IALS" else 9)
        assert not set(listed) & set(history)
        if label == "Popularity":  # ties too
            assert listed == exact


@pytest.mark.data
@pytest.mark.skipif(not os.environ.get("TAUREC_DATA"), reason="TAUREC_DATA is not set")
def test_on_a_real_log_nine_of_ten_items_stay():
    """Short and whole histories of MovieLens-100K, all models in one panel; vectors are singular vectors of the log."""
    model = Recommender(model="ease").fit("ml-100k")
    log = model.split.train
    _, size, item = svds(log.csr().astype(np.float64), 64, random_state=0)
    mf = EmbeddingRanker(np.zeros((1, 64)), (item * np.sqrt(size)[:, None]).T)
    rankers = {"mf": mf, "ease": model.ranker, "itemknn": ItemKNN().fit(log)}
    panel = try_it(rankers, log)
    assert len(panel.items) == log.n_items
    assert len(panel.data().encode()) <= BUDGET + 2_000
    assert [m.agreement >= least for m, least in zip(panel.models, (0.97, 0.9, 0.97), strict=True)] == [True] * 3
    place = {name: at for at, name in enumerate(panel.items)}
    for number, label in enumerate(rankers):
        model._ranker = rankers[label]
        shares = []
        for user in range(0, 600, 10):
            own = log.items.decode(log.csr().indices[slice(*log.csr().indptr[user : user + 2])][: 1 + user % 5])
            exact = {place[name] for name in model.recommend_from_history(own, k=10).item}
            shares.append(len(exact & set(panel.best(number, [place[name] for name in own]))) / 10)
        assert np.mean(shares) >= 0.9


def test_histories_at_the_edges():
    panel = try_it({"mf": vectors(50)}, WORLD)
    assert panel.best(0, []) == []
    assert panel.best(0, range(50)) == []
    assert len(panel.best(0, range(47))) == 3


def test_starts_with_what_is_asked_for_or_popular():
    ids = WORLD.items.ids.to_list()
    panel = try_it({"mf": vectors(50)}, WORLD, start=["7", "none"])
    assert [panel.items[i] for i in panel.start] == ["7"]
    popular = try_it({"mf": vectors(50)}, WORLD)
    wanted = np.argsort(-WORLD.item_counts, kind="stable")[:3]
    assert [popular.items[i] for i in popular.start] == [ids[i] for i in wanted]


def test_names_stand_for_ids_and_stay_apart():
    panel = try_it({"mf": vectors(50)}, WORLD, {"1": "Hamlet", "2": "Hamlet", "3": "Macbeth"}, start=["3"])
    assert {"Hamlet (1)", "Hamlet (2)", "Macbeth", "4"} <= set(panel.items)
    assert panel.items[panel.start[0]] == "Macbeth"


def test_the_data_is_json_that_cannot_leave_its_element():
    panel = try_it({EVIL[1]: vectors(50)}, WORLD, dict(zip("01234", EVIL, strict=True)))
    html = render(Page("t", "", [Section("Try it", [panel])]))
    inside = re.search(r'<script type="application/json" id="tryit-data">(.*?)</script>', html, re.DOTALL)[1]
    assert "<" not in inside
    content = json.loads(inside)
    assert set(EVIL) <= set(content["items"])
    assert content["models"][0]["label"] == EVIL[1]
    assert "<img" not in html


def test_the_script_has_the_right_hash_and_no_eval():
    import base64
    import hashlib

    html = render(Page("t", "", [Section("Try it", [try_it({"mf": vectors(50)}, WORLD)])]))
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert not re.search(
        r"\beval\b|innerHTML|insertAdjacentHTML|document\.write|new Function|fetch\(|XMLHttp", script[0]
    )


def test_a_large_catalogue_is_cut_to_the_popular_items_and_says_so(tmp_path):
    log = wide(20_000)
    rankers = {"mf": vectors(20_000, 64), "popularity": Popularity().fit(log)}
    panel = try_it(rankers, log)
    assert 8_000 < len(panel.items) < 20_000
    assert 0.9 * BUDGET < len(panel.data().encode()) <= BUDGET
    assert f"the {len(panel.items):,} most popular of 20,000 items" in panel.note
    assert {str(i) for i in range(100)} <= set(panel.items)
    write_page(Page("t", "", [Section("Try it", [panel])]), tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < LIMIT
    assert "most popular of 20,000" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_item_to_item_models_get_what_is_left():
    draws = np.random.default_rng(1).integers(0, [[400], [900]], size=(2, 20_000))
    log = Interactions.from_pairs(*np.unique(draws, axis=1), Vocabulary.numbered(400), Vocabulary.numbered(900))
    rankers = {"ease": EASE().fit(log), "knn": ItemKNN(k=50).fit(log), "mf": vectors(900)}
    large, small = (try_it(rankers, log, budget=b) for b in (600_000, 300_000))
    for panel, budget in ((large, 600_000), (small, 300_000)):
        assert 0.5 * budget < len(panel.data().encode()) <= budget + 2_000  # and a few hundred letters of JSON
    counts = [panel.models[0].form.entries for panel in (small, large)]
    assert counts[0] < counts[1]


def test_one_panel_a_page():
    panel = try_it({"mf": vectors(50)}, WORLD)
    with pytest.raises(UsageError, match="one try-it panel, got 2"):
        render(Page("t", "", [Section("a", [panel, panel])]))
    assert "tryit-data" not in render(Page("t", "", []))


def test_faults_are_named():
    with pytest.raises(UsageError, match="at least one model"):
        try_it({}, WORLD)
    with pytest.raises(UsageError, match="mf knows 7 items and the log has 50"):
        try_it({"mf": vectors(7)}, WORLD)
    with pytest.raises(UsageError, match=r"400 bytes has room for \d+ items; a panel needs 100"):
        try_it({"mf": vectors(50)}, WORLD, k=50, budget=400)
    assert isinstance(try_it({"mf": vectors(50)}, WORLD, k=2), TryIt)
