"""The one body of the cases that time several ways of doing the same thing.

Correctness first: a case whose own check fails prints no time. Then each path runs in a process of its own, so that
its memory can be measured and no path inherits another's allocator, caches or threads; a process that waits sleeps.
The paths take turns, round after round, so that a busy minute of the machine hits all of them. One call of each
comes first and is not counted. What is printed are medians and quartiles, and how many times as long the first path
of a group takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks import machine
from taurec.kernels.memory import keep_freed_memory

Given = argparse.Namespace


@dataclass(frozen=True)
class Path:
    """One way of doing it.

    Args:
        make: builds whatever is needed from the options and returns the call to time.
        calls: calls a round.
        kept: freed memory stays with the process, as TauRec's training has it; else the allocator is as it comes.
    """

    make: Callable[[Given], Callable[[], object]]
    calls: int = 1
    kept: bool = False


@dataclass(frozen=True)
class Case:
    """What is timed.

    Args:
        name, doc: of the command.
        groups: group -> path name -> path; times are ratios to the first path of a group.
        check: the largest error, as a ratio to what is allowed; above 1 no time is printed.
        about: facts of the header, such as shapes.
        options: adds the case's own options.
        more: further columns of a path's line, from the options and the median in milliseconds.
    """

    name: str
    doc: str | None
    groups: Mapping[str, Mapping[str, Path]]
    check: Callable[[], float]
    about: Callable[[Given], dict[str, Any]]
    options: Callable[[argparse.ArgumentParser], object] = field(default=lambda parser: None)
    more: Callable[[Given, float], dict[str, Any]] = field(default=lambda given, ms: {})


def run(case: Case) -> None:
    """The command of a case."""
    parser = argparse.ArgumentParser(description=case.doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--paths", nargs="+", help="only these; the first of a group is what the others are held to")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    case.options(parser)
    given = parser.parse_args()
    if given.serve:
        group, name = given.serve.split("/", 1)
        _serve(case.groups[group][name], given)
        return
    known = {name for paths in case.groups.values() for name in paths}
    if unknown := set(given.paths or ()) - known:
        parser.error(f"unknown path {sorted(unknown)[0]!r}; the paths are {', '.join(sorted(known))}")
    worst = case.check()
    if worst > 1:
        sys.exit(f"results differ: {worst:.2f} times the error allowed; no time is printed")
    print(json.dumps({"case": case.name, "check": round(worst, 3), **case.about(given), **machine.facts()}), flush=True)
    table = []
    for threads in given.threads:
        for group, paths in case.groups.items():
            wanted = {name: path for name, path in paths.items() if given.paths is None or name in given.paths}
            for line in _timed(group, wanted, threads, given):
                line |= case.more(given, line["median_ms"])
                print(json.dumps(line), flush=True)
                table.append(line)
    _show(table)


def _timed(group: str, paths: Mapping[str, Path], threads: int, given: Given) -> list[dict[str, Any]]:
    workers = {name: _Worker(f"{group}/{name}", threads) for name in paths}
    try:
        replies: dict[str, list[dict[str, Any]]] = {name: [] for name in paths}
        for _ in range(given.rounds):
            for name, path in paths.items():
                replies[name].append(workers[name].ask(path.calls))
    finally:
        for worker in workers.values():
            worker.stop()
    lines: list[dict[str, Any]] = []
    for name in paths:
        wall, cpu = (machine.summary([t for reply in replies[name] for t in reply[kind]]) for kind in ("wall", "cpu"))
        line: dict[str, Any] = {
            "group": group,
            "path": name,
            "threads": threads,
            **wall,
            "cpu_median_ms": cpu["median_ms"],
        }
        line["times"] = round((lines[0] if lines else line)["median_ms"] / line["median_ms"], 1)
        lines.append(line | {"peak_mb": replies[name][-1]["peak_mb"]})
    return lines


class _Worker:
    """A process that holds one path."""

    def __init__(self, path: str, threads: int):
        own, at = [], 1
        while at < len(sys.argv):  # the options of this command, less the number of threads
            if sys.argv[at] == "--threads":
                at += 1
                while at < len(sys.argv) and not sys.argv[at].startswith("-"):
                    at += 1
            else:
                own.append(sys.argv[at])
                at += 1
        command = [sys.executable, "-m", "benchmarks", sys.argv[0].split()[-1], *own]
        command += ["--threads", str(threads), "--serve", path]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def ask(self, calls: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"a path's process ended with code {self._process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        return reply


def _serve(path: Path, given: Given) -> None:
    torch.set_num_threads(given.threads[0])
    if path.kept:
        keep_freed_memory()
    before = machine.resident_mb()
    call = path.make(given)
    call()
    print("{}", flush=True)
    for line in sys.stdin:
        times: dict[str, Any] = {"wall": [], "cpu": []}
        for _ in range(int(line)):
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            times["wall"].append(time.perf_counter() - wall)
            times["cpu"].append(time.process_time() - cpu)
        print(json.dumps(times | {"peak_mb": machine.peak_mb() - before}), flush=True)


def _show(table: list[dict[str, Any]]) -> None:
    wide = max(len(line["path"]) for line in table) + 2
    head = f"{'':12}{'path':{wide}}{'threads':>8}{'median ms':>11}{'q1-q3':>16}{'cpu ms':>9}{'times':>7}{'peak MB':>9}"
    print(f"\n{head}")
    for x in table:
        spread = f"{x['q1_ms']:.1f}-{x['q3_ms']:.1f}"
        print(
            f"{x['group']:12}{x['path']:{wide}}{x['threads']:>8}{x['median_ms']:>11.1f}{spread:>16}"
            f"{x['cpu_median_ms']:>9.1f}{x['times']:>7.1f}{x['peak_mb']:>9}"
        )
