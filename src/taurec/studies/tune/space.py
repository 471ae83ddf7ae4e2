"""The search space of ``taurec tune``, from the grids that a loss, a backbone and a negative sampler declare."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from taurec.errors import UsageError

if TYPE_CHECKING:
    import optuna

    from taurec.run import Run

LR_FACTOR = 10.0
"""The learning rate is searched from the preset's value divided by this factor to that value times this factor."""
DIGITS = 4
"""Number of significant digits of the values that are tried."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones if both are int.

    Attributes:
        low, high: the ends.
        log: whether they are searched on a logarithmic scale.
    """

    low: float
    high: float
    log: bool

    def suggest(self, trial: optuna.trial.Trial, name: str) -> float:
        """A value as Optuna stores it."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def value(self, stored: float) -> float:
        """The value of the run."""
        return stored if isinstance(stored, int) else _rounded(stored)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', logarithmic' if self.log else ''}"


@dataclass(frozen=True)
class Categories:
    """A few values without an order; Optuna stores them as text."""

    values: tuple[Any, ...]

    def suggest(self, trial: optuna.trial.Trial, name: str) -> str:
        return trial.suggest_categorical(name, [str(value) for value in self.values])

    def value(self, stored: str) -> Any:
        return next(value for value in self.values if str(value) == stored)

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


Space = Mapping[str, Range | Categories]


def search_space(preset: Run, given: Mapping[str, Any]) -> dict[str, Range | Categories]:
    """Setting -> its domain: the grids of the loss, backbone and negative sampler, and the learning rate.

    Args:
        preset: the run with every setting; its values are inside the domains.
        given: what the user gave, as for :func:`taurec.training.presets.resolve`; it is not varied.

    >>> from taurec.training.presets import resolve
    >>> space = search_space(resolve(loss="sl"), {"negatives": "uniform:256"})
    >>> {name: str(domain) for name, domain in space.items()}
    {'lr': '0.001 to 0.1, logarithmic', 'loss.tau': '0.025 to 0.4, logarithmic'}
    """
    from taurec.backbones import backbone_class
    from taurec.losses import loss_class
    from taurec.sampling import sampler_grid
    from taurec.training.presets import REGISTRIES

    grids = {"lr": [preset.lr / LR_FACTOR * 2, preset.lr * LR_FACTOR / 2]}
    grids |= loss_class(preset.loss.name).grid() | backbone_class(preset.backbone.name).grid()
    grids |= sampler_grid(preset.negatives.name)
    fixed = {*given, *(f"{part}.{key}" for part, values in dict(given.get("settings") or {}).items() for key in values)}
    for part in {"loss", "backbone", "negatives"} & given.keys():
        fixed |= {f"{part}.{key}" for key in REGISTRIES[part].read(given[part])[1]}
    return {name: _domain(preset, name, values) for name, values in grids.items() if name not in fixed}


def _domain(preset: Run, name: str, grid: Sequence[Any]) -> Range | Categories:
    """From half of the least value to twice the largest, where the run accepts them; other values are categories."""
    values = list(dict.fromkeys([*grid, value_of(preset, name)]))
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values) or len(set(grid)) < 2:
        return Categories(tuple(values))
    whole = all(isinstance(v, int) for v in values)
    least, largest = min(values), max(values)
    low: float = max(min(least, 1), least // 2) if whole else _rounded(min(grid) / 2)
    high: float = 2 * max(grid) if whole else _rounded(2 * max(grid))
    ends = (min(low, least), least), (max(high, largest), largest)
    low, high = (wide if _accepted(preset, name, wide) else narrow for wide, narrow in ends)
    return Range(low, high, _geometric(sorted(set(grid))))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _geometric(grid: Sequence[float]) -> bool:
    """Whether the ratios of neighbours are at least as even as their differences.

    >>> [_geometric(grid) for grid in ([0.05, 0.1, 0.2], [20, 50, 200], [0.2, 0.4, 0.6, 0.8], [1, 2, 3])]
    [True, True, False, False]
    """
    if grid[0] <= 0:
        return False

    def unevenness(values: Sequence[float]) -> float:
        steps = [b - a for a, b in pairwise(values)]
        return max(steps) / min(steps)

    return unevenness([math.log(v) for v in grid]) <= unevenness(grid) * (1 + 1e-9)


def value_of(run: Run, name: str) -> Any:
    """The value of a run field, or of ``part.setting``."""
    part, dot, key = name.partition(".")
    return getattr(run, part).settings.get(key) if dot else getattr(run, name)


def with_values(run: Run, values: Mapping[str, Any]) -> Run:
    """The run with other values of some fields and ``part.setting``s, checked.

    >>> from taurec.training.presets import resolve
    >>> with_values(resolve(loss="sl"), {"lr": 0.02, "loss.tau": 0.3}).loss.settings["tau"]
    0.3
    """
    from taurec.training.presets import resolve

    fields = {name: getattr(run, name) for name in type(run).model_fields}
    for name, value in values.items():
        part, dot, key = name.partition(".")
        old = fields[part]
        fields[part] = old.model_copy(update={"settings": {**old.settings, key: value}}) if dot else value
    return resolve(**fields)


def _accepted(run: Run, name: str, value: Any) -> bool:
    try:
        with_values(run, {name: value})
    except UsageError:
        return False
    return True


def settings_text(values: Mapping[str, Any]) -> str:
    """Settings in one line.

    >>> settings_text({"lr": 0.02, "loss.tau": 0.1, "negatives.n": 256})
    'lr 0.02, loss.tau 0.1, negatives.n 256'
    """
    return ", ".join(f"{name} {value_text(value)}" for name, value in values.items())


def value_text(value: Any) -> str:
    """A value of a setting."""
    return f"{value:g}" if isinstance(value, float) else str(value)
