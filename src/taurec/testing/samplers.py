"""Laws of negative samplers and of batch orders."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.sampling import BoundSampler, NegativeSampler, Order
from taurec.scoring import ItemsOf
from taurec.testing.laws import Exceptions, Laws, NotApplicable, require, require_object
from taurec.types import Negatives

T = TypeVar("T")
N_USERS, N_ITEMS = 9, 14


def sampling_log() -> Interactions:
    """Random pairs; user 7 has no item, user 8 has all items, and the last item belongs to user 8 alone."""
    pairs = np.random.default_rng(0).integers(0, [7, N_ITEMS - 1], (40, 2))
    user = np.concatenate([pairs[:, 0], np.full(N_ITEMS, 8)])
    item = np.concatenate([pairs[:, 1], np.arange(N_ITEMS)])
    users, items = (Vocabulary([f"{k}{n}" for n in range(size)]) for k, size in (("u", N_USERS), ("i", N_ITEMS)))
    return Interactions.from_pairs(user, item, users, items)


def check_sampler(sampler: NegativeSampler, *, exceptions: Exceptions = ()) -> None:
    """Check that a negative sampler keeps the laws that every sampler of TauRec keeps.

    A dataclass is also checked with each of its switches (fields whose value is True or False) turned, with ``n`` (if
    it has it) at 6 and 40, and for exclusion with all switches on and ``noise`` (if it has it) at 0.

    Args:
        sampler: an instance, for example ``MySampler(n=100)``.
        exceptions: pairs (law, reason) for laws that it breaks on purpose; an exception that is not needed is an error.
    Raises: AssertionError naming every broken law; UsageError for an object of another kind, such as a class.

    >>> from taurec.sampling import Uniform
    >>> check_sampler(Uniform())
    """
    require_object(sampler, "negative sampler", ("bind", "shape", "needs"), "MySampler(n=100)")
    SAMPLER_LAWS.check(sampler, exceptions)


def check_order(order: Order, *, exceptions: Exceptions = ()) -> None:
    """Check that a batch order keeps the laws that every order of TauRec keeps.

    Args:
        order: an instance.
        exceptions: pairs (law, reason) for laws that it breaks on purpose; an exception that is not needed is an error.
    Raises: AssertionError naming every broken law; UsageError for an object of another kind, such as a class.

    >>> from taurec.sampling import Shuffled
    >>> check_order(Shuffled())
    """
    require_object(order, "batch order", ("bind",), "MyOrder()")
    ORDER_LAWS.check(order, exceptions)


SAMPLER_LAWS: Laws[NegativeSampler] = Laws("negative sampler")
ORDER_LAWS: Laws[Order] = Laws("batch order")


def _settings(sampler: NegativeSampler) -> dict[str, Any]:
    if not dataclasses.is_dataclass(sampler) or isinstance(sampler, type):
        return {}
    return {f.name: getattr(sampler, f.name) for f in dataclasses.fields(sampler) if f.init}


def _changed(sampler: NegativeSampler, **settings: Any) -> NegativeSampler:
    """The sampler with those of the settings that it has."""
    known = {name: value for name, value in settings.items() if name in _settings(sampler)}
    return dataclasses.replace(sampler, **known) if known else sampler  # type: ignore[type-var]


def _variants(sampler: NegativeSampler) -> Iterator[NegativeSampler]:
    """The sampler itself, and with each switch turned."""
    yield _changed(sampler, n=6)
    for name, value in _settings(sampler).items():
        if isinstance(value, bool):
            yield _changed(sampler, n=6, **{name: not value})


def _bound(sampler: NegativeSampler, train: Interactions, seed: int) -> BoundSampler:
    """The sampler bound to the log; one that looks at vectors sees the same random ones in every law."""
    bound = sampler.bind(train, seed)
    if "vectors" in sampler.needs:
        generator = torch.Generator().manual_seed(2)
        user, item = (F.normalize(torch.randn(n, 4, generator=generator), dim=1) for n in (N_USERS, N_ITEMS))
        bound.look(lambda: (user, item))
    return bound


def _batch(train: Interactions, rows: ArrayLike) -> tuple[Tensor, Tensor, Tensor]:
    rows = np.asarray(rows)
    user, item, row = (torch.from_numpy(a) for a in (train.user_of[rows], train.indices[rows], rows))
    return user, item, row


def _same(a: Negatives, b: Negatives) -> bool:
    """Whether two draws are of one class and hold the same tensors and equal values."""

    def equal(x: object, y: object) -> bool:
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return torch.equal(x.to_dense(), y.to_dense())
        return x is y or (not isinstance(x, Tensor) and not isinstance(y, Tensor) and bool(x == y))

    return type(a) is type(b) and all(equal(value, vars(b)[name]) for name, value in vars(a).items())


def _ids(negatives: Negatives, item: Tensor) -> Tensor | None:
    """[B, N] the items that the negatives stand for, as their scores tell them; None if they hold vectors."""
    if negatives.with_vectors(ItemsOf("dot", "torch")) is not negatives:
        return None
    numbers, ones = torch.arange(N_ITEMS, dtype=torch.float64)[:, None], torch.ones(len(item), 1, dtype=torch.float64)
    return negatives.scores(ones, *negatives.narrow(numbers, item), "torch", None)[1].round().long()


@SAMPLER_LAWS.law("scores, drawn ids, absences and log probabilities have the shapes, types and ranges it declares")
def _shapes(sampler: NegativeSampler) -> None:
    train = sampling_log()
    rows = np.random.default_rng(1).permutation(len(train))[:11]
    for source in _variants(sampler):
        shape, (user, item, row) = source.shape(11, N_ITEMS), _batch(train, rows)
        got, n = _bound(source, train, seed=0).draw(user, item, row, epoch=0), shape.columns
        drawn, ids = got.drawn(), _ids(got, item)
        if drawn is not None:
            require(drawn.dtype == torch.int64 and drawn.ndim == 1, f"drawn() must be [M] int64, got {drawn.dtype}")
            require(bool(((drawn >= 0) & (drawn < N_ITEMS)).all()), "an id is outside the catalogue")
        if ids is not None:
            require(ids.shape == (11, n), f"scores must be (11, {n}) as shape() says, got {tuple(ids.shape)}")
            require(bool(((ids >= 0) & (ids < N_ITEMS)).all()), "an id is outside the catalogue")
        needed = got.rows_needed(item, 1 << 30)
        read = None if needed is None else len(needed)
        require(read == shape.rows, f"a step reads {read} item rows, shape() says {shape.rows}")
        for what, known, declared in (
            ("items", got.items(item) is not None, shape.items),
            ("logq", got.logq is not None, shape.logq),
        ):
            require(known == declared, f"its negatives {'have' if known else 'lack'} {what}, shape() says {declared}")
        if got.absent is not None:
            require(got.absent.shape == (11, n), f"absent must be (11, {n}), got {tuple(got.absent.shape)}")
            require(got.absent.dtype == torch.bool, f"absent must be bool, got {got.absent.dtype}")
        if got.logq is not None:
            require(got.logq.shape in ((11, n), (n,)), f"logq must be (11, {n}) or ({n},), not {tuple(got.logq.shape)}")
            require(got.logq.dtype == torch.float32, f"logq must be float32, got {got.logq.dtype}")
            require(torch.isfinite(got.logq).all(), "a log probability is not finite")
            require(float(got.logq.max()) <= 0, "a log probability is above 0")


@SAMPLER_LAWS.law("a draw is a function of seed, epoch and rows")
def _pure(sampler: NegativeSampler) -> None:
    train = sampling_log()
    for source in _variants(sampler):
        one, other = _bound(source, train, seed=5), _bound(source, train, seed=5)
        wanted = one.draw(*_batch(train, [3, 1, 20]), epoch=4)
        other.draw(*_batch(train, [0, 2]), epoch=0)
        require(_same(other.draw(*_batch(train, [3, 1, 20]), epoch=4), wanted), "an earlier draw changed this one")


@SAMPLER_LAWS.law("rows in a part of a batch get the negatives that they have in the whole batch")
def _rows_alone(sampler: NegativeSampler) -> None:
    """Where each row has its own negatives; a set that rows share may depend on all rows of the batch."""
    train = sampling_log()
    rows = np.random.default_rng(2).permutation(len(train))
    places = np.random.default_rng(3).permutation(len(train))[:11]
    for source in _variants(sampler):
        whole = _bound(source, train, seed=5).draw(*_batch(train, rows), epoch=4)
        part = _bound(source, train, seed=5).draw(*_batch(train, rows[places]), epoch=4)
        fields = _fields_of_rows(whole, part, len(rows), len(places))
        if fields is None:
            raise NotApplicable("its negatives are not drawn for each row on its own")
        for name, (all_rows, some) in fields.items():
            if not torch.allclose(all_rows[torch.from_numpy(places)], some, equal_nan=True):
                raise AssertionError(f"{name} of a row depends on its place in the batch, or on the batch's other rows")


@SAMPLER_LAWS.law("another seed, another epoch and other rows draw other negatives")
def _not_always_the_same(sampler: NegativeSampler) -> None:
    train = sampling_log()
    here, there = np.split(np.random.default_rng(4).permutation(len(train))[:40], 2)
    for source in _variants(sampler):
        found = _random_part(source, _bound(source, train, seed=5).draw(*_batch(train, here), epoch=4))
        for words, seed, epoch, rows in (
            ("another seed", 6, 4, here),
            ("another epoch", 5, 5, here),
            ("another batch", 5, 4, there),
        ):
            other = _random_part(source, _bound(source, train, seed).draw(*_batch(train, rows), epoch))
            same = all(torch.equal(value, other[name]) for name, value in found.items())
            require(not same, f"{words} draws the same negatives")


def _fields_of_rows(
    whole: Negatives, part: Negatives, n_whole: int, n_part: int
) -> dict[str, tuple[Tensor, Tensor]] | None:
    """The tensors of two draws that have an entry for each row, by name; None if the rows share what was drawn."""
    drawn = whole.drawn(), part.drawn()
    fields = {}
    for name, value in vars(whole).items():
        other = vars(part)[name]
        if name == "absent" and (value is None) != (other is None):  # None says that nothing is absent
            value, other = (
                torch.zeros(n, *x.shape[1:], dtype=torch.bool) if v is None else v
                for n, v, x in ((n_whole, value, other), (n_part, other, value))
            )
        if not isinstance(value, Tensor) or not isinstance(other, Tensor) or not value.ndim or not other.ndim:
            continue
        if (len(value), len(other)) == (n_whole, n_part) and value.shape[1:] == other.shape[1:]:
            fields[name] = value.to_dense(), other.to_dense()
    if drawn[0] is None or drawn[1] is None:
        own = bool(fields.keys() - {"absent", "logq"})
    else:
        own = bool(len(drawn[0])) and len(drawn[0]) * n_part == len(drawn[1]) * n_whole
    return fields if own else None


def _random_part(sampler: NegativeSampler, negatives: Negatives) -> dict[str, Tensor]:
    """What was drawn: ids, or vectors. NotApplicable where the negatives are given by the batch or by the catalogue."""
    drawn = negatives.drawn()
    if drawn is not None:
        found = {"ids": drawn}
    else:
        found = {
            name: value
            for name, value in vars(negatives).items()
            if isinstance(value, Tensor) and name not in {"absent", "logq"}
        }
    if "steps" in sampler.needs or not any(value.numel() for value in found.values()):
        raise NotApplicable("nothing is drawn at random")
    return found


@SAMPLER_LAWS.law("global random generators are neither read nor changed")
def _no_global_generator(sampler: NegativeSampler) -> None:
    train, source = sampling_log(), _changed(sampler, n=6)
    first, second = _with_global_seeds(
        lambda: _bound(source, train, seed=0).draw(*_batch(train, np.arange(20)), epoch=0)
    )
    require(_same(first, second), "the draw depends on a global generator")


def _with_global_seeds(call: Callable[[], T]) -> tuple[T, T]:
    """What a call gives with two seeds of the global generators, after a look that it does not move them."""
    found = []
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        for seed in (0, 1):
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            states = torch.get_rng_state(), numpy_generator_state(), random.getstate()
            found.append(call())
            require(torch.equal(torch.get_rng_state(), states[0]), "torch's generator was used")
            require((numpy_generator_state() == states[1]).all(), "numpy's generator was used")
            require(random.getstate() == states[2], "Python's generator was used")
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        random.setstate(before[2])
    return found[0], found[1]


def numpy_generator_state() -> np.ndarray:
    """A copy of the state of numpy's global generator: its words, and the place of the next one."""
    _, words, place, *_ = np.random.get_state()  # noqa: NPY002
    return np.append(words, place)


