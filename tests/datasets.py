"""Datasets made in a folder of a test, and read back by readers that did not write them."""

from __future__ import annotations

import csv
import io
import itertools
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow.parquet
import pyreadstat

from connector_proxy import dataset
from connector_proxy.dataset import Column, Made, Origin, Wanted
from connector_proxy.dataset.tables import OCCURRENCE, OWN

Table = list[tuple[Any, ...]]
_NUMBERED = itertools.count()


def as_csv(
    rows: Iterable[Sequence[str]], end: str = "\n", quoting: Any = csv.QUOTE_MINIMAL
) -> bytes:
    """A data file as CI 360 writes it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n", quoting=quoting).writerows(rows)
    lines = text.getvalue()
    if end == "\r\n":
        return lines.encode("utf-8", "surrogateescape")
    segments = lines.split('"')
    segments[::2] = [one.replace("\r\n", end) for one in segments[::2]]
    return '"'.join(segments).encode("utf-8", "surrogateescape")


def columns(*kinds: str) -> list[Column]:
    """Columns of these types, called c0, c1 …"""
    return [Column(f"c{place}", kind) for place, kind in enumerate(kinds)]


class Maker:
    """Makes datasets in ``folder``; ``table`` is the address of a PostgreSQL database."""

    def __init__(self, folder: Path, table: str = "") -> None:
        self.folder = folder / "output"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._parts = folder / "parts"
        self._parts.mkdir(exist_ok=True)
        self.table = table.replace("+psycopg", "") if table else ""

    def make(
        self,
        data: bytes,
        head: Sequence[Column],
        *formats: str,
        occurrence: str = "",
        task: str = "T",
        delivery: str = "",
        **wanted: Any,
    ) -> Made:
        run = occurrence or f"o-{next(_NUMBERED)}"
        with tempfile.TemporaryDirectory(dir=self._parts) as name:
            (Path(name) / "part").mkdir()
            (Path(name) / "data").write_bytes(data)
            return dataset.make(
                head,
                Path(name) / "data",
                self.folder,
                Path(name) / "part",
                Origin(task, run, "tracked", delivery),
                Wanted(formats or ("parquet",), table=self.table, **wanted),
            )

    def rows(self, made: Made, form: str) -> Table:
        """The rows of a dataset, by an independent reader; missing is None."""
        if form == "table":
            return self._of_table(made)
        path = self.folder / next(
            one["name"] for one in made.manifest["files"] if one["format"] == form
        )
        return _READERS[form](path, made)

    def _of_table(self, made: Made) -> Table:
        with psycopg.connect(self.table) as connection:
            found = connection.execute(
                f"SELECT * FROM t WHERE {OCCURRENCE} = %s", (made.manifest["occurrence"],)
            ).fetchall()
        return [row[len(OWN) :] for row in found]

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def _of_parquet(path: Path, made: Made) -> Table:
    return [tuple(row.values()) for row in pyarrow.parquet.read_table(path).to_pylist()]


def _of_csv(path: Path, made: Made) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        _, *rows = csv.reader(file, strict=True)
    return [tuple(value or None for value in row or [""]) for row in rows]


def _of_duckdb(path: Path, made: Made) -> Table:
    query = f"SELECT * EXCLUDE ({', '.join(OWN)}) FROM t WHERE {OCCURRENCE} = ?"
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query, [made.manifest["occurrence"]]).fetchall()


def _of_xpt(path: Path, made: Made) -> Table:
    frame, _ = pyreadstat.read_xport(str(path))
    kinds = [one["type"] for one in made.manifest["columns"]]
    return [tuple(map(_of_sas, row, kinds)) for row in frame.astype(object).itertuples(index=False)]


def _of_sas(value: Any, kind: str) -> Any:
    if kind == "character":
        return value or None
    if value is None or value != value:
        return None
    return value.round("ms").to_pydatetime() if kind == "timestamp" else value


_READERS = {"parquet": _of_parquet, "csv": _of_csv, "duckdb": _of_duckdb, "xpt": _of_xpt}
