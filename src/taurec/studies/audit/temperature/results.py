"""The result of the temperature audit: its data, tables and verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np

from taurec.losses import loss_class
from taurec.run import Run
from taurec.studies.audit.temperature.reweighting import Array, Reweighting
from taurec.studies.result import Cell, Column, Figure, Part, Result, Series, Table, Text
from taurec.studies.train_command import train_command

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)

BY_TAU, POSITIVES, ALONG, READING = (
    "The effect of the temperature", "The positive side", "Along training", "How to read it"
)  # fmt: skip

COLUMNS = {
    "tau": Column("tau", spec="g"),
    "effective.rounded": Column("effective"),
    "share.median": Column("of all", spec=".1%"),
    "radius.median": Column("radius", spec=".3f"),
    "mean.median": Column("mean", spec=".3f"),
    "variance_term.median": Column("+ variance", spec=".3f"),
    "remainder.median": Column("+ rest", spec=".3f"),
    "own.median": Column("own", spec=".1%"),
    "variance.median": Column("variance", spec=".4f"),
}
"""The columns of a table of views, by the attribute that each shows."""
OF_POSITIVES = list(COLUMNS)[:7]
OF_NEGATIVES = [*OF_POSITIVES, "own.median"]
OF_EPOCH = ["effective.rounded", "radius.median", "variance.median", "own.median"]

CURVES = {
    "effective": "effective number of negatives",
    "radius": "KL radius (nats)",
    "own": "share of weight on own items",
    "variance": "variance of the scores of negatives",
}
"""Measures that have a figure, with the label of its axis."""

MEANINGS = (
    ("effective", "effective number of negatives that the gradient is spread over: exp of the entropy of the weights"),
    ("of all", "the effective number divided by the number of available negatives"),
    ("radius", "KL divergence, in nats, of the weights from the distribution negatives are drawn from"),
    ("mean, + variance, + rest", "tau log mean exp(f / tau) = mean f + Var f / (2 tau) + the rest, in score units"),
    ("own", "share of the weight on items of the user's own training pairs, which are not true negatives"),
)


@dataclass(frozen=True)
class OverUsers:
    """A quantity of each user: its mean and its quantiles .1, .25, .5, .75, .9."""

    mean: float
    quantiles: tuple[float, ...]

    @classmethod
    def of(cls, values: Array) -> OverUsers:
        return cls(float(values.mean()), tuple(float(q) for q in np.quantile(values, QUANTILES)))

    @property
    def median(self) -> float:
        return self.quantiles[2]

    @property
    def rounded(self) -> str:
        """The median in three digits."""
        return f"{self.median:,.0f}" if self.median >= 100 else f"{self.median:.3g}"

    @property
    def range(self) -> str:
        """The range of the middle 80 % of the users."""
        low, high = self.quantiles[0], self.quantiles[-1]
        return f"{low:,.0f} to {high:,.0f}" if high >= 100 else f"{low:.3g} to {high:.3g}"


@dataclass(frozen=True)
class View:
    """The effect of one temperature on the scores of positives or negatives, over the users of the audit.

    The quantities are those of :class:`taurec.studies.audit.temperature.reweighting.Reweighting`, and

    Attributes:
        share: ``effective`` divided by the number of scores: the share of N sampled negatives that counts.
        own: the share of the weight that lies on items of the user's own training pairs, which are no true
            negatives; 0 where the sampler leaves them out. None for the positive side.
    """

    tau: float
    count: OverUsers
    value: OverUsers
    mean: OverUsers
    variance: OverUsers
    variance_term: OverUsers
    remainder: OverUsers
    shifted: OverUsers
    effective: OverUsers
    share: OverUsers
    participation: OverUsers
    radius: OverUsers
    own: OverUsers | None = None

    @classmethod
    def of(cls, blocks: Sequence[Reweighting], own: Sequence[Array] = ()) -> View:
        """Over the users of all blocks; ``own`` has the share of each user's own items, by block."""
        names = [f.name for f in dataclasses.fields(cls) if f.name not in ("tau", "own")]
        columns = {name: [getattr(block, name).astype(np.float64) for block in blocks] for name in names}
        columns |= {"own": list(own)} if own else {}
        return cls(blocks[0].tau, **{name: OverUsers.of(np.concatenate(found)) for name, found in columns.items()})


@dataclass(frozen=True)
class EpochView:
    """Both sides after an epoch, with the value of the run's metric on validation."""

    epoch: int
    metrics: dict[str, float]
    negatives: View
    positives: View | None

    def row(self) -> list[Cell]:
        """Of the table along training."""
        both = [] if self.positives is None else [self.positives.effective.rounded]
        return [self.epoch, *self.metrics.values(), *_row(self.negatives, OF_EPOCH), *both]


