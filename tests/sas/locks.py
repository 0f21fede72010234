"""Locks on members of a base library, between sessions in threads and in processes.

A reader shares a member, a writer and LOCK have it alone. The locks die with who holds them,
like those of SAS; they lie outside of the library's folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from pathlib import Path


class NotAvailable(Exception):
    """Somebody else has the member."""


class Hold:
    """One lock, held until :meth:`release`."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    def release(self) -> None:
        """Give it back; once is enough."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def is_held(self) -> bool:
        """Whether it was not given back yet."""
        return self._handle is not None

    def strengthen(self, *, wait: float) -> None:
        """A share becomes exclusive; NotAvailable when others share it."""
        assert self._handle is not None
        _take(self._handle, fcntl.LOCK_EX, wait)


def _lock_file(member: Path) -> Path:
    digest = hashlib.sha256(str(member.resolve()).encode()).hexdigest()[:40]
    folder = Path(tempfile.gettempdir()) / f"sas-runner-locks-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    return folder / digest


def acquire(member: Path, *, alone: bool, wait: float) -> Hold:
    """A lock on the file of a member, waiting up to ``wait`` seconds as FILELOCKWAIT= does."""
    handle = os.open(_lock_file(member), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, wait)
    except NotAvailable:
        os.close(handle)
        raise
    return Hold(handle)


def _take(handle: int, kind: int, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise NotAvailable from None
            time.sleep(0.01)
        else:
            return
