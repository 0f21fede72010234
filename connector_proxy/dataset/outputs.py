"""What becomes of the rows: files in a folder, a table in a DuckDB file or in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from connector_proxy.dataset import place, xpt
from connector_proxy.dataset.duck import Duck
from connector_proxy.dataset.duckfile import FILE, DuckFile
from connector_proxy.dataset.fitting import Limits
from connector_proxy.dataset.formats import Material, write_csv, write_parquet
from connector_proxy.dataset.postgres import Table
from connector_proxy.dataset.tables import Origin, table_name
from connector_proxy.settings import Settings

TABLE, DUCKDB = "table", "duckdb"


@dataclass(frozen=True)
class Format:
    """One kind of file: how it ends, what it cannot hold, and how it is written."""

    suffix: str
    limits: Limits
    write: Callable[[Material, Path], None]


FORMATS = {
    "parquet": Format(".parquet", Limits(), write_parquet),
    "csv": Format(".csv", Limits(), write_csv),
    "xpt": Format(".xpt", xpt.LIMITS, xpt.write_xpt),
}
_STORE_LIMITS = {DUCKDB: Limits(), TABLE: Limits(nul=False)}


@dataclass(frozen=True)
class Wanted:
    """What becomes of data files: ``formats``, a byte order mark for CSV, ``refuse`` or
    ``reject``, ``replace`` or ``version``; ``reserve`` bytes of the disk stay free. ``table`` is
    the address of the database for the format ``table``."""

    formats: tuple[str, ...] = ("parquet",)
    bom: bool = False
    on_bad_row: str = "refuse"
    on_existing: str = "replace"
    reserve: int = 0
    table: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Wanted:
        """What the settings say."""
        return cls(
            (TABLE,) if settings.datasettable else settings.datasetformat,
            settings.csvbom,
            settings.onbadrow,
            settings.onexisting,
            settings.diskreservemb << 20,
            settings.datasettable.reveal(),
        )

    @property
    def limits(self) -> Limits:
        """What all of the formats can hold."""
        limits = Limits()
        for form in self.formats:
            limits &= FORMATS[form].limits if form in FORMATS else _STORE_LIMITS[form]
        return limits

    @property
    def typed(self) -> bool:
        """Whether types count: CSV keeps each value as the text that came."""
        return set(self.formats) != {"csv"}


class Store(Protocol):
    """A table that rows go into; without ``commit`` nothing stays. A context manager."""

    def load(self, material: Material, origin: Origin, on_existing: str) -> None:
        """Put the rows in; once more replaces them."""

    def commit(self) -> None:
        """Keep them."""


class Outputs:
    """Every form of one dataset: written, then published together. A context manager."""

    def __init__(self, duck: Duck, folder: Path, part: Path, origin: Origin, wanted: Wanted):
        self._folder, self._part, self._origin, self._wanted = folder, part, origin, wanted
        self._table = table_name(origin.task)
        stem = place.dataset_name(origin.task, origin.occurrence)
        self.name = place.free_name(folder, stem, wanted.on_existing, origin.delivery)
        self._stores: dict[str, Store] = {}
        self._open = ExitStack()
        with ExitStack() as opened:
            if DUCKDB in wanted.formats:
                self._stores[DUCKDB] = opened.enter_context(DuckFile(duck, folder, self._table))
            if TABLE in wanted.formats:
                table = Table(wanted.table, part, self._table)
                self._stores[TABLE] = opened.enter_context(table)
            self._open = opened.pop_all()

    def write(self, material: Material) -> None:
        """Write what is not whole yet; once more replaces it."""
        for form in self._wanted.formats:
            if form in self._stores:
                self._stores[form].load(material, self._origin, self._wanted.on_existing)
            else:
                FORMATS[form].write(material, self._part / form)

    def publish(self, manifest: dict[str, Any], rejects: Path | None) -> None:
        """Make all of it visible: tables, then files, then ``manifest`` with them in it."""
        paths, facts = {}, []
        for form in self._wanted.formats:
            if form in FORMATS:
                name, path = f"{self.name}{FORMATS[form].suffix}", self._part / form
                paths[name] = path
                facts.append(place.file_facts(path, name, form))
            else:
                facts.append(self._table_facts(form))
        if rejects:
            name = f"{self.name}_rejects.csv"
            paths[name] = rejects
            facts.append(place.file_facts(rejects, name, "rejects"))
        manifest["files"] = facts
        for store in self._stores.values():
            store.commit()
        place.publish(self._folder, self._part, self.name, paths, manifest)

    def _table_facts(self, form: str) -> dict[str, Any]:
        """What a manifest says of a table; it holds other datasets, too."""
        name = FILE if form == DUCKDB else self._table
        return {"name": name, "format": form, "table": self._table, "shared": True}

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()
