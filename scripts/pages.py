"""Pages with parts that are made: what lies between ``<!-- NAME -->`` and ``<!-- end of NAME -->`` is written anew."""

from __future__ import annotations

from pathlib import Path


def fill(page: Path, **made: str) -> None:
    """Put each text between the marks of its name, in the place of what was there; the rest is kept.

    Args:
        page: a file in Markdown.
        made: name of the marks -> lines, each ended.
    """
    text = page.read_text(encoding="utf-8")
    for name, lines in made.items():
        before, rest = text.split(f"<!-- {name} -->\n")
        after = rest.split(f"<!-- end of {name} -->\n")[1]
        text = f"{before}<!-- {name} -->\n{lines}<!-- end of {name} -->\n{after}"
    page.write_text(text, encoding="utf-8")


def table(head: list[str], rows: list[list[object]], *, words: int = 1) -> str:
    """A table in Markdown, its first ``words`` columns of words and the others of numbers."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * words + "---:|" * (len(head) - words)]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines) + "\n"
