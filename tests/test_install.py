"""install_libraries.py as a newcomer runs it: with internet, without, and when it cannot work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from connector_proxy import __version__
from tests.conftest import ROOT

NEEDED = (
    "install_libraries.py", "pyproject.toml", "requirements.txt", "requirements-test.txt",
    "README.md", "LICENSE",
)  # fmt: skip


def copy(folder: Path) -> Path:
    """What is installed, without what others left in the checkout."""
    folder.mkdir()
    for name in NEEDED:
        shutil.copy(ROOT / name, folder)
    for name in ("connector_proxy", "conf", "stored_process"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def install(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it from another folder, with nobody there to answer a question."""
    return subprocess.run(
        [sys.executable, str(home / "install_libraries.py"), *arguments],
        cwd=home.anchor, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.timeout(600)  # 16 seconds on a machine that does nothing else
def test_what_was_downloaded_installs_without_internet(tmp_path: Path) -> None:
    home = copy(tmp_path / "SAS tools (x86) & more")
    downloaded = install(home, "/download")
    assert downloaded.returncode == 0, downloaded.stderr
    assert "OK: " in downloaded.stdout
    assert list((home / "wheels").glob("duckdb-*.whl"))
    moved = home.rename(tmp_path / "machine without internet")  # .venv came along, and is of no use
    installed = install(moved)
    assert installed.returncode == 0, installed.stderr
    assert "out of the folder wheels" in installed.stdout
    last = installed.stdout.splitlines()[-1]
    assert last.startswith("OK: installed.")
    assert str(moved) in last
    scripts = moved / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    shown = subprocess.run(
        [str(scripts / "connector-proxy"), "check"], capture_output=True, text=True, check=False
    )
    assert f"configuration folder: {moved / 'conf'}" in shown.stdout
    (moved / "requirements.txt").write_text("no-such-package-here==1\n")
    refused = install(moved)
    assert refused.returncode == 1
    assert "no-such-package-here" in refused.stderr
    assert "ERROR: it stopped; the lines above say why." in refused.stdout
    assert __version__ in installed.stdout


def test_an_option_that_it_does_not_know_is_answered_with_its_use() -> None:
    told = install(ROOT, "/upgrade")
    assert told.returncode == 1
    assert "/download" in told.stdout


def test_a_python_that_is_too_old_is_told(tmp_path: Path) -> None:
    program = (
        "import runpy, sys; sys.version_info = (3, 10, 4); sys.argv = ['install_libraries.py'];"
        f"runpy.run_path({str(ROOT / 'install_libraries.py')!r}, run_name='__main__')"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    assert "3.11 or newer is needed" in told.stdout