@SAMPLER_LAWS.law("with exclusion on and noise off, a known positive is never a negative")
def _exclusion(sampler: NegativeSampler) -> None:
    """What is not absent is not known; a user with all items has no negative, every other user has one."""
    train = sampling_log()
    on = {name: True for name, value in _settings(sampler).items() if isinstance(value, bool)}
    source = _changed(sampler, n=40, noise=0.0, **on)
    user, item, row = _batch(train, np.arange(len(train)))
    got = _bound(source, train, seed=0).draw(user, item, row, epoch=0)
    ids = _ids(got, item)
    if ids is None:
        raise NotApplicable("its negatives are vectors")
    present = ~got.absent.to_dense() if got.absent is not None else torch.ones(ids.shape, dtype=torch.bool)
    known = torch.from_numpy(train.contains(user.numpy()[:, None], ids.numpy()))
    require(not (present & known).any(), "a known positive is a negative")
    require(not present[user == 8].any(), "the user with all items has a negative")
    require(present[user != 8].any(1).all(), "a row of another user has no negative")


@ORDER_LAWS.law("an epoch has each pair once, in batches of size {} or less", each={"4": 4, "7": 7, "1000": 1000})
def _each_pair_once(order: Order, batch_size: int) -> None:
    train = sampling_log()
    bound = order.bind(train, batch_size, seed=3)
    for epoch in (0, 1):
        batches = list(bound.batches(epoch))
        require(bound.steps(epoch) == len(batches), f"steps() says {bound.steps(epoch)}, there are {len(batches)}")
        require(all(rows.dtype == np.int64 for rows in batches), "rows must be int64")
        require(all(0 < len(rows) <= batch_size for rows in batches), "a batch is empty or too large")
        require(sorted(np.concatenate(batches).tolist()) == list(range(len(train))), "a pair is missing or repeated")


