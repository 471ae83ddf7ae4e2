import json

import pytest

from taurec.cli.listing import KINDS, first_sentence


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_says_what_it_is(run, kind):
    code, out, _ = run("list", kind, "--json")
    entries = json.loads(out)
    assert code == 0
    assert len(entries) >= 2
    for entry in entries:
        assert entry["name"]
        assert len(entry["about"]) > 10, entry
    code, out, _ = run("list", kind)
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 80
    assert all(entry["name"] in out for entry in entries)


def test_settings_come_with_their_defaults(run):
    _, out, _ = run("list", "losses", "--json")
    by_name = {entry["name"]: entry["settings"] for entry in json.loads(out)}
    assert by_name["bsl"] == {"tau_pos": 1.0, "tau_neg": 0.1}
    _, out, _ = run("list", "losses")
    assert "tau_pos=1 tau_neg=0.1" in out


def test_an_unknown_kind(run):
    code, _, err = run("list", "loses")
    assert code == 2
    assert "did you mean 'losses'?" in err


def test_first_sentences():
    def f():
        """NGCF (Wang et al. 2019) in ``one``
        line. And more.

        Even more.
        """

    assert first_sentence(f) == "NGCF (Wang et al. 2019) in one line"
    assert first_sentence(lambda: 0) == ""


def test_doctor_names_versions_devices_and_folders(run, monkeypatch, tmp_path):
    monkeypatch.setenv("TAUREC_DATA", str(tmp_path))
    code, out, _ = run("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["versions"]["torch"]
    assert "cpu" in found["computing"]["devices"]
    assert found["computing"]["kernel torch"] == "ok"
    assert found["data"]["TAUREC_DATA"] == f"{tmp_path} (empty)"
    code, out, _ = run("doctor")
    assert "versions" in out