@dataclass(frozen=True)
class TemperatureAudit(Result):
    """The result of the audit of a model's temperature.

    Attributes:
        source, run: the data and the settings.
        base: the distribution that weights are compared with, in words.
        users, of_users: users of the audit, and users with training pairs.
        negatives: at the model's temperature; None where its loss has none.
        positives: of a loss with ``tau_pos``, over all training positives of a user.
        others: the negatives of the same model at other temperatures.
        curve: along training; empty for a saved model.
        notes: remarks for a person.
        stopped_by: the signal that ended training early, or 0.
    """

    source: str
    run: Run
    base: str
    users: int
    of_users: int
    negatives: View | None
    positives: View | None
    others: tuple[View, ...]
    curve: tuple[EpochView, ...] = ()
    notes: tuple[str, ...] = ()
    stopped_by: int = 0

    schema: ClassVar[str] = "taurec.audit.temperature/1"

    def title(self) -> str:
        return f"Temperature of {self.run.label} on {self.source}"

    def document(self) -> dict[str, Any]:
        content = dataclasses.asdict(self)
        del content["run"]
        return {**content, "quantiles": list(QUANTILES), "run": self.settings()}

    def verdict(self) -> list[str]:
        """The numbers are medians over users, with the range of the middle 80 % of them."""
        users = f"{self.users:,} of {self.of_users:,} users" if self.users < self.of_users else f"{self.users:,} users"
        if self.negatives is None:
            return [f"The audit covers {users} and {self.run.label} at the given temperatures.", *self.notes]
        n = self.negatives
        said = (
            f"With tau {n.tau:g} a user's gradient is spread over {n.effective.rounded} of {n.count.median:,.0f} "
            f"negatives ({n.effective.range} for 80 % of {users}); the KL radius is {n.radius.median:.2f} nats "
            f"({n.radius.range})."
        )
        if n.own is not None and n.own.median >= 0.005:
            said += f" {100 * n.own.median:.0f} % of the weight lies on the user's own training items."
        if self.positives is not None:
            p = self.positives
            said += (
                f" With tau_pos {p.tau:g} it is spread over {p.effective.rounded} of {p.count.median:,.0f} positives."
            )
        return [said, *self.notes]

    def commands(self) -> list[str]:
        """Train the same model with its temperature chosen on validation."""
        name = None if self.negatives is None else loss_class(self.run.loss.name).temperature
        if name is None or name not in self.run.loss.settings:
            return []
        loss = self.run.loss.model_copy(update={"settings": {**self.run.loss.settings, name: "auto"}})
        return [train_command(self.run.but(loss=loss))]

    def settings(self) -> dict[str, Any]:
        return self.run.model_dump(mode="json")

    def by_tau(self) -> list[View]:
        """The negative side at the model's temperature and at the others, ascending."""
        return sorted([*self.others, *([] if self.negatives is None else [self.negatives])], key=lambda v: v.tau)

    def tables(self) -> list[Table]:
        views = self.by_tau()
        own = [n for n, view in enumerate(views) if view is self.negatives]
        title = f"{self.run.label} on {self.source}: negatives ({self.base})"
        rows = [_row(view, OF_NEGATIVES) for view in views]
        tables = [Table(title, _columns(OF_NEGATIVES), rows, strong=own, section=BY_TAU)]
        if self.positives is not None:
            rows = [_row(self.positives, OF_POSITIVES)]
            tables.append(Table("positives", _columns(OF_POSITIVES), rows, section=POSITIVES))
        if self.curve:
            metrics = [Column(name, spec=".4f") for name in self.curve[0].metrics]
            columns = [Column("epoch"), *metrics, *_columns(OF_EPOCH)]
            columns += [Column("positives")] if self.curve[0].positives else []
            tables.append(Table("along training", columns, [e.row() for e in self.curve], section=ALONG))
        return tables

    def figures(self) -> list[Figure]:
        views, epochs = self.by_tau(), [view.negatives for view in self.curve]
        taus, numbers = [view.tau for view in views], [float(view.epoch) for view in self.curve]
        shown = [name for name in ("effective", "radius", "own") if any(getattr(view, name).mean for view in views)]
        by_tau = [_figure(name, "tau", taus, views) for name in shown if len(views) > 1]
        return by_tau + [_figure(n, "epoch", numbers, epochs) for n in ("effective", "radius", "variance") if epochs]

    def parts(self) -> list[Part]:
        notes = {
            BY_TAU: f"Medians over users; weights are compared with: {self.base}.",
            POSITIVES: "Medians over users, over all their training positives; a batch uses only those in the batch.",
            ALONG: "Medians over users.",
        }
        tables = [dataclasses.replace(t, note=notes[t.section], folded=t.section == ALONG) for t in self.tables()]
        last = [tables.pop()] if self.curve else []
        meaning = Text(
            "A softmax loss with temperature tau trains against the worst distribution of negatives within a certain "
            "distance of the distribution that they are drawn from. A small tau allows a large distance: most of the "
            "gradient comes from a few hard negatives. With a large tau the loss is close to the plain mean, with a "
            "penalty on the variance of the scores.",
            READING,
        )
        terms = Table("", ("column", "what it is"), MEANINGS, section=READING)
        return [*tables, *self.figures(), *last, meaning, terms]


def _columns(names: Sequence[str]) -> list[Column]:
    return [COLUMNS[name] for name in names]


def _row(view: View, names: Sequence[str]) -> list[Cell]:
    return [attrgetter(name)(view) for name in names]


def _figure(measure: str, by: str, x: Sequence[float], views: Sequence[View]) -> Figure:
    """The medians of a measure over the taus or the epochs, with the middle 80 % of the users."""
    values: list[OverUsers] = [getattr(view, measure) for view in views]
    label, tau = CURVES[measure], by == "tau"
    low, high = [v.quantiles[0] for v in values], [v.quantiles[-1] for v in values]
    caption = (
        f"{label[0].upper()}{label[1:]} {'by temperature' if tau else 'after each epoch'}: median over users, with "
        "the range of the middle 80 % of them."
    )
    known = [(a, v.median) for a, v in zip(x, values, strict=True) if math.isfinite(v.median)]
    (first, start), (last, end) = known[0], known[-1]
    return Figure(
        "line",
        [Series(label, x, [v.median for v in values], low, high)],
        "tau (score units)" if tau else by,
        label,
        caption,
        f"{label}: median {start:.3g} at {by} {first:g}, {end:.3g} at {by} {last:g}",
        log_x=tau,
        section=BY_TAU if tau else ALONG,
    )
