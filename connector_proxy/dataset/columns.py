"""What the columns of a dataset are: the metadata file read, types settled, names made legal."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connector_proxy.errors import Refused

MAX_METADATA = 4 * 1024 * 1024
"""Bytes of a metadata file."""

MAX_COLUMNS = 9999
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Kind(StrEnum):
    """What the values of a column are."""

    CHARACTER = "character"
    NUMBER = "number"
    DATE = "date"
    TIMESTAMP = "timestamp"


_KINDS = {
    **dict.fromkeys(("numeric", "number", "integer", "int", "long", "double"), Kind.NUMBER),
    **dict.fromkeys(("decimal", "float"), Kind.NUMBER),
    "date": Kind.DATE,
    **dict.fromkeys(("datetime", "timestamp"), Kind.TIMESTAMP),
}


@dataclass(frozen=True)
class Column:
    """One column as the metadata names it; ``data_type`` is lower case, or empty."""

    name: str
    data_type: str = ""

    @property
    def kind(self) -> Kind:
        """What ``data_type`` says; a type that is not known is character."""
        return _KINDS.get(self.data_type, Kind.CHARACTER)


_CHARACTER = ("", "character", "char", "varchar", "string", "text")


def note_of_type(column: Column) -> str:
    """What a manifest notes where the type of a column is not known."""
    known = column.kind is not Kind.CHARACTER or column.data_type in _CHARACTER
    return "" if known else "its type is not known"


def bad_data(message: str) -> Refused:
    """The files cannot be used as they are; ``message`` says why, without a value of them."""
    return Refused(
        message,
        code="bad_data",
        advice="Nothing was written. Look at the files of the task in CI 360, and run it again.",
    )


def read_metadata(raw: bytes) -> tuple[Column, ...]:
    """The columns of a metadata file of either generation: a JSON array of ``columnName`` and
    ``dataType``, or one CSV line of names. Raises ``Refused``."""
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise bad_data("The metadata file is not UTF-8.") from None
    columns = _from_json(text) if text[:1] in ("[", "{") else _from_line(text)
    if not columns:
        raise bad_data("The metadata file names no column.")
    if len(columns) > MAX_COLUMNS:
        raise bad_data(f"The metadata file names more than {MAX_COLUMNS} columns.")
    if not all(column.name for column in columns):
        raise bad_data("The metadata file has a column without a name.")
    return columns


def _from_json(text: str) -> tuple[Column, ...]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        raise bad_data("The metadata file is not clean JSON.") from None
    if not isinstance(items, list):
        raise bad_data("The metadata file is JSON, but not an array of columns.")
    return tuple(_column(item) for item in items)


def _column(item: Any) -> Column:
    name = item.get("columnName") if isinstance(item, dict) else None
    if not isinstance(name, str):
        raise bad_data("The metadata file has an item without columnName.")
    if _SURROGATE.search(name):
        raise bad_data("The metadata file has a column name with half of a character.")
    data_type = _SURROGATE.sub("?", str(item.get("dataType") or ""))
    return Column(_one_line(name), data_type.strip().lower())


def _from_line(text: str) -> tuple[Column, ...]:
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        raise bad_data("The metadata file is not a line of column names.") from None
    if len(lines) > 1:
        raise bad_data("The metadata file has more than one line of column names.")
    return tuple(Column(_one_line(name)) for line in lines for name in line)


def _one_line(name: str) -> str:
    """A column's name; control characters become blanks, as in the bundled SAS code."""
    return _CONTROL.sub(" ", name).strip(" ")


def unique_names(stems: Iterable[str], longest: int = 0) -> list[str]:
    """Names that differ from each other without regard to case, in the order of ``stems``: the
    second ``a`` is ``a_2``. ``longest`` is their length in bytes at most; 0: any."""
    names: list[str] = []
    used: set[str] = set()
    for stem in stems:
        name, copy = _cut(stem, longest), 1
        while name.lower() in used:
            copy += 1
            name = _cut(stem, longest - len(f"_{copy}") if longest else 0) + f"_{copy}"
        used.add(name.lower())
        names.append(name)
    return names


def _cut(text: str, longest: int) -> str:
    return text.encode()[:longest].decode(errors="ignore") if longest else text


def sas_names(columns: Iterable[Column]) -> list[str]:
    """Names that SAS takes, made as the bundled stored process makes them."""
    return unique_names((_sas_stem(column.name) for column in columns), 32)


def _sas_stem(name: str) -> str:
    stem = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if stem[:1].isdigit():
        stem = "_" + stem
    own = stem.upper().startswith("_CP_") or (stem[0] == "_" and stem[-1] == "_")
    return "C" + stem if own else stem
