"""Evaluation: metrics as values, exact top-K lists over the whole catalogue, confidence intervals and paired tests."""

from taurec.evaluation.metrics import DEFAULT_METRICS, METRICS, Metric, parse, parse_all
from taurec.evaluation.significance import (
    Interval,
    Paired,
    Spread,
    bootstrap,
    bootstrap_all,
    bootstrap_difference,
    chance_of_best,
    compare_paired,
    holm,
    over_seeds,
)

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "Interval",
    "Metric",
    "Paired",
    "Spread",
    "bootstrap",
    "bootstrap_all",
    "bootstrap_difference",
    "chance_of_best",
    "compare_paired",
    "holm",
    "over_seeds",
    "parse",
    "parse_all",
]
