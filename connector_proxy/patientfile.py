"""A SQLite file that several processes write to: who waits for whom, and for the disk."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

LOCK_SECONDS = 10.0
"""How long a write waits for another process that holds the file."""
_RETRY_SECONDS = 0.0001


class PatientCursor(sqlite3.Cursor):
    """Waits for the lock before the first write of a transaction. What is tried again has done
    nothing: with an isolation level SQLite asks for the lock before the first row."""

    def execute(self, *arguments: Any) -> PatientCursor:
        return self._patiently(super().execute, *arguments)

    def executemany(self, *arguments: Any) -> PatientCursor:
        return self._patiently(super().executemany, *arguments)

    def _patiently(self, deed: Callable[..., sqlite3.Cursor], *arguments: Any) -> PatientCursor:
        file: Any = self.connection
        give_up = 0.0
        while True:
            try:
                deed(*arguments)
                return self
            except sqlite3.OperationalError as error:
                code = getattr(error, "sqlite_errorcode", 0)
                busy = code & 0xFF == sqlite3.SQLITE_BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT
                if not busy or file.in_transaction or file.isolation_level is None:
                    raise
                give_up = give_up or time.monotonic() + file.patience
                if time.monotonic() > give_up:
                    raise
            time.sleep(_RETRY_SECONDS)


class PatientFile(sqlite3.Connection):
    """A connection that waits for another process in short steps: SQLite's own waiting sleeps up
    to a tenth of a second, and a writer that comes later may win every time."""

    patience = LOCK_SECONDS
    _waits: bool | None = None

    def cursor(self, factory: Any = PatientCursor) -> Any:
        return super().cursor(factory)

    def execute(self, *arguments: Any) -> PatientCursor:
        cursor: PatientCursor = self.cursor()
        return cursor.execute(*arguments)

    def wait_for_disk(self, wait: bool) -> None:
        """Whether a commit returns only when it is safe on the disk."""
        if wait is not self._waits:
            self._told(f"PRAGMA synchronous = {'FULL' if wait else 'NORMAL'}")
            self._waits = wait

    def lock(self, patience: float) -> None:
        """Begin a transaction with the lock in hand, within ``patience`` seconds."""
        self.patience = patience
        try:
            self._told("BEGIN IMMEDIATE")
        finally:
            self.patience = LOCK_SECONDS

    def _told(self, statement: str) -> None:
        """Run a statement beside SQLAlchemy, with its exceptions."""
        try:
            self.execute(statement)
        except sqlite3.DatabaseError as error:
            raise sa.exc.DatabaseError("", None, error) from error
