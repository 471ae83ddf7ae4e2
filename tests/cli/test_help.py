"""What a newcomer types first: it must answer at once, and import nothing heavy."""

import subprocess
import sys
import time

import pytest

COMMANDS = [
    "train",
    "compare",
    "evaluate",
    "recommend",
    "similar",
    "list",
    "doctor",
    "demo",
    "negatives",
    "data check",
    "data split",
]
HEAVY = ("torch", "polars", "numpy", "pydantic", "scipy", "numba")


def test_help_is_quick_and_light():
    code = "import sys; from taurec.cli import main; code = main(['--help'])\n"
    code += f"print([m for m in {HEAVY} if m in sys.modules], code)"
    started = time.perf_counter()
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.stdout.splitlines()[-1] == "[] 0"
    assert time.perf_counter() - started < 10  # far below this on a machine at rest; importing torch alone is above 2 s


def test_no_argument_shows_the_help(run):
    code, out, _ = run()
    assert code == 0
    assert "train" in out
    assert "compare" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_within_80_columns(run, command):
    code, out, err = run(*command.split(), "--help")
    assert (code, err) == (0, "")
    assert "Usage: taurec " + command in " ".join(out.split())
    assert max(len(line) for line in out.splitlines()) <= 80


def test_version(run):
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("taurec 0.")


def test_the_backbones_in_help_are_those_of_the_registry():
    from taurec.backbones import BACKBONES
    from taurec.cli import options

    assert tuple(BACKBONES) == options.BACKBONES


def test_the_help_of_train_fits_two_screens(run):
    _, out, _ = run("train", "--help")
    assert len(out.splitlines()) <= 100
    for group in ("Model", "Training", "Split, seed and device", "Output", "Your files"):
        assert f"─ {group} ─" in out, group


@pytest.mark.parametrize("name", ["batch_size", "epochs", "metric", "patience", "split", "seed", "device", "threads"])
def test_a_default_in_help_is_that_of_a_run(name):
    from taurec.cli.options import FIELDS
    from taurec.run import Run

    assert FIELDS[name][2].endswith(f"[default: {Run.model_fields[name].default}]")


def test_the_default_in_help_of_a_setting_that_the_loss_chooses():
    from taurec.cli.options import FIELDS
    from taurec.training.presets import resolve

    run = resolve(loss="sl")
    for name, value in (("lr", f"{run.lr:g}"), ("l2", f"{run.l2:g}")):
        assert FIELDS[name][2].endswith(f"the loss's, {value} for sl]")
    assert run.negatives.settings["n"] == 256
    assert "uniform:256 for sl" in FIELDS["negatives"][2]
    assert (run.backbone.name, run.order.name) == ("mf", "shuffled")


def test_the_default_metrics_in_help(run):
    from taurec.evaluation.metrics import DEFAULT_METRICS

    out = " ".join(run("evaluate", "--help")[1].replace("│", " ").split())
    assert f"default: {', '.join(m.removesuffix('@20') for m in DEFAULT_METRICS)}, all at 20]" in out
