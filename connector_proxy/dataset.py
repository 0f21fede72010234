"""Data file and metadata file in, one dataset on disk out: whole, or not at all.

The dataset is CSV with a header (RFC 4180, UTF-8). The data file has no header; its columns stand
in the order of the metadata, and a row of another width is never shifted: it stops the work with
the number of its line. Rows are streamed; memory does not grow with the file.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from connector_proxy.errors import Refused

MAX_METADATA = 4 * 1024 * 1024
MAX_VALUE = 1024 * 1024
"""Characters of one value. A quote that is never closed would swallow the rest of the file."""

MAX_ROW = 20 * MAX_VALUE
"""Characters of one row; 500 values of 32,767 have 16 million."""

csv.field_size_limit(MAX_VALUE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_WINDOWS_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """One column as the metadata names it; ``data_type`` is lower case, or empty."""

    name: str
    data_type: str = ""


def read_metadata(raw: bytes) -> tuple[Column, ...]:
    """The columns of a metadata file of either generation: a JSON array of ``columnName`` and
    ``dataType``, or one CSV line of names. Raises ``Refused``."""
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise _refused("The metadata file is not UTF-8.") from None
    columns = _from_json(text) if text[:1] in ("[", "{") else _from_line(text)
    if not columns:
        raise _refused("The metadata file names no column.")
    if not all(column.name for column in columns):
        raise _refused("The metadata file has a column without a name.")
    return columns


def _from_json(text: str) -> tuple[Column, ...]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        raise _refused("The metadata file is not clean JSON.") from None
    if not isinstance(items, list):
        raise _refused("The metadata file is JSON, but not an array of columns.")
    return tuple(_column(item) for item in items)


def _column(item: Any) -> Column:
    name = item.get("columnName") if isinstance(item, dict) else None
    if not isinstance(name, str):
        raise _refused("The metadata file has an item without columnName.")
    if _SURROGATE.search(name):
        raise _refused("The metadata file has a column name with half of a character.")
    return Column(_one_line(name), str(item.get("dataType") or "").strip().lower())


def _from_line(text: str) -> tuple[Column, ...]:
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        raise _refused("The metadata file is not a line of column names.") from None
    if len(lines) > 1:
        raise _refused("The metadata file has more than one line of column names.")
    return tuple(Column(_one_line(name)) for line in lines for name in line)


def _one_line(name: str) -> str:
    """A column's name; control characters become blanks, as in the bundled SAS code."""
    return _CONTROL.sub(" ", name).strip(" ")


def _refused(message: str) -> Refused:
    return Refused(
        message,
        code="bad_data",
        advice="Nothing was written. Look at the files of the task in CI 360, and run it again.",
    )


def read_rows(path: Path, width: int) -> Iterator[list[str]]:
    """The rows of a data file (plain or gzip), each of ``width`` values.

    Raises ``Refused`` with the line at the first row of another width, for a quote out of
    place, for bytes that are not UTF-8, and for a value beyond ``MAX_VALUE``.
    """
    with path.open("rb") as packed, _unpacked(packed) as file:
        lines = _Lines(file)
        reader = csv.reader(lines, strict=True)
        try:
            for row in reader:
                if width == 1 and not row:
                    row = [""]
                if len(row) != width:
                    raise _refused(
                        f"Line {reader.line_num} of the data file has {len(row)} values, "
                        f"the metadata names {width} columns."
                    )
                yield row
                lines.begin_row()
        except csv.Error as error:
            raise _refused(f"Line {reader.line_num} of the data file: {error}.") from None
        except UnicodeDecodeError:
            where = f"after line {reader.line_num}"
            raise _refused(f"The data file is not UTF-8 ({where}).") from None
        except (EOFError, zlib.error, OSError) as error:
            raise _refused(f"The data file cannot be unpacked ({type(error).__name__}).") from None


class _Lines:
    """The lines of a file, of which one row may take ``MAX_ROW`` characters: a packed file of
    100 kB can hold a line of gigabytes."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._left = MAX_ROW + 1

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(self._left):
            self._left -= len(line)
            if self._left <= 0:
                raise _refused(f"The data file has a row of more than {MAX_ROW:,} characters.")
            yield line

    def begin_row(self) -> None:
        """The lines so far have made a whole row."""
        self._left = MAX_ROW + 1


def _unpacked(file: io.BufferedReader) -> TextIO:
    raw: Any = file
    if file.peek(2).startswith(b"\x1f\x8b"):
        raw = gzip.GzipFile(fileobj=file)
    return io.TextIOWrapper(raw, "utf-8-sig", newline="")


def write(path: Path, columns: Iterable[Column], rows: Iterable[list[str]]) -> int:
    """Write a dataset to ``path`` and return the number of its rows."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(column.name for column in columns)
        for row in rows:
            writer.writerow(row)
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return count


def file_name(task: str, identity: str) -> str:
    """The name of a dataset, made of the task and what identifies its run.

    Legal on Windows and Linux, at most 240 bytes. Where a character of ``identity`` had to go,
    a digest keeps two runs apart.
    """
    run = _plain(identity, r"[^A-Za-z0-9_-]")
    if run != identity or len(run) > 64:
        run = f"{run[:48]}_{hashlib.sha256(identity.encode()).hexdigest()[:12]}".lstrip("_")
    name = "_".join(part for part in (_plain(task, r"[^\w-]")[:40], run) if part)
    return f"{'_' if _WINDOWS_NAMES.fullmatch(name) else ''}{name}.csv"


def _plain(text: str, illegal: str) -> str:
    text = re.sub(illegal, "_", unicodedata.normalize("NFC", text))
    return re.sub(r"_{2,}", "_", text).strip("_")
