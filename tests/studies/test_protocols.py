"""A protocol says what chooses the epoch, what the test hides, and by what recall divides; nothing knows its name."""

from __future__ import annotations

import json

import numpy as np
import pytest

from taurec.data.interactions import Interactions
from taurec.data.source import Opened, open_source
from taurec.data.split import Split
from taurec.errors import UsageError
from taurec.ranker import EmbeddingRanker
from taurec.studies.protocols import PROTOCOLS, Protocol, protocol_of
from taurec.studies.recipes import Recipe
from taurec.studies.reproduce import merge, parts_of, record_path, reproduce

SMALL = Recipe(
    "planted",
    {"loss": "sl", "negatives": "uniform:8", "epochs": 4, "batch_size": 64, "patience": 9},
    claim="a small row",
    settings={"backbone": {"dim": 8}},
)


def _log(user: list[int], item: list[int]) -> Interactions:
    whole = Interactions.from_pairs([0] * 9, range(9))
    return Interactions.from_pairs(user, item, whole.users, whole.items)


RANKER = EmbeddingRanker(np.ones((1, 1), "f4"), np.arange(9, 0, -1, dtype="f4")[:, None])
"""Ranks the items 0, 1, ... 8 in this order."""
PARTS = Split(_log([0], [0]), _log([0], [1]), _log([0, 0], [2, 8]), "files")


def test_what_the_test_hides_moves_the_hits_up() -> None:
    """Items 2 and 8 are relevant: at ranks 2 and 8 of the list with the validation item, else at 1 and 7."""
    discount = 1 / np.log2(np.arange(2, 10))
    ideal = discount[:2].sum()
    seen = PROTOCOLS["talos"].evaluate(RANKER, PARTS)
    assert seen["ndcg@20"] == pytest.approx((discount[1] + discount[7]) / ideal)
    hidden = PROTOCOLS["honest"].evaluate(RANKER, PARTS)
    assert hidden["ndcg@20"] == pytest.approx((discount[0] + discount[6]) / ideal)


def test_the_divisor_of_recall_is_that_of_the_protocol() -> None:
    whole = Interactions.from_pairs([0] * 40, range(40))
    ranker = EmbeddingRanker(np.ones((1, 1), "f4"), np.arange(40, 0, -1, dtype="f4")[:, None])
    parts = Split(whole.take([0]), whole.take([]), whole.take(range(11, 40)), "files")
    # 29 relevant items behind 10 others: 10 of the list of 20 are hits
    common = {"chooses": "share", "hides": ("train",)}
    assert Protocol("a", "", **common).evaluate(ranker, parts)["recall@20"] == pytest.approx(10 / 29)
    assert Protocol("b", "", divisor="min", **common).evaluate(ranker, parts)["recall@20"] == pytest.approx(10 / 20)


def test_each_rule_takes_its_part_for_validation() -> None:
    planted = open_source("planted")
    given = Opened("a set", train=PARTS.train, test=PARTS.test, valid=PARTS.valid)
    paper, honest, talos = PROTOCOLS["paper"], PROTOCOLS["honest"], PROTOCOLS["talos"]
    assert paper.parts(planted).valid is planted.test
    assert talos.parts(given).valid is given.valid
    assert talos.parts_for_settings(given).valid is given.valid
    cut = honest.parts(planted)
    assert len(cut.train) + len(cut.valid) == len(planted.train)
    assert paper.parts_for_settings(planted).valid.indices.tolist() == cut.valid.indices.tolist()
    with pytest.raises(UsageError, match="planted has no given validation part, which protocol talos needs"):
        talos.parts(planted)


def test_the_fields_of_a_run_are_those_of_the_protocol_or_of_the_row() -> None:
    run = SMALL.run("talos", 0)
    assert (run.metric, run.eval_every, run.patience, run.valid) == ("precision@20", 5, 5, 0.0)
    run = SMALL.run("paper", 0)
    assert (run.metric, run.eval_every, run.patience, run.valid) == ("recall@20", 1, 9, 0.0)
    assert SMALL.run("honest", 0).valid == 0.1


def test_a_new_protocol_is_one_more_object(tmp_path) -> None:
    own = Protocol(
        "own", "on a third", "share", 1 / 3, "mrr@5", eval_every=2, reports=("recall@20", "ndcg@20", "mrr@5")
    )
    parts = parts_of(SMALL, own)
    assert len(parts.valid) == pytest.approx(len(open_source("planted").train) / 3, rel=0.05)
    found = reproduce("row", SMALL, own, 0, tmp_path, parts=parts)
    assert len(found["curve"]) == 2
    path = merge(tmp_path, "row", SMALL, own, parts, found)
    assert json.loads(path.read_text())["measured"]["mrr@5"] == pytest.approx(found["mrr@5"], abs=1e-6)
    assert path == record_path(tmp_path, "row", own) == tmp_path / "row.own.json"


def test_names_and_shares_are_checked() -> None:
    assert protocol_of("honest") is PROTOCOLS["honest"]
    with pytest.raises(UsageError, match="did you mean 'honest'"):
        protocol_of("honst")
    with pytest.raises(UsageError, match="share of protocol a must be above 0"):
        Protocol("a", "", "share", share=0.0)
    with pytest.raises(UsageError, match="must report recall@20 and ndcg@20, got mrr@5"):
        Protocol("a", "", "share", reports=("mrr@5",))
