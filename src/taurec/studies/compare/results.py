"""The result of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from taurec.data.split import Split
from taurec.evaluation.significance import Interval, Paired, Spread
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.compare import page, tables
from taurec.studies.compare.front import COSTS, on_front
from taurec.studies.compare.verdict import verdict
from taurec.studies.result import Figure, Part, Result, ShownModels, Table


@dataclass(frozen=True)
class Row:
    """One model of a comparison.

    Attributes:
        label: ``ease`` or ``mf:bsl``.
        run: the settings chosen on validation.
        valid: the selection metric on validation, mean over seeds.
        metrics: test metric -> mean over users (and seeds) with its 95 % bootstrap interval over users.
        p_value: of the paired sign-flip test against the best row on the selection metric, corrected
            by Holm for the number of rows; None for the best row itself.
        epochs: until the best epoch, first seed; 0 for a baseline.
        seconds: to fit the chosen setting once, validation included.
        tune_seconds: for all settings and seeds together.
        tried: number of settings that validation chose from.
        peak_mb: the largest growth of the process's memory while fitting; None where it cannot be read.
        spread: test metric -> mean and standard deviation over seeds; the deviation is None for one seed, and for
            a model without random draws.
    """

    label: str
    run: Run
    valid: float
    metrics: dict[str, Interval]
    p_value: float | None
    epochs: int
    seconds: float
    tune_seconds: float
    tried: int
    peak_mb: float | None
    spread: dict[str, Spread] = field(default_factory=dict)

    @property
    def trained(self) -> bool:
        """Whether it is trained with a loss; a baseline is not."""
        return self.run.model is None

    @property
    def has_settings(self) -> bool:
        """Whether there is anything to choose; popularity has no setting."""
        return self.run.model is None or bool(self.run.model.settings)


@dataclass(frozen=True)
class PairedTest:
    """The best trained model and the best baseline by validation, compared once on the test part.

    Both were chosen without the test part, so the test of their difference needs no correction.
    """

    trained: str
    baseline: str
    paired: Paired
    """On the selection metric, trained minus baseline."""


@dataclass(frozen=True)
class Comparison(Result):
    """Models compared on one split of a log.

    Attributes:
        source: name of the data.
        rows: the models, in the order asked for.
        metric: chose settings and epochs on validation.
        seeds: number of seeds of each trained model.
        n_users: users with test items.
        split: the parts of the log.
        chosen: the fitted model with the highest validation value: the one to use. Test data did not choose it.
        models: label -> the model with its chosen setting, of the first seed.
        versus: the best trained model against the best baseline; None where no model was trained.
        shown: the metrics of the table in a terminal; all of a row if empty.
        notes: remarks, such as on a model of which nothing was varied.
    """

    schema: ClassVar[str] = "taurec.compare/1"
    source: str
    rows: list[Row]
    metric: str
    seeds: int
    n_users: int
    split: Split
    chosen: Recommender
    models: Mapping[str, Recommender] = field(default_factory=dict)
    versus: PairedTest | None = None
    shown: tuple[str, ...] = ()
    notes: Sequence[str] = ()

    @property
    def best(self) -> Row:
        """The row with the highest test value of the selection metric: a finding, not a choice."""
        return max(self.rows, key=lambda row: row.metrics[self.metric].mean)

    @property
    def chosen_label(self) -> str:
        """The label of :attr:`chosen` in the rows."""
        labels = (label for label, model in self.models.items() if model is self.chosen)
        return next(labels, self.chosen.run.label)

    def row(self, label: str) -> Row:
        """The row of a model."""
        return next(row for row in self.rows if row.label == label)

    def title(self) -> str:
        return f"Models compared on {self.source}"

    def verdict(self) -> list[str]:
        return verdict(self)

    def tables(self) -> list[Table]:
        return [tables.ranking(self, self.shown or list(self.rows[0].metrics))]

    def figures(self) -> list[Figure]:
        return page.figures(self)

    def parts(self) -> list[Part]:
        """Among others how groups of users and items are served, which is computed by this call."""
        protocol: list[Part] = [page.protocol(self), tables.settings_table(self)]
        return [*self.figures(), *tables.page_tables(self), *page.served(self), *protocol]

    def settings(self) -> dict[str, Any]:
        return self.chosen.run.model_dump(mode="json")

    def rankers(self) -> ShownModels:
        return ShownModels({label: self.models[label].ranker for label in page.shown_models(self)}, self.split)

    def document(self) -> dict[str, Any]:
        versus = self.versus
        return {
            "source": self.source,
            "split": self.split.how,
            "chosen_by": self.metric,
            "seeds": self.seeds,
            "users": self.n_users,
            "best": self.best.label,
            "chosen": self.chosen_label,
            "front": {cost: on_front(self.rows, self.metric, (cost,)) for cost in COSTS},
            "trained_against_baseline": versus
            and {
                "trained": versus.trained,
                "baseline": versus.baseline,
                "difference": vars(versus.paired.difference),
                "p_value": versus.paired.p_value,
            },
            "words": self.verdict(),
            "rows": [
                {
                    **{name: getattr(row, name) for name in _ROW_FIELDS},
                    "metrics": {name: vars(value) for name, value in row.metrics.items()},
                    "spread": {name: vars(value) for name, value in row.spread.items()},
                    "run": row.run.model_dump(mode="json"),
                }
                for row in self.rows
            ],
        }


_ROW_FIELDS = ("label", "valid", "p_value", "epochs", "seconds", "tune_seconds", "tried", "peak_mb")
