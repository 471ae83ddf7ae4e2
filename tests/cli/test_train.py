import json
import re

import polars as pl
import pytest

FAST = ["--epochs", "2", "--set", "backbone.dim=8", "--negatives", "uniform:4", "--batch-size", "128"]


def test_a_baseline_is_fitted_judged_and_not_saved(run, log_csv):
    code, out, err = run("train", log_csv, "--model", "ease", "--set", "model.l2=10")
    assert code == 0
    assert "ease on the test part, 60 users" in out
    assert "recall@20" in out
    assert "Nothing was saved; add --out DIR" in out
    assert "columns: user = 'user', item = 'item'" in err
    assert "60 users, 40 items; pairs by ratio: 480 training, 60 validation, 60 test" in err
    assert "ease(l2=10.0), seed 0" in err


def test_a_trained_model_logs_one_line_an_epoch_and_is_saved(run, log_csv, tmp_path):
    folder = tmp_path / "m"
    code, out, err = run("train", log_csv, *FAST, "--loss", "bsl", "--set", "loss.tau_neg=0.2", "--out", folder)
    assert code == 0
    epochs = [line for line in err.splitlines() if line.startswith("epoch ")]
    assert [line.split("  ")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert "ndcg@20 0." in epochs[0]
    assert "rows/s" in epochs[0]
    assert "bsl(tau_neg=0.2, tau_pos=1.0)" in err
    assert out.endswith(f"\n  taurec recommend {folder} --user u00\n")
    written = json.loads((folder / "run.json").read_text())
    assert (written["source"], written["loss"]["settings"]["tau_neg"]) == (str(log_csv), 0.2)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics) == {"valid", "test"}
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2


def test_json_is_one_document_and_nothing_else(run, log_csv):
    code, out, err = run("train", log_csv, *FAST, "--json", "--quiet", "--metrics", "recall@5")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert document["pairs"] == {"train": 480, "valid": 60, "test": 60}
    assert document["epochs"] == 2
    assert document["saved"] is None
    value = document["test"]["recall@5"]
    assert value["low"] <= value["mean"] <= value["high"]


