"""Every baseline of the registry keeps the laws of ``taurec.testing``."""

from __future__ import annotations

import pytest

from taurec.baselines import BASELINES
from taurec.testing.baselines import BASELINE_LAWS, BaselineCase
from taurec.testing.laws import Exceptions, Law, NotApplicable

SMALL = {"ials": {"dim": 8}, "ease": {"l2": 5.0}, "svd-ae": {"k": 3}}
POPULARITY = "it gives every user the same scores"
EXCEPTIONS: dict[str, Exceptions] = {
    "popularity": [
        ("fitted to three blocks of users and items, it puts a user's one withheld item first", POPULARITY),
        ("users without pairs have the score 0 for all items", POPULARITY),
    ],
    "ials": [("renumbering the users renumbers the rows", "the initial vector of a user depends on the user's number")],
}


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("law", list(BASELINE_LAWS), ids=str)
def test_law(name: str, law: Law[BaselineCase]) -> None:
    case = BaselineCase(BASELINES[name], SMALL.get(name, {}))  # type: ignore[arg-type]
    try:
        BASELINE_LAWS.check_one(law, case, EXCEPTIONS.get(name, ()))
    except NotApplicable as reason:
        pytest.skip(str(reason))
