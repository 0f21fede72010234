"""gzip: a data file may be packed; it is unpacked beside its place, as far as there is room."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from connector_proxy.dataset.columns import bad_data
from connector_proxy.dataset.room import need_room

CHUNK = 4 << 20


def unpacked(path: Path, folder: Path, reserve: int) -> Path:
    """``path`` itself, or what it unpacks to, in ``folder``, as long as ``reserve`` bytes of the
    disk stay free: a packed file of a few MB can unpack to hundreds of GB."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return path
    target = folder / "unpacked"
    with target.open("wb") as out:
        for chunk in _chunks(path):
            need_room(folder, len(chunk) + reserve, "to unpack the data file")
            out.write(chunk)
    return target


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except (EOFError, zlib.error, OSError) as error:
        raise bad_data(f"The data file cannot be unpacked ({type(error).__name__}).") from None
