"""The result of a study: an answer in sentences, tables and figures as plain data.

A result knows no terminal, page or file format. The faces in :mod:`taurec.report` render every result alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from taurec.errors import TaurecError, UsageError

if TYPE_CHECKING:
    from taurec.data.split import Split
    from taurec.ranker import Ranker

Better = Literal["", "higher", "lower"]
Kind = Literal["line", "interval", "bar", "scatter"]


@dataclass(frozen=True)
class Value:
    """A cell with an interval: a mean and its 95 % bounds, None where there are none."""

    mean: float
    low: float | None = None
    high: float | None = None


Cell = str | int | float | bool | Value | None


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: the heading; empty is allowed.
        unit: of the numbers. ``s`` is shown as a duration, any other unit behind the heading.
        better: whether a higher or a lower number is the better one.
        spec: format of the numbers, such as ``.3f`` or ``.1%``; four digits if empty.
        whole: whether its texts are never broken into lines; numbers never are.
        dim: whether it is of lesser importance.
    """

    name: str
    unit: str = ""
    better: Better = ""
    spec: str = ""
    whole: bool = False
    dim: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of plain values; rounding is done where the table is shown.

    Attributes:
        title: what the rows are.
        columns: as :class:`Column`, or a heading alone.
        rows: one cell per column.
        note: what the reader must know, such as what a column means.
        strong: indices of the rows to emphasise.
        section: the heading of a page that it goes under.
        folded: whether it is supporting detail: behind its title on a page, left out of a terminal.
        narrow: what a narrow terminal leaves out, one step after the other until the table fits. A step names
            columns; ``"± NAME"`` leaves out only the interval of a column.
    Raises: UsageError if a row does not have one cell per column.
    """

    title: str
    columns: Sequence[Column | str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    strong: Collection[int] = ()
    section: str = ""
    folded: bool = False
    narrow: Sequence[Sequence[str]] = ()

    def __post_init__(self) -> None:
        for n, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise UsageError(f"row {n} of {self.title!r} has {len(row)} cells for {len(self.columns)} columns")

    @property
    def heads(self) -> list[Column]:
        """All columns as :class:`Column`."""
        return [Column(c) if isinstance(c, str) else c for c in self.columns]


@dataclass(frozen=True)
class Series:
    """One line, set of bars, or point of a figure.

    Attributes:
        label: its name.
        x: numbers; of bars and intervals, the names of the groups.
        y: as many values as ``x``; NaN leaves a gap.
        low, high: bounds of a band or an interval around ``y``, both or neither.
    Raises: UsageError if the lengths differ.
    """

    label: str
    x: Sequence[float | str]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise UsageError(f"series {self.label!r} has one bound; give low and high, or neither")
        columns = [self.x, self.y, self.low or self.y, self.high or self.y]
        if len({len(c) for c in columns}) > 1:
            lengths = ", ".join(str(len(c)) for c in columns)
            raise UsageError(f"series {self.label!r}: columns of {lengths} values; they must be equally long")

    @classmethod
    def of(cls, label: str, x: Sequence[float | str], values: Sequence[Value]) -> Series:
        """From values with intervals; without a band if none of them has bounds."""
        y = [v.mean for v in values]
        if all(v.low is None for v in values):
            return cls(label, x, y)
        low = [v.mean if v.low is None else v.low for v in values]
        return cls(label, x, y, low, [v.mean if v.high is None else v.high for v in values])


@dataclass(frozen=True)
class Figure:
    """A plot as data.

    Attributes:
        kind: ``line``, ``bar`` (groups side by side), ``interval`` (one series, a row per group), or ``scatter`` (a
            series per point, with its label next to it).
        series: what is drawn, in this order.
        x_label, y_label: with the unit.
        caption: what it shows.
        alt: the finding, for a reader who does not see it.
        log_x: whether the x axis is logarithmic.
        section: the heading of a page that it goes under.
    """

    kind: Kind
    series: Sequence[Series]
    x_label: str
    y_label: str = ""
    caption: str = ""
    alt: str = ""
    log_x: bool = False
    section: str = ""


@dataclass(frozen=True)
class Text:
    """Paragraphs of a page, separated by empty lines."""

    text: str
    section: str = ""


Part = Table | Figure | Text


@dataclass(frozen=True)
class ShownModels:
    """Models that a page lets the reader try.

    Attributes:
        rankers: label -> a fitted model; a page has room for the first two.
        split: what they were fitted to; a few of its test users are shown with their lists.
    """

    rankers: Mapping[str, Ranker]
    split: Split


class Result(ABC):
    """The answer of a study.

    A study needs :attr:`schema`, :meth:`title`, :meth:`document`, :meth:`verdict` and :meth:`tables`; the rest has
    defaults.
    """

    schema: ClassVar[str]
    """Name and version of :meth:`document`, such as ``taurec.audit.temperature/1``."""
    stopped_by: int = 0
    """The signal that ended the study early, or 0."""

    @abstractmethod
    def title(self) -> str:
        """A short title."""

    @abstractmethod
    def document(self) -> dict[str, Any] | list[Any]:
        """Everything, as plain values; a list has no place for the name of its schema."""

    @abstractmethod
    def verdict(self) -> list[str]:
        """The answer first, then how certain it is, then what to do next."""

    @abstractmethod
    def tables(self) -> Sequence[Table]:
        """The tables that belong to the answer, the most important first."""

    def figures(self) -> Sequence[Figure]:
        """The figures that belong to the answer."""
        return ()

    def parts(self) -> Sequence[Part]:
        """The content of a page, in order; by default the figures and the tables."""
        return [*self.figures(), *self.tables()]

    def commands(self) -> Sequence[str]:
        """Next command lines; each is shown on one line to copy."""
        return ()

    def settings(self) -> Mapping[str, Any]:
        """The settings of the study, for the end of a page; nested mappings are allowed."""
        return {}

    def rankers(self) -> ShownModels | None:
        """Models for a page's lists and its try-it panel."""
        return None


class Interrupted(TaurecError):
    """A signal ended a study; the message says what is kept. The exit code is 128 plus the signal."""

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.signum = signum
