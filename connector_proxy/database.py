"""The database behind the deliveries: a SQLite file, or PostgreSQL where ``queueurl`` says so.

Opens it, creates or carries forward its tables, keeps it readable by the service account only,
and turns what a database says into words for an administrator. The tables of DBOS, the durable
queue, lie in the same database, so that a delivery and its place in the queue are one commit.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy.pool import QueuePool

from connector_proxy import platforms, tables
from connector_proxy.errors import Collision, ConfigurationError, QueueUnavailable
from connector_proxy.patientfile import LOCK_SECONDS, PatientFile
from connector_proxy.settings import Settings

FILE = "deliveries.sqlite"
SQLITE_NEEDED = (3, 42, 0) if sys.version_info >= (3, 12) else (3, 35, 0)
"""We need RETURNING; DBOS on Python 3.12 and later needs ``unixepoch('subsec')``."""
_PAUSE_SECONDS = 0.001
_PAGES_AT_ONCE = 2000
_EXAMINED_BYTES = 1 << 30


class Database:
    """Connections to the database of the deliveries; safe to use from many threads.

    ``pool`` connections at most. With SQLite take one for a process that writes: threads then
    wait for the pool, which wakes them, and not for the lock of the file, which is polled
    (docs/benchmarks.md).

    ``relaxed``: of a file only what goes through ``write`` waits for the disk. What others commit
    with ``engine`` reaches it with the next write that does, or is lost with the power, and this
    process with it: for one where DBOS writes nothing but claims and ends of turns, which are
    void when they come again. A server may end while this process lives, so there all waits.
    """

    def __init__(self, settings: Settings, *, pool: int = 1, relaxed: bool = False) -> None:
        self.folder = settings.datafolder
        self.is_file = not settings.queueurl
        self._relaxed = relaxed
        self.engine = (
            self._file_engine(pool) if self.is_file else self._server_engine(settings, pool)
        )

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self.folder / FILE

    def _file_engine(self, pool: int) -> sa.Engine:
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(self.path)),
            connect_args={"check_same_thread": False, "timeout": 0, "factory": PatientFile},
            poolclass=QueuePool,
            pool_size=pool,
            max_overflow=0,
            pool_timeout=60,
            hide_parameters=True,
            execution_options={"schema_translate_map": {tables.SCHEMA: None}},
        )
        sa.event.listen(engine, "connect", self._prepare)
        return engine

    def _prepare(self, file: PatientFile, record: object) -> None:
        """Readers beside one writer, the lock taken with the first write."""
        file.isolation_level = "IMMEDIATE"
        file.wait_for_disk(not self._relaxed)
        for pragma in ("foreign_keys = ON", "journal_size_limit = 67108864"):
            file.execute(f"PRAGMA {pragma}")

    def _server_engine(self, settings: Settings, pool: int) -> sa.Engine:
        # The server frees the name of an instance whose machine is gone within two minutes.
        options = (
            "-c tcp_keepalives_idle=60 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=5 "
            "-c synchronous_commit=on"  # whatever the server is set to
        )
        return sa.create_engine(
            settings.queueurl.reveal(),
            pool_size=max(pool, 4),
            max_overflow=0,
            pool_timeout=60,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 10,
                "tcp_user_timeout": 30_000,
                "application_name": "connector-proxy",
                "options": options,
            },
        )

    def set_up(self, *, examine: bool = False) -> None:
        """Create the database or carry it forward to this release; ``examine`` looks through a
        file of up to 1 GB for damage.

        Raises ``ConfigurationError`` where it cannot be used: it cannot be reached or written,
        is damaged, or belongs to a newer release.
        """
        try:
            if self.is_file:
                self._set_up_file()
                if examine:
                    self.examine()
            DBOS.migrate(self.engine.url.render_as_string(hide_password=False))
            with self.write() as connection:
                self._carry_forward(connection)
        except (sa.exc.SQLAlchemyError, QueueUnavailable, OSError) as error:
            raise ConfigurationError(
                f"The deliveries cannot be kept in {self.shown()}: {why(error)}.",
                advice=advice(error),
            ) from None

    def _set_up_file(self) -> None:
        if issue := sqlite_issue():
            raise ConfigurationError(f"{issue}.", advice=SQLITE_ADVICE)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = not self.path.exists()
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        platforms.make_private(self.folder)
        platforms.make_private(self.path)
        with self.engine.connect() as connection:
            if new:
                connection.exec_driver_sql("PRAGMA auto_vacuum = INCREMENTAL")
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")

    def examine(self) -> None:
        """Look through a file of up to 1 GB; a SQLAlchemyError tells of damage."""
        if self.path.stat().st_size > _EXAMINED_BYTES:
            return
        with self.engine.connect() as connection:
            if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
                raise sa.exc.DatabaseError("", None, _damaged())

    def _carry_forward(self, connection: sa.Connection) -> None:
        if not self.is_file:
            self._refuse_encoding(connection)
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(360)"))
            connection.execute(sa.schema.CreateSchema(tables.SCHEMA, if_not_exists=True))
        schema = None if self.is_file else tables.SCHEMA
        if not sa.inspect(connection).has_table(tables.version.name, schema=schema):
            version = 0
        else:
            version = connection.execute(sa.select(tables.version.c.version)).scalar_one()
        if version > len(tables.UPGRADES):
            raise ConfigurationError(
                f"The deliveries in {self.shown()} were kept by a newer release of "
                "connector-proxy.",
                advice="Start that release; going back is not possible.",
            )
        for number, upgrade in enumerate(tables.UPGRADES[version:], start=version + 1):
            upgrade(connection)
            connection.execute(sa.update(tables.version).values(version=number))

    def _refuse_encoding(self, connection: sa.Connection) -> None:
        encoding = connection.execute(sa.text("SHOW server_encoding")).scalar_one()
        if encoding != "UTF8":
            raise ConfigurationError(
                f"{self.shown().capitalize()} keeps text as {encoding}, which lacks letters that "
                "a task's name may have.",
                advice="Create a database with ENCODING 'UTF8' (TEMPLATE template0) and name it "
                "in queueurl.",
            )

    @contextmanager
    def write(self, patience: float = LOCK_SECONDS) -> Iterator[sa.Connection]:
        """A transaction that may write: committed at the end, rolled back on an exception.

        Raises ``QueueUnavailable`` where the database cannot be reached or written, and its kind
        ``Collision`` where PostgreSQL gave this transaction up in favour of another. SQLite: the
        lock is taken at the beginning, within ``patience`` seconds.
        """
        try:
            with self.engine.connect() as connection, self._durable(connection, patience):
                yield connection
        except sa.exc.IntegrityError:
            raise
        except (sa.exc.OperationalError, sa.exc.DatabaseError, sa.exc.TimeoutError) as error:
            kind = Collision if _collided(error) else QueueUnavailable
            raise kind(
                f"The delivery cannot be kept: {why(error)}.",
                cause=why(error),
                advice=advice(error),
            ) from error

    @contextmanager
    def _durable(self, connection: sa.Connection, patience: float) -> Iterator[None]:
        """A transaction whose commit waits for the disk."""
        if not self.is_file:
            with connection.begin():
                yield
            return
        file: Any = connection.connection.dbapi_connection
        file.wait_for_disk(True)
        try:
            with connection.begin():
                file.lock(patience)
                yield
        finally:
            file.wait_for_disk(not self._relaxed)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading; raises ``QueueUnavailable`` as ``write`` does."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except (sa.exc.DatabaseError, sa.exc.TimeoutError) as error:
            raise QueueUnavailable(
                f"The deliveries cannot be read: {why(error)}.",
                cause=why(error),
                advice=advice(error),
            ) from error

    def free_bytes(self) -> int | None:
        """Room on the disk of the file; None with PostgreSQL."""
        return shutil.disk_usage(self.folder).free if self.is_file else None

    def give_back(self) -> None:
        """Return free pages of the file to the disk and cut the write-ahead log. What another
        process is in the way of is left for the next time."""
        if self.is_file:
            with suppress(sqlite3.OperationalError):
                # In portions, each with a connection of its own: others work in between.
                while self._give_back_some():
                    time.sleep(_PAUSE_SECONDS)
                with self.read() as connection:
                    file: Any = connection.connection.dbapi_connection
                    file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _give_back_some(self) -> bool:
        """Whether pages were given back and more may be: a file that was restored from a dump
        keeps its free pages for its own use."""
        with self.read() as connection:
            file: Any = connection.connection.dbapi_connection
            (before,) = file.execute("PRAGMA freelist_count").fetchone()
            file.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
            (left,) = file.execute("PRAGMA freelist_count").fetchone()
        return bool(0 < left < before)

    def shown(self) -> str:
        """Where it is, for people: without a password."""
        return str(self.path) if self.is_file else _server(self.engine.url)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


SQLITE_ADVICE = (
    "Take Python 3.11, or a Python that brings a newer SQLite (those of python.org do), and "
    "install again; or let PostgreSQL keep the deliveries (queueurl)."
)


def sqlite_issue() -> str:
    """Why the SQLite of this Python cannot keep deliveries; empty where it can."""
    if sqlite3.sqlite_version_info >= SQLITE_NEEDED:
        return ""
    needed = ".".join(map(str, SQLITE_NEEDED[:2]))
    return f"This Python has SQLite {sqlite3.sqlite_version}, and {needed} or newer is needed"


def _server(url: sa.URL) -> str:
    return f"the database {url.database} on {url.host}:{url.port or 5432}"


def _damaged() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("damaged")
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error


_FAULTS = {
    "SQLITE_FULL": (
        "the disk is full",
        "Make room on the disk of datafolder; nothing that was accepted is lost.",
    ),
    "SQLITE_BUSY": (
        "another program holds the file",
        "Close the program that opened deliveries.sqlite (a backup, a browser for databases).",
    ),
    "SQLITE_READONLY": (
        "it may not be written",
        "Let the service account write to datafolder and to the file in it.",
    ),
    "SQLITE_CANTOPEN": (
        "it cannot be opened",
        "Let the service account write to datafolder and to the file in it.",
    ),
    "SQLITE_CORRUPT": (
        "the file is damaged",
        "Stop the service, keep a copy of datafolder, and restore the file from a backup, or "
        "move it away to begin with an empty one; docs/operations.md says how to save what is "
        "readable.",
    ),
    "SQLITE_IOERR": ("the disk reports an error", "Look at the disk of datafolder."),
}
_FAULTS["SQLITE_NOTADB"] = _FAULTS["SQLITE_CORRUPT"]


def _fault(error: Exception) -> tuple[str, str]:
    if isinstance(error, QueueUnavailable):
        return error.cause, error.advice
    if isinstance(error, OSError):
        words = error.strerror or type(error).__name__
        return words, "Let the service account write to datafolder, or name another one."
    origin = getattr(error, "orig", None) or error
    name = "_".join(getattr(origin, "sqlite_errorname", "").split("_")[:2])
    known = _FAULTS.get(name)
    other = (
        "See that the database server runs and that queueurl in credentials.ini is right; "
        "'connector-proxy check' shows what it said."
    )
    return known or (name or "the database does not answer", other)


def _collided(error: Exception) -> bool:
    """Whether PostgreSQL told of a deadlock or of a transaction that cannot be serialized."""
    return getattr(getattr(error, "orig", None), "sqlstate", "") in ("40P01", "40001")


def why(error: Exception) -> str:
    """What a database or a disk said, in words without any value or address."""
    return _fault(error)[0]


def advice(error: Exception) -> str:
    """What an administrator can do about it."""
    return _fault(error)[1]
