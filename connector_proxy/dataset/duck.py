"""DuckDB over sound CSV: what the columns hold, and their values as a SELECT with types.

DuckDB works in the process, in bounded memory, without its network extensions. Its messages quote
rows of the file, so they go nowhere.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from connector_proxy.dataset import fitting
from connector_proxy.dataset.columns import Column, Kind, note_of_type
from connector_proxy.dataset.fitting import Limits
from connector_proxy.dataset.strict import MAX_ROW
from connector_proxy.dataset.tidy import LONG_ROW, Tidy
from connector_proxy.errors import Refused

MEMORY = "400MB"
ROOMY_MEMORY = "1500MB"
"""What it may take where ``MEMORY`` is not enough: tables of thousands of columns."""

THREADS = min(4, os.cpu_count() or 1)
_COLUMNS_AT_A_TIME = 50
Share = Callable[[float], None]
"""Is told the part that is done, from 0 to 1."""


class Unfit(Exception):
    """A value is not of the kind of its column."""


class Cramped(Exception):
    """DuckDB has not memory enough."""


class Misread(Exception):
    """DuckDB did not take the file, or saw other rows than were counted."""


class Duck:
    """One DuckDB in memory; what does not fit into it goes to ``folder``. A context manager."""

    def __init__(self, folder: Path, share: Share = lambda part: None) -> None:
        self._share = share
        self._slow = False
        self._connection = duckdb.connect(
            config={
                "memory_limit": MEMORY,
                "threads": THREADS,
                "temp_directory": str(folder / "duckdb"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_persistent_secrets": False,
            }
        )
        self._connection.execute(
            "SET TimeZone = 'UTC'; "
            "SET enable_progress_bar = true; SET enable_progress_bar_print = false"
        )

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement. Raises ``Unfit``, ``Misread``, ``Cramped``, ``OSError``."""
        with self._translated(), self._watched():
            return self._connection.execute(statement).fetchall()

    def work_slowly(self) -> None:
        """From now on with one thread, which needs less memory, and with more of it. Raises
        ``Refused`` where that was said before."""
        if self._slow:
            raise Refused(
                f"The dataset does not go into the memory that it may take ({ROOMY_MEMORY}).",
                code="memory_low",
                advice="Nothing was written. Write this dataset as csv (datasetformat).",
            )
        self._slow = True
        # One thread keeps the order by itself; keeping it by rule would take memory.
        self._connection.execute(
            f"SET threads = 1; SET preserve_insertion_order = false; "
            f"SET memory_limit = '{ROOMY_MEMORY}'"
        )

    def batches(self, query: str, rows: int) -> Iterator[list[tuple[object, ...]]]:
        """The rows of a query, so many at a time."""
        with self._translated():
            result = self._connection.execute(query)
            while batch := result.fetchmany(rows):
                yield batch

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except duckdb.OutOfMemoryException:
            raise Cramped from None
        except duckdb.IOException:
            raise OSError("DuckDB could not read or write its files") from None
        except duckdb.Error as error:
            if fitting.UNFIT in str(error):
                raise Unfit from None
            raise Misread from None

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Tells how far the statement is, several times a second."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.2):
                self._share(max(0.0, self._connection.query_progress()) / 100)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def close(self) -> None:
        """Give memory and temporary files back."""
        self._connection.close()

    def __enter__(self) -> Duck:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def literal(text: str | Path) -> str:
    """A text as SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def source(tidy: Tidy, width: int) -> str:
    """The rows of sound CSV as texts ``c0``, ``c1`` …; an empty value, quoted or not, is NULL."""
    paths = ", ".join(map(literal, tidy.paths))
    texts = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(width))
    size = f"max_line_size = {LONG_ROW}"
    if tidy.long:
        size = f"max_line_size = {4 * MAX_ROW}, buffer_size = {8 * MAX_ROW}"
    return (
        f"read_csv([{paths}], columns = {{{texts}}}, auto_detect = false, header = false, "
        "delim = ',', quote = '\"', escape = '\"', new_line = '\\n', nullstr = '', "
        "allow_quoted_nulls = true, strict_mode = true, null_padding = false, "
        f"parallel = {str(tidy.whole).lower()}, {size})"
    )


def select(
    tidy: Tidy, kinds: Sequence[Kind], names: Sequence[str], limits: Limits, *more: str
) -> str:
    """The rows as ``names`` with their types, and ``more`` constant columns in front; running it
    raises ``Unfit`` at a value that is not of its kind."""
    values = [
        f"{fitting.typed_sql(f'c{place}', kind, limits)} AS {identifier(name)}"
        for place, (kind, name) in enumerate(zip(kinds, names, strict=True))
    ]
    return f"SELECT {', '.join([*more, *values])} FROM {source(tidy, len(kinds))}"  # noqa: S608 - escaped


def settled_kinds(
    duck: Duck, tidy: Tidy, columns: Sequence[Column], limits: Limits
) -> tuple[list[Kind], list[str]]:
    """The kind of each column by what it holds, and a note where that is not what its metadata
    says: a number column with more than 15 digits is character, and so is a typed column with
    values of which not one can be read."""
    kinds = [column.kind for column in columns]
    notes = [note_of_type(column) for column in columns]
    typed = [place for place, kind in enumerate(kinds) if kind is not Kind.CHARACTER]
    for start in range(0, len(typed), _COLUMNS_AT_A_TIME):
        places = typed[start : start + _COLUMNS_AT_A_TIME]
        for place, note in zip(places, _notes(duck, tidy, kinds, places, limits), strict=True):
            if note:
                kinds[place], notes[place] = Kind.CHARACTER, note
    return kinds, notes


def _notes(
    duck: Duck, tidy: Tidy, kinds: Sequence[Kind], places: Sequence[int], limits: Limits
) -> Iterator[str]:
    counts = []
    for place in places:
        name, kind = f"c{place}", kinds[place]
        readable = fitting.readable_sql(name, kind, limits)
        precise = fitting.too_precise_sql(name) if kind is Kind.NUMBER else "false"
        counts += [
            f"count(*) FILTER ({fitting.filled_sql(name)})",
            f"count(*) FILTER ({readable})",
            f"count(*) FILTER ({precise})",
        ]
    query = f"SELECT {', '.join(counts)} FROM {source(tidy, len(kinds))}"  # noqa: S608 - escaped
    (found,) = duck.run(query)
    for full, read, precise_ones in zip(found[::3], found[1::3], found[2::3], strict=True):
        if precise_ones:
            yield f"a number has more than {fitting.MOST_DIGITS} digits"
        else:
            yield "no value is of its type" if full and not read else ""
