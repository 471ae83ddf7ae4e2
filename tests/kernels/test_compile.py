"""The cache of compiled code: where it cannot be written or read, kernels still compile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from taurec import kernels

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(kernels.available()["numba"] != "ok", reason="numba does not work here"),
]
PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
import taurec.kernels
assert "numba" not in sys.modules
from taurec.kernels.compile import compiled
compiled("unit_rows", "unit_backward")
"""


def run(cache: Path, **more: str) -> str:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), **more}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_first_run_says_so_and_the_second_reads_the_cache(tmp_path):
    assert "compiling" in run(tmp_path)
    kept = [*tmp_path.rglob("*.nbi"), *tmp_path.rglob("*.nbc")]
    assert len(kept) == 2
    assert "compiling" not in run(tmp_path)


def test_broken_cache(tmp_path):
    run(tmp_path)
    for file in [*tmp_path.rglob("*.nbi"), *tmp_path.rglob("*.nbc")]:
        file.write_bytes(file.read_bytes()[:10])
    assert "cannot be used" in run(tmp_path)


def test_no_folder_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    only = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    assert "cannot be used" in run(tmp_path / "file" / "below", **only)
