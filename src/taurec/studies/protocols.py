"""Evaluation protocols of published results: what chooses the epoch, what is hidden at the test, which metrics.

A row of :mod:`taurec.studies.recipes` names the protocol of its source. A new protocol is one more entry of
:data:`PROTOCOLS`; nothing else knows their names. This module imports the library inside functions, so that the help of
a command can list them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from taurec.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from taurec.data.interactions import Interactions
    from taurec.data.source import Opened
    from taurec.data.split import Split
    from taurec.ranker import Ranker

METRICS = ("recall@20", "ndcg@20")
"""The names of the figures of every row."""


@dataclass(frozen=True)
class Protocol:
    """How a result is evaluated.

    Attributes:
        name: in records and on the command line.
        about: how the epoch is chosen, in a few words.
        chooses: the pairs that choose the epoch: the ``test`` part, a ``share`` of each user's training pairs, or the
            ``given`` validation part of the data.
        share: of each user's training pairs held out for validation; under ``test`` only to choose the setting of a
            baseline.
        metric: the metric that chooses; None takes that of the row.
        eval_every: epochs from one evaluation to the next; None takes those of the row.
        patience: number of evaluations without improvement after which a run ends; None takes that of the row.
        hides: parts whose items are not ranked at the test. Validation always hides the training part alone.
        divisor: of Recall@K: all ``relevant`` items of a user, or ``min`` of K and their number.
        reports: the figures of a record; the two of :data:`METRICS`, which every table has, are among them.
        warning: a sentence for the reader of its figures; empty for none.
    Raises: UsageError for a share that is not between 0 and 1, or figures without the two.

    >>> PROTOCOLS["honest"].run_fields()
    {'valid': 0.1}
    """

    name: str
    about: str
    chooses: Literal["test", "share", "given"]
    share: float = 0.1
    metric: str | None = None
    eval_every: int | None = None
    patience: int | None = None
    hides: tuple[Literal["train", "valid"], ...] = ("train",)
    divisor: Literal["relevant", "min"] = "relevant"
    reports: tuple[str, ...] = METRICS
    warning: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise UsageError(f"the share of protocol {self.name} must be above 0 and below 1, got {self.share}")
        if not set(METRICS) <= set(self.reports):
            raise UsageError(f"protocol {self.name} must report {' and '.join(METRICS)}, got {', '.join(self.reports)}")

    @property
    def metrics(self) -> dict[str, str]:
        """Name of a figure -> the metric that it is computed by."""
        recall = {"relevant": "recall@", "min": "recall_min_rel@"}[self.divisor]
        return {name: name.replace("recall@", recall) for name in self.reports}

    @property
    def chosen_on_test(self) -> bool:
        """Whether the test part is looked at in training."""
        return self.chooses == "test"

    def run_fields(self) -> dict[str, Any]:
        """The fields of a run that it sets."""
        given = {"metric": self.metric, "eval_every": self.eval_every, "patience": self.patience}
        held_out = self.share if self.chooses == "share" else 0.0
        return {"valid": held_out, **{name: value for name, value in given.items() if value is not None}}

    def parts(self, opened: Opened) -> Split:
        """The parts of a set; ``valid`` chooses the epoch, and is the test part itself under ``test``.

        Raises: UsageError for a set without the parts that it needs.
        """
        from taurec.data.split import Split

        train, test = _given_parts(opened)
        if self.chooses == "share":
            return self._hold_out(opened)
        if self.chooses == "test":
            return Split(train, test, test, "files")
        if opened.valid is None:
            raise UsageError(f"{opened.name} has no given validation part, which protocol {self.name} needs")
        return Split(train, opened.valid, test, "files")

    def parts_for_settings(self, opened: Opened) -> Split:
        """The parts on whose ``valid`` the setting of a baseline is chosen, never the test part."""
        return self._hold_out(opened) if self.chosen_on_test else self.parts(opened)

    def _hold_out(self, opened: Opened) -> Split:
        from taurec.data.split import split_given

        return split_given(*_given_parts(opened), valid=self.share, seed=0)

    def hidden(self, parts: Split) -> Interactions:
        """The pairs whose items are not ranked at the test."""
        return parts.train.union(parts.valid) if "valid" in self.hides else parts.train

    def evaluate(self, ranker: Ranker, parts: Split) -> dict[str, float]:
        """The figures on the test part, by their names in ``reports``."""
        from taurec.evaluation.ranking import evaluate_ranker
        from taurec.evaluation.users import UserScorer

        hidden = self.hidden(parts)
        scorer = UserScorer.of_log(ranker, parts.train, hidden)
        found = evaluate_ranker(scorer, parts.test, hidden, list(self.metrics.values())).means()
        return {name: found[metric] for name, metric in self.metrics.items()}


def _given_parts(opened: Opened) -> tuple[Interactions, Interactions]:
    if opened.train is None or opened.test is None:
        raise UsageError(f"{opened.name} has no given training and test parts; a row needs a set with them")
    return opened.train, opened.test


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            Protocol(
                "paper",
                "the epoch is chosen on the test part, as in the sources",
                "test",
                warning="Under the protocol paper the epoch is chosen on the test part, as in the sources.",
            ),
            Protocol("honest", "on a tenth of each user's training pairs", "share", hides=("train", "valid")),
            Protocol(
                "talos",
                "on the given validation part by Precision@20, whose items stay in the lists of the test",
                "given",
                metric="precision@20",
                eval_every=5,
                patience=5,
            ),
        )
    }
)
"""Name -> protocol. ``talos`` is that of the code of Talos (WWW 2026): its test hides the training part alone."""


def protocol_of(given: str | Protocol) -> Protocol:
    """The protocol with this name; a protocol is returned unchanged.

    >>> protocol_of("paper").chooses
    'test'
    """
    if isinstance(given, Protocol):
        return given
    if given not in PROTOCOLS:
        raise UsageError(f"unknown protocol {given!r}{did_you_mean(given, PROTOCOLS)}")
    return PROTOCOLS[given]
