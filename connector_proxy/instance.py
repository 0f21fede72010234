"""One process a role and instance name: two that take themselves for the same would each
resume what the other has in hand."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress

import sqlalchemy as sa
from filelock import FileLock, Timeout

from connector_proxy.database import Database

ANSWERING = "answering"
WORKING = "working"
_POLL_SECONDS = 0.1


class InstanceLock:
    """Held from ``take`` to ``free`` or the end of the process, whichever comes first: a lock on
    a file beside the SQLite file, or an advisory lock of PostgreSQL."""

    def __init__(self, database: Database, instance: str, role: str) -> None:
        self._database = database
        self._name = f"{instance}.{role}"
        self._file: FileLock | None = None
        self._connection: sa.Connection | None = None
        if database.is_file:
            path = database.folder / f"{self._name}.lock"
            self._file = FileLock(path, mode=0o600, thread_local=False)

    def take(self, patience: float = 0.0) -> bool:
        """Whether the lock is ours now; waits ``patience`` seconds for another one's end."""
        give_up = time.monotonic() + patience
        while not self._try():
            if time.monotonic() >= give_up:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _try(self) -> bool:
        if self._file is not None:
            with suppress(Timeout):
                self._file.acquire(timeout=0)
            return self._file.is_locked
        if self._connection is None:
            engine = self._database.engine.execution_options(isolation_level="AUTOCOMMIT")
            self._connection = engine.connect()
        query = sa.select(sa.func.pg_try_advisory_lock(self._number()))
        return bool(self._connection.execute(query).scalar())

    def _number(self) -> int:
        digest = hashlib.sha256(f"connector-proxy {self._name}".encode()).digest()
        return int.from_bytes(digest[:8], signed=True)

    def still_held(self) -> bool:
        """Whether it is still ours: PostgreSQL frees it when the connection is lost; then this
        tries to take it anew."""
        if self._file is not None:
            return True
        try:
            if self._connection is None:
                return self._try()
            self._connection.execute(sa.text("SELECT 1"))
        except sa.exc.SQLAlchemyError:
            self._drop()  # the database is away for everybody; tried again at the next look
        return True

    def free(self) -> None:
        """Let go of it."""
        if self._file is not None:
            self._file.release()
        self._drop()

    def _drop(self) -> None:
        """Really close the connection: the lock would go back to the pool with it."""
        if self._connection is not None:
            with suppress(sa.exc.SQLAlchemyError):
                self._connection.invalidate()
                self._connection.close()
            self._connection = None
