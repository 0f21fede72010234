"""Rows that do not fit: the first one stops the work, or each goes to a file of its own."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from connector_proxy.dataset import fitting
from connector_proxy.dataset.columns import Column, Kind, bad_data
from connector_proxy.dataset.fitting import Limits
from connector_proxy.dataset.strict import Row

_SHOWN_NAME = 60
Judge = Callable[[Row], str]


class Rejects:
    """Takes bad rows with their line and reason, verbatim, into the CSV file ``path``; without a
    path the first bad row raises ``Refused``. A context manager."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.count = 0
        if path:
            self._file = path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(("line", "reason", "row"))

    def add(self, row: Row, reason: str) -> None:
        """List a row."""
        self.count += 1
        self._writer.writerow((row.line, reason, row.raw.rstrip("\r\n")))

    def good(self, rows: Iterable[Row], judge: Judge) -> Iterator[Row]:
        """The rows of which ``judge`` says nothing."""
        for row in rows:
            fault = row.fault or judge(row)
            if not fault:
                yield row
            elif not self.path:
                raise bad_data(f"Line {row.line} of the data file {fault}.")
            else:
                self.add(row, f"The row {fault}.")

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.path:
            self._file.close()


def any_text(row: Row) -> str:
    """The judge who looks at no value."""
    return ""


def by_kind(columns: Sequence[Column], kinds: Sequence[Kind], limits: Limits) -> Judge:
    """A judge who names the column of the first value that is not of its kind."""

    def judge(row: Row) -> str:
        for column, kind, value in zip(columns, kinds, row.values, strict=True):
            if why := fitting.misfit(value, kind, limits):
                return f"has a value in column '{column.name[:_SHOWN_NAME]}' that {why}"
        return ""

    return judge
