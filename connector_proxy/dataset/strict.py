"""The rows of a data file, one by one, as the strict reader of Python's csv module sees them: what
it does not take is a bad row. Slow; files without a fault go by way of ``tidy``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from connector_proxy.dataset.columns import bad_data

MAX_VALUE = 1024 * 1024
"""Characters of one value. A quote that is never closed would swallow the rest of the file."""

MAX_ROW = 20 * MAX_VALUE
"""Characters of one row; 500 values of 32,767 have 16 million."""

csv.field_size_limit(MAX_VALUE)
_AFTER_THE_END = "\n\0 no row comes here"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the number of its first line, its values, and what is wrong with it in words
    behind "the row"; ``raw`` is the row as it came, its bytes by surrogate escape."""

    line: int
    values: list[str]
    fault: str
    raw: str


def read(path: Path, width: int) -> Iterator[Row]:
    """The rows of a plain data file, good and bad; a good one has ``width`` values.

    Raises ``Refused`` for what leaves no next row to go on with: a quote that is never closed, a
    value beyond ``MAX_VALUE``, a row beyond ``MAX_ROW``.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = _Lines(file)
        reader = csv.reader(lines, strict=True)
        while True:
            lines.begin_row()
            try:
                values, fault = next(reader), ""
            except StopIteration:
                return
            except csv.Error as error:
                fault = "has text behind a closing quote"
                values = _leniently(lines, str(error))
            yield _judged(lines, values, width, fault)


def _leniently(lines: _Lines, error: str) -> list[str]:
    """The values of a row with text behind a closing quote, up to its end some lines on; in such
    a value further quotes count as text."""
    values = [_AFTER_THE_END]
    try:
        if "expected after" in error:
            values = next(csv.reader(lines.again()))
    except csv.Error as second:
        error = str(second)
    if "field larger" in error:
        raise bad_data(
            f"Line {lines.first} of the data file has a value of more than {MAX_VALUE:,} "
            "characters (field larger than the limit); perhaps a quote is not closed."
        )
    if values[-1].endswith(_AFTER_THE_END):
        raise bad_data(f"Line {lines.first} of the data file has a quote that is never closed.")
    return values


def _judged(lines: _Lines, values: list[str], width: int, fault: str) -> Row:
    if width == 1 and not values:
        values = [""]
    raw = "".join(lines.taken)
    if not fault and len(values) != width:
        fault = f"has {len(values)} values, the metadata names {width} columns"
    if not raw.isascii() and not _is_unicode(raw):
        fault = "is not UTF-8"
    return Row(lines.first, values, fault, raw)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Lines:
    """The lines of a file, of which one row may take ``MAX_ROW`` characters: a packed file of
    100 kB can hold a line of gigabytes. ``taken`` are those of the row at hand, ``first`` is the
    number of its first line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._left = 0
        self.first = 1
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(self._left):
            self._left -= len(line)
            if self._left <= 0:
                raise bad_data(
                    f"Line {self.first} of the data file begins a row of more than "
                    f"{MAX_ROW:,} characters."
                )
            self.taken.append(line)
            yield line

    def again(self) -> Iterator[str]:
        """The lines of the row at hand once more, those behind it, and a mark after the last."""
        yield from tuple(self.taken)
        yield from self
        yield _AFTER_THE_END

    def begin_row(self) -> None:
        """The lines so far have made a whole row."""
        self.first += len(self.taken)
        self.taken.clear()
        self._left = MAX_ROW + 1
