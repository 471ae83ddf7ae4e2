"""Cutting a log into training, validation and test: seeded, disjoint, and nothing lost.

The laws of every way to split: no pair stands in two parts, the parts together are the log with its
times and weights, all share the log's vocabularies, and the same seed gives the same parts. A split by users has a
fourth part, the given rows of held-out users.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.errors import DataError, UsageError, did_you_mean

HOWS = ("ratio", "leave-last-one", "time", "users", "files", "none")
FIND_ONE_OF = 5
"""Of a held-out user's n pairs, floor(n / 5) are to be found; the others are given."""


@dataclass(frozen=True)
class Split:
    """The parts of a log.

    Attributes:
        train, valid, test: disjoint; ``valid`` and ``test`` may be empty.
        how: the way they were cut.
        notes: remarks for a person, such as users without training rows.
        given: rows of held-out users that are not trained on, from which these users are ranked; None for a split that
            holds no users out.
    """

    train: Interactions
    valid: Interactions
    test: Interactions
    how: str
    notes: tuple[str, ...] = ()
    given: Interactions | None = None

    def known(self, part: str) -> Interactions:
        """The rows that may be used to rank users for ``valid`` or ``test``: those of the parts before it."""
        known = self.train if self.given is None else self.train.union(self.given)
        return known.union(self.valid) if part == "test" and len(self.valid) else known

    def logs(self) -> dict[str, Interactions]:
        """The parts by name; ``given`` only if there is one."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return parts if self.given is None else {**parts, "given": self.given}

    @cached_property
    def everything(self) -> Interactions:
        """The rows of all parts."""
        return self.known("test").union(self.test)


def split(
    log: Interactions,
    how: str = "ratio",
    *,
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    random: bool = False,
    test_log: Interactions | None = None,
) -> Split:
    """Cut a log.

    Args:
        how: one of

            ``ratio``: per user, a random share of the pairs. A user with n pairs gives
            ``floor(n * test + 1/2)`` to the test and ``floor(n * valid + 1/2)`` to the validation
            part, as far as at least one stays for training; the test part comes first. By default
            80/10/10; users with up to 4 pairs stay in training whole.

            ``leave-last-one``: per user, the last pair to the test part, the last but one to the
            validation part if ``valid`` is not 0, as far as one stays for training. Equal times
            are ordered at random.

            ``time``: globally; the newest share ``test`` of the pairs, before them the share
            ``valid``. Pairs of one instant are never separated: an instant on the border goes to
            the older part, so a part may be smaller than asked.

            ``users``: strong generalisation. Of the users with at least 5 pairs, the share ``test`` is held out for
            the test and the share ``valid`` for validation, ``floor(users * share + 1/2)`` each, at random. No pair
            of theirs is trained on: of a held-out user's n pairs, ``floor(n / 5)`` at random are to be found, and the
            others are ``given``, from which the user is ranked. The protocol of Liang et al., WWW 2018, section 4.1,
            and of EASE; their code leaves out pairs of items without training rows, which are kept here as misses.

            ``files``: ``test_log`` is the test part; the validation part is cut from ``log`` as by ``ratio``.

            ``none``: all for training.
        random: for ``leave-last-one``: the order is random, not by time.
    Raises: UsageError for an unknown way or shares that leave no training part; DataError where the
        log has no times, or all alike, and the way needs them.

    >>> log = Interactions.from_pairs([0] * 10, range(10))
    >>> [len(part) for part in (lambda s: (s.train, s.valid, s.test))(split(log))]
    [8, 1, 1]
    """
    for name, share in (("valid", valid), ("test", test)):
        if not 0 <= share < 1:
            raise UsageError(f"{name} must be a share from 0 to below 1, got {share}")
    if how in ("ratio", "time", "users") and valid + test >= 1:
        raise UsageError(f"valid + test must leave a training part, got {valid} + {test}")
    if random and how != "leave-last-one":
        raise UsageError(f"random=True belongs to leave-last-one, got how={how!r}")
    if (test_log is not None) != (how == "files"):
        raise UsageError(f"test_log= and how='files' belong together, got how={how!r}")
    if how == "ratio":
        return _cut(log, how, *_last_of_users(log, *_shares(log, valid, test), _random_order(log, seed)))
    if how == "leave-last-one":
        counts = log.user_counts
        n_test = np.minimum(1, np.maximum(counts - 1, 0))
        n_valid = np.minimum(1 if valid else 0, np.maximum(counts - 1 - n_test, 0))
        order = _random_order(log, seed) if random else _time_order(log, seed)
        return _cut(log, how, *_last_of_users(log, n_valid, n_test, order))
    if how == "time":
        return _cut(log, how, *_newest(log, valid, test))
    if how == "users":
        return _by_users(log, valid, test, seed)
    if how == "files" and test_log is not None:
        return split_given(log, test_log, valid=valid, seed=seed)
    if how == "none":
        nothing = np.zeros(len(log), dtype=bool)
        return _cut(log, how, nothing, nothing)
    raise UsageError(f"unknown split {how!r}{did_you_mean(how, HOWS)}")


def split_given(train: Interactions, test: Interactions, *, valid: float = 0.1, seed: int = 0) -> Split:
    """Given training and test parts, the first with a validation part cut from it as by ``ratio``.

    Raises: UsageError for parts of different logs; DataError for parts that share a pair.

    >>> log = Interactions.from_pairs([0] * 10, range(10))
    >>> parts = split_given(log.take(range(9)), log.take([9]))
    >>> len(parts.train), len(parts.valid), len(parts.test)
    (8, 1, 1)
    """
    if train.users != test.users or train.items != test.items:
        raise UsageError("the given parts have different vocabularies; read them together with read_split")
    if train.contains(test.user_of, test.indices).any():
        raise DataError("the given training and test parts share pairs; a test row must not be trained on")
    cut = split(train, "ratio", valid=valid, test=0.0, seed=seed)
    return Split(cut.train, cut.valid, test, "files", _cold(cut.train, test))


def data_hash(parts: Split) -> str:
    """SHA-256 over the vocabularies and the pairs of every part: equal for equal data, however stored."""
    digest = hashlib.sha256()
    for vocabulary in (parts.train.users, parts.train.items):
        digest.update("\x00".join(vocabulary.ids.to_list()).encode() + b"\x01")
    for part in parts.logs().values():
        digest.update(part.indptr.tobytes() + part.indices.tobytes() + b"\x02")
        digest.update(b"" if part.weight is None else part.weight.tobytes())
    return digest.hexdigest()


def _shares(log: Interactions, valid: float, test: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[U] how many pairs of each user go to the validation and the test part."""
    counts = log.user_counts
    spare = np.maximum(counts - 1, 0)
    n_test = np.minimum(np.floor(counts * test + 0.5 + 1e-9).astype(np.int64), spare)
    n_valid = np.minimum(np.floor(counts * valid + 0.5 + 1e-9).astype(np.int64), spare - n_test)
    return n_valid, n_test


