"""``taurec.testing`` as an outsider uses it: a good object passes, a broken one is named, exceptions must be needed."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

import taurec
from taurec.baselines import Popularity
from taurec.errors import UsageError
from taurec.losses import SL, EmbeddingLoss, ScoreLoss, checked
from taurec.sampling import BoundSampler, PerRowNegatives, Sampler, SharedNegatives
from taurec.testing import (
    check_backbone,
    check_baseline,
    check_loss,
    check_order,
    check_recommender,
    check_sampler,
)
from taurec.testing.baselines import BASELINE_LAWS, BaselineCase
from taurec.testing.laws import Laws, NotApplicable, require
from taurec.types import StepShape

SIGNS = "positive gradients are never positive, negative gradients never negative, at random scores"
DIRECTION = "a step raises the score of a positive and lowers those of its negatives"


@dataclass(frozen=True)
class Softplus(ScoreLoss):
    """mean_n softplus(neg_n - pos), written by an outsider; ``sign`` -1 turns it round."""

    sign: float = 1.0

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        present = neg != -torch.inf
        x = (self.sign * (neg - pos[:, None])).masked_fill(~present, 0.0)
        value = torch.nn.functional.softplus(x).masked_fill(~present, 0.0)
        return value.sum(1) / present.sum(1).clamp(min=1)


def test_a_good_loss_passes() -> None:
    check_loss(Softplus())


def test_every_broken_law_is_named() -> None:
    with pytest.raises(AssertionError) as caught:
        check_loss(Softplus(sign=-1.0))
    lines = str(caught.value).splitlines()
    assert lines == [
        f"law broken: {SIGNS}: a positive has a gradient above 0",
        f"law broken: {DIRECTION}: a positive has a gradient above 0",
    ]


@pytest.mark.parametrize("given", [SL, torch.nn.Identity(), "sl"], ids=str)
def test_what_is_no_loss_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="a loss derives from ScoreLoss, StreamedLoss or EmbeddingLoss, got "):
        check_loss(given)


@dataclass(frozen=True)
class Shifted(EmbeddingLoss):
    """Alignment with a number of the pair's user; ``sign`` -1 turns it round."""

    sign: float = 1.0
    needs = frozenset({"my_weight"})

    def __call__(self, user: Tensor, item: Tensor, *, my_weight: Tensor) -> Tensor:
        return self.sign * (my_weight * (user - item).square().sum(1)).mean()


def test_a_loss_of_vectors_gets_the_side_inputs_that_only_it_needs() -> None:
    given = {"side": lambda user: {"my_weight": 2.0 + user.double() / 40}}
    with pytest.raises(AssertionError, match="my_weight"):
        check_loss(Shifted())
    with pytest.raises(AssertionError, match="it falls when the vectors of the pairs move towards each other"):
        check_loss(Shifted(sign=-1.0), **given)


def test_an_exception_is_given_with_a_reason() -> None:
    check_loss(Softplus(sign=-1.0), exceptions=[(SIGNS, "it is turned round"), (DIRECTION, "it is turned round")])


def test_an_exception_that_is_not_needed_is_an_error() -> None:
    with pytest.raises(AssertionError, match=r"exception not needed: the law 'a step raises .* remove 'no reason'"):
        check_loss(Softplus(), exceptions=[(DIRECTION, "no reason")])


def test_exceptions_name_laws_and_have_reasons() -> None:
    with pytest.raises(UsageError, match=r"no law of a loss is called 'NaN is hidden'; did you mean 'NaN is not hid"):
        check_loss(Softplus(), exceptions=[("NaN is hidden", "a slip")])
    with pytest.raises(UsageError, match="needs a reason"):
        check_loss(Softplus(), exceptions=[(DIRECTION, " ")])


