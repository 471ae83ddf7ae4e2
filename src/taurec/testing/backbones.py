"""Laws of backbones: shapes, gradients, seeds, and learning a small log with known answers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from taurec.backbones import Backbone
from taurec.data.interactions import Interactions
from taurec.registry import Registry
from taurec.sampling import InBatchNegatives
from taurec.testing.laws import Exceptions, Laws, NotApplicable, require, require_class
from taurec.types import Batch


@dataclass(frozen=True)
class BackboneCase:
    """A backbone class to check, with settings that every law uses.

    Attributes:
        cls: the class; it is called with the training part, ``dim`` and ``seed`` if its signature has them.
        settings: further settings by name.
    """

    cls: type[Backbone]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def build(self, train: Interactions, seed: int | None = None, **settings: Any) -> Backbone:
        """The backbone for this log; its default seed where ``seed`` is None."""
        registry: Registry[Backbone] = Registry("backbone", {"checked": self.cls}, runtime=frozenset({"seed"}))
        known = registry.settings("checked")
        given = {name: value for name, value in settings.items() if name in known} | dict(self.settings)
        offered = {} if seed is None else {"seed": seed}
        return registry.build("checked", train, given=given, **offered)


def blocks_log() -> tuple[Interactions, NDArray[np.int64]]:
    """Three blocks of 8 users and 8 items, and the one item of the own block that each user lacks: the answer."""
    blocks, size = 3, 8
    user, item = np.divmod(np.arange(blocks * size * size), size)
    item = item + (user // size) * size
    withheld = (np.arange(blocks * size) % size) + (np.arange(blocks * size) // size) * size
    keep = item != withheld[user]
    return Interactions.from_pairs(user[keep], item[keep]), withheld


def check_backbone(
    cls: type[Backbone], *, settings: Mapping[str, Any] | None = None, exceptions: Exceptions = ()
) -> None:
    """Check that a backbone keeps the laws that every backbone of TauRec keeps.

    Args:
        cls: the class.
        settings: settings to build it with, by name; the laws set ``dim`` to 8.
        exceptions: pairs (law, reason) for laws that it breaks on purpose; an exception that is not needed is an error.
    Raises: AssertionError naming every broken law; UsageError for what is no class of a torch module with ``embed``.

    >>> from taurec.backbones import BACKBONES
    >>> check_backbone(BACKBONES["mf"])
    """
    require_class(cls, "backbone", ("embed", "state_dict"), "a subclass of taurec.Backbone")
    BACKBONE_LAWS.check(BackboneCase(cls, settings or {}), exceptions)


BACKBONE_LAWS: Laws[BackboneCase] = Laws("backbone")
law = BACKBONE_LAWS.law


@law("its vectors have matching shapes, and every parameter gets a finite gradient")
def _shapes_and_gradients(case: BackboneCase) -> None:
    model = case.build(blocks_log()[0], dim=8)
    require(isinstance(model, Backbone), "it must be a subclass of taurec.Backbone")
    e = model.embed()
    width = e.user.shape[1]
    require(e.user.shape == (24, width), f"user vectors are {tuple(e.user.shape)}, expected (24, {width})")
    require(e.item.shape == (24, width), f"item vectors are {tuple(e.item.shape)}, expected (24, {width})")
    require(e.user.dtype == torch.float32, f"vectors must be float32, got {e.user.dtype}")
    tables = model.tables()
    require(e.ego_user is tables[0] and e.ego_item is tables[1], "ego_user and ego_item must be its tables")
    (e.user @ e.item.T).square().sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        require(parameter.grad is not None, f"{name} has no gradient")
        assert parameter.grad is not None
        require(torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite")
        require(parameter.grad.abs().sum() > 0, f"the gradient of {name} is 0")
    require(set(model.state_dict()) == {n for n, _ in model.named_parameters()}, "its state is not its parameters")


@law("asking for some rows changes neither their vectors nor their gradients")
def _some_rows(case: BackboneCase) -> None:
    model = case.build(blocks_log()[0], dim=8)
    model.begin_step(1, 1)
    users, items = torch.tensor([3, 20, 3]), torch.tensor([0, 7, 23])
    found = []
    for rows in (None, (users, items)):
        e = model.embed(rows)
        seen = [x.index_select(0, at) for x, at in zip((e.user, e.item), e.at or (users, items), strict=True)]
        value = sum((x.square().sum() for x in seen), torch.zeros(()))
        found.append([*seen, *torch.autograd.grad(value, list(model.tables()))])
    for whole, part in zip(*found, strict=True):
        torch.testing.assert_close(part, whole)


@law("the term that it adds to the loss is a finite scalar of the step, the same for all rows and for some")
def _own_term(case: BackboneCase) -> None:
    train = blocks_log()[0]
    model = case.build(train, dim=8)
    row = torch.tensor([0, 150, 7, 8, 150])
    user, item = torch.from_numpy(train.user_of)[row], torch.from_numpy(train.indices.copy())[row]
    batch = Batch(user, item, row, InBatchNegatives())

    def term(epoch: int, step: int, rows: tuple[torch.Tensor, torch.Tensor] | None = None) -> torch.Tensor | None:
        model.begin_step(epoch, step)
        return model.own_term(batch, model.embed_pairs(user, item) if model.pairwise else model.embed(rows))

    found, again, part = term(1, 1), (term(2, 1), term(1, 1))[1], term(1, 1, (user, item))
    if found is None:
        require(again is None and part is None, "it has the term in some steps and not in others")
        raise NotApplicable("it adds no term to the loss")
    require(not model.plain, "a plain backbone has no term: its tables are moved by the loss alone")
    assert again is not None
    assert part is not None
    require(found.ndim == 0 and bool(torch.isfinite(found)), f"the term is {found}, expected one finite number")
    require(torch.equal(found, again), "the same step gives another term")
    tables = list(model.tables())
    whole, some = (torch.autograd.grad(value, tables, allow_unused=True) for value in (found, part))
    torch.testing.assert_close(part, found)
    require(any(g is not None and bool(g.abs().sum() > 0) for g in whole), "its gradient reaches neither table")
    for one, two in zip(whole, some, strict=True):
        require(one is None or bool(torch.isfinite(one).all()), "its gradient is not finite")
        torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)


@law("equal seeds give equal vectors, another seed gives others, and a copy gives the same")
def _seeded(case: BackboneCase) -> None:
    train = blocks_log()[0]
    one, two, other = (case.build(train, seed=seed) for seed in (4, 4, 5))
    for model in (one, two):
        model.begin_step(1, 1)
    require(torch.equal(one.embed().user, two.embed().user), "equal seeds give different vectors")
    require(not torch.equal(one.embed().user, other.embed().user), "another seed gives the same vectors")
    require(torch.equal(copy.deepcopy(one).eval().embed().item, one.eval().embed().item), "a copy gives other vectors")


@law("global random generators are neither read nor changed")
def _no_global_generator(case: BackboneCase) -> None:
    train = blocks_log()[0]
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    first = case.build(train).embed().user
    state = torch.get_rng_state()
    second = case.build(train).embed().user
    require(torch.equal(first, second), "the vectors depend on a global generator")
    require(torch.equal(state, torch.get_rng_state()), "torch's generator was used")


@law("trained on three blocks of users and items, it puts a user's one withheld item first")
def _planted_answers(case: BackboneCase) -> None:
    train, withheld = blocks_log()
    model = case.build(train, dim=8)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    target = torch.from_numpy(train.csr().toarray())
    target = target / target.sum(1)[:, None]
    for step in range(80):
        model.begin_step(0, step)
        e = model.embed()
        scores = torch.nn.functional.normalize(e.user) @ torch.nn.functional.normalize(e.item).T / 0.3
        loss = -(target * scores.log_softmax(1)).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    e = model.eval().embed()
    scores = torch.nn.functional.normalize(e.user) @ torch.nn.functional.normalize(e.item).T
    scores[torch.from_numpy(train.csr().toarray()) > 0] = -torch.inf
    found = (scores.argmax(1).numpy() == withheld).mean()
    require(found >= 0.95, f"found for a share of {found:.2f} of the users, expected at least 0.95")
