"""Folders with the SAS side: the shipped one, an installed copy; read, and written.

Texts are read as UTF-8, otherwise as the Windows encoding that SAS calls wlatin1.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from connector_proxy import platforms
from connector_proxy.sascode.checks.formats import Widths

EMPTY_FOLDERS = ("logs", "output")
"""What SAS writes into; nothing in them is ours."""

_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE.parent / "stored_process", _PACKAGE / "shipped" / "stored_process")
_FOLDERS = ("code", "conf")


def shipped_folder() -> Path:
    """The SAS side of this checkout, else the one inside the wheel."""
    return next((place for place in _PLACES if (place / "code").is_dir()), _PLACES[-1])


def shipped() -> dict[str, str]:
    """The files that are shipped, by their names."""
    return texts(shipped_folder())


def widths() -> Widths:
    """The widths that SAS allows for its formats and informats."""
    found: Widths = json.loads((Path(__file__).parent / "widths.json").read_text("utf-8"))
    return found


def present(folder: Path) -> dict[str, bytes]:
    """The files of a copy: those in ``code`` and ``conf``, and the README; hidden ones are not.
    Raises ``OSError``."""
    places = [folder / "README.md"]
    for name in _FOLDERS:
        if (folder / name).is_dir():
            places += sorted((folder / name).iterdir())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in places
        if path.is_file() and not path.name.startswith(".")
    }


def texts(folder: Path) -> dict[str, str]:
    """The same as text, lines ended by LF."""
    return {name: text(raw) for name, raw in present(folder).items()}


def text(raw: bytes) -> str:
    """Bytes as text, lines ended by LF."""
    try:
        found = raw.decode("utf-8")
    except UnicodeDecodeError:
        found = raw.decode("cp1252", "replace")
    return found.replace("\r\n", "\n")


def write(folder: Path, name: str, content: bytes) -> None:
    """Write one file whole, or not at all. Raises ``OSError``."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(part).chmod(0o644)
        platforms.rename(Path(part), path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise
