"""Every backbone of the registry keeps the laws of ``taurec.testing``."""

from __future__ import annotations

from typing import get_args

import pytest

from taurec.backbones import BACKBONES
from taurec.backbones.combine import Combine
from taurec.testing.backbones import BACKBONE_LAWS, BackboneCase
from taurec.testing.laws import Law, NotApplicable

WEIGHTS = {"weighted": (0.1, 0.2, 0.3, 0.4), "concat_weighted": (0.1, 0.2, 0.3, 0.4)}


def check(law: Law[BackboneCase], case: BackboneCase) -> None:
    try:
        BACKBONE_LAWS.check_one(law, case)
    except NotApplicable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", sorted(BACKBONES))
@pytest.mark.parametrize("law", list(BACKBONE_LAWS), ids=str)
def test_law(name: str, law: Law[BackboneCase]) -> None:
    check(law, BackboneCase(BACKBONES[name]))  # type: ignore[arg-type]


@pytest.mark.parametrize("how", [how for how in get_args(Combine) if how != "mean"])
@pytest.mark.parametrize("law", list(BACKBONE_LAWS), ids=str)
def test_law_with_layers_combined_otherwise(how: Combine, law: Law[BackboneCase]) -> None:
    settings = {"combine": how, "weights": WEIGHTS.get(how, ())}
    check(law, BackboneCase(BACKBONES["lightgcn"], settings))  # type: ignore[arg-type]
