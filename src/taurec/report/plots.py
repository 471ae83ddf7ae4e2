"""Plots as SVG text for a page, in the page's colours.

Axes and text are ``currentColor`` without a background, so they follow light, dark and print. Each series has a colour
of the palette of Okabe and Ito (distinguishable with all common kinds of colour blindness) and a distinct marker, dash
or hatch, so that series differ without colour too. Letters stay text, and equal input gives equal bytes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import re
import warnings
from collections.abc import Callable
from typing import Any, Literal

from taurec.errors import UsageError
from taurec.studies.result import Figure

PACKAGES = ("matplotlib", "jinja2")
"""Those of the extra ``report``."""

INK = "#010203"
"""Placeholder for ``currentColor`` while matplotlib draws; not a colour of the palette."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
"""Okabe and Ito (2008) without yellow, which is hard to see on white; black is the text colour of the page."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1)), (0, (8, 3)), (0, (2, 3)))
HATCHES = ("", "///", "---", "xxx", "\\\\\\", "|||", "+++")

WIDTH, HEIGHT = 5.2, 3.3
"""Inches: letters of 10 points stay readable where a phone shows the plot at 360 pixels."""
LEGEND_ROW = 0.19
"""Inches of a row of the legend."""

_RULES = {
    "svg.fonttype": "none", "svg.hashsalt": "taurec", "svg.id": None, "text.parse_math": False, "font.size": 10,
    "font.family": ["DejaVu Sans"], "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 11, "axes.linewidth": 0.8, "hatch.linewidth": 0.5, "axes.unicode_minus": False,
}  # fmt: skip
"""Settings of matplotlib while it draws."""


def require(*packages: str) -> None:
    """Check that packages of the extra ``report`` are installed, by default all of them.

    Commands with ``--html`` call it before they read data.

    Raises: UsageError naming the missing packages and the extra.

    >>> require("jinja2")
    """
    missing = [name for name in packages or PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise UsageError(
            f"{' and '.join(missing)} {are} not installed, which HTML reports need; pip install 'taurec[report]'"
        )


def draw(figure: Figure, title: str = "") -> str:
    """The SVG of a figure given as data.

    Lines have markers, and bands where they have bounds. Bars stand side by side, one of each series in a group. Of
    intervals the first row is on top, with a dotted line at 0 where bounds have both signs. Points have their names
    next to them, placed so that names do not overlap where there is room.

    Raises: UsageError for an x that is not above 0 on a logarithmic axis, and for bars without one value a group.

    >>> from taurec.studies.result import Series
    >>> draw(Figure("scatter", [Series("ease", [1.5], [0.3])], "fit (s)", "ndcg@20", log_x=True)).startswith("<svg")
    True
    """
    require("matplotlib")
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    known: dict[Any, Any] = {name: value for name, value in _RULES.items() if name in matplotlib.rcParams}
    with matplotlib.rc_context(known), warnings.catch_warnings():
        # a letter missing in the font is measured too narrow or too wide; the browser has it
        warnings.filterwarnings("ignore", message="Glyph")
        canvas = Canvas(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = canvas.add_subplot()
        axes.set(xlabel=figure.x_label, ylabel=figure.y_label, title=title)
        paint, grid = _KINDS[figure.kind]
        axes.grid(axis=grid, color=INK, alpha=0.13, linewidth=0.7)
        axes.set_axisbelow(True)
        paint(canvas, axes, figure)
        stream = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        canvas.savefig(stream, format="svg", transparent=True, metadata=nothing)
    return _inline(stream.getvalue())


def _lines(canvas: Any, axes: Any, figure: Figure) -> None:
    for n, s in enumerate(figure.series):
        look = _look(n)
        if s.low is not None and s.high is not None:
            axes.fill_between(s.x, s.low, s.high, color=look["color"], alpha=0.16, linewidth=0)
        axes.plot(s.x, s.y, label=_legend(s.label), markersize=4.5, linewidth=1.6, **look)
    if figure.log_x:
        _logarithmic(axes, figure)
    _legend_below(canvas, axes, len(figure.series))


def _bars(canvas: Any, axes: Any, figure: Figure) -> None:
    groups = [str(x) for x in figure.series[0].x]
    width = 0.8 / len(figure.series)
    for n, s in enumerate(figure.series):
        if len(s.y) != len(groups):
            raise UsageError(f"bars {s.label!r}: {len(s.y)} values for {len(groups)} groups; they must be equally long")
        places = [g + (n - (len(figure.series) - 1) / 2) * width for g in range(len(groups))]
        axes.bar(
            places, s.y, width * 0.92, label=_legend(s.label), color=_look(n)["color"],
            hatch=HATCHES[n % len(HATCHES)], edgecolor=INK, linewidth=0.4,
        )  # fmt: skip
    longest = max((len(g) for g in groups), default=0)
    turned = longest * len(groups) > 55
    if turned:
        canvas.set_figheight(HEIGHT + 0.05 * longest)
    axes.set_xticks(range(len(groups)), groups, rotation=40 if turned else 0, ha="right" if turned else "center")
    _legend_below(canvas, axes, len(figure.series))


def _intervals(canvas: Any, axes: Any, figure: Figure) -> None:
    (s,) = figure.series
    low, high = s.low or s.y, s.high or s.y
    canvas.set_figheight(0.9 + 0.3 * max(len(s.x), 2))
    for n, (mean, *bounds) in enumerate(zip(s.y, low, high, strict=True)):
        axes.plot(bounds, [n, n], color=COLOURS[0], linewidth=2.2, solid_capstyle="butt")
        axes.plot([mean], [n], color=COLOURS[0], marker="o", markersize=5.5)
    if min(low, default=0.0) < 0 < max(high, default=0.0):
        axes.axvline(0, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_yticks(range(len(s.x)), [str(x) for x in s.x])
    axes.set_ylim(max(len(s.x), 1) - 0.5, -0.5)


def _points(canvas: Any, axes: Any, figure: Figure) -> None:
    for n, s in enumerate(figure.series):
        axes.plot(s.x, s.y, markersize=7, **{**_look(n), "linestyle": ""})
    if figure.log_x:
        _logarithmic(axes, figure)
    axes.margins(0.14)
    _name_points(canvas, axes, figure)


_KINDS: dict[str, tuple[Callable[[Any, Any, Figure], None], Literal["both", "x", "y"]]] = {
    "line": (_lines, "both"),
    "bar": (_bars, "y"),
    "interval": (_intervals, "x"),
    "scatter": (_points, "both"),
}
"""How a kind of figure is painted, and the axis that its grid lines belong to."""


def _logarithmic(axes: Any, figure: Figure) -> None:
    """A logarithmic x axis with plain numbers; a short range shows more of them between powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    x = [float(value) for s in figure.series for value in s.x]
    if any(value <= 0 for value in x):
        raise UsageError(f"a logarithmic axis needs values above 0, got {min(x):g}; use log_x=False")
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


