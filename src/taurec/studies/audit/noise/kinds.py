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
        "The log was split first. Then each user was given ceil(level x training pairs of the user) more items in the "
        "training part only, drawn uniformly from the items that the user has in no part. Epochs were chosen on the "
        "clean validation part, and values are on the clean test part. Lists leave out all training pairs, including "
        "injected ones.",
    ),
    "negatives": Levels(
        "weight of positives among the negatives",
        "In the draw of negatives, items without a training pair of the user have weight 1, and the user's training "
        "positives have the level as weight: 0 excludes positives, and 1 is uniform over all items. The training, "
        "validation and test pairs are clean. Baselines draw no negatives, so their lines are flat.",
        scale=1.0,
        form="weight {:g}",
        slope_per=1.0,
        unit="unit of weight",
    ),
    "negatives-held-out": Levels(
        "held-out positives among the negatives",
        "A tenth of each user's training positives was removed from training for every model; they represent items "
        "that the user likes and the log does not show. The level is the probability that a negative is one of them; "
        "otherwise it is an item that the user has no pair with. Baselines draw no negatives, so their lines are flat. "
        "Lists leave out the held-out items.",
        below=1.0,
    ),
}
