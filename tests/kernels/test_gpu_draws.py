"""Draws by Triton are the plain draws, value for value, exclusion included."""

import numpy as np
import pytest
import torch
from tests.kernels.on_gpu import DEVICE, compiled, compiles, runs, signatures

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.sampling.per_row import Uniform


@runs
@pytest.mark.parametrize("n_items", [1, 2, 38048, 2**31 + 11, 2**32 - 1])
@pytest.mark.parametrize("start", [0, 7])
def test_values_are_those_of_draw(n_items, start):
    from taurec.kernels.draws import triton as gpu_draws

    rows = np.array([0, 1, 5, 5, 10**12, 2**62])
    for stream in (draw.key(3, "negatives", 2), 0, 1, (1 << 64) - 1, 1 << 63):
        got = gpu_draws.uniform_ids(stream, rows, n_items, 300 if stream else 33, torch.device(DEVICE), start)
        expected = draw.integers(stream, rows, n_items, got.shape[1], start)
        assert np.array_equal(got.cpu().numpy(), expected)


@runs
def test_no_rows_and_no_columns():
    from taurec.kernels.draws import triton as gpu_draws

    assert gpu_draws.uniform_ids(9, [], 10, 4, torch.device(DEVICE)).shape == (0, 4)
    assert gpu_draws.uniform_ids(9, [1, 2], 10, 0, torch.device(DEVICE)).shape == (2, 0)
    with pytest.raises(ValueError, match="n_items must be in"):
        gpu_draws.uniform_ids(9, [1], 0, 4, torch.device(DEVICE))


def dense_log(n_items: int) -> Interactions:
    """Users with no item, one, half, all but one (so that eight draws are refused), and all."""
    rng = np.random.default_rng(n_items)
    have = [[], [n_items - 1], np.sort(rng.choice(n_items, n_items // 2, replace=False)), np.arange(1, n_items)]
    have += [np.arange(n_items - 1), np.arange(n_items)]
    pairs = [(u, int(i)) for u, items in enumerate(have) for i in items]
    return Interactions.from_pairs(*zip(*pairs, strict=True))


@runs
@pytest.mark.parametrize("n_items", [2, 7, 64])
@pytest.mark.parametrize("exclude", [False, True])
def test_a_source_draws_the_same_on_either_device(n_items, exclude):
    train = dense_log(n_items)
    source = Uniform(40, exclude).bind(train, seed=5)
    user = torch.arange(train.n_users)
    row = torch.tensor([3, 1, 10**10, 7, 0, 2])
    for epoch in (1, 2):
        cpu = source.draw(user, user, row, epoch)
        gpu = source.on(torch.device(DEVICE)).draw(user, user, row, epoch)
        assert type(gpu) is type(cpu)
        for name in ("ids", "logq", "absent"):
            one, other = getattr(cpu, name), getattr(gpu, name)
            assert (one is None) == (other is None)
            assert one is None or torch.equal(one, other.cpu())
            assert other is None or other.device.type == DEVICE


@compiles
def test_compiles_for_a_gpu():
    from taurec.kernels.draws import triton as gpu_draws

    for kernel, given in (*signatures(gpu_draws), *signatures(gpu_draws, n=1)):
        code = compiled(kernel, **given)
        assert code["cubin"]
        # products wrap around in 64 bits: no wider or floating form crept in
        assert "mul.lo.s64" in code["ptx"] or "mad.lo.s64" in code["ptx"]
        assert "f64" not in code["ptx"]