def _random_order(log: Interactions, seed: int) -> NDArray[np.int64]:
    """Positions of the pairs, user by user, each user's in random order."""
    return np.lexsort((draw.bits(draw.key(seed, "split"), np.arange(len(log))), log.user_of))


def _time_order(log: Interactions, seed: int) -> NDArray[np.int64]:
    """Positions of the pairs, user by user, each user's by time; equal times at random."""
    if log.time is None:
        raise DataError(
            "leave-last-one needs times and the log has none; name the time column (time=, --time), or ask for "
            "random=True to leave out a random pair of each user"
        )
    chance = draw.bits(draw.key(seed, "split"), np.arange(len(log)))
    return np.lexsort((chance, log.time, log.user_of))


def _last_of_users(
    log: Interactions, n_valid: NDArray[np.int64], n_test: NDArray[np.int64], order: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks of the last ``n_test`` pairs of each user in an order, and of the ``n_valid`` before them."""
    from_end = log.indptr[1:][log.user_of] - np.arange(len(log))
    into_test, into_valid = (np.zeros(len(log), dtype=bool) for _ in range(2))
    tested = n_test[log.user_of]
    into_test[order] = from_end <= tested
    into_valid[order] = (from_end > tested) & (from_end <= tested + n_valid[log.user_of])
    return into_valid, into_test


def _by_users(log: Interactions, valid: float, test: float, seed: int) -> Split:
    """Users held out whole: the pairs to find of some users to ``valid`` and ``test``, their other pairs ``given``."""
    able = np.flatnonzero(log.user_counts >= FIND_ONE_OF)
    n_test, n_valid = (int(np.floor(len(able) * share + 0.5 + 1e-9)) for share in (test, valid))
    for name, share, n in (("valid", valid, n_valid), ("test", test, n_test)):
        if share and not n:
            raise DataError(
                f"{name}={share:g} of {len(able)} users with at least {FIND_ONE_OF} pairs is no user; split by ratio, "
                f"or take a larger share"
            )
    drawn = able[draw.permutation(draw.key(seed, "split users"), len(able))]
    of_test, of_valid = (np.zeros(log.n_users, dtype=bool) for _ in range(2))
    of_test[drawn[:n_test]] = of_valid[drawn[n_test : n_test + n_valid]] = True
    find = log.user_counts // FIND_ONE_OF
    into_valid, into_test = _last_of_users(log, find * of_valid, find * of_test, _random_order(log, seed))
    held = (of_test | of_valid)[log.user_of]
    if held.all():
        raise DataError(
            f"the split by users leaves no training row: the other users have fewer than {FIND_ONE_OF} pairs"
        )
    train, given = log.take(~held), log.take(held & ~into_valid & ~into_test)
    note = f"held out: {n_valid:,} users for validation, {n_test:,} for test; {len(given):,} pairs of theirs are given"
    missing = int(((train.item_counts == 0) & (log.item_counts > 0)).sum())
    more = (f"{missing:,} items have no training row",) if missing else ()
    return Split(train, log.take(into_valid), log.take(into_test), "users", (note, *more), given)


def _newest(log: Interactions, valid: float, test: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks of the newest pairs of the whole log, whole instants only."""
    if log.time is None:
        raise DataError("a split by time needs times and the log has none; name the time column (time=, --time)")
    if len(log) and log.time.min() == log.time.max():
        raise DataError(
            f"all {len(log)} timestamps are equal ({log.time[0]:g}); a split by time would be arbitrary; use ratio"
        )
    ordered = np.sort(log.time)
    n = len(log)
    newest = n - int(np.floor(n * test + 0.5 + 1e-9))
    middle = newest - int(np.floor(n * valid + 0.5 + 1e-9))
    into_test = log.time > _border(ordered, newest)
    into_valid = (log.time > _border(ordered, middle)) & ~into_test
    if (into_valid | into_test).all():
        raise DataError("the split by time leaves no training row; the log is too short for these shares")
    return into_valid, into_test


def _border(ordered: NDArray[np.float64], at: int) -> float:
    """The newest time that stays in the older part when the parts are cut before position ``at``."""
    return float(ordered[at - 1]) if at > 0 else -np.inf


def _cut(log: Interactions, how: str, into_valid: NDArray[np.bool_], into_test: NDArray[np.bool_]) -> Split:
    train, valid, test = (log.take(mask) for mask in (~(into_valid | into_test), into_valid, into_test))
    notes = _cold(train, test)
    if how == "time" and not len(test):
        notes += ("warning: the newest instant holds more pairs than the test share, so the test part is empty",)
    return Split(train, valid, test, how, notes)


def _cold(train: Interactions, test: Interactions) -> tuple[str, ...]:
    """Remarks on users and items that are tested but never trained on."""
    users = int(((train.user_counts == 0) & (test.user_counts > 0)).sum())
    items = int(((train.item_counts == 0) & (test.item_counts > 0)).sum())
    notes = []
    if users:
        notes.append(f"{users} user{' has' if users == 1 else 's have'} test rows and no training row")
    if items:
        notes.append(f"{items} item{' has' if items == 1 else 's have'} test rows and no training row")
    return tuple(notes)
