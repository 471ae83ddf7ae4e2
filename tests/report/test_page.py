import re
from html.parser import HTMLParser

import pytest

from taurec.errors import ResourceError, UsageError
from taurec.report.page import (
    LIMIT,
    Details,
    Figure,
    Lists,
    Page,
    Person,
    Prose,
    Section,
    Table,
    cell,
    render,
    write_page,
)
from taurec.report.plots import interval_plot

EVIL = "<img src=x onerror=alert(1)></script>&\"'"


def a_figure():
    svg = interval_plot(["sl", EVIL], [1, 2], [0, 1], [2, 3], x_label="ndcg@20")
    return Figure(svg, f"caption {EVIL}", f"alt {EVIL}")


def sections():
    lists = Lists([Person(EVIL, ["a", EVIL], {"sl": ["b", "c"], EVIL: ["d"]}, hits=["c"])], EVIL)
    table = Table(["model", "ndcg@20", "fit"], [[EVIL, 0.3, "3 s"], ["sl", 0.25, None]], EVIL, strong=[0])
    blocks = [Prose(f"one {EVIL}\n\ntwo"), table, a_figure(), lists, Details(EVIL, [table, Prose("inner")])]
    return [Section(EVIL, blocks), Section("Log", []), Section("Log", [])]


def a_page(**more):
    return Page(
        f"Title {EVIL}", f"Sum {EVIL}", sections(), EVIL, {"cpu": EVIL}, {"loss": {"tau": 0.1}, "x": EVIL}, **more
    )


class Reader(HTMLParser):
    """Tags with their attributes, whether they close in order, and the texts."""

    VOID = frozenset({"meta", "br", "img", "input", "link", "hr"})

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_texts_stay_texts():
    read = Reader(render(a_page()))
    assert not read.all("img")
    assert not read.all("script")
    assert not [a for _, attrs in read.tags for a in attrs if a.startswith("on")]
    assert sum(EVIL in t for t in read.text) >= 11


def test_nothing_is_asked_of_other_machines():
    read = Reader(render(a_page()))
    for _, attrs in read.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            assert attrs.get(name) is None or attrs[name].startswith("#")
    policy = next(m["content"] for m in read.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert not read.all("link")


def test_a_page_that_people_can_find_their_way_in():
    read = Reader(render(a_page()))
    assert read.all("html") == [{"lang": "en"}]
    assert len(read.all("h1")) == len(read.all("title")) == len(read.all("main")) == 1
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [a["href"].removeprefix("#") for a in read.all("a")]
    assert targets[0] == "main"  # the skip link is the first thing the keyboard meets
    assert set(targets) <= set(ids)
    assert len(targets) == 1 + 3 + 1
    assert {t["scope"] for t in read.all("th")} == {"col", "row"}
    plot = next(a for a in read.all("div") if a.get("role") == "img")
    assert plot["aria-label"] == f"alt {EVIL}"
    assert {"tau", "loss.tau"} & set(read.text) == {"loss.tau"}


def test_tables():
    numbers = Table(["id", "name", "n", "text", "mixed"], [["7", "a", 1, "± .1", 3], ["8", "b", None, "3 s", "x"]])
    assert numbers.right == [True, False, True, True, False]
    html = render(Page("", "", [Section("s", [numbers])]))
    assert '<th scope="row" class="n">7</th><td>a</td><td class="n">1</td>' in html
    with pytest.raises(UsageError, match=r"row 1 .* 1 cells .* 2 headings"):
        Table(["a", "b"], [[1, 2], [3]])


def test_cells_in_four_digits():
    assert [cell(v) for v in (0.0, -0.25, 9.99996, 999.5, 1e6, float("inf"))] == [
        "0.0000", "-0.2500", "10.0000", "999.50", "1,000,000", "inf",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "svg",
    [
        "text",
        "<svg><script>1</script></svg>",
        "<svg onload='1'></svg>",
        '<svg><image href="http://a.example/x.png"/></svg>',
        '<svg><image xlink:href="//a.example/x.png"/></svg>',
        '<svg><rect style="fill: url(http://a.example)"/></svg>',
        "<svg><style>@import 'x'</style></svg>",
    ],
)
def test_a_figure_is_a_plain_drawing(svg):
    with pytest.raises(UsageError, match="one <svg> element"):
        Figure(svg, "", "")


def test_words_about_links_are_words():
    svg = interval_plot(["href=http://a.example", "onx = url(http://b)"], [1, 2], [0, 1], [2, 3], x_label="x")
    Figure(svg, "", "")


def test_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "page.html"
    write_page(a_page(), path)
    assert path.read_text(encoding="utf-8") == render(a_page())
    assert path.stat().st_mode & 0o777 & 0o400
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]

    def refuse(*a):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(ResourceError, match=r"page\.html: cannot be written \(No space left"):
        write_page(Page("b", "", []), path)
    assert path.read_text(encoding="utf-8") == render(a_page())
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_long_tables_are_cut_and_say_so(tmp_path):
    rows = [[n, "x" * 400, 0.5] for n in range(5_000)]
    path = tmp_path / "page.html"
    write_page(Page("t", "", [Section("s", [Table(["a", "b", "c"], rows)])]), path)
    html = path.read_text(encoding="utf-8")
    assert len(html.encode()) < LIMIT
    assert "The first 1,000 of 5,000 rows" in html
    assert len(re.findall("x{400}", html)) == 1000
    with pytest.raises(UsageError, match=r"3\.0 MB, at most 2 MB"):
        write_page(Page("t", "y" * 3_000_000, []), path)
    assert path.read_text(encoding="utf-8") == html
