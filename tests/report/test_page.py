import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from taurec.errors import ResourceError, UsageError
from taurec.report.cells import cell
from taurec.report.page import LIMIT, Page, Section, render, write_page
from taurec.report.people import Lists, Person
from taurec.studies.result import Figure, Series, Table, Text, Value

EVIL = "<img src=x onerror=alert(1)></script>&\"'"


def a_figure():
    series = Series("ndcg", ["sl", EVIL], [1, 2], [0, 1], [2, 3])
    return Figure("interval", [series], "ndcg@20", caption=f"caption {EVIL}", alt=f"alt {EVIL}")


def sections():
    lists = Lists([Person(EVIL, ["a", EVIL], {"sl": ["b", "c"], EVIL: ["d"]}, hits=["c"])], EVIL)
    table = Table(EVIL, ["model", "ndcg@20", "fit"], [[EVIL, 0.3, "3 s"], ["sl", 0.25, None]], strong=[0])
    folded = replace(table, note=f"note {EVIL}", folded=True)
    blocks = [Text(f"one {EVIL}\n\ntwo"), table, a_figure(), lists, folded]
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
    rows = [["7", "a", 1, "± .1", 3], ["8", "b", None, "3 s", "x"]]
    html = render(Page("", "", [Section("s", [Table("", ["id", "name", "n", "text", "mixed"], rows)])]))
    numbers = re.findall(r'<th scope="col"( class="n")?>', html)
    assert numbers == [' class="n"', "", ' class="n"', ' class="n"', ""]
    assert '<th scope="row" class="n">7</th><td>a</td><td class="n">1</td>' in html
    with pytest.raises(UsageError, match=r"row 1 .* 1 cells .* 2 columns"):
        Table("", ["a", "b"], [[1, 2], [3]])


def test_an_interval_has_a_column_after_its_values():
    html = render(
        Page("", "", [Section("s", [Table("", ["m", "v"], [["a", Value(0.5, 0.25, 0.75)], ["b", Value(1.0)]])])])
    )
    assert re.findall(r'<th scope="col"[^>]*>([^<]*)', html) == ["m", "v", "95 %"]
    assert re.findall(r'<td class="n">([^<]*)', html) == ["0.5000", "0.2500 to 0.7500", "1.0000", "-"]


def test_a_folded_table_is_behind_its_title():
    html = render(Page("", "", [Section("s", [Table("Every row", ["n"], [[1]], "What it means.", folded=True)])]))
    assert "<details><summary>Every row</summary>" in html
    assert "<caption>What it means.</caption>" in html


def test_cells_in_four_digits():
    assert [cell(v) for v in (0.0, -0.25, 9.99996, 999.5, 1e6, float("inf"))] == [
        "0.0000", "-0.2500", "10.0000", "999.50", "1,000,000", "inf",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["href=http://a.example", "<script>1</script>", "onx = url(http://b)", "</svg><b>"])
@pytest.mark.parametrize("kind", ["line", "bar", "interval", "scatter"])
def test_a_figure_is_a_plain_drawing_whatever_its_names_are(kind, name):
    x = [name] if kind in ("bar", "interval") else [1.0]
    series = [Series(name, x, [1.0])] * (1 if kind == "interval" else 2)
    read = Reader(render(Page("", "", [Section("s", [Figure(kind, series, name, name, name, name)])])))
    assert not {"script", "style", "image", "b"} & {tag for tag, _ in read.tags} - {"style"}
    assert len(read.all("style")) == 1  # that of the page
    assert any(name in text for text in read.text)
    for _, attrs in read.tags:
        assert not [a for a in attrs if a.startswith("on")]
        links = [attrs.get(a) or "#" for a in ("src", "href", "xlink:href")] + re.findall(
            r"url\((.)", attrs.get("style") or ""
        )
        assert all(link.startswith("#") for link in links)


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
    write_page(Page("t", "", [Section("s", [Table("", ["a", "b", "c"], rows)])]), path)
    html = path.read_text(encoding="utf-8")
    assert len(html.encode()) < LIMIT
    assert "The first 1,000 of 5,000 rows" in html
    assert len(re.findall("x{400}", html)) == 1000
    with pytest.raises(UsageError, match=r"3\.0 MB, at most 2 MB"):
        write_page(Page("t", "y" * 3_000_000, []), path)
    assert path.read_text(encoding="utf-8") == html
