"""Laws that every registered backbone keeps."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from taurec.backbones import BACKBONES, Backbone
from taurec.data.interactions import Interactions

NAMES = sorted(BACKBONES)


@pytest.fixture
def world() -> tuple[Interactions, np.ndarray]:
    """Three blocks of 8 users and 8 items; each user lacks one item of the own block: that is the answer."""
    blocks, size = 3, 8
    user, item = np.divmod(np.arange(blocks * size * size), size)
    item = item + (user // size) * size
    withheld = (np.arange(blocks * size) % size) + (np.arange(blocks * size) // size) * size
    keep = item != withheld[user]
    return Interactions.from_pairs(user[keep], item[keep]), withheld


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_gradients(name, world) -> None:
    model = BACKBONES.build(name, world[0], given={"dim": 8})
    assert isinstance(model, Backbone)
    e = model.embed()
    assert e.user.shape == (24, e.user.shape[1])
    assert e.item.shape == (24, e.user.shape[1])
    assert e.user.dtype == torch.float32
    assert e.ego_user is model.user
    assert e.ego_item is model.item
    (e.user @ e.item.T).square().sum().backward()
    for parameter in model.parameters():
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.abs().sum() > 0
    assert set(model.state_dict()) == {n for n, _ in model.named_parameters()}


@pytest.mark.parametrize("name", NAMES)
def test_asking_for_some_rows_changes_neither_them_nor_their_gradient(name, world) -> None:
    model = BACKBONES.build(name, world[0], given={"dim": 8})
    model.begin_step(1, 1)
    users, items = torch.tensor([3, 20, 3]), torch.tensor([0, 7, 23])
    found = []
    for rows in (None, (users, items)):
        e = model.embed(rows)
        seen = [x.index_select(0, at) for x, at in zip((e.user, e.item), e.at or (users, items), strict=True)]
        found.append([*seen, *torch.autograd.grad(sum(x.square().sum() for x in seen), [model.user, model.item])])
    for whole, part in zip(*found, strict=True):
        torch.testing.assert_close(part, whole)


@pytest.mark.parametrize("name", NAMES)
def test_seeded_and_copied(name, world) -> None:
    one, two, other = (BACKBONES.build(name, world[0], seed=seed) for seed in (4, 4, 5))
    for model in (one, two):
        model.begin_step(1, 1)
    assert torch.equal(one.embed().user, two.embed().user)
    assert not torch.equal(one.embed().user, other.embed().user)
    assert torch.equal(copy.deepcopy(one).eval().embed().item, one.eval().embed().item)


@pytest.mark.parametrize("name", NAMES)
def test_global_generators_play_no_part(name, world) -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    first = BACKBONES.build(name, world[0]).embed().user
    state = torch.get_rng_state()
    second = BACKBONES.build(name, world[0]).embed().user
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_planted_answers_are_found(name, world) -> None:
    train, withheld = world
    model = BACKBONES.build(name, train, given={"dim": 8})
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    target = torch.from_numpy(train.csr().toarray())
    target = target / target.sum(1)[:, None]
    for step in range(80):
        model.begin_step(0, step)
        e = model.embed()
        scores = torch.nn.functional.normalize(e.user) @ torch.nn.functional.normalize(e.item).T / 0.3
        loss = -(target * scores.log_softmax(1)).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    e = model.eval().embed()
    scores = torch.nn.functional.normalize(e.user) @ torch.nn.functional.normalize(e.item).T
    scores[torch.from_numpy(train.csr().toarray()) > 0] = -torch.inf
    assert (scores.argmax(1).numpy() == withheld).mean() >= 0.95
