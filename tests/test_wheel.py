"""The wheel carries everything, and works in an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from connector_proxy import __version__
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


def test_it_contains_the_configuration_the_sas_code_and_the_page(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for source in ("conf", "stored_process"):
        for path in (ROOT / source).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.name != ".gitkeep":
                inside = (
                    f"connector_proxy/shipped/{source}/{path.relative_to(ROOT / source).as_posix()}"
                )
                assert inside in names
    for path in (ROOT / "connector_proxy" / "web" / "ops").rglob("*.*"):
        assert path.relative_to(ROOT).as_posix() in names or "__pycache__" in path.parts
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "empty place"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=120)
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python, command = str(scripts / "python"), str(scripts / "connector-proxy")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)],
        check=True, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    def run(*arguments: str) -> str:
        result = subprocess.run(
            [command, *arguments], cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=120, check=False
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert __version__ in run("--version")
    shown = run("demo", "--rows", "10")
    assert '"rows": 10' in shown
    assert str(home) in shown.strip().splitlines()[-1], "the dataset lies below the environment"
    assert "shipped" in run("check")
    written = run("sas", "export", "--to", "copy")
    assert f"{tmp_path / 'copy' / 'code' / 'stpDownloadFile.sas'}" in written
    assert "nothing was found" in run("sas", "check", "copy")
    assert "changed" not in run("sas", "diff", "copy")
    refused = subprocess.run(
        [command, "emulate-sas", "--code", "copy", "--port", "0"],
        cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "the interpreter of the tests, which is not here" in refused.stderr
