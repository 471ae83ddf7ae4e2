"""Who is ranked by what: users of the training part by the model, others by their history or by popularity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray

from taurec.data.interactions import Interactions
from taurec.data.split import Split
from taurec.ranker import BlockScorer, Float, HistoryRanker, HistoryScorer

Index = NDArray[np.int64]

SOURCES = ("user", "history", "popularity")
"""What the scores of a user come from; :attr:`UserScorer.source` has the positions in it."""
USER, HISTORY, POPULARITY = range(3)


class UserScorer(BlockScorer):
    """Scores of a ranker for all users of a log, also those without a training row.

        user        users with a training row: ``ranker.block``
        history     others with a row of an item that has training rows: ``ranker.from_history`` of these items
        popularity  the rest: the number of training rows of each item, as the baseline ``popularity``

    A trained model has vectors for all users and items of the log, but those without a training row still have their
    initial values; so such users are not ranked by their own vector, and such items are left out of a history. The
    scores of users with training rows are those of the ranker.

    Args:
        ranker: fitted to a log of these items.
        trained: [n] whether the ranker was fitted to rows of the user.
        histories: what is known of n users; only the rows of users who are not ``trained`` are used.
        item_counts: [I] training rows of each item.

    Attributes:
        source: [n] int8, positions in :data:`SOURCES`.

    >>> from taurec.data.vocabulary import Vocabulary
    >>> from taurec.ranker import EmbeddingRanker
    >>> train = Interactions.from_pairs([0, 0], [0, 1], Vocabulary.numbered(3), Vocabulary.numbered(3))
    >>> known = Interactions.from_pairs([0, 0, 1], [0, 1, 0], train.users, train.items)
    >>> model = EmbeddingRanker(np.full((3, 1), 9, "f4"), np.array([[1], [2], [3]], "f4"))
    >>> scorer = UserScorer.of_log(model, train, known)
    >>> [SOURCES[source] for source in scorer.source]
    ['user', 'history', 'popularity']
    >>> scorer.block(np.arange(3)).tolist()
    [[9.0, 18.0, 27.0], [1.0, 2.0, 3.0], [1.0, 1.0, 0.0]]
    """

    def __init__(self, ranker: HistoryScorer, trained: NDArray[np.bool_], histories: Interactions, item_counts: Index):
        self.ranker = ranker
        self.source = np.full(len(trained), USER, dtype=np.int8)
        scorers: list[BlockScorer] = [ranker]
        if not trained.all():
            rows = histories.take(~trained[histories.user_of] & (item_counts > 0)[histories.indices])
            self.source[~trained] = np.where(rows.user_counts > 0, HISTORY, POPULARITY)[~trained]
            scorers += [HistoryRanker(ranker, rows.csr()), SameScores(item_counts.astype(np.float32), len(trained))]
        self._scorers = scorers

    @classmethod
    def of_log(cls, ranker: HistoryScorer, train: Interactions, known: Interactions | None = None) -> Self:
        """The users of a log.

        Args:
            train: what the ranker was fitted to.
            known: all rows that may be used; ``train`` if not given.
        """
        return cls(ranker, train.user_counts > 0, train if known is None else known, train.item_counts)

    @classmethod
    def of_part(cls, ranker: HistoryScorer, parts: Split, part: str) -> Self:
        """The users of a split, from what is known before a part: ``valid`` or ``test``."""
        return cls.of_log(ranker, parts.train, parts.known(part))

    @classmethod
    def of_histories(cls, ranker: HistoryScorer, train: Interactions, histories: Interactions) -> Self:
        """Users who are given by their items alone.

        Args:
            train: what the ranker was fitted to.
            histories: rows of n users.
        """
        return cls(ranker, np.zeros(histories.n_users, dtype=bool), histories, train.item_counts)

    @property
    def n_users(self) -> int:
        return len(self.source)

    @property
    def n_items(self) -> int:
        return self.ranker.n_items

    def source_of(self, user: int) -> str:
        """What one user is ranked by."""
        return SOURCES[self.source[user]]

    def by_source(self, users: Index) -> Iterator[tuple[Index, BlockScorer]]:
        """(positions in ``users``, scorer of these users), for each source that occurs."""
        source = self.source[users]
        for number, scorer in enumerate(self._scorers):
            rows = np.flatnonzero(source == number)
            if len(rows):
                yield rows, scorer

    def block(self, users: Index) -> Float:
        scores = np.empty((len(users), self.n_items), dtype=np.float32)
        for rows, scorer in self.by_source(users):
            scores[rows] = scorer.block(users[rows])
        return scores


class SameScores(BlockScorer):
    """The same scores for n users.

    Args:
        scores: [I] float32.

    >>> SameScores(np.array([2, 1], "f4"), 9).block(np.array([8])).tolist()
    [[2.0, 1.0]]
    """

    def __init__(self, scores: Float, n_users: int):
        self._scores, self._n_users = scores, n_users

    @property
    def n_users(self) -> int:
        return self._n_users

    @property
    def n_items(self) -> int:
        return len(self._scores)

    def block(self, users: Index) -> Float:
        return np.tile(self._scores, (len(users), 1))
