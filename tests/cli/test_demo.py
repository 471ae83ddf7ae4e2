import pytest


@pytest.mark.slow
def test_the_demo_compares_suggests_saves_and_says_how_to_go_on(run, monkeypatch, tmp_path):
    monkeypatch.setattr("taurec.cli.demo.MODELS", ("popularity", "ease"))
    monkeypatch.setattr("taurec.studies.compare.protocol.BASELINES_ALWAYS", ())  # iALS on its grid takes a minute here
    code, out, err = run("demo", "--out", tmp_path / "d")
    assert code == 0, err
    assert max(len(line) for line in out.splitlines() if "taurec" not in line) <= 80
    assert "Best by ndcg@20:" in out
    suggested = out.split("data analysis: python3-numpy, python3-pandas")[1].split("a web service")[0]
    assert "python3-scipy" in suggested
    assert "python3-matplotlib" in suggested
    assert "taurec train my.csv" in out
    code, out, _ = run("recommend", tmp_path / "d", "--like", "python3-numpy", "-k", "2")
    assert code == 0
