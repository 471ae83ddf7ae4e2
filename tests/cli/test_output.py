import io
import json
import logging
import math
import sys

import numpy as np

from taurec.cli.output import Output
from taurec.report.json import plain


def test_plain_values_are_json():
    made = plain(
        {
            1: (np.float32(0.5), np.int64(3)),
            "x": {
                math.inf,
            },
            "s": "é",
        }
    )
    assert json.loads(json.dumps(made)) == {"1": [0.5, 3], "x": [None], "s": "é"}


def test_results_and_notes_have_their_own_streams(capsys):
    output = Output()
    output.say("result [b]")
    output.note("note [b]")
    output.document({"unseen": 1})
    assert capsys.readouterr() == ("result [b]\n", "note [b]\n")


def test_a_command_to_copy_is_never_broken(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    Output().command("taurec recommend " + "x" * 40)
    assert capsys.readouterr().out == "  taurec recommend " + "x" * 40 + "\n"


def test_json_is_alone_on_stdout(capsys):
    output = Output(as_json=True)
    output.say("result")
    output.document({"a": 1})
    output.note("note")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert err == "note\n"


def test_quiet_keeps_warnings(capsys):
    output = Output(quiet=True)
    output.note("note")
    output.note("warning: hardly any groups")
    assert capsys.readouterr().err == "warning: hardly any groups\n"


def test_a_closed_stderr_does_not_end_the_work(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    Output().note("lost")


def test_what_the_library_logs_is_a_note(capsys):
    Output()
    logging.getLogger("taurec.kernels").info("compiling")
    assert capsys.readouterr().err == "compiling\n"
    Output(quiet=True)
    logging.getLogger("taurec.kernels").info("compiling")
    assert capsys.readouterr().err == ""
