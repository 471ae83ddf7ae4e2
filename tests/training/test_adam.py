from __future__ import annotations

import pytest
import torch

from taurec.training.adam import Adam


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_it_takes_the_steps_of_torch(decay: float) -> None:
    g = torch.Generator().manual_seed(0)
    shapes = [(7, 5), (3,), (2, 2, 2), (4, 1)]
    ours = [torch.nn.Parameter(torch.randn(s, generator=g, dtype=torch.float64)) for s in shapes]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    named = ((str(n), p) for n, p in enumerate(ours))
    mine, torchs = Adam(named, 0.1, decay), torch.optim.Adam(theirs, 0.1, weight_decay=decay)
    for number in range(5):
        for a, b in zip(ours, theirs, strict=True):
            gradient = torch.randn(a.shape, generator=g, dtype=torch.float64)
            a.grad, b.grad = gradient.clone(), gradient.clone()
        if number == 4:  # torch leaves a tensor without gradient where it is
            ours[1].grad = theirs[1].grad = None
        mine.step()
        torchs.step()
        assert all(p.grad is None for p in ours)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
