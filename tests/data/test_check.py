"""The check of a log: each oddity is found, and a sound log has none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from taurec.data.check import check
from taurec.data.interactions import Interactions
from taurec.data.readers import read_log

NOW = 1_700_000_000.0


def sound(times: np.ndarray | None = None, users: int = 60, items: int = 25) -> Interactions:
    u, i = (a.ravel() for a in np.meshgrid(np.arange(users), np.arange(items)))
    keep = (u + i) % 2 == 0
    t = NOW + np.arange(keep.sum(), dtype=float) if times is None else times
    return Interactions.from_pairs(u[keep], i[keep], time=t)


def test_a_sound_log_has_no_findings() -> None:
    result = check(sound())
    assert result.findings == ()
    assert result.statistics.pairs == len(sound())


@pytest.mark.parametrize(
    ("code", "level", "change"),
    [
        ("time-equal", "warning", lambda t: t * 0 + NOW),
        ("time-negative", "note", lambda t: np.where(np.arange(len(t)) < 3, -5.0, t)),
        ("time-milliseconds", "warning", lambda t: t * 1e3),
        ("time-milliseconds", "warning", lambda t: np.where(np.arange(len(t)) < 3, t * 1e3, t)),
        ("time-microseconds", "warning", lambda t: t * 1e6),
        ("time-nanoseconds", "warning", lambda t: t * 1e9),
        ("time-late", "warning", lambda t: np.where(np.arange(len(t)) == 0, 253_370_764_800.0 / 10, t)),
        ("time-early", "note", lambda t: t - NOW),
        ("time-dates", "warning", lambda t: 20240101.0 + np.arange(len(t)) % 28),
        ("bursts", "note", lambda t: np.where(np.arange(len(t)) == 0, t, NOW + 1e6)),
    ],
)
def test_odd_times(code: str, level: str, change) -> None:  # type: ignore[no-untyped-def]
    log = sound(users=80, items=60) if code == "bursts" else sound()
    assert log.time is not None
    result = check(Interactions.from_pairs(log.user_of, log.indices, time=change(log.time)))
    assert [(f.code, f.level) for f in result.findings if f.code == code] == [(code, level)]


def test_mixed_units_say_so_with_their_share() -> None:
    log = sound()
    times = np.array(log.time)
    times[:75] *= 1e3
    (finding,) = check(Interactions.from_pairs(log.user_of, log.indices, time=times)).findings
    assert finding.message.startswith("75 of 750 times (10%)")
    assert "mixed" in finding.message


@pytest.mark.parametrize(
    ("code", "ids"),
    [
        ("alike-number", ["7", "007", "b", "c"]),
        ("alike-number", ["7", "7.0", "b", "c"]),
        ("alike-blanks", ["a", " a", "b", "c"]),
        ("alike-case", ["Ab", "aB", "b", "c"]),
        ("alike-unicode-form", ["é", "e\u0301", "b", "c"]),
        ("missing-words", ["NaN", "a", "b", "c"]),
        ("quoted-ids", ['"a"', '"b"', "b", "c"]),
    ],
)
def test_odd_ids(code: str, ids: list[str]) -> None:
    frame = pl.DataFrame({"user": [u for u in "xyzt" for _ in ids], "item": ids * 4})
    log, report = read_log(frame.filter(pl.int_range(16) % 5 != 0))
    codes = check(log, report).codes()
    assert codes == [code]


def test_rows_and_sizes() -> None:
    frame = pl.DataFrame(
        {"user": ["a", "a", "b", "c", "c"], "item": ["x", "x", "x", "y", "z"], "rating": [5, 5, 4, 5, 1]}
    )
    log, report = read_log(frame, min_rating=2)
    result = check(log, report)
    assert result.codes() == ["duplicates", "below-rating", "single-users", "single-items"]
    messages = {f.code: f.message for f in result.findings}
    assert messages["duplicates"].startswith("1 of 4 rows repeat a pair; 1 are exact")
    assert messages["below-rating"] == "1 rows (20%) lie below the least rating"
    assert messages["single-users"].startswith("3 of 3 users (100%)")


def test_one_user_and_a_heavy_user() -> None:
    assert "one-user" in check(Interactions.from_pairs([0, 0], [0, 1])).codes()
    light = np.repeat(np.arange(1, 101), 10)
    log = Interactions.from_pairs(
        np.concatenate([np.zeros(500), light]),
        np.concatenate([np.arange(500), light * 0 + np.tile(np.arange(10), 100)]),
    )
    assert "heavy-user" in check(log).codes()


def test_result_is_plain_data() -> None:
    told = check(Interactions.from_pairs([0], [0])).as_dict()
    assert told["statistics"]["pairs"] == 1
    assert told["findings"][0]["code"] == "one-user"
