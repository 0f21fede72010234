"""Datasets as tables of one DuckDB file, which one writer at a time holds."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from connector_proxy.dataset.columns import Kind
from connector_proxy.dataset.duck import Cramped, Duck, Misread, identifier, literal, select
from connector_proxy.dataset.formats import Material, copied
from connector_proxy.dataset.tables import (
    DELIVERY,
    OCCURRENCE,
    VERSION,
    Origin,
    Plan,
    own_columns,
    plan,
)
from connector_proxy.errors import Unavailable

FILE = "datasets.duckdb"
_WAIT_SECONDS = 60
_TYPES = {
    Kind.CHARACTER: "VARCHAR",
    Kind.NUMBER: "DOUBLE",
    Kind.DATE: "DATE",
    Kind.TIMESTAMP: "TIMESTAMP",
}


class DuckFile:
    """The table ``table`` of the file in ``folder``; ``load`` and ``commit``, else nothing stays.
    A context manager."""

    def __init__(self, duck: Duck, folder: Path, table: str) -> None:
        self._duck = duck
        self._path = folder / FILE
        self._table = f"store.{identifier(table)}"
        self._plain_table = table
        self._lock = FileLock(folder / f".{FILE}.lock")
        self._attached = False

    def load(self, material: Material, origin: Origin, on_existing: str) -> None:
        """Put the rows in, instead of what an earlier ``load`` or an earlier run put in."""
        self._undo()
        self._attach()
        loaded = False
        try:
            self._insert(material, origin, on_existing)
            loaded = True
        finally:
            if not loaded:
                self._undo()

    def _insert(self, material: Material, origin: Origin, on_existing: str) -> None:
        self._duck.run("BEGIN")
        made = plan(self._existing(), material.columns, material.kinds)
        self._alter(made)
        version = self._version(origin, on_existing)
        own = own_columns(literal(origin.occurrence), version, literal(origin.delivery))
        rows = select(material.tidy, made.kinds, made.names, material.limits, *own)
        copied(material, f"INSERT INTO {self._table} BY NAME {rows}")

    def _attach(self) -> None:
        try:
            self._lock.acquire(timeout=_WAIT_SECONDS)
            self._duck.run(f"ATTACH {literal(self._path)} AS store")
            self._attached = True
        except (Timeout, OSError):
            raise Unavailable(
                f"{FILE} is in use by another program, or cannot be opened.",
                code="dataset_locked",
                advice="Nothing was written; it is tried again. Close the program that has "
                f"{FILE} in outputfolder open, or let it read a copy.",
            ) from None

    def _existing(self) -> dict[str, tuple[str, Kind | None]]:
        kinds = {text: kind for kind, text in _TYPES.items()}
        of_table = f"schema_name = 'main' AND table_name = {literal(self._plain_table)}"
        found = self._duck.run(
            "SELECT column_name, data_type FROM duckdb_columns() "  # noqa: S608 - escaped
            f"WHERE database_name = 'store' AND {of_table}"
        )
        return {str(name).lower(): (str(name), kinds.get(str(form))) for name, form in found}

    def _alter(self, made: Plan) -> None:
        self._duck.run(
            f"CREATE TABLE IF NOT EXISTS {self._table} ("
            f"{OCCURRENCE} VARCHAR, {VERSION} BIGINT, {DELIVERY} VARCHAR)"
        )
        for name, kind in made.missing:
            self._duck.run(
                f"ALTER TABLE {self._table} ADD COLUMN {identifier(name)} {_TYPES[kind]}"
            )

    def _version(self, origin: Origin, on_existing: str) -> int:
        """The number of this version; with ``replace`` there is one, else one a delivery."""
        those = f"{self._table} WHERE {OCCURRENCE} = {literal(origin.occurrence)}"
        if on_existing == "replace":
            self._duck.run(f"DELETE FROM {those}")  # noqa: S608 - escaped
        elif origin.delivery:
            own = f"{DELIVERY} = {literal(origin.delivery)}"
            self._duck.run(f"DELETE FROM {those} AND {own}")  # noqa: S608 - escaped
        ((last,),) = self._duck.run(f"SELECT coalesce(max({VERSION}), 0) FROM {those}")  # noqa: S608
        return int(str(last)) + 1

    def commit(self) -> None:
        """Keep what was loaded."""
        self._duck.run("COMMIT")
        self._detach()

    def _undo(self) -> None:
        if self._attached:
            with suppress(Cramped, Misread):  # a failure has ended the transaction already
                self._duck.run("ROLLBACK")
            self._detach()

    def _detach(self) -> None:
        self._duck.run("DETACH store")
        self._attached = False
        self._lock.release()

    def __enter__(self) -> DuckFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self._undo()
        self._lock.release(force=True)
