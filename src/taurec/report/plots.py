"""Plots as SVG text for a page, in the page's colours.

Axes and text are ``currentColor`` without a background, so they follow light, dark and print. Each series has a colour
of the palette of Okabe and Ito (distinguishable with all common kinds of colour blindness) and a distinct marker, dash
or hatch, so that series differ without colour too. Letters stay text, and equal input gives equal bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from taurec.errors import UsageError
from taurec.report.extras import require
from taurec.studies.result import Figure, Series

INK = "#010203"
"""Placeholder for ``currentColor`` while matplotlib draws; not a colour of the palette."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
"""Okabe and Ito (2008) without yellow, which is hard to see on white; black is the text colour of the page."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1)), (0, (8, 3)), (0, (2, 3)))
HATCHES = ("", "///", "---", "xxx", "\\\\\\", "|||", "+++")

WIDTH = 5.2
"""Inches: letters of 10 points stay readable where a phone shows the plot at 360 pixels."""
LEGEND_ROW = 0.19
"""Inches of a row of the legend."""


def draw(figure: Figure) -> str:
    """The SVG of a figure given as data.

    >>> draw(Figure("scatter", [Series("ease", [1.5], [0.3])], "fit (s)", "ndcg@20", log_x=True)).startswith("<svg")
    True
    """
    series, x_label, y_label = figure.series, figure.x_label, figure.y_label
    if figure.kind == "line":
        return line_plot(series, x_label=x_label, y_label=y_label, log_x=figure.log_x)
    if figure.kind == "bar":
        groups = [str(x) for x in series[0].x]
        return bar_plot(groups, {s.label: s.y for s in series}, x_label=x_label, y_label=y_label)
    if figure.kind == "interval":
        (one,) = series
        low, high = one.low or one.y, one.high or one.y
        return interval_plot([str(x) for x in one.x], one.y, low, high, x_label=x_label)
    x, y = [float(s.x[0]) for s in series], [s.y[0] for s in series]
    return scatter_plot([s.label for s in series], x, y, x_label=x_label, y_label=y_label, log_x=figure.log_x)


def line_plot(series: Sequence[Series], *, x_label: str, y_label: str, title: str = "", log_x: bool = False) -> str:
    """Lines with markers, and their bands where they have bounds.

    Args:
        series: drawn in this order; the seventh repeats no colour, the eighth repeats the first.
        x_label, y_label: with the unit where there is one.
        log_x: a logarithmic x axis; UsageError if an x is not above 0.

    >>> line_plot([Series("sl", [0, 1], [0.3, 0.2])], x_label="noise", y_label="ndcg@20").startswith("<svg")
    True
    """
    if log_x:
        _positive([float(x) for s in series for x in s.x])
    with _axes(3.3, x_label, y_label, title) as (figure, axes, out):
        for n, s in enumerate(series):
            style = {"color": _of(COLOURS, n), **_form(n)}
            if s.low is not None and s.high is not None:
                axes.fill_between(s.x, s.low, s.high, color=style["color"], alpha=0.16, linewidth=0)
            axes.plot(s.x, s.y, label=_legend(s.label), markersize=4.5, linewidth=1.6, **style)
        if log_x:
            _logarithmic(axes)
        _legend_below(figure, axes, len(series))
    return out[0]


def bar_plot(
    groups: Sequence[str], values: Mapping[str, Sequence[float]], *, x_label: str, y_label: str, title: str = ""
) -> str:
    """Groups of bars side by side; each group has one bar for each name in ``values``.

    Raises: UsageError if a name has not one value a group.

    >>> bar_plot(["tail", "head"], {"sl": [0.1, 0.3]}, x_label="items", y_label="recall@20").count("<svg")
    1
    """
    for name, of in values.items():
        _equal_lengths(f"bars {name!r}", groups, of)
    with _axes(3.3, x_label, y_label, title, grid="y") as (figure, axes, out):
        width = 0.8 / max(len(values), 1)
        for n, (name, of) in enumerate(values.items()):
            places = [g + (n - (len(values) - 1) / 2) * width for g in range(len(groups))]
            axes.bar(
                places, of, width * 0.92, label=_legend(name), color=_of(COLOURS, n), hatch=_of(HATCHES, n),
                edgecolor=INK, linewidth=0.4,
            )  # fmt: skip
        longest = max((len(g) for g in groups), default=0)
        turned = longest * len(groups) > 55
        if turned:
            figure.set_figheight(3.3 + 0.05 * longest)
        axes.set_xticks(range(len(groups)), groups, rotation=40 if turned else 0, ha="right" if turned else "center")
        _legend_below(figure, axes, len(values))
    return out[0]


def interval_plot(
    labels: Sequence[str],
    mean: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    *,
    x_label: str,
    title: str = "",
) -> str:
    """One row per label, the first on top: a point with its interval; a dotted line at 0 where bounds have both signs.

    >>> interval_plot(["sl", "bsl"], [0.2, 0.3], [0.1, 0.2], [0.3, 0.4], x_label="ndcg@20").count("<svg")
    1
    """
    _equal_lengths("the interval plot", labels, mean, low, high)
    with _axes(0.9 + 0.3 * max(len(labels), 2), x_label, "", title, grid="x") as (_, axes, out):
        for n, (m, a, b) in enumerate(zip(mean, low, high, strict=True)):
            axes.plot([a, b], [n, n], color=COLOURS[0], linewidth=2.2, solid_capstyle="butt")
            axes.plot([m], [n], color=COLOURS[0], marker="o", markersize=5.5)
        if min(low, default=0.0) < 0 < max(high, default=0.0):
            axes.axvline(0, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    return out[0]


def scatter_plot(
    labels: Sequence[str],
    x: Sequence[float],
    y: Sequence[float],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    title: str = "",
) -> str:
    """Points with their names next to them, placed so that names do not overlap where there is room.

    >>> "ease" in scatter_plot(["ease"], [1.5], [0.3], x_label="fit (s)", y_label="ndcg@20", log_x=True)
    True
    """
    _equal_lengths("the scatter plot", labels, x, y)
    if log_x:
        _positive(x)
    with _axes(3.3, x_label, y_label, title) as (figure, axes, out):
        for n, (a, b) in enumerate(zip(x, y, strict=True)):
            axes.plot([a], [b], linestyle="", color=_of(COLOURS, n), marker=_form(n)["marker"], markersize=7)
        if log_x:
            _logarithmic(axes)
        axes.margins(0.14)
        _name_points(figure, axes, labels, x, y)
    return out[0]


@contextlib.contextmanager
def _axes(
    height: float, x_label: str, y_label: str, title: str, grid: Any = "both"
) -> Iterator[tuple[Any, Any, list[str]]]:
    """A figure and its axes; on leaving, its SVG is the one entry of the list."""
    require("matplotlib")
    import matplotlib
    from matplotlib.figure import Figure

    rules = {
        "svg.fonttype": "none", "svg.hashsalt": "taurec", "svg.id": None, "text.parse_math": False, "font.size": 10,
        "font.family": ["DejaVu Sans"], "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK,
        "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
        "axes.titlesize": 11, "axes.linewidth": 0.8, "hatch.linewidth": 0.5, "axes.unicode_minus": False,
    }  # fmt: skip
    out: list[str] = []
    known: dict[Any, Any] = {name: value for name, value in rules.items() if name in matplotlib.rcParams}
    with matplotlib.rc_context(known), warnings.catch_warnings():
        # a letter missing in the font is measured too narrow or too wide; the browser has it
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set(xlabel=x_label, ylabel=y_label, title=title)
        if grid:
            axes.grid(axis=grid, color=INK, alpha=0.13, linewidth=0.7)
            axes.set_axisbelow(True)
        yield figure, axes, out
        stream = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    out.append(_inline(stream.getvalue()))


def _logarithmic(axes: Any) -> None:
    """A logarithmic x axis with plain numbers; a short range shows more of them between powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    left, right = axes.get_xlim()
    span = right / left
    subs = range(1, 10) if span < 6 else (1, 2, 5) if span < 200 else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=[float(sub) for sub in subs]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _inline(svg: str) -> str:
    """matplotlib's file as an element of a page: in its text colour, with unique ids, as wide as its container."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)  # it would style the page
    svg = svg.replace(INK, "currentColor").replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    own = "p" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{own}-", svg)
    head, rest = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} width="100%" stroke-linejoin="round">{rest}'


def _name_points(figure: Any, axes: Any, labels: Sequence[str], x: Sequence[float], y: Sequence[float]) -> None:
    """Write each name at the first free of eight positions around its point."""
    figure.draw_without_rendering()
    points = [tuple(axes.transData.transform((a, b)) * 72 / figure.dpi) for a, b in zip(x, y, strict=True)]
    window = axes.get_window_extent()
    left, right = window.x0 * 72 / figure.dpi, window.x1 * 72 / figure.dpi
    taken = [(px - 5, py - 5, px + 5, py + 5) for px, py in points]
    for n, (label, (px, py)) in enumerate(zip(labels, points, strict=True)):
        wide, high = 5.6 * len(label), 10.0
        places = [
            (7, -4),
            (-7 - wide, -4),
            (-wide / 2, 7),
            (-wide / 2, -16),
            (6, 6),
            (6, -15),
            (-6 - wide, 6),
            (-6 - wide, -15),
        ]
        boxes = [(px + dx, py + dy, px + dx + wide, py + dy + high) for dx, dy in places]
        inside = [b for b in boxes if b[0] >= left and b[2] <= right] or boxes
        others = taken[:n] + taken[n + 1 :]
        box = min(inside, key=lambda b: sum(_overlap(b, t) for t in others))  # the first of the best
        taken.append(box)
        axes.annotate(
            label, (x[n], y[n]), xytext=(box[0] - px, box[1] - py + 2), textcoords="offset points", fontsize=9
        )


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _legend_below(figure: Any, axes: Any, n: int) -> None:
    if n > 1:
        handles, names = axes.get_legend_handles_labels()
        longest = max(len(name) for name in names)
        columns = max(1, min(n, 4, 52 // (longest + 6)))
        # further rows make the figure higher, not the axes lower: these must hold the name of y
        figure.set_figheight(figure.get_figheight() + LEGEND_ROW * (math.ceil(n / columns) - 1))
        figure.legend(
            handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=9, handlelength=3
        )


def _legend(label: str) -> str:
    return f" {label}" if label.startswith("_") else label  # matplotlib hides names that begin so


def _form(n: int) -> dict[str, Any]:
    """Marker and dashes of the n-th series; they shift where colours repeat, so that no two series look the same."""
    n += n // len(COLOURS)
    return {"marker": _of(MARKERS, n), "linestyle": _of(DASHES, n)}


def _of(entries: Sequence[Any], n: int) -> Any:
    return entries[n % len(entries)]


def _equal_lengths(what: str, *columns: Sequence[Any]) -> None:
    if len({len(c) for c in columns}) > 1:
        raise UsageError(
            f"{what}: columns of {', '.join(str(len(c)) for c in columns)} values; they must be equally long"
        )


def _positive(x: Sequence[float]) -> None:
    if any(not value > 0 for value in x if not math.isnan(value)):
        raise UsageError(f"a logarithmic axis needs values above 0, got {min(x):g}; use log_x=False")
