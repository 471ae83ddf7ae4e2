"""Every backbone of the registry keeps the laws of ``taurec.testing``."""

from __future__ import annotations

import pytest

from taurec.backbones import BACKBONES
from taurec.testing.backbones import BACKBONE_LAWS, BackboneCase
from taurec.testing.laws import Law


@pytest.mark.parametrize("name", sorted(BACKBONES))
@pytest.mark.parametrize("law", list(BACKBONE_LAWS), ids=str)
def test_law(name: str, law: Law[BackboneCase]) -> None:
    BACKBONE_LAWS.check_one(law, BackboneCase(BACKBONES[name]))  # type: ignore[arg-type]
