"""Parts that the results of studies with fitted models share: metrics with intervals, learning curves, plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from taurec.studies.result import Cell, Column, Figure, Result, Series, ShownModels, Value
from taurec.studies.words import number

if TYPE_CHECKING:
    from taurec.evaluation.significance import Interval
    from taurec.recommender import Recommender


class ChosenModel(Result):
    """A dataclass that names one model to use; its document has every field, and ``words`` and ``command``."""

    keys: ClassVar[Mapping[str, str]]
    """Field -> its key in the document, if that is not the field's name; an empty key leaves the field out."""
    chosen: Recommender

    def settings(self) -> dict[str, Any]:
        return self.chosen.run.model_dump(mode="json")

    def rankers(self) -> ShownModels | None:
        return ShownModels({self.chosen.run.label: self.chosen.ranker}, self.chosen.split)

    def document(self) -> dict[str, Any]:
        named = {self.keys.get(name, name): value for name, value in vars(self).items()}
        shown = {key: plain(value) for key, value in named.items() if key}
        return {**shown, "words": self.verdict(), "command": self.commands()[0]}


def plain(value: Any) -> Any:
    """A value as a document holds it: a dataclass by its fields, a run as in ``run.json``, a model as its run.

    >>> from taurec.evaluation.significance import Interval, Paired
    >>> plain({"ease": (Paired(Interval(0.1, 0.0, 0.2), 0.04, 50), None)})
    {'ease': [{'difference': {'mean': 0.1, 'low': 0.0, 'high': 0.2}, 'p_value': 0.04, 'users': 50}, None]}
    """
    from taurec.evaluation.significance import Paired
    from taurec.recommender import Recommender
    from taurec.run import Run

    if isinstance(value, Recommender):
        return plain(value.run)
    if isinstance(value, Run):
        return value.model_dump(mode="json")
    if isinstance(value, Paired):
        return {"difference": plain(value.difference), "p_value": value.p_value, "users": value.n_users}
    if is_dataclass(value):
        return plain(vars(value))
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def metric_columns(metrics: Sequence[str]) -> list[Column]:
    return [Column(name, better="higher") for name in metrics]


def metric_cells(values: Mapping[str, Interval], metrics: Sequence[str]) -> list[Cell]:
    """The values of some metrics, with their intervals."""
    return [Value(v.mean, v.low, v.high) for v in (values[name] for name in metrics)]


def metric_figure(values: Mapping[str, Interval], metric: str, caption: str, section: str) -> Figure:
    """A metric of several models on the test part, with intervals."""
    series = Series.of(metric, list(values), [Value(v.mean, v.low, v.high) for v in values.values()])
    alt = ", ".join(f"{label} {number(v.mean)}" for label, v in values.items())
    return Figure("interval", [series], f"{metric} on test", "", caption, alt, section=section)


def learning_curve(label: str, model: Recommender, metric: str) -> Series:
    """The metric on validation after each epoch that was evaluated."""
    records = [r for r in model.records if metric in r.metrics]
    return Series(label, [float(r.epoch) for r in records], [r.metrics[metric] for r in records])
