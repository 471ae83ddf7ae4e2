"""Plug-ins that installed packages offer under an entry point."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from taurec import Recommender, UsageError
from taurec.cli.listing import entries
from taurec.losses import LOSSES

MODULE = '''
from taurec import ScoreLoss


class Offered(ScoreLoss):
    """A loss of a package."""

    def __init__(self, gap: float = 0.5):
        self.gap = gap

    def __call__(self, pos, neg):
        return (self.gap + neg - pos[:, None]).relu().mean(1)
'''


def install(site: Path, package: str, points: str, version: str = "1.2") -> None:
    info = site / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[taurec.losses]\n{points}\n")
    (info / "RECORD").write_text("offered_by_test.py,,\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "offered_by_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("offered_by_test", None)


def test_a_package_offers_a_loss_by_name(site: Path) -> None:
    install(site, "taurec-offered", "offered = offered_by_test:Offered\nsl = offered_by_test:Offered")
    assert [(p.name, p.package, p.version) for p in LOSSES.plugins()] == [("offered", "taurec-offered", "1.2")]
    (listed,) = (entry for entry in entries("losses") if entry.name == "offered")
    assert "of the package taurec-offered 1.2" in listed.about
    assert "offered_by_test" not in sys.modules, "a list imports nothing"
    run = Recommender(loss="offered:0.25").run
    assert run.loss.model_dump() == {"name": "offered_by_test:Offered", "settings": {"gap": 0.25}, "version": "1.2"}
    assert run.label == "mf:Offered"
    assert Recommender(loss="sl").run.loss.name == "sl", "a plug-in does not replace a built-in name"


def test_nothing_is_looked_up_for_a_built_in_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(group: str) -> None:
        raise AssertionError(group)

    monkeypatch.setattr("taurec.plugins.installed", refuse)
    Recommender(loss="bsl:0.1")


def test_a_broken_package_is_named(site: Path) -> None:
    (site / "offered_by_test.py").write_text("import nothing_of_that_name")
    install(site, "taurec-broken", "broken = offered_by_test:Offered")
    with pytest.raises(UsageError, match=r"of the package taurec-broken 1\.2 is broken: .*nothing_of_that_name"):
        Recommender(loss="broken")


def test_what_is_no_loss_is_refused_by_its_missing_members(site: Path) -> None:
    (site / "offered_by_test.py").write_text("class Offered:\n    needs = takes = frozenset()\n")
    install(site, "taurec-wrong", "wrong = offered_by_test:Offered")
    with pytest.raises(UsageError, match="Offered cannot be a loss: it has no __call__, scores"):
        Recommender(loss="wrong")


def test_two_packages_with_one_name_are_both_named(site: Path) -> None:
    install(site, "taurec-one", "twice = offered_by_test:Offered")
    install(site, "taurec-two", "twice = another:Offered")
    with pytest.raises(UsageError, match=r"offered by taurec-one .* and taurec-two .*name one as module:Class"):
        Recommender(loss="twice")


def test_an_unknown_name_lists_the_plug_ins_too(site: Path) -> None:
    install(site, "taurec-offered", "offered = offered_by_test:Offered")
    with pytest.raises(UsageError, match=r"unknown loss 'offerd'; did you mean 'offered'"):
        Recommender(loss="offerd")
