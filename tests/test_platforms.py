"""What differs between Windows and other systems: one file of facts, and nothing besides it."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
from collections import Counter
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from connector_proxy import platforms
from connector_proxy.dataset.place import dataset_name, file_names
from connector_proxy.values import proglog
from tests.conftest import ROOT

SOURCES = sorted((ROOT / "connector_proxy").rglob("*.py"))
ASKING = re.compile(r"\bos\.name\b|\bsys\.platform\b|\bplatform\.system\(|\bwinreg\b|\bmsvcrt\b")
MISSING = re.compile(
    r"\bos\.(fork|getuid|geteuid|setsid|mkfifo|chown|nice|sync|O_DIRECT|O_NOFOLLOW)\b"
    r"|\bsignal\.(SIGKILL|SIGHUP|SIGUSR1|SIGUSR2|SIGALRM|SIGCHLD|alarm|setitimer|pause)\b"
    r"|^\s*(import|from) (fcntl|pwd|grp|resource|termios|pty|syslog)\b"
    r"|\.symlink_to\(|\bos\.symlink\(|%-[dmHMS]",
    re.MULTILINE,
)
"""What Windows lacks, or what works there with rights alone that a service has not."""


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split("\0")[:-1]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nobody_else_asks_where_it_runs_or_uses_what_windows_lacks(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name != "platforms.py":
        assert not ASKING.search(text)
        assert not MISSING.search(text)


def test_every_file_can_lie_on_windows() -> None:
    for name in tracked():
        for part in name.split("/"):
            assert not re.search(r'[<>:"|?*\\\x00-\x1f]|[. ]$', part), name
            assert not platforms.is_device(part), name
        assert len(name) < 120, f"{name}: below a folder of 130 characters this is too long"
    lower = Counter(name.lower() for name in tracked())
    assert max(lower.values()) == 1, "two names differ in upper and lower case alone"


def test_batch_files_end_their_lines_as_windows_does() -> None:
    shown = subprocess.run(
        ["git", "ls-files", "--eol", "*.bat"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert shown.count("attr/text eol=crlf") == len(shown.splitlines()) > 0


HOME = PureWindowsPath(r"D:\SAS tools\connector proxy")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".\\logs\\", r"D:\SAS tools\connector proxy\logs"),
        ("./logs/", r"D:\SAS tools\connector proxy\logs"),
        ("output\\a/b", r"D:\SAS tools\connector proxy\output\a\b"),
        ("C:\\CI360\\logs", r"C:\CI360\logs"),
        ("C:/CI360/logs", r"C:\CI360\logs"),
        ("\\\\server\\share\\logs", r"\\server\share\logs"),
        ("//server/share/logs", r"\\server\share\logs"),
        ("\\logs", r"D:\logs"),
    ],
)
def test_a_path_of_the_configuration_means_the_same_folder_on_windows(
    text: str, expected: str
) -> None:
    assert platforms.placed(text, HOME) == PureWindowsPath(expected)


@pytest.mark.parametrize("text", ["C:\\CI360\\logs", "\\\\server\\share", "d:/logs"])
def test_a_path_of_windows_is_refused_elsewhere(text: str) -> None:
    with pytest.raises(ValueError, match="path of Windows"):
        platforms.placed(text, PurePosixPath("/opt/connector-proxy"))
    assert platforms.placed(text, HOME)


@pytest.mark.parametrize(
    ("task", "run"),
    [
        ("Spring: 50 % <off>?", "7451e683-0000-4000-8000-000000000000"),
        ("CON", ""),
        ("aux", ""),
        ("nul.txt", ""),
        ("Größe|*\\/\"'", "a:b"),
        ("trailing. ", "x."),
        ("", ".."),
        ("x" * 400, "y" * 400),
        ("Ω" * 400, "com1"),
    ],
)
def test_a_name_that_is_made_of_what_others_send_is_legal_on_windows(task: str, run: str) -> None:
    for ending in (".parquet", ".json", ".rejects.csv", "_2.xpt"):
        name = dataset_name(task, run) + ending
        path = PureWindowsPath("C:\\output") / name
        assert (path.name, path.parent) == (name, PureWindowsPath("C:\\output"))
        assert not re.search(r'[<>:"|?*\\/\x00-\x1f]|[. ]$', name)
        assert not platforms.is_device(name)
        assert len(name) <= platforms._LONGEST_NAME


@pytest.mark.parametrize("name", ["C:\\windows\\x", "..\\x", "a:b", "x/..", "\\\\server\\x"])
def test_a_manifest_leads_to_no_other_folder_on_windows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector_proxy.dataset.place.Path", PureWindowsPath)
    assert list(file_names({"files": [{"name": name}, {"name": "good.csv"}]})) == ["good.csv"]


@pytest.mark.parametrize("text", ["con", "nul.log", "log.", "log ."])
def test_a_log_file_has_a_name_that_windows_takes(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name of the log file"):
        proglog(text, tmp_path)


class Held(type(Path())):  # type: ignore[misc]
    """A file that another program holds for a number of tries, as on Windows."""

    tries = 0

    def replace(self, target: Path) -> Path:  # type: ignore[override]
        Held.tries -= 1
        if Held.tries >= 0:
            raise PermissionError(13, "The process cannot access the file")
        return super().replace(target)


def test_a_file_that_is_held_for_a_moment_is_renamed_nevertheless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platforms, "WINDOWS", True)
    source, target = Held(tmp_path / "new"), tmp_path / "old"
    source.write_text("new")
    target.write_text("old")
    Held.tries = 3
    platforms.rename(source, target)
    assert (target.read_text(), source.exists()) == ("new", False)


def test_a_file_that_stays_held_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "WINDOWS", True)
    monkeypatch.setattr(platforms, "_RENAME_SECONDS", 0.1)
    source = Held(tmp_path / "new")
    source.write_text("new")
    Held.tries = 1000
    with pytest.raises(PermissionError):
        platforms.rename(source, tmp_path / "old")
    assert source.read_text() == "new"


def test_elsewhere_nothing_is_waited_for(tmp_path: Path) -> None:
    Held.tries = 1
    with pytest.raises(PermissionError):
        platforms.rename(Held(tmp_path / "new"), tmp_path / "old")


def test_names_are_too_long_only_where_windows_does_not_take_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Path("/" + "x" * 120)
    assert not platforms.too_long(folder)
    monkeypatch.setattr(platforms, "WINDOWS", True)
    monkeypatch.setattr(platforms, "_long_allowed", lambda: False)
    assert platforms.too_long(folder)
    assert not platforms.too_long(Path("/short"))
    monkeypatch.setattr(platforms, "_long_allowed", lambda: True)
    assert not platforms.too_long(folder)


def test_an_address_is_claimed_for_one_process_alone() -> None:
    with socket.socket() as first, socket.socket() as second:
        for listener in (first, second):
            platforms.claim(listener)
        first.bind(("127.0.0.1", 0))
        first.listen()
        with pytest.raises(OSError, match="in use"):
            second.bind(first.getsockname())


def test_the_facts_know_no_other_module() -> None:
    tree = ast.parse((ROOT / "connector_proxy/platforms.py").read_text(encoding="utf-8"))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in names if name.startswith("connector_proxy")]
