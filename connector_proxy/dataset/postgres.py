"""Datasets as tables of a PostgreSQL database, by its COPY."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from connector_proxy.dataset.columns import Kind
from connector_proxy.dataset.duck import literal, select
from connector_proxy.dataset.formats import Material, copied
from connector_proxy.dataset.tables import (
    DELIVERY,
    OCCURRENCE,
    OWN,
    VERSION,
    Origin,
    Plan,
    own_columns,
    plan,
)
from connector_proxy.dataset.tidy import CHUNK
from connector_proxy.errors import Refused, Unavailable

_CONNECT_SECONDS = 10
_TYPES = {
    Kind.CHARACTER: "text",
    Kind.NUMBER: "double precision",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "timestamp without time zone",
}


class Table:
    """The table ``table`` at the address ``url``; ``load`` and ``commit``, else nothing stays.
    A context manager; ``part`` is a folder for the rows on their way."""

    def __init__(self, url: str, part: Path, table: str) -> None:
        with _translated():
            self._connection = psycopg.connect(url, connect_timeout=_CONNECT_SECONDS)
        self._copy = part / "rows.csv"
        self._name = table
        self._table = sql.Identifier(table)

    def load(self, material: Material, origin: Origin, on_existing: str) -> None:
        """Put the rows in, instead of what an earlier ``load`` or an earlier run put in."""
        with _translated():
            self._connection.rollback()
            self._take_turns()
            made = plan(self._existing(), material.columns, material.kinds)
            self._alter(made)
            version = self._version(origin, on_existing)
            own = own_columns(literal(origin.occurrence), version, literal(origin.delivery))
            rows = select(material.tidy, made.kinds, made.names, material.limits, *own)
            copied(material, f"COPY ({rows}) TO {literal(self._copy)} (FORMAT csv, HEADER false)")
            self._send(made)
            self._copy.unlink()

    def _take_turns(self) -> None:
        """Two that make or alter one table at the same time would be in each other's way."""
        lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 360))"
        self._connection.execute(lock, (self._name,))

    def _existing(self) -> dict[str, tuple[str, Kind | None]]:
        kinds = {text: kind for kind, text in _TYPES.items()}
        found = self._connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name = %s",
            (self._name,),
        )
        return {name.lower(): (name, kinds.get(form)) for name, form in found}

    def _alter(self, made: Plan) -> None:
        create = sql.SQL("CREATE TABLE IF NOT EXISTS {} ({} text, {} bigint, {} text)")
        self._connection.execute(create.format(self._table, *map(sql.Identifier, OWN)))
        for name, kind in made.missing:
            add = sql.SQL("ALTER TABLE {} ADD COLUMN {} {}")
            form = sql.SQL(_TYPES[kind])
            self._connection.execute(add.format(self._table, sql.Identifier(name), form))

    def _version(self, origin: Origin, on_existing: str) -> int:
        """The number of this version; with ``replace`` there is one, else one a delivery."""
        those = sql.SQL("{} WHERE {} = %s").format(self._table, sql.Identifier(OCCURRENCE))
        delete, occurrence = sql.SQL("DELETE FROM {}").format(those), origin.occurrence
        if on_existing == "replace":
            self._connection.execute(delete, (occurrence,))
        elif origin.delivery:
            own = sql.SQL(" AND {} = %s").format(sql.Identifier(DELIVERY))
            self._connection.execute(delete + own, (occurrence, origin.delivery))
        last = sql.SQL("SELECT coalesce(max({}), 0) FROM {}")
        query = last.format(sql.Identifier(VERSION), those)
        found = self._connection.execute(query, (occurrence,)).fetchone()
        return int(found[0]) + 1 if found else 1

    def _send(self, made: Plan) -> None:
        names = [sql.Identifier(name) for name in (*OWN, *made.names)]
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
            self._table, sql.SQL(", ").join(names)
        )
        with self._connection.cursor().copy(statement) as copy, self._copy.open("rb") as file:
            while chunk := file.read(CHUNK):
                copy.write(chunk)

    def commit(self) -> None:
        """Keep what was loaded."""
        with _translated():
            self._connection.commit()

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of the database in our words; its own may quote a row."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise Unavailable(
            "The database of datasettable cannot be reached, or broke off.",
            code="table_unavailable",
            advice="Nothing was written; it is tried again. Check datasettable, the server and "
            "the way to it.",
            cause=_shown(error),
        ) from None
    except psycopg.Error as error:
        raise Refused(
            "The database of datasettable does not take the rows.",
            code="table_refused",
            advice="Nothing was written. The log has the SQLSTATE; see that the user may create, "
            "alter and fill tables in the first schema of its search_path.",
            cause=_shown(error),
        ) from None


def _shown(error: psycopg.Error) -> str:
    return f"{type(error).__name__} SQLSTATE {error.sqlstate or 'none'}"
