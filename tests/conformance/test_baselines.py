"""Every baseline of the registry keeps the laws of ``taurec.testing``."""

from __future__ import annotations

import pytest

from taurec.baselines import BASELINES
from taurec.testing.baselines import BASELINE_LAWS, BaselineCase
from taurec.testing.laws import Exceptions, Law, NotApplicable

SMALL = {
    "ials": {"dim": 8},
    "ease": {"l2": 5.0},
    "edlae": {"l2": 5.0},
    "rlae": {"l2": 5.0},
    "rdlae": {"l2": 5.0},
    "dan": {"l2": 1.0},
    "rg2": {"dim": 8},
    "svd-ae": {"k": 3},
    "slim-local": {"k": 40, "l2": 5.0},
}
POPULARITY = "it gives every user the same scores"
INITIAL = "the initial vector of a user depends on the user's number"
EXCEPTIONS: dict[str, Exceptions] = {
    "popularity": [
        ("fitted to three blocks of users and items, it puts a user's one withheld item first", POPULARITY),
        ("users without pairs have the score 0 for all items", POPULARITY),
    ],
    "ials": [("renumbering the users renumbers the rows", INITIAL)],
    "rg2": [("renumbering the users renumbers the rows", INITIAL)],
}


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("law", list(BASELINE_LAWS), ids=str)
def test_law(name: str, law: Law[BaselineCase]) -> None:
    case = BaselineCase(BASELINES[name], SMALL.get(name, {}))  # type: ignore[arg-type]
    try:
        BASELINE_LAWS.check_one(law, case, EXCEPTIONS.get(name, ()))
    except NotApplicable as error:
        pytest.skip(str(error))
