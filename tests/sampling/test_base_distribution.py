"""What a sampler says it draws from is what it draws from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from taurec.data.interactions import Interactions
from taurec.sampling import NEGATIVES

TRAIN = Interactions.from_pairs([0] * 5 + [1] * 3 + [2, 2], [0, 1, 2, 3, 4, 0, 5, 6, 1, 7])


@pytest.mark.parametrize(
    "negatives",
    ["uniform:50", "uniform:50:true", "popularity:50:0.75", "popularity:50:1:true", "shared:50:1", "noisy:50:0",
     "noisy:50:3", "noisy-held-out:50:0.4:0.5"],
)  # fmt: skip
def test_draws_follow_the_stated_distribution(negatives: str) -> None:
    bound = NEGATIVES.build(negatives).bind(TRAIN, seed=3)
    base = bound.base_distribution()
    assert base is not None
    row = torch.arange(len(TRAIN))
    user, item = torch.from_numpy(TRAIN.user_of), torch.from_numpy(TRAIN.indices.copy())
    counts = np.zeros((3, 8))
    for epoch in range(40):
        ids = bound.draw(user, item, row, epoch).drawn()
        assert ids is not None
        if len(ids) == 50:  # shared by all rows
            counts += np.bincount(ids, minlength=8)
            continue
        np.add.at(counts, (user.repeat_interleave(50).numpy(), ids.numpy()), 1)
    own = TRAIN.csr().toarray() > 0
    for u in range(3):
        if base.users is not None:
            weight = base.users(np.array([u]))[0]
        else:
            weight = np.ones(8) if base.item is None else base.item.copy()
            weight = np.where(own[u], base.own * weight, weight)
        drawn = weight > 0
        assert not counts[u][~drawn].any()
        expected = counts[u].sum() * weight[drawn] / weight.sum()
        assert stats.chisquare(counts[u][drawn], expected).pvalue > 1e-3
