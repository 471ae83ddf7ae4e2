"""Plain technical English: turns of phrase that have a plainer word are not used in code, messages and docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "taurec"

AVOID = {
    r"at most so many": "maximum, limit",
    r"so many": "the number itself: N, this many",
    r"as many as there": "the number of",
    r"of (?:one|its|their|our)(?:'?s)? own": "separate, its own X",
    r"stands? beside": "is next to, is shown with",
    r"hangs? on": "depends on",
    r"(?<!there.)is no (?:duration|number|file|time|name|metric)": "is not a",
    r"what it comes to": "the result",
    r"whoever": "the caller, the user",
    r"what is (?:told|asked) of": "the requirements",
    r"in its stead": "instead",
    r"(?:makes?|made) again": "repeat, reproduce",
    r"told (?:apart )?from": "significantly different from, distinguished from",
    r"rows a step": "batch size",
    r"worth nothing without": "needs",
    r"judg(?:es?|ed|ing) (?:by|on|against)": "evaluate on, compare with",
    r"(?:is|are|be) judged": "is evaluated",
    r"step size": "learning rate",
    r"rows (?:a|per) step": "batch size",
    r"held against": "compared with",
    r"goes? on (?:where|from|there)": "continues",
    r"comes? to (?:its|their|an) end": "ends, is complete",
    r"came to (?:its|their|an) end": "ended, is complete",
    r"comes? divided": "has given parts",
    r"(?:is|are) not (?:to be had|touched)": "is not available, is not changed",
    r"to be had": "available",
    r"stands? for itself": "represents itself",
    r"may be any": "all",
    r"one an? (?:epoch|row|table|step|setting|entry|line|user|item|group|label)": "one per",
    r"people who": "users who",
    r"for want of": "without",
    r"save for": "except",
    r"the floor is": "the lower bound is",
    r"leaves? the chip": "stay on the chip, are not stored",
    r"plain forms?": "reference implementation",
    r"goes? on (?:after|when)": "stays, continues",
    r"all rows or some": "all rows or a subset",
    r"(?:the same|whole) walk|walk over|walks the": "loop, pass, read",
    r"never met": "unseen items, items without a pair of the user",
    r"which favours it": "is optimistic",
    r"(?:bytes|products|candidates|programs?) an? (?:row|batch|score|slab|block|tau)": "per row",
    r"(?:flat|unsigned) places?|places? in the tie order": "position",
}
"""Pattern -> what to write instead. A blank also matches a line end."""

PATTERNS = [re.compile(rf"\b{text}\b".replace(" ", r"\s+(?:#\s+)?"), re.IGNORECASE) for text in AVOID]


def hits(path: Path, root: Path = ROOT) -> list[str]:
    """``file:line: phrase; say X`` for every turn to avoid in a file."""
    text = path.read_text(encoding="utf-8")
    found = []
    for pattern, instead in zip(PATTERNS, AVOID.values(), strict=True):
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path.relative_to(root)}:{line}: {match[0]!r}; write {instead}")
    return found


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages(page: Path) -> None:
    assert not hits(page)


@pytest.mark.parametrize("name", sorted({part(path) for path in PACKAGE.rglob("*.py")}))
def test_package(name: str) -> None:
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if part(path) == name]
    found = [hit for path in paths for hit in hits(path)]
    assert not found, "\n".join(found)


def test_a_turn_over_a_line_end_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("The value hangs\non the batch.\nStand by.\n")
    assert hits(page, tmp_path) == ["page.md:1: 'hangs\\non'; write depends on"]
