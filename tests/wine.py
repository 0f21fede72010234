"""Batch files under Wine's cmd, with programs that note what they were asked."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import pip._vendor.distlib
import pytest

_QUIET = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree=;mshtml="}
_LAUNCHER = Path(pip._vendor.distlib.__file__).parent / "t64.exe"
"""The program that pip puts before a script on Windows: it runs what the line behind it names."""


@dataclass(frozen=True)
class Ran:
    """What a batch file said, its exit code, and what it asked of the programs."""

    output: str
    code: int
    asked: tuple[str, ...]


def windows(path: Path) -> str:
    """``path`` as Wine's programs see it."""
    return str(PureWindowsPath("Z:/") / path.relative_to("/").as_posix())


class Wine:
    """One Windows, with a folder ``programs`` on its search path."""

    def __init__(self, home: Path) -> None:
        if not shutil.which("wine"):
            pytest.skip("needs wine (Debian: apt-get install --no-install-recommends wine wine64)")
        self._home, self._asked = home, home / "asked.txt"
        self.programs = home / "programs"
        self.programs.mkdir(parents=True)
        (home / "prefix").mkdir()
        self._environment = {**os.environ, **_QUIET, "WINEPREFIX": str(home / "prefix")}
        self._environment["WINEPATH"] = windows(self.programs)
        for command in (["wineserver", "-p300"], ["wine", "cmd", "/c", "exit"]):
            # What they leave running must not hold the output of what is run later.
            subprocess.run(
                command, env=self._environment, check=True, timeout=110,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def program(self, path: Path, *, fits: bool, code: int = 0) -> None:
        """Make ``path`` a program that takes itself for a Python: asked for its version it says
        whether it ``fits``; what else it is asked it notes, and ends with ``code``."""
        script = self._home / f"{path.stem}-{len(list(self._home.iterdir()))}.cmd"
        lines = (
            "@echo off",
            f'if "%2"=="-c" exit /b {int(not fits)}',
            f'if "%3"=="-c" exit /b {int(not fits)}',
            f"echo {path.stem} %2 %3 %4 %5 %6>>{windows(self._asked)}",
            f"exit /b {code}",
        )
        script.write_bytes("\r\n".join((*lines, "")).encode())
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("__main__.py", "")
        line = f"#!C:\\windows\\system32\\cmd.exe /c {windows(script)}\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_LAUNCHER.read_bytes() + line.encode() + archive.getvalue())

    def run(self, batch: Path, arguments: str = "") -> Ran:
        """Call ``batch`` from another folder than its own, without a console."""
        driver = self._home / "driver.cmd"
        driver.write_bytes(f'@"{windows(batch)}" {arguments}\r\n'.encode())
        self._asked.unlink(missing_ok=True)
        ran = subprocess.run(
            ["wine", "cmd", "/c", "driver.cmd"],
            cwd=self._home, env=self._environment, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=110, check=False,
        )  # fmt: skip
        asked = self._asked.read_text("cp1252") if self._asked.exists() else ""
        lines = tuple(line.replace("\\" + '"', '"').strip() for line in asked.splitlines())
        return Ran(ran.stdout.decode("cp1252"), ran.returncode, lines)

    def end(self) -> None:
        """End what runs in this Windows."""
        subprocess.run(["wineserver", "-k"], env=self._environment, check=False)
