"""Pages opened in a real browser: offline, by keyboard, on a phone, on paper, light and dark."""

import contextlib
import importlib.util
import shutil

import numpy as np
import pytest

from taurec.baselines import EASE, IALS, ItemKNN, Popularity
from taurec.baselines.blend import Blend
from taurec.data.planted import planted
from taurec.ranker import EmbeddingRanker
from taurec.report.page import Page, Section, write_page
from taurec.report.people import Lists, Person
from taurec.report.tryit import try_it
from taurec.studies.result import Figure, Series, Table
from taurec.training.presets import resolve

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; apt-get install chromium"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
]

EVIL = ("<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>")
WORLD = planted(n_users=80, n_items=50, seed=3).log
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1200, "height": 900}


def sample() -> Page:
    """Every block there is, with names that try to be markup."""
    vectors = np.random.default_rng(0).normal(size=(50, 16)).astype("f4")
    rankers = {"mf:bsl": EmbeddingRanker(np.zeros((80, 16), "f4"), vectors), EVIL[0]: Popularity().fit(WORLD)}
    rankers |= {"ials": IALS(dim=8).fit(WORLD), "ease": EASE(l2=10.0).fit(WORLD), "itemknn": ItemKNN(k=20).fit(WORLD)}
    runs = [resolve(model=name).model_dump(mode="json") for name in ("itemknn", "popularity")]
    rankers["blend"] = Blend(tuple(runs), weight=0.2).fit(WORLD)
    panel = try_it(rankers, WORLD, {"0": EVIL[0], "1": EVIL[1], "2": "x" * 90}, start=["5"])
    long = "a-name-without-any-place-to-break-" * 5
    line = [Series(EVIL[0], [0, 1], [0.3, 0.2], [0.2, 0.1], [0.4, 0.3])]
    bars = [Series("sl", ["tail", "head"], [1, 2]), Series("bsl", ["tail", "head"], [2, 3])]
    rows = [[long, *(0.1 * n for n in range(12))] for _ in range(3)]
    figures = [
        Figure("line", line, "noise", "ndcg", "Figure 0", "Finding 0"),
        Figure("bar", bars, "group", "recall", "Figure 1", "Finding 1"),
        Figure("interval", [Series("gain", [EVIL[1]], [1], [0], [2])], "gain", "", "Figure 2", "Finding 2"),
        Figure(
            "scatter",
            [Series(n, [x], [x]) for n, x in (("a", 1), ("b", 2))],
            "s",
            "ndcg",
            "Figure 3",
            "Finding 3",
            True,
        ),
    ]
    lists = Lists([Person(long, [long, EVIL[1]], {"sl": ["b", long], "bsl": ["c"]}, hits=["c"])])
    return Page(
        f"Sample {EVIL[0]}",
        f"Summary {EVIL[1]} {long}",
        [
            Section("Figures", figures),
            Section("Table", [Table("A wide table", ["model", *(f"metric {n}" for n in range(12))], rows)]),
            Section("Lists", [lists, Table("More", ["name"], [[long]], folded=True)]),
            Section("Try it", [panel]),
        ],
        command=f"taurec compare {long}",
        facts={"cpu": long},
        config={"loss": {"tau": 0.1}},
    )


PANEL = next(block for section in sample().sections if section.title == "Try it" for block in section.blocks)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        started = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(sample(), path)
    return path.as_uri()


@contextlib.contextmanager
def opened(browser, address, **settings):
    """The page; it may ask for nothing but itself, and say nothing in the console."""
    context = browser.new_context(**{"viewport": DESK, **settings})
    page = context.new_page()
    asked, said = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))

    def answer(route):
        asked.append(route.request.url)
        if route.request.url == address:
            route.continue_()
        else:
            route.abort()

    page.route("**/*", answer)
    page.goto(address)
    yield page
    assert asked == [address]
    assert said == []
    context.close()


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        yield page


def listed(page):
    """The two lists as names, without the marks."""
    script = "ol => [...ol.children].map(li => li.firstChild.textContent)"
    return [page.eval_on_selector(f"#tryit-results > div:nth-child({n}) ol", script) for n in (1, 2)]


def wanted(model, names):
    history = [PANEL.items.index(name) for name in names]
    return [PANEL.items[i] for i in PANEL.best(model, history)]


