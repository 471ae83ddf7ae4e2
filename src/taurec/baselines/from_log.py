"""The common part of baselines that score a user by a map of the history, and keep the log for known users."""

from __future__ import annotations

import inspect
import json
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.baselines.protocol import Baseline, State, fitted, pack, unpack
from taurec.ranker import Float


class FromLog(Baseline):
    """Scores a known user by the user's items of the log, exactly as :meth:`from_history` scores the same items.

    A subclass sets ``_seen`` in ``fit``. ``item_vectors`` are the columns of the log, so similar items are those with
    the same users.
    """

    closed_form: ClassVar[bool] = True
    _seen: csr_array | None = None

    def seen(self) -> csr_array:
        """X [U, I], the log as a binary matrix."""
        return fitted(self._seen, self)

    @property
    def n_users(self) -> int:
        return int(self.seen().shape[0])

    @property
    def n_items(self) -> int:
        return int(self.seen().shape[1])

    def block(self, users: NDArray[np.int64]) -> Float:
        return self.from_history(self.seen()[users])

    def item_vectors(self) -> csr_array:
        return csr_array(self.seen().T.tocsr())

    def log_and_settings(self) -> State:
        """The part of a state that :meth:`built` reads: the log, and the settings as JSON."""
        settings = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        text = np.frombuffer(json.dumps(settings).encode(), dtype=np.uint8)
        return {**pack(self.seen(), "seen"), "settings": text}

    @classmethod
    def built(cls, state: State) -> Self:
        """The baseline with the log and the settings of a state, otherwise unfitted."""
        given: dict[str, Any] = json.loads(state["settings"].tobytes())
        model = cls(**{name: given[name] for name in inspect.signature(cls).parameters})
        model._seen = unpack(state, "seen")
        return model


class SparseWeights(FromLog):
    """Scores X W of the users x items matrix X, with a sparse W [I, I]; a subclass sets ``_weights`` in ``fit``."""

    _weights: csr_array | None = None

    def weights(self) -> csr_array:
        """W [I, I]: row i holds what item i of a history adds to the scores."""
        return fitted(self._weights, self)

    def from_history(self, histories: csr_array) -> Float:
        scores: Float = (histories.astype(np.float32) @ self.weights()).toarray()
        return scores

    def state(self) -> State:
        return {**self.log_and_settings(), **pack(self.weights(), "weights")}

    @classmethod
    def from_state(cls, state: State) -> Self:
        model = cls.built(state)
        model._weights = unpack(state, "weights")
        return model
