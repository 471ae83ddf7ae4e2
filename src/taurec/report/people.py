"""A few users of a log, each with their history and the lists of models."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from taurec import draw
from taurec.data.split import Split
from taurec.evaluation.lists import top_k
from taurec.evaluation.users import UserScorer
from taurec.ranker import Ranker
from taurec.studies.names import Hashed

HISTORY = 12
"""Maximum number of items of a history that are shown."""


@dataclass(frozen=True)
class Person:
    """A user's history with the lists of models.

    Attributes:
        name: of the user.
        history: their items, the newest first where times are known.
        lists: by model, its items, the best first.
        hits: items of the lists that the user took later, in the part that was held out.
    """

    name: str
    history: Sequence[str]
    lists: Mapping[str, Sequence[str]]
    hits: Collection[str] = ()


@dataclass(frozen=True)
class Lists:
    """The histories and lists of a few users; listed items that are in the held-out part are marked."""

    people: Sequence[Person]
    caption: str = ""


def some_people(
    rankers: Mapping[str, Ranker], parts: Split, n: int = 4, k: int = 8, seed: int = 0, private: Hashed | None = None
) -> Lists:
    """Draw users with test items, and compute the list of each model for them, as evaluated on the test part.

    Args:
        rankers: by label.
        parts: what the models were fitted to; items of training and validation are left out of the lists.
        n: how many users.
        k: length of the lists.
        seed: of the draw.
        private: hashes ids.
    """
    train, test = parts.train, parts.test
    before = parts.known("test")
    held = np.flatnonzero(test.user_counts)
    users = np.sort(held[draw.permutation(draw.key(seed, "people"), len(held))[:n]])
    scorers = {name: UserScorer.of_part(one, parts, "test") for name, one in rankers.items()}
    lists = {name: top_k(one, users, k, seen=before, item_ids=train.items).items for name, one in scorers.items()}

    def named(items: np.ndarray) -> list[str]:
        raw = train.items.decode(items[items >= 0])
        return private.items(raw) if private else list(raw)

    people = []
    for row, user in enumerate(users):
        own = slice(before.indptr[user], before.indptr[user + 1])
        history = before.indices[own]
        if before.time is not None:
            history = history[np.argsort(-before.time[own], kind="stable")]
        (raw,) = train.users.decode([user])
        people.append(
            Person(
                private.user(raw) if private else raw,
                named(history[:HISTORY]),
                {label: named(items[row]) for label, items in lists.items()},
                named(test.items_of(int(user))),
            )
        )
    order = "the newest first" if before.time is not None else "in no order"
    return Lists(people, f"Users drawn at random; at most {HISTORY} items of a history, {order}. Marked: held out.")
