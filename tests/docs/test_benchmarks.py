"""The cases whose figures docs/performance.md quotes reach into the training loop; they still find what they time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lines(folder: Path, *given: str) -> list[dict]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks", *given]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_the_parts_of_a_whole_run_are_timed_and_add_up(tmp_path: Path) -> None:
    _, *parts = lines(tmp_path, "whole", "--source", "debian", "--epochs", "1", "--threads", "1")
    seconds = {line["part"]: line["seconds"] for line in parts}
    whole = seconds.pop("all")
    assert all(seconds[part] > 0 for part in ("forward and loss", "backward", "Adam", "order and negatives"))
    assert sum(seconds.values()) == pytest.approx(whole, rel=0.05)


@pytest.mark.slow
def test_the_first_step_is_seen_with_both_caches(tmp_path: Path) -> None:
    _, cold, warm = lines(tmp_path, "start", "--rounds", "1")
    assert (cold["path"], warm["path"]) == ("cold", "warm")
    assert cold["median_ms"] > warm["median_ms"] > 0


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_the_check_of_a_gpu_goes_through_without_one(tmp_path: Path) -> None:
    found = lines(tmp_path, "gpu", "--small", "--rounds", "1", "--epochs", "1")
    assert [line["kernel"] for line in found if "kernel" in line][:2] == ["gather-dot", "catalogue"]
    assert [line["run"] for line in found if "run" in line] == ["mf sampled", "mf full", "lightgcn"]
