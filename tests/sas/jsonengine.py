"""The JSON engine with a user map: DATASETS, TABLEPATH, VARIABLES."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.sas.datasets import Column, Dataset
from tests.sas.errors import Fault, StepError, Unknown
from tests.sas.formats import best
from tests.sas.functions import MAX_CHAR

_TABLE_KEYS = {"DSNAME", "TABLEPATH", "VARIABLES"}
_VARIABLE_KEYS = {"NAME", "TYPE", "PATH", "LENGTH", "CURRENT_LENGTH", "LABEL"}


def read(raw: bytes, map_raw: bytes, python: str, encoding: str) -> dict[str, Dataset]:
    """All tables of the map; ValueError when the document or the map is no JSON."""
    document = json.loads(raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    described = json.loads(map_raw.decode("utf-8"))
    found = {}
    for table in described["DATASETS"]:
        if set(table) - _TABLE_KEYS:
            raise Unknown(f"{', '.join(set(table) - _TABLE_KEYS)} in a JSON map")
        columns = [_column(one) for one in table["VARIABLES"]]
        rows = [
            _row(one, columns, table["TABLEPATH"], python)
            for one in _rows(document, table["TABLEPATH"])
        ]
        found[table["DSNAME"].upper()] = Dataset([column for column, _ in columns], rows, encoding)
    return found


def _column(described: dict[str, Any]) -> tuple[Column, str]:
    if set(described) - _VARIABLE_KEYS:
        raise Unknown(f"{', '.join(set(described) - _VARIABLE_KEYS)} in a JSON map")
    name, kind = described["NAME"], described["TYPE"].upper()
    if not re.fullmatch(r"[A-Za-z_]\w{0,31}", name, re.ASCII):
        raise Fault(f"{name!r} in a JSON map is no SAS name")
    if kind not in ("CHARACTER", "NUMERIC"):
        raise Unknown(f"TYPE {kind} in a JSON map")
    length = int(described.get("LENGTH", described.get("CURRENT_LENGTH", 8)))
    if not 1 <= length <= MAX_CHAR:
        raise Fault(f"LENGTH {length} in a JSON map")
    column = Column(name, "char" if kind == "CHARACTER" else "num", length if kind == "CHARACTER" else 8,
                    described.get("LABEL", ""))  # fmt: skip
    return column, described["PATH"]


def _rows(document: Any, path: str) -> list[Any]:
    at = _below(document, path.removeprefix("/root").strip("/"))
    found = at if isinstance(at, list) else [at]
    return [one for one in found if isinstance(one, dict)]


def _below(value: Any, path: str) -> Any:
    for part in filter(None, path.split("/")):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value


def _row(
    one: dict[str, Any], columns: list[tuple[Column, str]], table: str, python: str
) -> tuple[Any, ...]:
    return tuple(
        _value(_below(one, path.removeprefix(table).strip("/")), column, python)
        for column, path in columns
    )


def _value(value: Any, column: Column, python: str) -> Any:
    if value is None or isinstance(value, dict | list):
        return b"" if column.kind == "char" else None
    if column.kind == "num":
        return float(value) if isinstance(value, int | float) else None
    text = value if isinstance(value, str) else _text(value)
    try:
        raw = text.encode(python)
    except UnicodeEncodeError:
        raise StepError(
            "Some character data was lost during transcoding in the JSON document."
        ) from None
    return raw[: column.length].rstrip(b" ")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return best(float(value), 12).strip()
