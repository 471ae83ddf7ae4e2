"""``auto``: the model for a log that nobody named a model for, by the size of the log."""

from __future__ import annotations

from typing import Any

from taurec.baselines.protocol import Picked, Picker
from taurec.data.interactions import Interactions

DENSE_ITEMS = 10_000
"""Items up to which a matrix of all items is inverted a dozen times within a minute or two."""

WORK = 1e13
"""Floating-point operations of a softmax over all items, all its epochs together: some minutes on a laptop."""

EPOCHS = 30
WIDTHS = (256, 128, 64)

SMALL = 200
"""Training pairs below which nothing is trained."""

WEIGHT = 2 / 3
"""Weight of the trained half where no validation part is there to choose it."""


class Auto(Picker):
    """A blend of a closed form and a softmax over histories, as far as the size of the log allows it.

        closed form    ``ease-normalised`` up to 10,000 items; ``slim-local`` beyond, which needs no matrix of all items
        trained half   ``fism`` with ``ssm`` and the softmax over all items, which costs users x items x width an epoch;
                       of the widths 256, 128 and 64 the largest with 6 x users x items x width x 30 epochs <= 1e13
                       operations; beyond that width 64, and beyond forty times as much ``mf`` with ``sl``, whose cost
                       grows with the pairs alone
        neither        below 200 training pairs the closed form alone

    The weight of the halves, the settings of the closed form and the temperature are chosen on validation. Without a
    validation part the trained half weighs 2/3.

    The evidence is in docs/choosing.md.
    """

    def pick(self, train: Interactions, has_valid: bool) -> Picked:
        users, items = train.n_users, train.n_items
        closed = "ease-normalised" if items <= DENSE_ITEMS else "slim-local"
        if len(train) < SMALL:
            return Picked({"model": closed}, f"{len(train):,} training pairs are too few to train on")
        work = 6.0 * users * items * EPOCHS
        width = next((width for width in WIDTHS if work * width <= WORK), WIDTHS[-1])
        weight = {} if has_valid else {"weight": WEIGHT}
        settings: dict[str, dict[str, Any]] = {"model": weight, "backbone": {"dim": width}}
        size = f"{users:,} users x {items:,} items"
        if work * width > 40 * WORK:
            return Picked(
                {"model": f"blend:{closed}+mf:sl", "settings": settings}, f"{size} are too many for a softmax"
            )
        return Picked({"model": f"blend:{closed}+fism:ssm", "settings": settings}, f"{size}, width {width}")
