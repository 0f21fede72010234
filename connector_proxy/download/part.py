"""What has arrived of one file: ``target.part``, and beside it ``target.part.json``, what of.

The JSON file says how many bytes are surely on the disk, so that neither a killed process nor a
power failure leaves a part that is longer than what can be trusted. Digests are counted while
bytes are written; only a part of another process is read once more.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO, cast
from weakref import WeakSet

from filelock import FileLock, Timeout

from connector_proxy import platforms
from connector_proxy.download.answers import Mark
from connector_proxy.errors import Unavailable

SAVE_BYTES = 32 * 1024 * 1024
"""At most so much is lost when the process is killed; each saving waits for the disk."""

_OPEN: WeakSet[Part] = WeakSet()
"""The parts that this process is writing."""
_PIECE = 1024 * 1024


class Part:
    """The part of ``target``, locked for this process. ``source`` tells which file it is of: what
    was kept of another one is dropped. ``what`` names the file in messages.

    Raises ``Unavailable`` where another process downloads to the same place. Each ``OSError`` of
    its methods is one of the disk; see ``disk_error``.
    """

    def __init__(self, target: Path, source: str, what: str) -> None:
        self._target, self._source, self._what = target, source, what
        self._path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self._lock = FileLock(f"{self._path}.lock", thread_local=False)
        self._open = ExitStack()
        self._file: BinaryIO
        self.length = self._saved = 0
        self.mark: Mark | None = None
        self._begin_digests()

    def __enter__(self) -> Part:
        with ExitStack() as opened:
            try:
                opened.enter_context(self._lock.acquire(timeout=0))
            except Timeout:
                raise self._busy() from None
            mode = "r+b" if self._path.exists() else "w+b"
            self._file = cast(BinaryIO, opened.enter_context(self._path.open(mode)))
            self._take_up()
            self._open = opened.pop_all()
        _OPEN.add(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _OPEN.discard(self)
        with self._open:
            self.save()

    def _busy(self) -> Unavailable:
        return Unavailable(
            f"The {self._what} is being downloaded by another process already.",
            code="download_busy",
            advice="It is tried again. If it stays so, look for a second instance or an earlier "
            "process that still runs.",
        )

    def _take_up(self) -> None:
        """Go on from what an earlier process saved, or from zero."""
        known = self._known()
        self._file.truncate(known["length"] if known else 0)
        if known:
            self.mark = Mark(known["etag"], known["total"], known["md5"])
            self._begin_digests()
            while piece := self._file.read(_PIECE):
                self._count(piece)
            self._saved = self.length

    def _known(self) -> dict[str, Any]:
        """What the JSON file says of the part; empty where there is nothing to go on from."""
        try:
            known = json.loads(self._note.read_bytes())
            usable = (
                known["source"] == self._source
                and known["etag"] != ""
                and 0 < known["length"] <= self._path.stat().st_size
                and known["length"] <= (known["total"] or known["length"])
            )
            return (
                {name: known[name] for name in ("etag", "total", "md5", "length")} if usable else {}
            )
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return {}

    def _begin_digests(self) -> None:
        """An MD5 costs twice a SHA-256 and is counted only where there is one to compare."""
        self._sha256 = hashlib.sha256()
        wanted = self.mark is not None and self.mark.md5
        self._md5 = hashlib.md5(usedforsecurity=False) if wanted else None

    def _count(self, piece: bytes) -> None:
        self._sha256.update(piece)
        if self._md5:
            self._md5.update(piece)
        self.length += len(piece)

    @property
    def whole(self) -> bool:
        """Whether everything has arrived."""
        return self.mark is not None and self.length == self.mark.total

    def begin(self, mark: Mark) -> None:
        """Start from zero, with the content of ``mark``."""
        self._note.unlink(missing_ok=True)
        self._file.seek(0)
        self._file.truncate()
        self.length = self._saved = 0
        self.mark = mark
        self._begin_digests()

    def write(self, piece: bytes) -> None:
        """The next bytes."""
        self._file.write(piece)
        self._count(piece)
        if self.length - self._saved >= SAVE_BYTES:
            self.save()

    def told(self, total: int) -> None:
        """The store said how long the whole is."""
        assert self.mark is not None
        self.mark = replace(self.mark, total=total)

    def save(self) -> None:
        """Let a later process go on from here."""
        if self.mark is None or self.length == self._saved:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        facts = {"source": self._source, "length": self.length, **asdict(self.mark)}
        platforms.write_whole(self._note, json.dumps(facts))
        self._saved = self.length

    def drop(self) -> None:
        """Forget what is there."""
        self.begin(Mark("", None))
        self.mark = None

    def sound(self) -> bool:
        """Whether the content is what its ETag says, where that can be told."""
        assert self.mark is not None
        return not self._md5 or self._md5.hexdigest() == self.mark.etag.strip('"').lower()

    def finish(self) -> str:
        """Make it the target, on the disk for sure; returns its SHA-256 in lower-case hex."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._saved = self.length
        platforms.rename(self._path, self._target)
        self._note.unlink(missing_ok=True)
        self._open.close()
        with suppress(OSError):  # Windows, and somebody looks at it
            Path(self._lock.lock_file).unlink(missing_ok=True)
        return self._sha256.hexdigest()

    def need_room(self, reserve: int) -> None:
        """Raise ``Unavailable`` unless the rest fits on the disk beside the rests of all other
        downloads of this process, and ``reserve`` bytes stay."""
        free = shutil.disk_usage(self._target.parent).free
        promised = sum(other.rest for other in list(_OPEN) if other is not self)
        need = self.rest + promised + reserve
        if free < need:
            what = f"There is no room for the {self._what}: {_mb(need)} are needed"
            raise _low(f"{what}, {_mb(free)} are free.", str(self._target.parent))

    @property
    def rest(self) -> int:
        """Bytes that are still to come, as far as that is known."""
        total = self.mark.total if self.mark else None
        return max(0, (total or self.length) - self.length)

    def disk_error(self, error: OSError) -> Unavailable:
        """What it means when the disk refuses."""
        return disk_error(self._path, error, self._what)


def disk_error(path: Path, error: OSError, what: str) -> Unavailable:
    """What it means when the disk refuses to keep ``what`` at ``path``."""
    why = error.strerror or type(error).__name__
    cause = f"{path}: {why}"
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return _low(f"The disk became full while the {what} was downloaded.", cause)
    return Unavailable(
        f"The {what} cannot be kept: {why}.",
        code="download_folder",
        advice="It is tried again. The log names the file: see that downloadfolder exists and may "
        "be written by the service account.",
        cause=cause,
    )


def _mb(count: int) -> str:
    return f"{-(-count >> 20):,} MB"


def _low(message: str, cause: str) -> Unavailable:
    advice = (
        "Make room; it is tried again. diskreservemb says how much stays free. The log names the "
        "folder."
    )
    return Unavailable(message, code="disk_low", advice=advice, cause=cause)
