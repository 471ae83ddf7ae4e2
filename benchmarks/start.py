"""How long until the first step of training is done, from the command on: ``taurec train debian``.

    python -m benchmarks start [--rounds 5]

``cold`` has an empty cache of compiled kernels, as on the first run on a machine; ``warm`` the one that a run before
left. Loading Python and torch, reading and splitting the log and the forecast are part of it. Before the times are
printed, the run's own record must say that the compiled kernels ran.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from benchmarks import machine

CHILD = """
import sys, time
began = float(sys.argv[1])
from taurec.training.step import Step
step = Step.__call__
def first(self, *given):
    result = step(self, *given)
    if given[1:] == (1, 1):
        print("FIRST", time.time() - began, sorted(set(self.kernels.values())), flush=True)
    return result
# the forecast takes steps of its own on a smaller log: the run's are those after it
from taurec.training import calibrate
cost = calibrate.cost
def told(*given):
    found = cost(*given)
    Step.__call__ = first
    return found
calibrate.cost = told
from taurec.cli import main
sys.argv = ["taurec", "train", "debian", "--epochs", "1"]
main()
"""


def once(cache: str) -> tuple[float, str]:
    """Seconds to the first step, and the kernels that ran."""
    env = {**os.environ, "NUMBA_CACHE_DIR": cache}
    command = [sys.executable, "-c", CHILD, str(time.time())]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    found = [line.split(maxsplit=2) for line in done.stdout.splitlines() if line.startswith("FIRST")]
    if done.returncode or not found:
        sys.exit(done.stderr or "the run took no step")
    return float(found[0][1]), found[0][2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    times: dict[str, list[float]] = {"cold": [], "warm": []}
    kernels = set()
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as cache:
            for name in times:
                seconds, ran = once(cache)
                times[name].append(seconds)
                kernels.add(ran)
    if kernels != {"['numba']"}:
        sys.exit(f"the compiled kernels did not run everywhere, but {sorted(kernels)}; no time is printed")
    print(json.dumps({"case": "start", "source": "debian", "rounds": given.rounds, **machine.facts()}))
    for name, found in times.items():
        print(json.dumps({"path": name, **machine.summary(found)}))
