"""Folders and disks: whether they can be written, how much room there is, who may read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from connector_proxy import platforms
from connector_proxy.acceptor import ROOM_BYTES
from connector_proxy.database import FILE
from connector_proxy.health.check import Check, Condition
from connector_proxy.settings import Settings, of_stp

_COMFORTABLE_BYTES = 1 << 30


def writable(name: str, folder: Path, key: str) -> Check:
    """Whether files can be made in ``folder``, or the folder itself; nothing stays behind."""
    existing = folder
    try:
        existing = _existing(folder)
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        advice = f"Let the service account write there, or name another folder in {key}."
        return Check(name, Condition.FAIL, f"{existing}: {error.strerror}", advice)
    how = "can be written" if existing == folder else "can be made"
    return Check(name, Condition.OK, f"{folder} {how}")


def _existing(folder: Path) -> Path:
    """``folder``, or the nearest one above it that is there."""
    return next((one for one in (folder, *folder.parents) if one.exists()), folder)


def data_folder(folder: Path) -> Check:
    """Whether the file of the deliveries can be made there, or the one that is there written."""
    name, file = "data folder", folder / FILE
    check = writable(name, folder, "datafolder")
    if check.condition is Condition.OK and file.exists():
        if not file.is_file():
            return Check(name, Condition.FAIL, f"{file} is no file", "Move it away.")
        if not os.access(file, os.R_OK | os.W_OK):
            message = f"{file} may not be read and written"
            return Check(name, Condition.FAIL, message, "Let the service account do both.")
    return check


def long(folder: Path) -> Iterator[Check]:
    """Whether the names of datasets fit below ``folder``."""
    if platforms.too_long(folder):
        message = f"{folder}: Windows may refuse the longest names of datasets below it"
        words = "Take a shorter folder, or set LongPathsEnabled (docs/install-windows.md)."
        yield Check("output folder", Condition.WARN, message, words)


def rooms(settings: Settings) -> Iterator[Check]:
    """Room on each disk that the service writes to, by the setting that names the folder; nothing
    where a disk cannot be asked (another check tells that)."""
    if not settings.queueurl:
        words = f"Make room: below {ROOM_BYTES >> 20} MB webhooks are answered with 503 (disk_low)."
        yield from _room("datafolder", settings.datafolder, ROOM_BYTES, Condition.FAIL, words)
    for (key, folder), least in _written_to(settings).items():
        words = f"Make room: below {least >> 20} MB (diskreservemb) nothing is downloaded."
        yield from _room(key, folder, least, Condition.WARN, words)


def _written_to(settings: Settings) -> dict[tuple[str, Path], int]:
    """The folders of files and datasets by the names of their settings, with the bytes that must
    stay free there."""
    found: dict[tuple[str, Path], int] = {}
    for stp in ("", *settings.overrides):
        own = settings.for_stp(stp)
        least = own.diskreservemb << 20
        if own.fetches:
            found["downloadfolder", own.downloadfolder] = least
        if own.embedded and own.outputfolder not in {folder for _, folder in found}:
            found[of_stp(stp, "outputfolder"), own.outputfolder] = least
    return found


def _room(key: str, folder: Path, least: int, worst: Condition, advice: str) -> Iterator[Check]:
    with suppress(OSError):
        free = shutil.disk_usage(_existing(folder)).free
        condition = Condition.OK
        if free < max(least, _COMFORTABLE_BYTES):
            condition = Condition.WARN if free >= least else worst
        message = f"{free >> 20:,} MB free for {folder}"
        yield Check(f"room in {key}", condition, message, advice if condition != "ok" else "")


def open_to_others(folder: Path) -> Iterator[Check]:
    """Access of others to payloads that are there already, where the file system tells it so."""
    file = folder / FILE
    with suppress(OSError):
        for path, mode in ((folder, 700), (file, 600)):
            if file.exists() and platforms.open_to_others(path):
                message = f"others may use {path}; payloads hold data of customers"
                words = f"chmod {mode} {path} (each start of the service does it, too)"
                yield Check("data folder", Condition.WARN, message, words)
