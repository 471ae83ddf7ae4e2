from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch

from taurec import draw
from taurec.backbones.init import init_table
from taurec.errors import UsageError


def test_xavier_uniform_by_hand() -> None:
    bound = sqrt(6 / (3 + 2))
    u = draw.uniform(draw.key(5, "init:user"), [0, 1, 2], 2)
    np.testing.assert_allclose(init_table("xavier_uniform", 5, "user", 3, 2), (2 * u - 1) * bound, rtol=1e-6)


@pytest.mark.parametrize(
    ("init", "std"),
    [("xavier_uniform", sqrt(2 / 4064)), ("xavier_normal", sqrt(2 / 4064)), ("normal:0.1", 0.1)],
)
def test_mean_and_spread(init, std) -> None:
    table = init_table(init, 0, "user", 4000, 64).double()
    assert abs(table.mean().item()) < 4 * std / sqrt(table.numel())
    assert table.std().item() == pytest.approx(std, rel=0.01)
    if init == "xavier_uniform":
        assert table.abs().max().item() <= std * sqrt(3) * (1 + 1e-6)


def test_torch_counts_the_fans_of_a_table_the_same_way() -> None:
    torch.manual_seed(0)
    theirs = torch.nn.init.xavier_uniform_(torch.empty(500, 8))
    ours = init_table("xavier_uniform", 0, "user", 500, 8)
    assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.01)


def test_rows_keep_their_draws_when_rows_are_added() -> None:
    assert torch.equal(init_table("normal:1", 3, "item", 40_000, 2)[:50], init_table("normal:1", 3, "item", 50, 2))


def test_tables_and_seeds_are_independent() -> None:
    user, item = (init_table("normal:1", 0, name, 2000, 4).flatten().numpy() for name in ("user", "item"))
    other = init_table("normal:1", 1, "user", 2000, 4).flatten().numpy()
    assert abs(np.corrcoef(user, item)[0, 1]) < 0.05
    assert abs(np.corrcoef(user, other)[0, 1]) < 0.05


@pytest.mark.parametrize("init", ["xavier", "normal", "normal:", "normal:x", "normal:-1", "normal:nan", "uniform:1"])
def test_a_wrong_name_or_value_is_refused(init) -> None:
    with pytest.raises(UsageError, match="init"):
        init_table(init, 0, "user", 2, 2)
