"""``auto``: the model for a log that nobody named a model for, by the size of the log."""

from __future__ import annotations

from typing import Any

from taurec.baselines.protocol import Picked, Picker
from taurec.data.interactions import Interactions

DENSE_ITEMS = 10_000
"""Items up to which a matrix of all items is inverted a dozen times within some minutes."""

WORK = 1e13
"""Floating-point operations of a softmax over all items, in all epochs together: minutes on a laptop."""

TOO_MUCH = 4e14
"""The same, from where on the softmax over all items is left to a GPU: hours on a laptop."""

EPOCHS = 30
WIDTHS = (256, 128, 64)

SMALL = 200
"""Training pairs below which nothing is trained."""

WEIGHT = 2 / 3
"""Weight of the trained half where no validation part is there to choose it."""


class Auto(Picker):
    """A blend of a closed form and a softmax over histories, as far as the size of the log allows it.

        closed form    ``ease-normalised`` up to 10,000 items; ``slim-local`` beyond, which has no matrix of all items
        trained half   ``fism`` with ``ssm``, a softmax over all items, of W = 6 x users x items x width x 30 epochs
                       operations; of the widths 256, 128 and 64 the largest with W <= 1e13, and 64 beyond;
                       ``mf`` with ``sl``, whose cost grows with the pairs alone, where W > 4e14 at width 64
        neither        below 200 training pairs the closed form alone

    The weight of the halves, the settings of the closed form and the temperature are chosen on validation. Without a
    validation part the trained half weighs 2/3.

    >>> Auto().pick(Interactions.from_pairs([0, 1], [0, 1]), has_valid=True).fields
    {'model': 'ease-normalised'}
    """

    def pick(self, train: Interactions, has_valid: bool) -> Picked:
        users, items = train.n_users, train.n_items
        closed = "ease-normalised" if items <= DENSE_ITEMS else "slim-local"
        if len(train) < SMALL:
            return Picked({"model": closed}, f"{len(train):,} training pairs are too few to train on")
        work = 6.0 * users * items * EPOCHS
        width = next((width for width in WIDTHS if work * width <= WORK), WIDTHS[-1])
        settings: dict[str, dict[str, Any]] = {"model": {} if has_valid else {"weight": WEIGHT}}
        settings["backbone"] = {"dim": width}
        size = f"{users:,} users x {items:,} items"
        if work * width > TOO_MUCH:
            return Picked(
                {"model": f"blend:{closed}+mf:sl", "settings": settings},
                f"{size} are many for a softmax over all items",
            )
        return Picked({"model": f"blend:{closed}+fism:ssm", "settings": settings}, f"{size}, width {width}")
