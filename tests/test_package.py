"""The wheel and the sdist: what they hold, and that the installed wheel runs the demo."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import taurec

ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("build") is None or not (ROOT / "pyproject.toml").exists(), reason="needs build"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True)
    return folder


def test_the_wheel_has_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"taurec-{taurec.__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src" / "taurec"
    expected = {
        f"taurec/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "taurec/py.typed" in expected
    assert {Path(name).suffix for name in expected} > {".py", ".j2", ".css", ".js", ".parquet"}
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_the_sdist_has_tests_and_docs_but_no_built_things(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [name.split("/", 1)[1] for name in archive.getnames()]
    folders = {name.split("/")[0] for name in names if "/" in name}
    assert folders == {"src", "tests", "docs"}
    assert not [name for name in names if "__pycache__" in name or name.startswith("docs/reference/taurec")]


def test_the_installed_wheel_runs_the_demo(built: Path, tmp_path: Path) -> None:
    """In a new environment, with the dependencies of this one."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, env=env, cwd=tmp_path)
    own = next((tmp_path / "env" / "lib").glob("*/site-packages"))
    env["PYTHONPATH"] = os.pathsep.join([str(own), sysconfig.get_paths()["purelib"]])
    script = tmp_path / "env" / "bin" / "taurec"
    where = [python, "-c", "import taurec; print(taurec.__file__)"]
    found = subprocess.run(where, check=True, env=env, cwd=tmp_path, capture_output=True, text=True).stdout
    assert str(tmp_path) in found
    done = subprocess.run([script, "demo"], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ease" in done.stdout
