"""Any loss of scores or of vectors as a loss of sentence-transformers, for retrieval of texts by two towers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from taurec.errors import UsageError, did_you_mean
from taurec.losses import LOSSES, EmbeddingLoss, Loss, ScoreLoss
from taurec.sampling import PerRowNegatives, SharedNegatives
from taurec.scoring import ScoreName, batch_scores, pair_vectors, score_vectors
from taurec.training.objective import Objective
from taurec.types import Batch, Embeddings

Candidates = Literal["all", "own"]
Mask = Literal["equal", "diagonal"]
GIVEN = frozenset({"group", "similarity"})
"""Side inputs that texts give: which rows have the same anchor, and how similar a negative is to the row's positive."""


class SentenceTransformerLoss(nn.Module):
    """A loss of TauRec for ``SentenceTransformerTrainer``: anchors against the positives and negatives of the batch.

    The columns of the data set are an anchor, its positive and any number of hard negatives. With B rows and K columns
    of hard negatives the loss is called with pos[B], the score of each anchor and its positive, and neg[B, N]:

        negatives "all"   the positives and hard negatives of all rows, N = B (1 + K); the row's own positive is absent
        negatives "own"   the hard negatives of the row, N = K

    The value is the mean over the rows that have a negative. A loss that pools the positives of a user (``bsl``) takes
    equal anchors for one user; ``soft-infonce`` gets the cosine of the vectors of negative and positive, as constants.

    Args:
        model: gives ``sentence_embedding`` [B, D] for the features of a column; a ``SentenceTransformer`` does.
        loss: a name with settings, such as ``ssm:0.05``, or an object.
        score: ``cosine``, ``dot``, or ``neg_sq_dist``, which is -|u - v|^2.
        negatives: see above.
        mask: ``equal`` leaves out, among the positives of other rows, those of rows with an equal anchor or an equal
            positive, which are no negatives; ``diagonal`` leaves out the row's own positive alone. Texts are compared
            by their token ids.
    Raises: UsageError for a loss that needs what texts do not give, such as thresholds by user; when it is called, for
        fewer columns than it needs, or features without token ids where they are compared.
    Guarantees: on batches without equal texts, ``ssm`` with temperature tau is MultipleNegativesRankingLoss with scale
        1 / tau, and ``hardness-ssm`` with alpha that with hardness_mode ``all_negatives`` and hardness_strength alpha.
    Cost: one matrix product [B, D] x [D, B (1 + K)].
    Source: in-batch negatives of Henderson et al., arXiv 1705.00652, section 4.4. Differs from
        MultipleNegativesRankingLoss in: equal texts are left out; there is no other direction than from anchor to text.

    >>> class Table(nn.Module):
    ...     def forward(self, features):
    ...         return {"sentence_embedding": torch.eye(3)[features["input_ids"][:, 0]]}
    >>> column = {"input_ids": torch.tensor([[0], [1]])}
    >>> SentenceTransformerLoss(Table(), "ssm:1.0")([column, column])
    tensor(0.3133)
    """

    def __init__(
        self,
        model: nn.Module,
        loss: str | Loss = "ssm:0.05",
        score: ScoreName = "cosine",
        negatives: Candidates = "all",
        mask: Mask = "equal",
    ):
        super().__init__()
        for name, value, known in (
            ("score", score, get_args(ScoreName)),
            ("negatives", negatives, get_args(Candidates)),
            ("mask", mask, get_args(Mask)),
        ):
            if value not in known:
                raise UsageError(f"unknown {name} {value!r}{did_you_mean(value, known)}")
        loss = LOSSES.build(loss) if isinstance(loss, str) else loss
        _check(loss, score)
        self.model = model
        self.loss, self.score, self.negatives, self.mask = loss, score, negatives, mask
        self._objective = Objective(loss, supplied=GIVEN)

    def forward(self, sentence_features: Iterable[Mapping[str, Any]], labels: Tensor | None = None) -> Tensor:
        """The loss of a batch.

        Args:
            sentence_features: of each column, as the collator of sentence-transformers gives them.
            labels: not used.
        Returns: [] the mean over rows.
        """
        columns = list(sentence_features)
        if len(columns) < 2 + (self.negatives == "own"):
            need = "an anchor, a positive and a negative" if self.negatives == "own" else "an anchor and a positive"
            raise UsageError(f"the data set has {len(columns)} column{'s'[: len(columns) != 1]} of texts; give {need}")
        found: list[Tensor] = [self.model(features)["sentence_embedding"] for features in columns]
        needs_ids = self.mask == "equal" or "group" in self.loss.needs
        ids = [_token_ids(features) for features in columns[:2]] if needs_ids else None
        return self.of_vectors(found, ids)

    def of_vectors(self, vectors: list[Tensor], ids: list[Tensor] | None = None) -> Tensor:
        """The loss of a batch whose texts have these vectors.

        Args:
            vectors: [B, D] of each column.
            ids: [B] numbers of the anchors and of the positives; equal texts have equal ones. None: all differ.
        """
        anchor, texts = vectors[0], torch.cat(vectors[1:])
        b, at = len(anchor), torch.arange(len(anchor), device=anchor.device)
        if any(len(column) != b for column in vectors):
            raise UsageError(
                f"the columns of a batch need a text in each row; got {', '.join(str(len(v)) for v in vectors)} vectors"
            )
        who = [at, at] if ids is None else ids
        negatives: SharedNegatives | PerRowNegatives
        if self.negatives == "own":
            negatives = PerRowNegatives(ids=at[:, None] + torch.arange(b, len(texts), b, device=at.device))
        else:
            absent = torch.zeros(b, len(texts), dtype=torch.bool, device=at.device)
            absent[:, :b] = at[:, None] == at
            if self.mask == "equal":
                absent[:, :b] |= (who[0][:, None] == who[0]) | (who[1][:, None] == who[1])
            negatives = SharedNegatives(ids=torch.arange(len(texts), device=at.device), absent=absent)
        batch, table = Batch(who[0], at, at, negatives), Embeddings(anchor, texts, anchor, texts)
        if isinstance(self.loss, EmbeddingLoss):
            pairs = pair_vectors(anchor, texts, at, self.score, kernel="torch")
            return self._objective.of_vectors(*pairs, batch, table)[0]
        pos, neg = batch_scores(anchor, texts, at, negatives, self.score, "torch")
        side = {"similarity": self._similarity(texts, negatives)} if "similarity" in self.loss.needs else {}
        return self._objective(pos, neg, batch, table, side=side)[0]

    @torch.no_grad()
    def _similarity(self, texts: Tensor, negatives: SharedNegatives | PerRowNegatives) -> Tensor:
        """[B, N] the cosine of the positive of a row and each of its negatives."""
        unit = score_vectors(texts, texts, "cosine", "torch")[1]
        ids = negatives.ids
        if ids.ndim == 1:
            assert negatives.absent is not None
            return unit[: len(negatives.absent)] @ unit.T
        return (unit[: len(ids), None] * unit[ids]).sum(-1)

    def get_config_dict(self) -> dict[str, Any]:
        """The settings, for the model card that sentence-transformers writes."""
        return {"loss": repr(self.loss), "score": self.score, "negatives": self.negatives, "mask": self.mask}


