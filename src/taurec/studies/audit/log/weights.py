"""The weight that the bilateral softmax loss gives each positive, once a model is trained."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Ranker

_USERS_AT_ONCE = 256


def bsl_weights(ranker: Ranker, log: Interactions, tau_pos: float) -> NDArray[np.float64]:
    """m softmax(pos / tau_pos) over the m rows of each user: how strongly BSL pulls at each.

        w_ui = |P_u| exp(s_ui / tau_pos) / sum_{j in P_u} exp(s_uj / tau_pos)

    The gradient of the positive side of BSL with respect to s_ui is -w_ui / |P_u|; SL's weights are all 1. The mean
    over a user's rows is 1, and a row that scores below its user's other rows weighs less: BSL treats it as noise.
    Here all rows of a user are one group; in training the group is what a batch holds of them.

    Args:
        ranker: a trained model; its scores should be those the loss saw (cosines for a model trained by cosines).
        log: the rows, of the same users and items.
        tau_pos: in score units, above 0; as tau_pos grows, all weights approach 1.
    Returns: [P] weights, 0 or more.
    Raises: UsageError if tau_pos is not positive or the log has other sizes than the ranker.
    Source: the optimistic dual of the positive side of Wu et al., ICDE 2024, arXiv 2312.12882 (docs/losses.md).

    >>> from taurec.ranker import ScoresRanker
    >>> ranker = ScoresRanker(np.log(np.array([[1.0, 3.0, 9.0]], dtype=np.float32)))
    >>> bsl_weights(ranker, Interactions.from_pairs([0, 0], [0, 1]), 1.0)
    Traceback (most recent call last):
    taurec.errors.UsageError: the log has 1 users and 2 items, the ranker 1 and 3; both must come from the same log
    >>> bsl_weights(ranker, Interactions.from_pairs([0, 0, 0], [0, 1, 2]).take([0, 1]), 1.0).round(3).tolist()
    [0.5, 1.5]
    """
    if not (math.isfinite(tau_pos) and tau_pos > 0):
        raise UsageError(f"tau_pos must be above 0, got {tau_pos}")
    if (log.n_users, log.n_items) != (ranker.n_users, ranker.n_items):
        raise UsageError(
            f"the log has {log.n_users} users and {log.n_items} items, the ranker {ranker.n_users} and "
            f"{ranker.n_items}; both must come from the same log"
        )
    result = np.empty(len(log))
    users = np.flatnonzero(log.user_counts)
    for first in range(0, len(users), _USERS_AT_ONCE):
        part = users[first : first + _USERS_AT_ONCE]
        for line, user in zip(ranker.block(part), part, strict=True):
            rows = slice(log.indptr[user], log.indptr[user + 1])
            x = line[log.indices[rows]].astype(np.float64) / tau_pos
            x = np.exp(x - x.max())
            result[rows] = len(x) * x / x.sum()
    return result