def test_a_law_that_does_not_apply() -> None:
    laws: Laws[int] = Laws("number")

    @laws.law("half of it is odd")
    def _odd_half(number: int) -> None:
        if number % 2:
            raise NotApplicable("it has no half")
        require(number // 2 % 2, f"{number // 2} is even")

    laws.check(6)
    laws.check(3)
    with pytest.raises(AssertionError, match="law broken: half of it is odd: 2 is even"):
        laws.check(4)
    with pytest.raises(AssertionError, match="does not apply: it has no half"):
        laws.check(3, [("half of it is odd", "three")])


@dataclass(frozen=True)
class GlobalUniform(Sampler):
    """A sampler that draws from torch's global generator."""

    n: int = 6

    def bind(self, train: taurec.Interactions, seed: int) -> BoundGlobal:
        return BoundGlobal(self.n, train.n_items)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return PerRowNegatives.shape(batch_size, self.n, n_items)


class BoundGlobal(BoundSampler):
    def __init__(self, n: int, n_items: int):
        self.n, self.n_items = n, n_items

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> PerRowNegatives:
        return PerRowNegatives(ids=torch.randint(0, self.n_items, (len(user), self.n)))


def test_a_sampler_with_global_state_is_named() -> None:
    with pytest.raises(AssertionError) as caught:
        check_sampler(GlobalUniform(), exceptions=[])
    broken = str(caught.value)
    assert "law broken: a draw is a function of seed, epoch and rows" in broken
    assert "law broken: global random generators are neither read nor changed" in broken
    assert "law broken: with exclusion on and noise off, a known positive is never a negative" in broken
    assert "shapes, types and ranges" not in broken


ROWS_ALONE = "rows in a part of a batch get the negatives that they have in the whole batch"
OTHERS = "another seed, another epoch and other rows draw other negatives"
EXCLUSION = "with exclusion on and noise off, a known positive is never a negative"


@dataclass(frozen=True)
class Drawn(Sampler):
    """A sampler that draws without exclusion from numpy's generator of what ``fault`` leaves of (seed, epoch, row)."""

    fault: str = ""
    n: int = 6

    def bind(self, train: taurec.Interactions, seed: int) -> BoundDrawn:
        return BoundDrawn(self, train.n_items, seed)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        layout = SharedNegatives if self.fault == "one set" else PerRowNegatives
        return layout.shape(batch_size, self.n, n_items)


class BoundDrawn(BoundSampler):
    def __init__(self, how: Drawn, n_items: int, seed: int):
        self.how, self.n_items, self.seed = how, n_items, seed

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> SharedNegatives | PerRowNegatives:
        def ids(seed: int, epoch: int, row: int) -> Tensor:
            return torch.from_numpy(np.random.default_rng((seed, epoch, row)).integers(0, self.n_items, self.how.n))

        fault, seed = self.how.fault, self.seed
        if fault == "one set":
            return SharedNegatives(ids=ids(0, 0, 0))
        if fault == "place":
            return PerRowNegatives(ids=torch.stack([ids(seed, epoch, b) for b in range(len(row))]))
        seed, epoch = (0 if fault == "seed" else seed), (0 if fault == "epoch" else epoch)
        return PerRowNegatives(ids=torch.stack([ids(seed, epoch, r) for r in row.tolist()]))


@pytest.mark.parametrize(
    ("fault", "law", "words"),
    [
        ("seed", OTHERS, "another seed draws the same negatives"),
        ("epoch", OTHERS, "another epoch draws the same negatives"),
        ("one set", OTHERS, "another seed draws the same negatives"),
        ("place", ROWS_ALONE, "ids of a row depends on its place in the batch, or on the batch's other rows"),
    ],
)
def test_a_sampler_that_leaves_out_seed_epoch_or_row_is_named(fault: str, law: str, words: str) -> None:
    exceptions = [(EXCLUSION, "it has no exclusion")]
    check_sampler(Drawn(), exceptions=exceptions)
    with pytest.raises(AssertionError) as caught:
        check_sampler(Drawn(fault), exceptions=exceptions)
    assert f"law broken: {law}: {words}" in str(caught.value)


@dataclass(frozen=True)
class HalfOrder:
    """An order that leaves out the second half of the log."""

    def bind(self, train: taurec.Interactions, batch_size: int, seed: int) -> Any:
        return taurec.ORDERS.build("shuffled").bind(train.take(range(len(train) // 2)), batch_size, seed)


def test_an_order_that_loses_pairs_is_named() -> None:
    with pytest.raises(AssertionError, match=r"an epoch has each pair once.*a pair is missing"):
        check_order(HalfOrder())


@dataclass(frozen=True)
class Permuted:
    """An order by numpy's generator of what ``fault`` leaves of (seed, epoch), or by its global one."""

    fault: str = ""

    def bind(self, train: taurec.Interactions, batch_size: int, seed: int) -> BoundPermuted:
        return BoundPermuted(self.fault, len(train), batch_size, seed)


class BoundPermuted:
    def __init__(self, fault: str, n_rows: int, batch_size: int, seed: int):
        self.fault, self.n_rows, self.batch_size, self.seed = fault, n_rows, batch_size, seed

    def batches(self, epoch: int) -> Iterator[Any]:
        kept = [0 if self.fault == name else value for name, value in (("seed", self.seed), ("epoch", epoch))]
        if self.fault == "numpy":
            rows = np.random.permutation(self.n_rows)  # noqa: NPY002
        elif self.fault == "python":
            rows = np.array(random.sample(range(self.n_rows), self.n_rows), dtype=np.int64)
        else:
            rows = np.random.default_rng(kept).permutation(self.n_rows)
        for first in range(0, self.n_rows, self.batch_size):
            yield rows[first : first + self.batch_size]

    def steps(self, epoch: int) -> int:
        return -(-self.n_rows // self.batch_size)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("seed", "another seed gives the same order"),
        ("epoch", "another epoch gives the same order"),
        ("numpy", "numpy's generator was used"),
        ("python", "Python's generator was used"),
    ],
)
def test_an_order_that_leaves_out_seed_or_epoch_or_has_a_global_generator_is_named(fault: str, words: str) -> None:
    check_order(Permuted())
    with pytest.raises(AssertionError, match=words):
        check_order(Permuted(fault))


@pytest.mark.parametrize("given", [taurec.NEGATIVES["uniform"], 7, len], ids=str)
@pytest.mark.parametrize(("check", "kind"), [(check_sampler, "negative sampler"), (check_order, "batch order")])
def test_what_is_no_object_of_the_kind_is_refused(check: Any, kind: str, given: Any) -> None:
    with pytest.raises(UsageError, match=rf"a {kind} (is checked as an object|has bind).*; give My"):
        check(given)


@pytest.mark.parametrize("given", [object(), 7, len, int], ids=["object", "7", "len", "int"])
@pytest.mark.parametrize(("check", "kind"), [(check_backbone, "backbone"), (check_baseline, "baseline")])
def test_what_is_no_class_of_the_kind_is_refused(check: Any, kind: str, given: Any) -> None:
    with pytest.raises(UsageError, match=rf"a {kind} (is checked as a class|has (embed|fit)).*; give a subclass"):
        check(given)


class Counts(Popularity):
    """Popularity with a setting that is lost when it is loaded, and public arrays that are not."""

    GRID = ({"shift": 0.0}, {"shift": 1.0})
    keeps = False

    def __init__(self, shift: float = 0.0):
        super().__init__()
        self.shift, self.table, self.log = shift, np.array([1.0, 2.0]), csr_array(np.eye(2))

    def state(self) -> Any:
        return {**super().state(), "shift": np.array([self.shift])}

    @classmethod
    def from_state(cls, state: Any) -> Counts:
        model = cls(float(state["shift"][0]) if cls.keeps else 0.0)
        vars(model).update({k: v for k, v in vars(Popularity.from_state(state)).items() if k.startswith("_")})
        return model


class KeptCounts(Counts):
    keeps = True


def test_a_baseline_that_loses_a_setting_is_named_and_arrays_are_compared() -> None:
    law = "saved and loaded, it has the same scores, settings and state"
    checked = next(one for one in BASELINE_LAWS if one.name == law)
    BASELINE_LAWS.check_one(checked, BaselineCase(KeptCounts))
    with pytest.raises(AssertionError, match=r"with settings {'shift': 1.0}, shift 1.0 became 0.0"):
        BASELINE_LAWS.check_one(checked, BaselineCase(Counts))


class Forgetful(taurec.Recommender):
    """A recommender that leaves the known items in its lists."""

    def recommend(self, *args: Any, **kwargs: Any) -> taurec.Recommendations:
        return super().recommend(*args, **{**kwargs, "filter_seen": False})


def test_a_recommender_that_shows_known_items_is_named() -> None:
    with pytest.raises(AssertionError) as caught:
        check_recommender(lambda: Forgetful(model="popularity"))
    assert "law broken: a list has distinct unseen items, best first" in str(caught.value)


def test_pytest_is_not_needed() -> None:
    code = "import sys, taurec.testing; sys.exit(bool({'pytest', 'hypothesis'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
