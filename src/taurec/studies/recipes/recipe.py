"""What a published result is: every setting it takes, the figure, and where both are from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from taurec.run import Run
from taurec.studies.protocols import Protocol, protocol_of
from taurec.training.presets import resolve

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
        select: the metric that chooses the epoch, where the protocol leaves it to the row.
        protocols: those that the row is run under, that of its source first.
        grid: values of one setting, such as ``loss.tau``, of which validation chooses one; they are tried in this
            order, so that a run that is cut short has tried the first ones.
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
    protocols: tuple[str, ...] = ("paper", "honest")
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def run(self, protocol: str | Protocol, seed: int, point: Mapping[str, Any] | None = None, **more: Any) -> Run:
        """The run of the row under a protocol.

        Args:
            point: one value of the grid, such as ``{"loss.tau": 0.2}``; None takes the first.
            more: fields that change no figure, such as ``threads``.
        """
        nested = {part: dict(values) for part, values in self.settings.items()}
        for key, value in (next(iter(self.points()), {}) if point is None else point).items():
            part, _, name = key.partition(".")
            nested.setdefault(part, {})[name] = value
        given = {**self.fields, "source": self.data, "metric": self.select, "seed": seed}
        given |= protocol_of(protocol).run_fields()
        return resolve(**given, settings=nested or None, **more)

    def given(self) -> dict[str, Any]:
        """The settings of a baseline that its source gives; none where validation chooses them."""
        return dict(self.settings.get("model", {}))

    def points(self) -> list[dict[str, Any]]:
        """The values from which validation chooses, each as a point; none for a row whose settings are given."""
        return [{key: value} for key, values in self.grid.items() for value in values]
