"""Every model of the registries keeps the laws of a recommender."""

from __future__ import annotations

import pytest

from taurec import BACKBONES, BASELINES, Recommender
from taurec.testing.laws import Law
from taurec.testing.recommenders import RECOMMENDER_LAWS, RecommenderCase

SMALL = {"ials": {"model": {"dim": 8}}, "ngcf": {"backbone": {"dim": 8, "layers": "8,8"}}}
SMALL["svd-ae"] = {"model": {"k": 3}}  # of more numbers the log itself comes out, and ties decide


def recommender(name: str) -> Recommender:
    if name in BASELINES:
        return Recommender(model=name, settings=SMALL.get(name, {}))
    settings = SMALL.get(name, {"backbone": {"dim": 8}})
    return Recommender(name, "sl", epochs=2, negatives="uniform:8", kernel="torch", settings=settings)


@pytest.fixture(scope="module", params=[*BASELINES, *BACKBONES])
def case(request: pytest.FixtureRequest) -> RecommenderCase:
    return RecommenderCase(lambda: recommender(request.param))


@pytest.mark.parametrize("law", list(RECOMMENDER_LAWS), ids=str)
def test_law(case: RecommenderCase, law: Law[RecommenderCase]) -> None:
    RECOMMENDER_LAWS.check_one(law, case)
