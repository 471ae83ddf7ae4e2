"""``python -m benchmarks CASE [OPTIONS]``; ``--list`` names the cases, ``CASE --help`` their options."""

from __future__ import annotations

import importlib
import os
import sys

CASES = {
    "step": "one MF + SL/BSL training step at Yelp2018's size: fixed stand-in, torch path, compiled path",
    "hop": "one hop of the graph and one LightGCN step at Yelp2018's size: torch, compiled, at the rows needed",
    "catalogue": "exact softmax over all items at Yelp2018's size, beside the stand-in's sampled step",
    "converge": "a published recipe from the raw file on, Recall@20 after each epoch",
    "scale": "up to 1 M items x 2 M users: time and memory beside the forecast; curves over items, negatives, width",
    "load_log": "reading a large CSV log: wall time and peak memory",
}


def main() -> int:
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
    sys.argv = [f"benchmarks {name}", *sys.argv[2:]]
    importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
