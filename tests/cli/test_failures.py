"""Exit codes and messages, tried on a small app that fails in every way."""

import errno
import io
import logging
import signal
import subprocess
import sys

import pytest
import typer

from taurec import errors
from taurec.cli import main
from taurec.cli.failures import Stopped, run

CASES = {
    "usage": (errors.UsageError("k must be 1"), 2, "error: k must be 1"),
    "data": (errors.DataError("a.csv:3:1: empty user id"), 2, "error: a.csv:3:1: empty user id"),
    "artefact": (errors.ArtefactError("m: broken"), 3, "error: m: broken"),
    "resource": (errors.ResourceError("no network"), 4, "error: no network"),
    "non-finite": (errors.NonFiniteError("epoch 1"), 5, "error: epoch 1"),
    "memory": (MemoryError("Unable to allocate 9 GiB"), 4, "error: out of memory: Unable to allocate 9 GiB"),
    "full-disk": (
        OSError(errno.ENOSPC, "No space left on device", "x.csv"),
        4,
        "error: x.csv: no space left on device",
    ),
    "permission": (PermissionError(errno.EACCES, "Permission denied", "d"), 4, "error: d: permission denied"),
    "interrupt": (KeyboardInterrupt(), 130, "error: interrupted"),
    "internal": (RuntimeError("boom\nat"), 1, "error: internal error: RuntimeError: boom at; this is a defect"),
}


def app_that_raises(error):
    app = typer.Typer()

    @app.callback()
    def root() -> None: ...

    @app.command("go")
    def go(speed: int = 1) -> None:
        raise error

    return app


@pytest.mark.parametrize("name", CASES)
def test_one_line_and_the_code(name, capsys):
    error, code, line = CASES[name]
    assert run(app_that_raises(error), ["go"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_debug_adds_the_traceback_wherever_it_stands(capsys):
    for argv in (["--debug", "go"], ["go", "--debug"]):
        assert run(app_that_raises(errors.UsageError("no")), argv) == 2
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert err.endswith("error: no\n")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["go", "--sped", "2"], "error: no such option --sped; did you mean --speed? see taurec go --help"),
        (["goo"], "error: no such command 'goo'; did you mean 'go'? see taurec --help"),
        (["go", "--speed", "x"], "error: invalid value for '--speed': "),
        (["go", "more"], "error: got unexpected extra argument(s) (more); see taurec go --help"),
    ],
)
def test_wrong_usage_names_the_nearest_and_the_help(argv, said, capsys):
    assert run(app_that_raises(None), argv) == 2
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_signals_after_saving_give_128_plus_their_number():
    assert run(app_that_raises(Stopped(signal.SIGINT)), ["go"]) == 130
    assert run(app_that_raises(Stopped(signal.SIGTERM)), ["go"]) == 143


def test_a_closed_pipe_ends_quietly(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr("os.dup2", lambda *a: None)
    assert run(app_that_raises(BrokenPipeError(errno.EPIPE, "Broken pipe")), ["go"]) == 0
    assert capsys.readouterr().err == ""


def test_sigterm_leaves_with_143_and_removes_temporary_files(tmp_path):
    code = (
        "import sys, tempfile, time, typer\n"
        "from taurec.cli.failures import run\n"
        "app = typer.Typer()\n"
        "@app.callback()\n"
        "def root() -> None: ...\n"
        "@app.command('go')\n"
        "def go() -> None:\n"
        f"    with tempfile.TemporaryDirectory(dir={str(tmp_path)!r}):\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "sys.exit(run(app, ['go']))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.terminate()
    _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (143, "")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_to_the_streams_of_a_command_that_is_over(capsys):
    assert main(["data", "check", "planted"]) == 0
    assert logging.getLogger("taurec").handlers == []


def test_a_part_that_catches_exceptions_does_not_hold_up_a_signal():
    assert not issubclass(Stopped, Exception)


def test_an_error_in_a_users_part_is_not_a_defect_of_taurec(tmp_path, capsys):
    path = tmp_path / "bad.py"
    path.write_text(
        "from taurec import ScoreLoss\n\n\n"
        "class Other(ScoreLoss):\n    def __call__(self, pos, neg):\n        return pos\n\n\n"
        "class Raises(ScoreLoss):\n    def __call__(self, pos, neg):\n        return {}['oops']\n"
    )
    for name in ("Other", "Raises"):
        code = main(["train", "planted", "--loss", f"{path}:{name}", "--epochs", "1", "-q"])
    err = capsys.readouterr().err
    said = f"error: loss {path}:Raises raised KeyError: 'oops' in __call__ (bad.py:11); --debug shows the traceback\n"
    assert (code, err.endswith(said)) == (2, True), err
