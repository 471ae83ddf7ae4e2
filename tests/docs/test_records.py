"""The pages made from records are what the records say."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("script", "page"),
    [
        ("make_results", "results"),
        ("make_performance", "performance"),
        ("make_reproduction", "reproduction"),
        ("make_bilateral", "bilateral"),
        ("make_temperature", "temperature"),
        ("make_audit", "audit"),
        ("make_noise", "noise"),
        ("make_family", "family"),
    ],
)
def test_the_page_is_what_its_script_makes_of_the_records(script: str, page: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    spec = importlib.util.spec_from_file_location(script, ROOT / "scripts" / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for folder in ("results", "performance", "temperature", "audit", "noise"):
        shutil.copytree(ROOT / "docs" / folder, tmp_path / folder)
    written = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (tmp_path / f"{page}.md").write_text(written, encoding="utf-8")
    monkeypatch.setattr(module, "DOCS", tmp_path)
    module.main()
    assert (tmp_path / f"{page}.md").read_text(encoding="utf-8") == written
