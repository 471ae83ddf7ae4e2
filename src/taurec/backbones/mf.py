"""Matrix factorisation: the tables are the embeddings."""

from __future__ import annotations

from taurec.backbones.protocol import Backbone, Rows
from taurec.data.interactions import Interactions
from taurec.types import Embeddings


class MF(Backbone):
    """One free vector for each user and each item.

    With cosine scores the initial scale acts as a learning rate (the gradient of a raw vector goes
    with 1 / its length), so ``init`` and the learning rate belong together: the BSL authors use
    ``xavier_uniform`` with 1e-4 to 1e-3, itemrec ``normal:1`` with 0.1, SimpleX ``normal:0.0001``.

    Args:
        train: the training part.
        dim: width of the vectors.
        init: see :func:`taurec.backbones.init.init_table`.
        seed: of the tables.
    Source: Koren, Bell and Volinsky, IEEE Computer 2009, without biases.

    >>> model = MF(Interactions.from_pairs([0, 1], [0, 2]), dim=4)
    >>> model.embed().item.shape
    torch.Size([3, 4])
    """

    plain = True

    def __init__(self, train: Interactions, /, dim: int = 64, init: str = "xavier_uniform", seed: int = 0):
        super().__init__(train, dim, init, seed)

    def embed(self, rows: Rows | None = None) -> Embeddings:
        return Embeddings(self.user, self.item, self.user, self.item)