def _name_points(canvas: Any, axes: Any, figure: Figure) -> None:
    """Write each name at the first free of eight positions around its point."""
    canvas.draw_without_rendering()
    where = [(s.x[0], s.y[0]) for s in figure.series]
    points = [tuple(axes.transData.transform(place) * 72 / canvas.dpi) for place in where]
    window = axes.get_window_extent()
    left, right = window.x0 * 72 / canvas.dpi, window.x1 * 72 / canvas.dpi
    taken = [(px - 5, py - 5, px + 5, py + 5) for px, py in points]
    for n, (s, (px, py)) in enumerate(zip(figure.series, points, strict=True)):
        wide, high = 5.6 * len(s.label), 10.0
        beside, around = [(7, -4), (-7 - wide, -4)], [(-wide / 2, 7), (-wide / 2, -16)]
        corners = [(dx, dy) for dx in (6, -6 - wide) for dy in (6, -15)]
        boxes = [(px + dx, py + dy, px + dx + wide, py + dy + high) for dx, dy in beside + around + corners]
        inside = [b for b in boxes if b[0] >= left and b[2] <= right] or boxes
        others = taken[:n] + taken[n + 1 :]
        box = min(inside, key=lambda b: sum(_overlap(b, t) for t in others))  # the first of the best
        taken.append(box)
        offset = (box[0] - px, box[1] - py + 2)
        axes.annotate(s.label, where[n], xytext=offset, textcoords="offset points", fontsize=9)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _legend_below(canvas: Any, axes: Any, n: int) -> None:
    if n > 1:
        handles, names = axes.get_legend_handles_labels()
        longest = max(len(name) for name in names)
        columns = max(1, min(n, 4, 52 // (longest + 6)))
        # further rows make the figure higher, not the axes lower: these must hold the name of y
        canvas.set_figheight(canvas.get_figheight() + LEGEND_ROW * (math.ceil(n / columns) - 1))
        canvas.legend(
            handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=9, handlelength=3
        )


def _legend(label: str) -> str:
    return f" {label}" if label.startswith("_") else label  # matplotlib hides names that begin so


def _look(n: int) -> dict[str, Any]:
    """Colour, marker and dashes of the n-th series; these shift where colours repeat, so that no two look alike."""
    form = (n + n // len(COLOURS)) % len(COLOURS)
    return {"color": COLOURS[n % len(COLOURS)], "marker": MARKERS[form], "linestyle": DASHES[form]}
