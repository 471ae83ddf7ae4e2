"""Negatives given in a file, for each user a list of items."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec import draw, notices
from taurec.data.interactions import Index, Interactions
from taurec.data.readers import read_pairs
from taurec.errors import ArtefactError, DataError, UsageError
from taurec.sampling.known import Known
from taurec.sampling.layouts import PerRowNegatives
from taurec.sampling.per_row import BoundPerRow, Uniform, check_n
from taurec.sampling.proposal import by_popularity, log_of_two_parts
from taurec.sampling.protocol import BaseDistribution, BoundSampler, Sampler
from taurec.types import StepShape


@dataclass(frozen=True)
class Provided(Sampler):
    """n negatives for each row: with probability ``share`` one of the user's items in a file, else a uniform item.

        P(j | u) = share [j in F_u] / |F_u| + (1 - share) / I        share = 0 where the file has no item of u

    For negatives that something else chose: exposures without a click, retrieved or generated items.

    Args:
        n: negatives a row.
        path: a file with a user and an item in each row, in any format that a log may have; ids as in the log.
        share: probability that a negative is from the file.
        exclude: draw uniform items that the user has no training pair with, and leave pairs of the training log out of
            the file's. A user who has every item, and none in the file, has no negatives.
    Guarantees: each draw follows P independently, and depends on (seed, epoch, row). ``logq`` is log P(j | u). A
        resumed run is refused if the file has changed.
    Cost: as ``uniform``.
    Raises: UsageError if n is below 1, share is not in 0..1 or there is no path; DataError if the file cannot be read
        or has no pair of known ids, or none that ``exclude`` leaves.
    Source: our own; the mixture with random negatives is as in SyNeg, arXiv 2412.17250 (from its abstract).

    >>> import tempfile
    >>> from taurec.data.vocabulary import Vocabulary
    >>> names = Vocabulary(["u0", "u1"]), Vocabulary(["i0", "i1", "i2"])
    >>> train = Interactions.from_pairs([0, 1], [0, 1], *names)
    >>> at = torch.tensor([0])
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("user,item\\nu0,i2\\nu1,i0\\n"), file.flush()
    ...     Provided(n=3, path=file.name).bind(train, seed=0).draw(at, at, at, epoch=0).ids.tolist()
    [[2, 2, 2]]
    """

    n: int = 64
    path: str = ""
    share: float = 1.0
    exclude: bool = True

    def __post_init__(self) -> None:
        check_n("provided", self.n)
        if not 0 <= self.share <= 1:
            raise UsageError(f"provided: share is a probability and must be in 0..1, got {self.share}")

    @classmethod
    def grid(cls) -> dict[str, list[float]]:
        return {"negatives.n": [16, 64, 256], "negatives.share": [0.25, 0.5, 1.0]}

    def bind(self, train: Interactions, seed: int) -> BoundProvided:
        if not self.path:
            raise UsageError(
                "provided negatives are read from a file with a user and an item in each row, and none is given; "
                "use --set negatives.path=FILE"
            )
        digest = hashlib.sha256(Path(self.path).read_bytes()).digest() if Path(self.path).is_file() else b""
        given = _in_terms_of(train, read_pairs(self.path), self.path)
        if self.exclude:
            given = given.take(~train.contains(given.user_of, given.indices))
            if not len(given):
                raise DataError(
                    f"{self.path}: all of its pairs are in the training log, and exclude leaves them out, so no "
                    f"negative is left; give other pairs, or --set negatives.exclude=false"
                )
        users = np.count_nonzero(given.user_counts)
        notices.once(f"{self.path}: {len(given):,} negatives, for {users:,} of {train.n_users:,} users")
        return BoundProvided(self, Known(train), given, seed, digest)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return PerRowNegatives.shape(batch_size, self.n, n_items, logq=True)

    def timed_as(self) -> Uniform:
        return Uniform(self.n, self.exclude)


class BoundProvided(BoundSampler):
    """:class:`Provided` bound to a log and a seed.

    Attributes:
        given: the file's pairs, in the numbers of the log.
    """

    def __init__(self, how: Provided, known: Known, given: Interactions, seed: int, digest: bytes):
        self.how, self.given, self.seed, self.digest = how, given, seed, digest
        self._uniform = BoundPerRow(known, by_popularity(known, 0.0), seed, how.n, how.exclude)
        self._own = Known(given)
        left = known.train.n_items - known.train.user_counts * how.exclude
        share = np.where(given.user_counts > 0, how.share, 0.0)
        self._share = np.where((share > 0) & (left == 0), 1.0, share)
        self._left = left

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> PerRowNegatives:
        """Ids [B, n] and ``logq``; ``absent`` where a row has no negative of either kind."""
        plain, users = self._uniform.draw(user, item, row, epoch), user.numpy()
        ids, share, counts = plain.ids.numpy(), self._share[users], self.given.user_counts[users]
        words = draw.bits(draw.key(self.seed, "provided", epoch), row.numpy(), self.how.n)
        b, c = np.nonzero(draw.heads(words, share))
        ids[b, c] = self.given.indices[self.given.indptr[users[b]] + draw.below(words[b, c], counts[b])]
        none = (share == 0) & (self._left[users] == 0)
        log_q = log_of_two_parts(self._own.among(users, ids), counts, self._left[users], share)
        log_q[none] = 0.0
        absent = torch.from_numpy(none)[:, None].expand(-1, self.how.n) if none.any() else None
        return PerRowNegatives(ids=plain.ids, absent=absent, logq=torch.from_numpy(log_q))

    def base_distribution(self) -> BaseDistribution:
        words = f"the user's items in the file with probability {self.how.share:g}, else all items alike"
        return BaseDistribution(words, users=self._weights)

    def _weights(self, users: Index) -> NDArray[np.float64]:
        """[b, I] the probability of each item in a draw for these users."""
        share = self._share[users][:, None]
        own = self.given.csr()[users].toarray() > 0
        free = np.ones(own.shape, dtype=bool)
        if self.how.exclude:
            free = self._uniform.known.train.csr()[users].toarray() == 0
        per_item = [kind / np.maximum(kind.sum(1, keepdims=True), 1) for kind in (free, own)]
        weights: NDArray[np.float64] = (1 - share) * per_item[0] + share * per_item[1]
        return weights

    def state(self) -> Mapping[str, NDArray[Any]]:
        return {"digest": np.frombuffer(self.digest, dtype=np.uint8)}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        if state["digest"].tobytes() != self.digest:
            raise ArtefactError(
                f"the file of negatives {self.how.path} has changed since the checkpoint was written, so the run "
                f"cannot end with the same result; restore the file, or start the run again"
            )


def _in_terms_of(train: Interactions, given: Interactions, path: str) -> Interactions:
    """The pairs of a file whose ids the log has, in the numbers of the log."""
    user, item = train.users.encode(given.users.ids), train.items.encode(given.items.ids)
    user, item = user[given.user_of], item[given.indices]
    both = (user >= 0) & (item >= 0)
    unknown = len(both) - np.count_nonzero(both)
    if not both.any():
        raise DataError(
            f"{path}: none of its {len(given):,} pairs has a user and an item of the training log; "
            f"ids must be written as in the log"
        )
    if unknown:
        notices.once(f"{path}: {unknown:,} of {len(both):,} pairs have an id that the training log does not have")
    return Interactions.from_pairs(user[both], item[both], train.users, train.items)