@ORDER_LAWS.law("an empty log has no batches")
def _empty_log(order: Order) -> None:
    train = sampling_log()
    bound = order.bind(train.take(np.zeros(len(train), dtype=bool)), 4, seed=0)
    require(list(bound.batches(0)) == [], "there is a batch")
    require(bound.steps(0) == 0, f"steps() says {bound.steps(0)}")


@ORDER_LAWS.law("an epoch's batches are a function of seed and epoch")
def _order_is_pure(order: Order) -> None:
    train = sampling_log()
    one, other = (order.bind(train, 7, seed=3) for _ in range(2))
    wanted = list(one.batches(4))
    list(other.batches(0))
    for found in (list(other.batches(4)), list(one.batches(4))):
        require(_same_batches(found, wanted), "equal seeds and epochs give other batches")


@ORDER_LAWS.law("global random generators are neither read nor changed")
def _order_without_global_generator(order: Order) -> None:
    train = sampling_log()
    first, second = _with_global_seeds(lambda: list(order.bind(train, 7, seed=3).batches(4)))
    require(_same_batches(first, second), "the order depends on a global generator")


@ORDER_LAWS.law("another seed and another epoch give another order")
def _not_always_the_same_order(order: Order) -> None:
    train = sampling_log()
    found = list(order.bind(train, 7, seed=3).batches(4))
    for words, seed, epoch in (("another seed", 5, 4), ("another epoch", 3, 5)):
        other = list(order.bind(train, 7, seed).batches(epoch))
        require(not _same_batches(found, other), f"{words} gives the same order")


def _same_batches(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