def _check(loss: Loss, score: ScoreName) -> None:
    """Refuse what is no loss, and a loss that needs what texts do not give."""
    if not isinstance(loss, ScoreLoss | EmbeddingLoss):
        raise UsageError(f"loss must be a name such as 'ssm:0.05' or an object such as SSM(tau=0.05), got {loss!r}")
    name = type(loss).__name__
    more = {"more"} if isinstance(loss, ScoreLoss) and loss.more_positives else set()
    missing = sorted((loss.needs | more) - GIVEN)
    if missing:
        raise UsageError(
            f"loss {name} needs {', '.join(missing)}, which comes from the users and items of a log, and texts have "
            f"none; use a loss of the scores alone, such as ssm, sl, hardness-ssm or mine-plus, or one that needs "
            f"{' or '.join(sorted(GIVEN))}: bsl, soft-infonce"
        )
    if loss.scores == "cosine" and score != "cosine":
        raise UsageError(f"loss {name} is defined on cosine scores, got score={score!r}; use score='cosine'")


def _token_ids(features: Mapping[str, Any]) -> Tensor:
    """[B] a number for each text of a column; the same for equal texts."""
    ids = features.get("input_ids")
    if not isinstance(ids, Tensor) or ids.ndim != 2:
        raise UsageError(
            "equal texts are found by their token ids, and the features of this model have no input_ids [B, length]; "
            "use mask='diagonal' and a loss that does not pool rows"
        )
    return torch.unique(ids, dim=0, return_inverse=True)[1]
