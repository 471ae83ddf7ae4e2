"""The kinds of noise: what a level of each means, and how it is written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["positives", "negatives", "negatives-held-out"]


@dataclass(frozen=True)
class Levels:
    """The levels of one kind of noise.

    Attributes:
        what: what a level is.
        protocol: how the noise is added, and what stays clean.
        below: every level is below it.
        scale, form: how a level is written: its number, and the text around it.
        slope_per, unit: the change of the level that a slope is for, and the same in words.
    """

    what: str
    protocol: str
    below: float = math.inf
    scale: float = 100.0
    form: str = "{:g} %"
    slope_per: float = 0.01
    unit: str = "point of noise"

    def text(self, level: float) -> str:
        """A level in words.

        >>> LEVELS["positives"].text(0.1), LEVELS["negatives"].text(2.0)
        ('10 %', 'weight 2')
        """
        return self.form.format(self.scale * level)


LEVELS: dict[Kind, Levels] = {
    "positives": Levels(
        "false positives in training",
        "The log was divided first. Then, in the training part alone, each user got ceil(level x own pairs) items "
        "drawn uniformly among those they have in no part. Epochs were chosen on the clean validation part, and "
        "figures are of the clean test part. Lists leave out what training holds, injected pairs included.",
    ),
    "negatives": Levels(
        "weight of positives among the negatives",
        "Negatives are drawn with weight 1 for items the user has no training pair with and with the level as weight "
        "for training positives, so 0 excludes positives and 1 is uniform over all items. Training pairs, validation "
        "and test are clean. Baselines draw no negatives, so their lines are level.",
        scale=1.0,
        form="weight {:g}",
        slope_per=1.0,
        unit="unit of weight",
    ),
    "negatives-held-out": Levels(
        "held-out positives among the negatives",
        "A tenth of each user's training positives left training, for every model, and represents items the user likes "
        "without our knowing. Each negative is one of them with the level as probability, else an item the user has no "
        "pair with. Baselines draw no negatives, so their lines are level. Lists leave out the held-out items.",
        below=1.0,
    ),
}
