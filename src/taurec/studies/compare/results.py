"""What a comparison finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from taurec.data.split import Split
from taurec.evaluation.significance import Interval, Paired, Spread
from taurec.recommender import Recommender
from taurec.run import Run


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
        tried: how many settings validation chose from.
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
        """Whether it learns by a loss; a baseline does not."""
        return self.run.model is None


@dataclass(frozen=True)
class Versus:
    """The trained model and the baseline that validation prefers, compared once on the test part.

    Both were chosen without the test part, so the test of their difference needs no correction.
    """

    trained: str
    baseline: str
    paired: Paired
    """On the selection metric, trained minus baseline."""


@dataclass(frozen=True)
class Comparison:
    """The rows in the order asked for, and what they were judged by."""

    source: str
    rows: list[Row]
    metric: str
    seeds: int
    n_users: int
    split: Split
    chosen: Recommender
    """The fitted model with the highest validation value: the one to use. Test data had no say in it."""
    models: Mapping[str, Recommender] = field(default_factory=dict)
    """Label -> the model with its chosen setting, of the first seed."""
    versus: Versus | None = None
    """None where no model was trained."""
    notes: list[str] = field(default_factory=list)
    """Remarks, such as on a model of which nothing was varied."""

    @property
    def best(self) -> Row:
        """The row with the highest test value of the selection metric: a finding, not a choice."""
        return max(self.rows, key=lambda row: row.metrics[self.metric].mean)

    def row(self, label: str) -> Row:
        """The row of a model."""
        return next(row for row in self.rows if row.label == label)
