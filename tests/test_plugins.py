"""Plug-ins that installed packages offer under an entry point."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from taurec import Recommender, UsageError, planted
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


def named_anew(path: Path, text: str) -> Recommender:
    """A model with the loss of a file of this content, as a new process would have it."""
    path.write_text(text)
    sys.modules.pop(path.as_posix(), None)
    fields = {"batch_size": 128, "kernel": "torch", "threads": 1, "lr": 0.01, "negatives": "uniform:4"}
    return Recommender(loss=f"{path}:Offered:0.25", epochs=3, **fields)


def test_a_checkpoint_of_another_content_of_the_file_is_refused(tmp_path: Path) -> None:
    log, path, resume = planted(n_users=60, n_items=40, seed=1).log, tmp_path / "mine.py", tmp_path / "checkpoint"
    first = named_anew(path, MODULE)
    assert str(first.run.loss.version).startswith("sha256:")
    first.fit(log, resume=resume, seconds=0)
    changed = named_anew(path, MODULE.replace("self.gap + neg", "self.gap - neg"))  # of the same length
    with pytest.raises(UsageError, match=r"its loss .*mine\.py:Offered has changed since .*sha256:.*sha256:"):
        changed.fit(log, resume=resume)
    same = named_anew(path, MODULE)
    assert same.run.loss == first.run.loss
    same.fit(log, resume=resume).save(tmp_path / "saved")
    assert any(note.startswith("going on after epoch 1") for note in same.notes)
    sys.modules.pop(path.as_posix())
    path.unlink()
    loaded = Recommender.load(tmp_path / "saved")
    assert loaded.run.loss.version == first.run.loss.version
    assert loaded.recommend([0], k=3)


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


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("gap: object = torch.tensor(0.5)", "Offered has a setting that cannot be written as JSON"),
        ("gap=lambda: 0.5", "Offered has a setting that cannot be written as JSON"),
        ("gap: torch.Tensor = None", "loss.gap is annotated .*Tensor.*, which is no plain type"),
        ("gap: 'Tensor' = None", "an annotation of its parameters cannot be read .*'Tensor'"),
        ("gap: float", "needs a value for 'gap', which has no default; give it as loss.gap"),
    ],
)
def test_a_class_is_held_to_plain_settings_as_an_object_is(site: Path, parameter: str, said: str) -> None:
    text = "import torch\n" + MODULE.replace("gap: float = 0.5", parameter)
    (site / "offered_by_test.py").write_text(text)
    (site / "mine.py").write_text(text)
    with pytest.raises(UsageError, match=said):
        Recommender(loss="offered_by_test:Offered")
    with pytest.raises(UsageError, match=said):
        Recommender(loss=f"{site / 'mine.py'}:Offered")
    with pytest.raises(UsageError, match=said):
        Recommender(loss=sys.modules["offered_by_test"].Offered)