def test_columns_and_ratings_of_ones_own_file(run, tmp_path):
    path = tmp_path / "mine.csv"
    rows = [(f"p{u}", f"f{i}", 5 if (u + i) % 2 else 1) for u in range(20) for i in range(12)]
    pl.DataFrame(rows, schema=["person", "film", "stars"], orient="row").write_csv(path)
    columns = ["--user", "person", "--item", "film", "--rating", "stars", "--min-rating", "4"]
    code, out, err = run("train", path, "--model", "popularity", *columns, "--metrics", "ndcg@5", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert sum(document["pairs"].values()) == 120
    assert document["run"]["reading"] == {"user": "person", "item": "film", "rating": "stars", "min_rating": 4.0}


def test_training_on_everything_says_that_nothing_was_evaluated(run, log_csv):
    code, out, _ = run("train", log_csv, "--model", "popularity", "--split", "none")
    assert code == 0
    assert "No test part, so nothing was evaluated." in out


def test_a_finished_run_is_not_run_again_and_another_is_refused(run, log_csv, tmp_path):
    folder = tmp_path / "m"
    same = ["train", log_csv, *FAST, "--out", folder]
    assert run(*same)[0] == 0
    before = (folder / "model.safetensors").read_bytes()
    code, out, err = run(*same)
    assert code == 0
    assert "already holds this run, finished" in err
    assert "epoch 1/2" not in err
    assert "Saved to" in out
    code, _, err = run(*same, "--seed", "1")
    assert code == 2
    assert "--overwrite" in err
    assert (folder / "model.safetensors").read_bytes() == before
    assert run(*same, "--seed", "1", "--overwrite")[0] == 0
    assert (folder / "model.safetensors").read_bytes() != before


def test_the_same_settings_on_other_data_are_refused(run, log_csv, tmp_path):
    path, folder = tmp_path / "log.csv", tmp_path / "m"
    path.write_text(log_csv.read_text())
    same = ["train", path, "--model", "popularity", "--out", folder]
    assert run(*same)[0] == 0
    path.write_text(log_csv.read_text() + "u00,i01,1000000000\n")
    code, _, err = run(*same)
    assert code == 2
    assert "exists already and is not changed" in err


@pytest.mark.parametrize("option", ["--metrics", "--metric"])
def test_a_cutoff_beyond_the_catalogue_is_refused_before_training(run, log_csv, option):
    code, _, err = run("train", log_csv, *FAST, option, "ndcg@41")
    assert code == 2
    assert "ndcg@41 looks at 41 items but there are only 40" in err
    assert "epoch 1" not in err


def test_what_a_run_takes_is_told_and_what_does_not_fit_is_refused(run, log_csv, monkeypatch):
    code, _, err = run("train", log_csv, *FAST)
    assert code == 0
    told = [line for line in err.splitlines() if line.startswith("forecast: ")]
    assert len(told) == 1
    assert re.fullmatch(r"forecast: about [\d.]+ m?s an epoch, \d+ at most, 0\.\d GB of memory beyond the log", told[0])
    assert "forecast" not in run("train", log_csv, "--model", "popularity")[2]
    monkeypatch.setattr("taurec.baselines.memory.available_bytes", lambda: 10**6)
    code, out, err = run("train", log_csv, *FAST)
    assert (code, out) == (4, "")
    assert "0.0 GB are free" in err
    assert "smaller dim" in err


def test_trackers_follow_a_training(run, log_csv, tmp_path):
    curve = tmp_path / "curve.csv"
    code, _, err = run("train", log_csv, *FAST, "--track", f"csv:{curve}", "--out", tmp_path / "m")
    assert code == 0, err
    assert [line.split(",")[0] for line in curve.read_text().splitlines()] == ["epoch", "1", "2"]
    assert (tmp_path / "m" / "metrics.csv").read_text().startswith("epoch,loss,")
    code, out, err = run("train", log_csv, *FAST, "--track", "tensorbord:x")
    assert (code, out) == (2, "")
    assert "did you mean 'tensorboard'" in err


def test_a_file_gives_the_settings_and_the_command_line_wins(run, log_csv, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text(
        f'source = "{log_csv}"\nepochs = 1\nbatch-size = 128\nnegatives = "uniform:4"\n'
        'metrics = ["recall@5", "ndcg@5"]\nloss = "bsl"\n'
        'set = {loss = {tau_neg = 0.2}, "backbone.dim" = 8, l2_mode = "sum"}\nquiet = true\n'
    )
    code, out, err = run("train", "--config", config, "--epochs", 2, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    made = document["run"]
    assert (made["source"], made["batch_size"], made["l2_mode"], made["epochs"]) == (str(log_csv), 128, "sum", 2)
    assert (made["loss"]["name"], made["loss"]["settings"]["tau_neg"]) == ("bsl", 0.2)
    assert (made["negatives"]["settings"]["n"], made["backbone"]["settings"]["dim"], document["epochs"]) == (4, 8, 2)
    assert set(document["test"]) == {"recall@5", "ndcg@5"}


def test_an_unknown_key_of_a_file_is_refused_with_the_accepted_ones(run, log_csv, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text("epohcs = 2\n")
    code, out, err = run("train", log_csv, "--config", config)
    assert (code, out) == (2, "")
    assert f"--config {config}: unknown option 'epohcs'; did you mean 'epochs'? (accepted: " in err
    accepted = err.split("(accepted: ")[1].rstrip(")\n").split(", ")
    assert {"source", "loss", "set", "batch-size", "min-rating", "no-header", "out", "json"} <= set(accepted)
    assert not {"config", "help", "reading", "fields"} & set(accepted)
