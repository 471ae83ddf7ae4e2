"""``python -m benchmarks CASE [OPTIONS]``; ``--list`` names the cases, ``CASE --help`` their options.

``python -m benchmarks --out FILE CASE ..`` also writes the JSON lines to a file, anew: what
``scripts/make_performance.py`` makes docs/performance.md from.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

CASES = {
    "step": "one MF + SL/BSL training step at Yelp2018's size: fixed stand-in, torch path, compiled path",
    "losses": "the time of a step, loss by loss, on the same negatives, beside that of SL",
    "hop": "one hop of the graph and one LightGCN step at Yelp2018's size: torch, compiled, at the rows needed",
    "storage": "an epoch of LightGCN at Yelp2018 with layers stored as float32 and float16: seconds, NDCG@20",
    "catalogue": "exact softmax over all items at Yelp2018's size, beside the stand-in's sampled step",
    "evaluate": "ranking the catalogue for all users of Yelp2018: plain torch, ours",
    "converge": "a published recipe from the raw file on, Recall@20 after each epoch",
    "scale": "up to 1 M items x 2 M users: time and memory beside the forecast; curves over items, negatives, width",
    "start": "seconds from the command to the first step on the built-in data, with a cold and a warm cache",
    "whole": "where the time of one run goes, from the raw file to metrics and a saved model",
    "gpu": "the check of a machine with a GPU: all kernels' tests on it, their times beside torch's, epochs",
    "bilateral": "BSL in user blocks against SL in the same batches, with false positives put into a log",
    "temperature": "tau = auto beside a grid of temperatures: quality on test, seconds and pairs looked at",
    "audit": "estimates of an audit on planted worlds, injected rows found again in real logs",
    "margins": "MML against CCL with few negatives, and which margins",
    "pick": "the model to pick, a blend with a softmax over histories, against the closed forms on one log",
    "family": "every loss, every sampler and every combination of layers on one log, 30 seconds a run",
    "peers": "beside implicit, cornac and RecBole, each in an environment of its own",
    "bits": "hashes of ten fixed runs, to hold one commit against another on one machine",
    "load_log": "reading a large CSV log: wall time and peak memory",
}


class Copied:
    """Standard output, whose JSON lines also go to a file."""

    def __init__(self, out: Path):
        self._out, self._rest = out.open("w"), ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.startswith("{"):
                self._out.write(line + "\n")
        self.flush()
        return sys.__stdout__.write(text) if sys.__stdout__ else len(text)

    def flush(self) -> None:
        self._out.flush()
        if sys.__stdout__:
            sys.__stdout__.flush()


def main() -> int:
    if sys.argv[1:2] == ["--out"] and len(sys.argv) > 2:
        sys.stdout = Copied(Path(sys.argv[2]))
        del sys.argv[1:3]
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--list", "--help", "-h"):
        print(__doc__)
        for case, summary in CASES.items():
            print(f"  {case:10} {summary}")
        return 0
    if name not in CASES:
        print(f"unknown case {name!r}; the cases are {', '.join(CASES)}", file=sys.stderr)
        return 2
    # Before torch is loaded: its waiting threads spin otherwise, at the cost of every other thread.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    sys.argv = [f"benchmarks {name}", *sys.argv[2:]]
    importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
