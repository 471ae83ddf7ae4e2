"""Soft-InfoNCE: sampled softmax in which negatives that resemble the pair's item weigh less."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from taurec import notices
from taurec.errors import UsageError
from taurec.losses.checks import checked, require_number
from taurec.losses.logspace import count_present, log_sum_exp, present, softplus
from taurec.losses.protocol import ScoreLoss
from taurec.losses.state import LossState, TrainingLog, column_items
from taurec.types import Batch

BLOCK = 512
"""Items whose similarities are computed at once."""


@dataclass(frozen=True)
class SoftInfoNCE(ScoreLoss):
    """Soft-InfoNCE, InfoNCE with negatives weighted down by their similarity to the pair's item.

        L_b = -pos_b / tau + log(exp(pos_b / tau) + sum_n w_bn exp(neg_bn / tau))
        w_bn = max(least, (beta - alpha * s_bn) / (beta - alpha / N_b)),    s_b = softmax(similarity_b / tau_similarity)

    A negative that resembles what the user took may be something that the user would take. The weights of a row have
    mean 1 before the lower bound; a row of equal similarities has weights 1, and alpha = 0 is InfoNCE. A small
    tau_similarity puts the whole reduction on the most similar negatives; at 1, with many negatives, no weight is far
    from 1.

    The similarities come from :class:`ItemSimilarity`: the cosine of the sets of users of two items in the training
    pairs, for the most similar ``neighbours`` of each item, else 0; or that of given vectors.

    Args:
        tau: temperature of the scores, in score units.
        alpha: how much similarity takes away, at most beta; the authors' ``weight_kl``.
        beta: their ``weight_unif``.
        tau_similarity: temperature of the similarities, their ``t``.
        least: lower bound of a weight, 0.1 in their code.
        neighbours: similarities kept for each item.
        vectors: a file of vectors [I, D] (.npy), row i for item i of the training log, to compare items by instead.
    Called with: pos [B], neg [B, N], similarity [B, N], in any unit, of which the temperature is one; -inf marks an
    absent negative, whatever its similarity.
    Returns: [B] loss per row, in nats.
    Raises: UsageError for a setting out of range, or if similarity is missing.
    Runs on: gather-dot. No catalogue path: each negative of a row has its own weight.
    Source: Li et al., EMNLP 2023, arXiv 2310.08069, as in the authors' code for code search, where the similarities
    are those of texts and tau is 1. Differs in: log space; the similarity of items by their users is ours.

    >>> SoftInfoNCE(tau=1.0)(torch.tensor([0.0]), torch.zeros(1, 2), similarity=torch.zeros(1, 2))
    tensor([1.0986])
    """

    tau: float = 0.1
    alpha: float = 1.0
    beta: float = 1.0
    tau_similarity: float = 0.1
    least: float = 0.1
    neighbours: int = 200
    vectors: str | None = None

    needs: ClassVar[frozenset[str]] = frozenset({"similarity"})
    temperature: ClassVar[str | None] = "tau"
    softmax_weights: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("tau", "beta", "tau_similarity", "least"):
            require_number(self, name, above=0)
        require_number(self, "alpha", least=0, most=self.beta)
        require_number(self, "neighbours", least=1)

    def state(self, train: TrainingLog, seed: int) -> ItemSimilarity | VectorSimilarity:
        return ItemSimilarity(self, train) if self.vectors is None else VectorSimilarity(self.vectors, train)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.1, 0.2], "loss.tau_similarity": [0.03, 0.1, 0.3]}

    def __call__(self, pos: Tensor, neg: Tensor, *, similarity: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        if similarity is None or similarity.shape != neg.shape:
            got = "nothing" if similarity is None else f"shape {tuple(similarity.shape)}"
            raise UsageError(f"SoftInfoNCE needs similarity=[B, N] with the shape {tuple(neg.shape)} of neg; got {got}")
        n = count_present(neg)
        with torch.no_grad():
            log_weight = self.weights(similarity.to(neg.dtype), neg, n).log()
        return present(softplus(log_sum_exp(neg + self.tau * log_weight, self.tau) - pos / self.tau), n)

    def weights(self, similarity: Tensor, neg: Tensor, n: Tensor) -> Tensor:
        """w [B, N]; of no meaning where a negative is absent, 1 in a row with a single negative."""
        absent = (neg == -math.inf) & (n > 0)[:, None]
        share = torch.softmax((similarity / self.tau_similarity).masked_fill(absent, -math.inf), dim=1)
        mean = (self.beta - self.alpha / n.clamp(min=2))[:, None]
        weight = ((self.beta - self.alpha * share) / mean).clamp(min=self.least)
        return weight.masked_fill((n < 2)[:, None], 1.0)


ASKS = "weighs negatives by their similarity to the pair's item"


class ItemSimilarity(LossState):
    """The cosine of two items' sets of users, |A and B| / sqrt(|A| |B|), for the ``neighbours`` largest of each item.

    Of equal ones the items of lower index are kept. 12 bytes for each similarity, 91 MB for 38,000 items of 200.

    Args:
        loss: its settings.
        train: the training pairs.
    """

    supplies = frozenset({"similarity"})
    asks_items = ASKS

    def __init__(self, loss: SoftInfoNCE, train: TrainingLog):
        ids, values = nearest(train, loss.neighbours)
        self._ids, self._values = torch.from_numpy(ids), torch.from_numpy(values)

    def side(self, batch: Batch) -> dict[str, Tensor]:
        if self._ids.device != batch.item.device:
            self._ids, self._values = self._ids.to(batch.item.device), self._values.to(batch.item.device)
        other = column_items(batch)
        other = other.expand(len(batch.item), -1).contiguous() if other.ndim == 1 else other.contiguous()
        near = self._ids.index_select(0, batch.item)
        at = torch.searchsorted(near, other).clamp(max=near.shape[1] - 1)
        found = near.gather(1, at) == other
        return {"similarity": self._values.index_select(0, batch.item).gather(1, at) * found}


def nearest(train: TrainingLog, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """[I, K] items of the largest similarity to each, ascending, and their similarities; item I where there are fewer.

    >>> from taurec.data.interactions import Interactions
    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> [x.tolist() for x in nearest(log, 2)]
    [[[0, 1], [0, 1]], [[1.0, 0.7071067690849304], [0.7071067690849304, 1.0]]]
    """
    n_items = train.n_items
    k = min(k, n_items)
    unit = 1 / np.sqrt(np.maximum(train.item_counts, 1))
    shape = train.n_users, n_items
    x = csr_array((unit[train.indices], train.indices.astype(np.int64), train.indptr.astype(np.int64)), shape=shape)
    by_item = x.T.tocsr()
    ids = np.full((n_items, k), n_items, dtype=np.int64)
    values = np.zeros((n_items, k), dtype=np.float32)
    tell = notices.Steps("items whose similar ones are found", n_items)
    for start in range(0, n_items, BLOCK):
        block = csr_array(by_item[start : start + BLOCK] @ x)
        block.sort_indices()
        for row in range(block.shape[0]):
            part = slice(block.indptr[row], block.indptr[row + 1])
            item, value = block.indices[part], block.data[part]
            if len(item) > k:
                kept = np.sort(np.argsort(-value, kind="stable")[:k])
                item, value = item[kept], value[kept]
            ids[start + row, : len(item)], values[start + row, : len(item)] = item, value
        tell(start + block.shape[0])
    return ids, values


class VectorSimilarity(LossState):
    """The cosine of two items' vectors.

    Args:
        path: of an array [I, D] in a .npy file.
        train: the training pairs.
    Raises: UsageError if the file cannot be read, or does not hold one finite vector for each item.
    """

    supplies = frozenset({"similarity"})
    asks_items = ASKS

    def __init__(self, path: str, train: TrainingLog):
        try:
            with open(path, "rb") as file:
                vectors = np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(
                f"soft-infonce: vectors {path!r} cannot be read as an array of a .npy file: {why}"
            ) from error
        if vectors.ndim != 2 or len(vectors) != train.n_items or not np.isfinite(vectors).all():
            raise UsageError(
                f"soft-infonce: {path!r} must hold finite numbers [I, D] with a row for each of the {train.n_items:,} "
                f"items of the training log, in its order; got shape {vectors.shape}"
            )
        self._unit = F.normalize(torch.from_numpy(vectors.astype(np.float32)), dim=1)

    def side(self, batch: Batch) -> dict[str, Tensor]:
        if self._unit.device != batch.item.device:
            self._unit = self._unit.to(batch.item.device)
        other, own = column_items(batch), self._unit.index_select(0, batch.item)
        if other.ndim == 1:
            return {"similarity": own @ self._unit.index_select(0, other).T}
        vectors = self._unit.index_select(0, other.reshape(-1)).view(*other.shape, -1)
        return {"similarity": torch.bmm(vectors, own[:, :, None])[:, :, 0]}