def test_opens_with_lists_already_there(page):
    assert page.title() == f"Sample {EVIL[0]}"
    assert listed(page) == [wanted(0, ["5"]), wanted(1, ["5"])]
    assert page.locator("img").count() == 0


def test_the_page_lists_what_python_lists(page):
    """For every form of model: vectors, a constant, least squares, weights and a blend."""
    for model in range(6):
        page.select_option(".tryit-model >> nth=0", str(model))
        assert listed(page)[0] == wanted(model, ["5"])
    for name in ("17", *EVIL):
        page.fill("#tryit-input", name)
        page.press("#tryit-input", "Enter")
    for model in range(6):
        page.select_option(".tryit-model >> nth=0", str(model))
        assert listed(page)[0] == wanted(model, ["5", "17", *EVIL])
    page.click('button[aria-label="Remove 5"]')
    assert listed(page)[0] == wanted(5, ["17", *EVIL])


def test_a_blend_shows_what_each_half_adds(page):
    page.select_option(".tryit-model >> nth=0", "5")
    page.select_option(".tryit-model >> nth=1", "0")
    shown = page.eval_on_selector_all("#tryit-results > div:nth-child(1) li", "all => all.map(e => e.textContent)")
    first, second = PANEL.models[5].form.form.contributions([PANEL.items.index("5")])
    for text, i in zip(shown, PANEL.best(5, [PANEL.items.index("5")]), strict=True):
        values = [f"{'−' if value < 0 else '+'}{abs(value):.2f}" for value in (first[i], second[i])]
        assert f"itemknn {values[0]}, popularity {values[1]}" in text
    assert "itemknn" not in page.inner_text("#tryit-results > div:nth-child(2) ol")


def test_by_keyboard_alone(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.focus("#tryit-input")
    page.keyboard.type("1")
    first = page.inner_text("#tryit-matches li:nth-child(1)")
    second = page.inner_text("#tryit-matches li:nth-child(2)")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == second
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "tryit-input"
    assert listed(page)[0] == wanted(0, ["5", first])
    assert f"Added {first}." in page.inner_text("#tryit-status")
    page.keyboard.type("nothing like it")
    assert page.inner_text("#tryit-status") == "No item matches."
    page.keyboard.press("Escape")
    page.focus("#tryit-clear")
    page.keyboard.press("Enter")
    assert page.locator("#tryit-results li").count() == 0
    assert "Pick an item" in page.inner_text("#tryit-status")


def test_common_items_are_counted_and_marked(page):
    page.select_option(".tryit-model >> nth=1", "0")
    assert page.locator("#tryit-results .tag").count() == 20
    assert "10 of 10 items are in both lists" in page.inner_text("#tryit-status")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_in(browser, address, scheme):
    with opened(browser, address, color_scheme=scheme) as page:
        paper = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert (paper > 0.5) == (scheme == "light")
        for selector in ("p", ".note", "a", "caption", ".plot text", ".hit", "button", "select"):
            ink = page.eval_on_selector_all(
                selector, "all => all.map(e => getComputedStyle(e)).map(s => [s.fill, s.color])"
            )
            ink = luminance(ink[-1][0] if selector == ".plot text" else ink[-1][1])
            assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5, selector  # WCAG 2.2, 1.4.3


def luminance(colour):
    """Relative luminance of ``rgb(r, g, b)`` as WCAG defines it."""
    values = [int(v) / 255 for v in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("width", [320, 390, 800])
def test_nothing_but_boxes_scrolls_sideways(browser, address, width):
    with opened(browser, address, viewport={**PHONE, "width": width}) as page:
        for box in page.query_selector_all("details"):
            box.evaluate("e => { e.open = true }")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.eval_on_selector(".scroll", "e => e.scrollWidth > e.clientWidth")
        widths = page.eval_on_selector_all(".plot svg", "all => all.map(e => e.getBoundingClientRect().width)")
        assert all(width * 0.85 < w or w > 500 for w in widths)


def test_on_paper(browser, address):
    with opened(browser, address, color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) == 1.0
        assert not page.is_visible("nav.contents")
        assert not page.is_visible("#tryit-input")
        assert page.is_visible("#tryit-results")
        folded = page.eval_on_selector_all("details table", "all => all.map(e => e.checkVisibility())")
        assert folded == [True] * 3  # a folded table, the facts and the settings are printed
        assert page.pdf()[:5] == b"%PDF-"
