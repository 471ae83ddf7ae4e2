"""The command line: ``taurec --help``. Every command is thin; what it calls can be called from Python.

Modules here import only the standard library and typer at their top, so that ``--help`` answers at once;
torch, polars and the rest of TauRec are imported inside the commands.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 done; 1 an internal error; 2 bad input or usage; 3 a broken artefact; 4 the machine refused (disk,
    memory, permission, network); 5 training met a value that is not finite; 130 and 143 ended by Ctrl-C
    and SIGTERM.
    """
    # Before torch is loaded: its threads then sleep while they wait for one another. Spinning threads take
    # turns with TauRec's own and with other programs, and a step takes many times as long on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Matrix products of MKL then have the same bits for any number of threads, on every processor.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    from taurec.cli.app import build
    from taurec.cli.failures import run

    return run(build(), sys.argv[1:] if argv is None else argv)
