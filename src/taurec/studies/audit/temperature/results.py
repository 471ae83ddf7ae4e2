"""The result of the temperature audit: data, tables and sentences."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from taurec.run import Run
from taurec.studies.audit.temperature.reweighting import Array
from taurec.studies.result import Cell, Column, Figure, Part, Result, Series, Table, Text

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
BAND = "median over users, with the range of the middle 80 % of them"

MEANINGS = (
    ("effective", "how many negatives the gradient is spread over: exp of the entropy of the weights"),
    ("of all", "the same as a share of the available negatives: the share of N sampled ones that counts"),
    ("radius", "KL divergence, in nats, of the weights from the distribution negatives are drawn from"),
    ("mean, + variance, + rest", "tau log mean exp(f / tau) = mean f + Var f / (2 tau) + the rest, in score units"),
    ("own", "share of the weight on items of the user's own training pairs, which are no true negatives"),
)

SECTIONS = ("What the temperature stands for", "The positive side", "Along training", "How to read it")


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


@dataclass(frozen=True)
class EpochView:
    """Both sides after an epoch, with the value of the run's metric on validation."""

    epoch: int
    metrics: dict[str, float]
    negatives: View
    positives: View | None


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
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "run"}
        plain = {name: _plain(value) for name, value in content.items()}
        return {**plain, "quantiles": list(QUANTILES), "run": self.run.model_dump(mode="json")}

    def verdict(self) -> list[str]:
        """The numbers are medians over users, with the range of the middle 80 % of them."""
        users = f"{self.users:,} of {self.of_users:,} users" if self.users < self.of_users else f"{self.users:,} users"
        if self.negatives is None:
            return [f"{self.run.label} has no temperature; the audit covers {users}.", *self.notes]
        n, count = self.negatives, self.negatives.count.median
        said = (
            f"With tau {n.tau:g} a user's gradient is spread over {_number(n.effective)} of {count:,.0f} negatives "
            f"({_range(n.effective)} for 80 % of {users}), a KL radius of {n.radius.median:.2f} nats "
            f"({_range(n.radius)})."
        )
        if n.own is not None and n.own.median >= 0.005:
            said += f" {100 * n.own.median:.0f} % of the weight lies on the user's own training items."
        if self.positives is not None:
            p = self.positives
            said += f" With tau_pos {p.tau:g}, {_number(p.effective)} of {p.count.median:,.0f} positives count."
        return [said, *self.notes]

    def settings(self) -> dict[str, Any]:
        return self.run.model_dump(mode="json")

    def by_tau(self) -> list[View]:
        """The negative side at the model's temperature and at the others, ascending."""
        return sorted([*self.others, *([] if self.negatives is None else [self.negatives])], key=lambda v: v.tau)

    def tables(self) -> list[Table]:
        views, columns = self.by_tau(), _columns()
        own = [n for n, view in enumerate(views) if view is self.negatives]
        title = f"{self.run.label} on {self.source}: negatives ({self.base})"
        tables = [Table(title, columns, [_row(v) for v in views], strong=own, section=SECTIONS[0])]
        if self.positives is not None:
            rows = [_row(self.positives)[:-1]]
            tables.append(Table("positives", columns[:-1], rows, section=SECTIONS[1]))
        if self.curve:
            tables.append(self._curve_table())
        return tables

    def figures(self) -> list[Figure]:
        taus = [view.tau for view in self.by_tau()]
        made = []
        for name, label in (
            ("effective", "effective number of negatives"),
            ("radius", "KL radius (nats)"),
            ("own", "share of weight on own items"),
        ):
            values = [value for view in self.by_tau() if (value := getattr(view, name)) is not None]
            if len(taus) > 1 and len(values) == len(taus) and any(value.mean for value in values):
                made.append(_figure(label, "tau", "tau (score units)", taus, values, SECTIONS[0]))
        epochs = [float(view.epoch) for view in self.curve]
        for name, label in (
            ("effective", "effective number of negatives"),
            ("radius", "KL radius (nats)"),
            ("variance", "variance of the scores of negatives"),
        ):
            if epochs:
                values = [getattr(view.negatives, name) for view in self.curve]
                made.append(_figure(label, "epoch", "epoch", epochs, values, SECTIONS[2]))
        return made

    def parts(self) -> list[Part]:
        base = f"Medians over users; weights are compared with: {self.base}."
        pooled = "Medians over users, over all their training positives; a batch pools those that it holds."
        notes = {SECTIONS[0]: base, SECTIONS[1]: pooled, SECTIONS[2]: "Medians over users."}
        tables = [dataclasses.replace(t, note=notes[t.section], folded=t.section == SECTIONS[2]) for t in self.tables()]
        made: list[Part] = [*tables[:-1], *self.figures(), tables[-1]] if self.curve else [*tables, *self.figures()]
        meaning = Text(
            "A softmax loss with temperature tau trains against the worst distribution of negatives within some "
            "distance of the one they are drawn from. A small tau allows a large distance: few hard negatives carry "
            "the gradient. A large tau comes near the plain mean, with a penalty on the variance of the scores.",
            SECTIONS[3],
        )
        return [*made, meaning, Table("", ("column", "what it is"), MEANINGS, section=SECTIONS[3])]

    def _curve_table(self) -> Table:
        first, four = self.curve[0], [Column(name, spec=".4f") for name in self.curve[0].metrics]
        positives = [Column("positives")] if first.positives is not None else []
        measures = [Column("effective"), Column("radius", spec=".3f"), Column("variance", spec=".4f")]
        columns = [Column("epoch"), *four, *measures, Column("own", spec=".1%"), *positives]
        rows: list[list[Cell]] = [
            [
                e.epoch,
                *e.metrics.values(),
                _number(e.negatives.effective),
                e.negatives.radius.median,
                e.negatives.variance.median,
                "-" if e.negatives.own is None else e.negatives.own.median,
                *([] if e.positives is None else [_number(e.positives.effective)]),
            ]
            for e in self.curve
        ]
        return Table("along training", columns, rows, section=SECTIONS[2])


