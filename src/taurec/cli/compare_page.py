"""The page of ``taurec compare``: what it needs is computed here, what it looks like in the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from taurec.errors import UsageError

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.studies.compare import Comparison
    from taurec.studies.search import Probe


def check_page(html: Path | None, private: bool) -> None:
    """Refuse before any work a page that could not be written, and hashes that nothing would show."""
    if html is None:
        if private:
            raise UsageError("--private hashes the ids in the page; add --html FILE, the rest shows no ids")
        return
    from taurec.cli.files import check_target
    from taurec.report.extras import require

    check_target(html, [".html"], "--html")
    require()


def write_comparison(found: Comparison, html: Path, private: bool, command: str, output: Output) -> None:
    """The page of a comparison."""
    from taurec.evaluation.metrics import parse
    from taurec.provenance import facts
    from taurec.report.compare_pages import compare_page, shown_models
    from taurec.report.page import write_page
    from taurec.report.private import Hashed
    from taurec.studies.audit.fairness.measures import fairness

    output.note("writing the page")
    parts = found.split
    seen = parts.train.union(parts.valid) if len(parts.valid) else parts.train
    k = min(parse(found.metric).k, parts.train.n_items)
    served = {
        label: fairness(found.models[label].ranker, parts.test, parts.train, seen, k) for label in shown_models(found)
    }
    write_page(compare_page(found, served, command, facts(), Hashed() if private else None), html)
    output.note(f"written to {html}")


def write_search(found: Probe, make: str, html: Path, private: bool, command: str, output: Output) -> None:
    """The page of a search within a time."""
    from taurec.provenance import facts
    from taurec.report.page import write_page
    from taurec.report.private import Hashed
    from taurec.report.probe_pages import probe_page

    write_page(probe_page(found, make, command, facts(), Hashed() if private else None), html)
    output.note(f"written to {html}")
