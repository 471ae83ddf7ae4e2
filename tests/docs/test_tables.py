"""Tables of the docs have rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]
HEAD = re.compile(r"^\|[ :|-]+\|$")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_table_is_empty(page: Path) -> None:
    lines = page.read_text().splitlines()
    empty = [n for n, line in enumerate(lines, 1) if HEAD.match(line) and not "".join(lines[n : n + 1]).startswith("|")]
    assert not empty, f"{page.name}: a table without rows in lines {empty}"
