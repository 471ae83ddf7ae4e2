from __future__ import annotations

import pytest
import torch

from taurec.backbones import MF
from taurec.backbones.init import init_table
from taurec.data.interactions import Interactions
from taurec.errors import UsageError

LOG = Interactions.from_pairs([0, 1, 2], [0, 3, 1])


def test_its_vectors_are_its_tables() -> None:
    model = MF(LOG, dim=5, seed=3)
    e = model.embed()
    assert e.user is model.user
    assert e.item is model.item
    assert e.ego_user is model.user
    assert e.hops == ()
    assert torch.equal(model.user, init_table("xavier_uniform", 3, "user", 3, 5))
    assert torch.equal(model.item, init_table("xavier_uniform", 3, "item", 4, 5))


def test_width_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="dim"):
        MF(LOG, dim=0)
