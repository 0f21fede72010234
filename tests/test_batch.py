"""The batch files, under Wine's cmd: Python is found, or said to be missing; exit codes count."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.wine import Wine, windows

NAMES = ("install_libraries.bat", "run_service.bat")


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wine]:
    wine = Wine(tmp_path_factory.mktemp("wine"))
    yield wine
    wine.end()


@pytest.fixture
def home(tmp_path: Path, wine: Wine) -> Path:
    """An installation in a folder with a name that makes trouble where quotes are missing."""
    for path in wine.programs.iterdir():
        path.unlink()
    folder = tmp_path / "SAS (x86) & connector"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(ROOT / name, folder)
        assert b"\r\n" in (folder / name).read_bytes(), "the checkout has the wrong line ends"
    return folder


@pytest.mark.parametrize(
    ("programs", "asked"),
    [
        ({"python": True}, "python"),
        ({"py": False, "python": True}, "python"),
        ({"py": True, "python": True}, "py -3"),
    ],
)
def test_the_first_python_that_fits_installs(
    programs: dict[str, bool], asked: str, wine: Wine, home: Path
) -> None:
    for name, fits in programs.items():
        wine.program(wine.programs / f"{name}.exe", fits=fits, code=5)
    ran = wine.run(home / "install_libraries.bat", "/download")
    assert ran.asked == (f'{asked} "{windows(home)}\\install_libraries.py" /download',)
    assert ran.code == 5, "the exit code of the installation"


@pytest.mark.parametrize("old", [(), ("py", "python")])
def test_where_there_is_no_python_it_says_what_to_do(
    old: tuple[str, ...], wine: Wine, home: Path
) -> None:
    for name in old:
        wine.program(wine.programs / f"{name}.exe", fits=False)
    ran = wine.run(home / "install_libraries.bat")
    assert (ran.code, ran.asked) == (1, ())
    assert "ERROR: Python 3.11 or newer was not found." in ran.output
    assert "python.org" in ran.output


def test_the_service_runs_in_the_window_with_the_options_it_is_given(
    wine: Wine, home: Path
) -> None:
    wine.program(home / ".venv" / "Scripts" / "python.exe", fits=True, code=7)
    ran = wine.run(home / "run_service.bat", "--port 8101")
    assert ran.asked == ("python -m connector_proxy serve --port 8101",)
    assert ran.code == 7


def test_without_an_installation_the_service_says_what_to_run(wine: Wine, home: Path) -> None:
    ran = wine.run(home / "run_service.bat")
    assert ran.code == 1
    assert "Run install_libraries.bat first." in ran.output
