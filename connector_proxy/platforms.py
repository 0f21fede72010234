"""What differs between Windows and other systems, in one place: no other module asks where it
runs."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path, PurePath, PureWindowsPath

WINDOWS = sys.platform == "win32"

if sys.platform == "win32":
    STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
else:
    STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals by which a person or a service manager ends a process that runs in the foreground."""

_RENAME_SECONDS = 3.0
_LONGEST_PATH = 259
_LONGEST_NAME = 150
"""Characters that the longest name below a folder of ours may have, its own folder included."""
_DEVICES = re.compile(r"(con|prn|aux|nul|(com|lpt)[\d¹²³]) *(\..*)?", re.IGNORECASE)


def placed(text: str, home: PurePath) -> PurePath:
    """The path that ``text`` means, counted from ``home``; either slash works everywhere.

    Raises ``ValueError`` for a path with a drive or a server where the system has none.
    """
    if isinstance(home, PureWindowsPath):
        return home / text
    if re.match(r"[A-Za-z]:|\\\\", text):
        raise ValueError("this is a path of Windows, and this machine is none")
    return home / text.replace("\\", "/")


def is_device(name: str) -> bool:
    """Whether Windows takes a file of this name for one of its devices."""
    return bool(_DEVICES.fullmatch(name))


def too_long(folder: Path) -> bool:
    """Whether Windows may refuse the longest names in ``folder``: it takes 259 characters in
    all, unless an administrator has allowed longer paths."""
    return WINDOWS and len(str(folder)) + _LONGEST_NAME > _LONGEST_PATH and not _long_allowed()


def _long_allowed() -> bool:
    if sys.platform != "win32":
        return True
    import winreg

    key = r"SYSTEM\CurrentControlSet\Control\FileSystem"
    with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:
        return bool(winreg.QueryValueEx(opened, "LongPathsEnabled")[0])
    return False


def rename(source: Path, target: Path) -> None:
    """``source`` becomes ``target``, and replaces a file that is there.

    Windows refuses while another program has one of them open, as virus scanners and indexers
    do for a moment: it is tried again for three seconds.
    """
    give_up = time.monotonic() + _RENAME_SECONDS
    while True:
        try:
            source.replace(target)
            return
        except PermissionError:
            if not WINDOWS or time.monotonic() > give_up:
                raise
        time.sleep(0.05)


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; Windows keeps names by
    itself."""
    if WINDOWS and path.is_dir():
        return
    number = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def write_whole(path: Path, text: str) -> None:
    """Make ``path`` a file with ``text`` that only its owner may use; it is on the disk when this
    returns. Whoever reads it sees what was there before, or all of it."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    number = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(number)
    rename(fresh, path)


def make_private(path: Path) -> None:
    """Let nobody but the owner use a file or folder. On Windows it has the permissions of the
    folder above, which an administrator sets."""
    if not WINDOWS:
        path.chmod(0o700 if path.is_dir() else 0o600)


def open_to_others(path: Path) -> bool:
    """Whether others than the owner may use ``path``, as far as its mode can tell."""
    return not WINDOWS and bool(path.stat().st_mode & 0o077)


def readable_by_all(path: Path) -> bool:
    """Whether everybody may read ``path``, as far as its mode can tell; a group may be meant."""
    return not WINDOWS and bool(path.stat().st_mode & 0o004)


def claim(listener: socket.socket) -> None:
    """Let no second process bind the address that ``listener`` is about to bind.

    Windows understands SO_REUSEADDR as the permission to share; elsewhere it only means that a
    restart need not wait for old connections.
    """
    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def tell_manager(state: str) -> None:
    """Tell systemd, where it has started this process and wants to know (Type=notify);
    ``state`` is a line such as ``READY=1``, or several (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if sys.platform == "win32" or not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(state.encode(), re.sub("^@", "\0", address))


def connection_limit(threads: int) -> int:
    """Connections that may be open at the same time: each request may need some files of its own
    besides."""
    if sys.platform == "win32":
        return 400  # select() knows 512
    import resource

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(100, min(1000, files - 6 * threads))
