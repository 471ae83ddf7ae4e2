"""Two given parts of a log, training and test: found in a folder, put on common indices, proved disjoint."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import DataError, UsageError


def parts_of(folder: Any) -> tuple[str, str]:
    """The one ``train.*`` and the one ``test.*`` of a folder."""
    path = Path(folder) if isinstance(folder, str | PathLike) else None
    if path is None or not path.is_dir():
        raise UsageError(f"a split is a folder with train.* and test.*, or two files; got {folder!r} alone")
    found = {}
    for part in ("train", "test"):
        files = sorted(str(f) for f in path.iterdir() if f.name.split(".")[0] == part)
        if len(files) != 1:
            listed = ", ".join(files) or "none"
            raise DataError(f"{folder}: expected one {part}.* in the folder, found {len(files)}: {listed}")
        found[part] = files[0]
    return found["train"], found["test"]


def align(
    train: Interactions, test: Interactions, name: str, unknown: str, notes: list[str]
) -> tuple[Interactions, Interactions]:
    """Both parts on common vocabularies.

    Args:
        name: of the test part, for messages.
        unknown: ``error``, ``skip`` or ``keep`` test rows whose user or item is not in training;
            ``keep`` puts the new ids behind the known ones.
        notes: receives remarks.
    """
    users, items = train.users.extended(test.users), train.items.extended(test.items)
    u, i = users.encode(test.users.ids)[test.user_of], items.encode(test.items.ids)[test.indices]
    for what, index, n, all_ids in (("users", u, train.n_users, users), ("items", i, train.n_items, items)):
        if text := _strangers(what, index, n, all_ids):
            if unknown == "error":
                raise DataError(f"{name}: {text}; say unknown= (--unknown) skip to leave these rows out")
            notes.append(f"{name}: {text}; {'left out' if unknown == 'skip' else 'kept'}")
    keep = np.ones(len(u), dtype=bool)
    if unknown == "keep":
        train = _moved(train, train.user_of, train.indices, users, items, keep=np.ones(len(train), dtype=bool))
    else:
        keep = (u < train.n_users) & (i < train.n_items)
    part = _moved(test, u, i, train.users, train.items, keep)
    if train.time is not None and part.time is not None and len(part):
        share = float((part.time < train.time.max()).mean())
        if share:
            notes.append(f"{name}: {share:.0%} of the test rows are older than the newest training row")
    return train, part


def disjoint(train: Interactions, test: Interactions, train_name: str, test_name: str) -> None:
    """Refuse parts that share a pair."""
    both = np.flatnonzero(train.contains(test.user_of, test.indices))
    if not len(both):
        return
    users, items = test.users.decode(test.user_of[both[:5]]), test.items.decode(test.indices[both[:5]])
    shown = ", ".join(f"({u}, {i})" for u, i in zip(users, items, strict=True))
    raise DataError(
        f"{test_name}: {len(both)} pairs stand in {train_name} too, such as {shown}; a test row must not be trained on"
    )


def _strangers(what: str, index: NDArray[np.int64], known: int, ids: Vocabulary) -> str:
    strange = np.unique(index[index >= known])
    if not len(strange):
        return ""
    rows = int((index >= known).sum())
    listed = ", ".join(ids.decode(strange[:5]))
    return f"{len(strange)} {what} of the test part have no training row, in {rows} rows: {listed}"


def _moved(
    log: Interactions,
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    users: Vocabulary,
    items: Vocabulary,
    keep: NDArray[np.bool_],
) -> Interactions:
    """The kept pairs of a log under other indices."""
    time = None if log.time is None else log.time[keep]
    weight = None if log.weight is None else log.weight[keep]
    return Interactions.from_pairs(user[keep], item[keep], users, items, time, weight, log.merged)
