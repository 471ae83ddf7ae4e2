"""A baseline from outside the package: fitted, compared, shown in a page, saved and loaded."""

from __future__ import annotations

import shlex
import sys

import numpy as np
import pytest

import taurec
from taurec.baselines import Baseline, fitted
from taurec.cli import main
from taurec.errors import ArtefactError
from taurec.report.page import render
from taurec.report.result_page import result_page


class Recent(Baseline):
    """Scores an item by the number of its users among the last ``share`` of all users."""

    GRID = ({"share": 0.25}, {"share": 0.5})

    def __init__(self, share: float = 0.5):
        self.share = share
        self._score = None

    def fit(self, train):
        last = train.user_of >= (1 - self.share) * train.n_users
        self._score = np.bincount(train.indices[last], minlength=train.n_items).astype(np.float32)
        self._users = train.n_users
        return self

    @property
    def n_users(self):
        return self._users

    @property
    def n_items(self):
        return len(fitted(self._score, self))

    def block(self, users):
        return np.tile(fitted(self._score, self), (len(users), 1))

    def from_history(self, histories):
        return np.tile(self._score, (histories.shape[0], 1))

    def state(self):
        return {"score": fitted(self._score, self), "users": np.array([self._users]), "share": np.array([self.share])}

    @classmethod
    def from_state(cls, state):
        made = cls(float(state["share"][0]))
        made._score, made._users = state["score"], int(state["users"][0])
        return made


LOG = taurec.planted(n_users=60, n_items=40, seed=1, noise=0.2).log
NAME = f"{__name__}:Recent"


@pytest.mark.parametrize("given", [Recent, Recent(0.5), NAME], ids=["class", "object", "name"])
def test_it_is_fitted_however_it_is_given(given) -> None:
    model = taurec.Recommender(model=given).fit(LOG)
    assert model.run.model.name == NAME
    assert model.run.label == "Recent"
    assert model.run.model.settings == {"share": 0.5}
    assert len(model.recommend("0", k=5)) == 5
    with pytest.raises(taurec.UsageError, match="Recent has no item vectors"):
        model.similar_items("3")


def test_its_settings_are_kept_and_checked() -> None:
    assert taurec.Recommender(model=Recent(0.25)).run.model.settings == {"share": 0.25}
    with pytest.raises(taurec.UsageError, match="no setting 'shar'"):
        taurec.Recommender(model=Recent, settings={"model": {"shar": 1}})


def test_it_is_compared_with_its_grid_and_the_page_leaves_the_panel_out() -> None:
    found = taurec.compare(LOG, [Recent, "popularity"])
    assert found.row("Recent").tried == 2
    found = type(found)(**{**vars(found), "chosen": found.models["Recent"], "versus": None})
    html = render(result_page(found))
    assert "Recent" in html
    assert "popularity" in html
    alone = {label: m for label, m in found.models.items() if label == "Recent"}
    html = render(result_page(type(found)(**{**vars(found), "models": alone})))
    assert "Recent is not shown here" in html
    assert "tryit-data" not in html


FILE = """
from tests.extension.test_baseline import Recent


class FromFile(Recent):
    pass
"""


def test_one_from_a_file_is_used_on_the_command_line_as_the_next_command_says(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    rows = (f"{user},{item}\n" for user, item in zip(LOG.user_of, LOG.indices, strict=True))
    (tmp_path / "my.csv").write_text("user,item\n" + "".join(rows))
    assert main(["train", "my.csv", "--model", "./mine.py:FromFile", "--out", "saved"]) == 0
    command = shlex.split(next(line for line in capsys.readouterr().out.splitlines() if "taurec recommend" in line))
    for name in [name for name in sys.modules if name.endswith("mine.py")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(command[1:]) == 0
    assert main(["evaluate", "saved", "--plugin", "mine.py:FromFile"]) == 0
    for name in [name for name in sys.modules if name.endswith("mine.py")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["evaluate", "saved"]) == 3
    assert "name it with --plugin mine.py:FromFile" in capsys.readouterr().err
    module = {"__name__": "mine"}
    exec(FILE, module)  # noqa: S102
    assert taurec.Recommender.load("saved", plugins=[module["FromFile"]]).run.label == "FromFile"


def test_a_state_that_cannot_be_written_leaves_nothing_behind(tmp_path) -> None:
    class Broken(Recent):
        def state(self):
            return {"text": np.array(["a"])}

    model = taurec.Recommender(model=Recent).fit(LOG)
    model._ranker = Broken().fit(LOG)
    with pytest.raises(Exception, match="dtype"):
        model.save(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def test_a_saved_one_is_loaded_where_its_class_is_known(tmp_path, monkeypatch) -> None:
    model = taurec.Recommender(model=Recent(0.25)).fit(LOG)
    folder = model.save(tmp_path / "saved")
    lists = model.recommend(k=3).item
    assert taurec.Recommender.load(folder).recommend(k=3).item == lists
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace(NAME, "somewhere.else:Recent"))
    with pytest.raises(
        ArtefactError, match=r"holds the baseline somewhere.else:Recent.* --plugin somewhere.else:Recent"
    ):
        taurec.Recommender.load(folder)
    (folder / "run.json").write_text(text)
    monkeypatch.delitem(sys.modules, __name__)
    with pytest.raises(ArtefactError, match="hand the class over"):
        taurec.Recommender.load(folder)
    assert taurec.Recommender.load(folder, plugins=[Recent]).recommend(k=3).item == lists