def _columns() -> list[Column]:
    three = [Column(name, spec=".3f") for name in ("radius", "mean", "+ variance", "+ rest")]
    return [
        Column("tau", spec="g"),
        Column("effective"),
        Column("of all", spec=".1%"),
        *three,
        Column("own", spec=".1%"),
    ]


def _row(v: View) -> list[Cell]:
    """A view as medians over users."""
    return [
        v.tau,
        _number(v.effective),
        *(x.median for x in (v.share, v.radius, v.mean, v.variance_term, v.remainder)),
        "-" if v.own is None else v.own.median,
    ]


def _figure(label: str, what: str, axis: str, x: Sequence[float], values: Sequence[OverUsers], section: str) -> Figure:
    bounds = [v.quantiles[0] for v in values], [v.quantiles[-1] for v in values]
    series = Series(label, x, [v.median for v in values], *bounds)
    caption = f"{label[0].upper()}{label[1:]} {'by temperature' if what == 'tau' else 'after each epoch'}: {BAND}."
    known = [(a, v.median) for a, v in zip(x, values, strict=True) if math.isfinite(v.median)]
    (first, low), (last, high) = known[0], known[-1]
    alt = f"{label}: median {low:.3g} at {what} {first:g}, {high:.3g} at {what} {last:g}"
    return Figure("line", [series], axis, label, caption, alt, log_x=what == "tau", section=section)


def _number(of: OverUsers) -> str:
    return f"{of.median:,.0f}" if of.median >= 100 else f"{of.median:.3g}"


def _range(of: OverUsers) -> str:
    low, high = of.quantiles[0], of.quantiles[-1]
    return f"{low:,.0f} to {high:,.0f}" if high >= 100 else f"{low:.3g} to {high:.3g}"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return dict(value) if isinstance(value, dict) else value
