"""What a published result is: every setting it takes, the figure, and where both are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from taurec.run import Run
from taurec.training.presets import resolve

Protocol = Literal["paper", "honest"]
PROTOCOLS: tuple[Protocol, ...] = ("paper", "honest")
METRICS = ("recall@20", "ndcg@20")
"""What every published figure here is given in."""
NEVER_SAME = "draws of another generator"
"""How each run differs from the published one with which it is compared."""


@dataclass(frozen=True)
class Published:
    """A figure in print or in an author's log.

    Attributes:
        recall, ndcg: Recall@20 and NDCG@20 on the test part, as shares.
        source: where it stands.
        best_epoch: the epoch it belongs to, the first being 1; 0 where that is not known.
    """

    recall: float
    ndcg: float
    source: str
    best_epoch: int = 0

    def values(self) -> dict[str, float]:
        return {"recall@20": self.recall, "ndcg@20": self.ndcg}


@dataclass(frozen=True)
class Recipe:
    """One row of a table of results.

    Attributes:
        data: a named set with given training and test parts.
        fields: of the run, as :func:`taurec.training.presets.resolve` takes them; a baseline has ``model``.
        published: the published value; None where none is available.
        differs: known differences from the source, as text; empty where there are none.
        claim: what the row is there to show, where it is not a published figure.
        beside: the published row with which an unpublished row is compared; empty for none.
        usual_epochs: usual number of epochs of a run, for a forecast; the authors' last epoch, where known.
        select: the metric that chooses the epoch.
    """

    data: str
    fields: Mapping[str, Any]
    published: Published | None = None
    differs: str = ""
    claim: str = ""
    beside: str = ""
    usual_epochs: int = 100
    select: str = "recall@20"
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def run(self, protocol: Protocol, seed: int, **more: Any) -> Run:
        """The run of the row under a protocol: ``paper`` trains on the whole training file, ``honest`` cuts a tenth
        of each user's training pairs off for validation.

        Args:
            more: fields that change no figure, such as ``threads``.
        """
        nested = {part: dict(values) for part, values in self.settings.items()}
        given = {**self.fields, "source": self.data, "metric": self.select, "seed": seed}
        given["valid"] = 0.0 if protocol == "paper" else 0.1
        return resolve(**given, settings=nested or None, **more)
