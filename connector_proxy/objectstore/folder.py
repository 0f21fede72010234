"""A folder of this machine, or one that is shared: the same promises as those of a store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from connector_proxy import platforms
from connector_proxy.objectstore import faults
from connector_proxy.objectstore.notes import Note, Notes
from connector_proxy.objectstore.parcel import Parcel, sha256_of
from connector_proxy.objectstore.target import Target

_CHUNK = 4 << 20


class Folder:
    """Files appear whole, by a rename, and are on the disk by then."""

    def __init__(self, target: Target) -> None:
        self._folder = target.folder

    def look(self) -> None:
        """See that files can be made there; nothing stays behind."""
        with _translated(), tempfile.TemporaryFile(dir=self._folder):
            pass

    def facts(self, key: str) -> Mapping[str, str] | None:
        """The SHA-256 of a file; None where there is none."""
        path = self._folder / key
        with _translated():
            return {"sha256": sha256_of(path)} if path.is_file() else None

    def put(self, parcel: Parcel, notes: Notes) -> None:
        """Copy a file there. Raises ``Exists``, ``Refused`` and ``Unavailable``."""
        final, note = self._folder / parcel.key, notes.of(parcel.key)
        part = final.parent / f".part-{parcel.delivery_id}"
        with _translated():
            if not self._folder.is_dir():
                raise faults.no_bucket(f"{self._folder} is no folder")
            final.parent.mkdir(parents=True, exist_ok=True)
            note.change(str(part), 0)
            with parcel.path.open("rb") as source, part.open("wb") as copy:
                shutil.copyfileobj(source, copy, _CHUNK)
                copy.flush()
                os.fsync(copy.fileno())
            if sha256_of(part) != parcel.sha256:
                raise faults.damaged("another SHA-256")
            if parcel.only_new and final.exists():
                self.abandon(note)
                raise faults.Exists
            platforms.rename(part, final)
        note.forget()

    def abandon(self, note: Note) -> None:
        """Remove what was copied of a file."""
        with _translated():
            if note.begun.upload_id:
                Path(note.begun.upload_id).unlink(missing_ok=True)
        note.forget()

    def close(self) -> None:
        """Nothing stays open."""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise faults.denied(str(error)) from None
    except FileNotFoundError as error:
        raise faults.no_bucket(str(error)) from None
    except OSError as error:
        raise faults.unreachable(str(error)) from None
