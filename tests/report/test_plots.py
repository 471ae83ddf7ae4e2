import math
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from taurec.errors import UsageError
from taurec.report import plots
from taurec.report.plots import COLOURS, INK, draw
from taurec.studies.result import Figure, Series

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return ["".join(t.itertext()) for t in ET.fromstring(svg).iter(f"{SVG}text")]


def lines(**more):
    two = [
        Series("sl", [0, 1, 2], [0.3, 0.2, 0.1], [0.2, 0.1, 0.0], [0.4, 0.3, 0.2]),
        Series("b & <c>", [0, 2], [1, 2]),
    ]
    return draw(Figure("line", two, "noise (%)", "ndcg@20"), **more)


def bars(groups, values, x_label="x", y_label="y"):
    return draw(Figure("bar", [Series(name, groups, of) for name, of in values.items()], x_label, y_label))


def curves(series, **more):
    return draw(Figure("line", series, "x", "y", **more))


def points(labels, x, y, x_label="x", y_label="y", log_x=False):
    series = [Series(label, [a], [b]) for label, a, b in zip(labels, x, y, strict=True)]
    return draw(Figure("scatter", series, x_label, y_label, log_x=log_x))


PLOTS = {
    "line": lines(title="a title"),
    "bar": bars(["tail", "head"], {"sl": [1, 2], "bsl": [2, 3]}, "group", "recall"),
    "interval": draw(Figure("interval", [Series("gain", ["sl", "bsl"], [1, 2], [0, 1], [2, 3])], "gain")),
    "scatter": points(["sl", "ease"], [1, 10], [1, 2], "fit (s)", "ndcg", log_x=True),
}


@pytest.mark.parametrize("svg", PLOTS.values(), ids=PLOTS.keys())
def test_fits_into_a_page(svg):
    root = ET.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("viewBox")
    assert root.get("width") == "100%"
    assert root.get("height") is None
    assert "currentColor" in svg
    assert INK not in svg
    assert "<style" not in svg  # it would apply to the whole page
    assert "metadata" not in svg
    assert not re.search(r'(?:href|src)="(?!#)', svg)


@pytest.mark.parametrize("svg", PLOTS.values(), ids=PLOTS.keys())
def test_axes_are_named(svg):
    wanted = {"noise (%)", "ndcg@20", "group", "recall", "gain", "fit (s)", "ndcg", "a title"}
    assert sum(t in wanted for t in texts(svg)) >= (1 if "gain" in texts(svg) else 2)


def test_names_are_text_whatever_they_hold():
    assert "b & <c>" in texts(lines())
    formula = points(["$x_1$"], [1], [1], "_a", "$$")
    assert {"$x_1$", "_a", "$$"} <= set(texts(formula))
    hidden = bars(["g"], {"_x": [1], "y": [2]})
    assert [t.strip() for t in texts(hidden)][-2:] == ["_x", "y"]


def test_equal_input_equal_bytes_and_ids_of_its_own():
    assert lines(title="a title") == PLOTS["line"]
    ids = [set(re.findall(r'\bid="([^"]*)"', svg)) for svg in (PLOTS["line"], PLOTS["bar"])]
    assert all(ids)
    assert not ids[0] & ids[1]


def test_every_link_within_a_plot_has_its_target():
    for svg in PLOTS.values():
        ids = set(re.findall(r'\bid="([^"]*)"', svg))
        assert set(re.findall(r"url\(#([^)]*)\)", svg)) | set(re.findall(r'href="#([^"]*)"', svg)) <= ids


def test_series_differ_without_colour():
    many = [Series(str(n), [0, 1], [n, n + 1]) for n in range(7)]
    svg = curves(many)
    dashes = set(re.findall(r"stroke-dasharray: ([^;\"]*)", svg))
    assert len(dashes) == 6  # and one unbroken
    assert all(c in svg for c in COLOURS if c != INK)


def test_no_two_of_many_series_look_alike():
    looks = {tuple(map(str, plots._look(n).values())) for n in range(20)}
    assert len(looks) == 20


def test_a_gap_and_a_single_point():
    svg = curves([Series("sl", [0, 1, 2], [1, math.nan, 2])])
    assert "nan" not in svg.lower()
    curves([Series("sl", [1], [1])], log_x=True)
    curves([])


def test_settings_of_matplotlib_are_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    lines()
    assert dict(matplotlib.rcParams) == before
    assert "pyplot" not in Path(plots.__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Series("a", [1], [1, 2]), "1, 2"),
        (lambda: Series("a", [1], [1], low=[1]), "one bound"),
        (
            lambda: draw(Figure("bar", [Series("w", ["a"], [1]), Series("x", ["a", "b"], [1, 2])], "")),
            "'x'.*equally long",
        ),
        (lambda: curves([Series("a", [0, 1], [1, 2])], log_x=True), "above 0, got 0"),
        (lambda: points(["a"], [-1], [1], log_x=True), "above 0, got -1"),
        (lambda: Series("a", ["a"], [1], [1], [1, 2]), "equally long"),
    ],
)
def test_faults_are_named(call, says):
    with pytest.raises(UsageError, match=says):
        call()


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_extra_is_named(monkeypatch, package):
    from taurec.report.plots import require

    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"{package} is not installed.*pip install 'taurec\[report\]'"):
        require()
    if package == "matplotlib":
        with pytest.raises(UsageError, match=r"taurec\[report\]"):
            lines()


def test_a_logarithmic_axis_has_plain_numbers():
    wide = points(["a", "b"], [0.001, 100], [1, 2], log_x=True)
    assert {"0.001", "0.1", "10", "100"} <= set(texts(wide))
    narrow = curves([Series("a", [2, 5], [1, 2])], log_x=True)
    assert {"2", "3", "4", "5"} <= set(texts(narrow))
    between = curves([Series("s", [0.025, 0.1, 0.4], [1, 2, 3])], log_x=True)
    assert {"0.05", "0.1", "0.2"} <= set(texts(between))
    assert not [text for text in texts(wide) + texts(narrow) + texts(between) if "e-" in text]
    assert "mathdefault" not in wide + narrow + between


def test_plots_are_small():
    values = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    many = {f"model {n}": values for n in range(7)}
    wide = bars([str(n) for n in values], many)
    bands = curves([Series(n, v, v, v, v) for n, v in many.items()])
    assert max(len(wide), len(bands)) < 60_000


def test_a_long_legend_does_not_take_its_rows_from_the_axes():
    def height(n):
        """Points from the bottom to the top of the axes."""
        names = [f"a name that has a row to itself, {i}" for i in range(n)]
        svg = curves([Series(name, [0, 1], [0, 1]) for name in names])
        frame = re.search(r'patch_2">\s*<path d="M \S+ (\S+) \nL \S+ \S+ \nL \S+ (\S+)', svg)
        return float(frame[1]) - float(frame[2])

    assert height(8) == pytest.approx(height(2), rel=0.05)
