"""What is known of uploads that have begun and not ended, on the disk before it is known to the
store: a killed process leaves nothing behind that nobody would end.

One small file an object, in the folder of its delivery.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from connector_proxy import platforms

FOLDER = "uploads"


@dataclass(frozen=True)
class Begun:
    """An upload that has begun: its target (``upload:NAME``), bucket and key; ``upload_id`` is
    the store's, empty where the store was asked for one and its answer is not known."""

    target: str
    bucket: str
    key: str
    upload_id: str = ""
    part_bytes: int = 0


class Note:
    """The note of one object."""

    def __init__(self, path: Path, begun: Begun) -> None:
        self._path = path
        self.begun = begun

    def change(self, upload_id: str, part_bytes: int) -> None:
        """Write down another state; it is on the disk when this returns."""
        self.begun = replace(self.begun, upload_id=upload_id, part_bytes=part_bytes)
        self._path.parent.mkdir(exist_ok=True, mode=0o700)
        platforms.write_whole(self._path, json.dumps(asdict(self.begun)))

    @property
    def exists(self) -> bool:
        """Whether an upload has begun."""
        return self._path.exists()

    def forget(self) -> None:
        """The upload has ended."""
        self._path.unlink(missing_ok=True)

    def ids_of_others(self) -> Iterator[str]:
        """The ids of uploads that other notes of this instance tell of."""
        for path in self._path.parents[2].glob(f"*/{FOLDER}/*.json"):
            if path != self._path and (begun := _read(path)) and begun.upload_id:
                yield begun.upload_id


class Notes:
    """The notes in the folder of a delivery that goes to ``target``."""

    def __init__(self, folder: Path, target: str, bucket: str) -> None:
        self._folder, self._target, self._bucket = folder / FOLDER, target, bucket

    def of(self, key: str) -> Note:
        """The note of an object, as it was left."""
        wanted = Begun(self._target, self._bucket, key)
        path = self._folder / f"{hashlib.sha256(repr(wanted).encode()).hexdigest()[:32]}.json"
        return Note(path, _read(path) or wanted)


def left(folder: Path) -> Iterator[Note]:
    """The notes that lie in the folder of a delivery, whatever their targets."""
    for path in sorted((folder / FOLDER).glob("*.json")):
        if begun := _read(path):
            yield Note(path, begun)


def _read(path: Path) -> Begun | None:
    with suppress(OSError, ValueError, TypeError):
        return Begun(**json.loads(path.read_bytes()))
    return None
