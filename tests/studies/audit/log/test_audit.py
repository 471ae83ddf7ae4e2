"""The whole audit: clean worlds are clean, each fault is named, and the injected rows stand on top."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.vocabulary import Vocabulary
from taurec.studies.audit.log.audit import MIN_SUSPICION, WEIGHT, audit_log
from taurec.studies.names import Hashed, Names


def world(noise: float = 0.0, **changes):  # type: ignore[no-untyped-def]
    return planted(n_users=300, n_items=120, n_groups=4, per_user=12, noise=noise, seed=1, **changes)


def test_a_clean_world_is_clean_enough() -> None:
    found = audit_log(world().log, judge="itemknn")
    assert found.problems == ()
    assert found.verdict()[0].startswith("Clean enough: at most 0.0% of the rows")
    assert found.document()["clean"] is True
    assert found.suspects.count == 0


def test_injected_rows_stand_on_top_with_their_reason() -> None:
    noisy = world(noise=0.2)
    found = audit_log(noisy.log, judge="itemknn")
    (problem,) = found.problems
    assert "of the rows look like chance" in problem
    n = int(noisy.false_positive.sum())
    assert noisy.false_positive[found.suspects.order[:n]].mean() > 0.85
    assert found.suspects.reasons(int(found.suspects.order[0])) == ["unexpected item"]
    assert (np.diff(found.suspects.suspicion[found.suspects.order]) <= 0).all()
    # Suspicion is a share: where it is given, so many rows are false.
    given = found.suspects.suspicion
    assert given.mean() == pytest.approx(noisy.false_positive.mean(), abs=0.03)


def test_flags_add_to_suspicion_by_their_weight() -> None:
    log = world().log
    user, item = np.concatenate([log.user_of, np.full(24, 300)]), np.concatenate([log.indices, np.arange(0, 120, 5)])
    time = np.concatenate([np.arange(len(log)) * 977.0 % 1e6, 2e6 + np.arange(24) * 10.0])
    found = audit_log(Interactions.from_pairs(user, item, time=time), judge="itemknn")
    last = np.flatnonzero(found.log.user_of == 300)
    assert set(found.suspects.reasons(int(last[0]))) >= {"bot-like"}
    assert (found.suspects.suspicion[last] >= WEIGHT["bot-like"]).all()
    assert set(found.bots.of(300)) >= {"regular", "chance"}


def test_alike_ids_and_repeats_are_problems() -> None:
    log = world().log
    items = log.items.ids.to_list()
    items[3], items[7] = "Tea", "tea"
    renamed = Interactions.from_pairs(log.user_of, log.indices, log.users, Vocabulary(items), merged=400)
    found = audit_log(renamed, judge="itemknn")
    assert found.alike_items == (("case", ("Tea", "tea")),)
    assert found.problems == (
        "400 of 4,000 rows (10%) repeat a pair",
        "2 item ids differ from another only in spelling",
    )


def test_a_small_log_has_flags_but_no_estimate() -> None:
    found = audit_log(planted(n_users=10, n_items=40, per_user=5, seed=1).log, judge="itemknn")
    assert found.shares is None
    assert "an estimate needs 200" in found.verdict()[0]
    assert found.document()["clean"] is False


def test_names_replace_ids_everywhere() -> None:
    noisy = world(noise=0.2)
    users = Vocabulary([f"secret-user-{n}" for n in range(300)])
    items = Vocabulary([f"secret-item-{n}" for n in range(118)] + ["Secret-item-x", "secret-item-x"])
    log = Interactions.from_pairs(noisy.log.user_of, noisy.log.indices, users, items)
    found = audit_log(log, judge="itemknn", weights=np.ones(len(log)), names=Hashed())
    for shown in (found.document(), found.tables(), found.parts(), found.suspect_rows().to_dicts()):
        assert "ecret" not in json.dumps(shown, default=str)
    assert "secret-user" in json.dumps(dataclasses.replace(found, names=Names()).document(), default=str)


def test_the_frame_is_ranked_and_ends_where_suspicion_does() -> None:
    log = world(noise=0.2).log
    frame = audit_log(log, judge="itemknn", weights=np.zeros(len(log))).suspect_rows()
    assert frame.columns == ["user", "item", "suspicion", "percentile", "bsl_weight", "reasons"]
    assert frame["suspicion"].is_sorted(descending=True)
    assert frame["suspicion"].min() >= MIN_SUSPICION  # type: ignore[operator]
