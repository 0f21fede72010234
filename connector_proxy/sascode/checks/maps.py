"""Checks of the maps: how SAS reads the stream (SXLEMAP 2.1) and the metadata (JSON).

Facts only. Lengths are in bytes; a column that is too short cuts its value without a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from connector_proxy.sascode.findings import OUR_FAULT, Files, Finding

LEAST_LENGTHS = {
    "occurrenceid": 128, "taskid": 128, "taskname": 512, "taskcode": 512, "stpname": 512,
    "guid": 128, "responsetrackingcode": 128, "metadatafile": 8192, "datafile": 8192,
    "columnname": 256, "datatype": 32,
}  # fmt: skip
"""Columns by their names in lower case, and what CI 360 may send there; a URL that fills less than
its column was not cut."""

_LONGEST_VALUE = 32767
_NUMERIC = {("numeric", "integer"), ("numeric", "double")}
_NAME = re.compile(r"[A-Za-z_]\w{0,31}", re.ASCII)
_Issues = Iterator[str]


def check(files: Files) -> Iterator[Finding]:
    """Findings of all maps."""
    for file, text in files.items():
        if file.lower().endswith(".map"):
            check_map = _json_map if text.lstrip()[:1] == "{" else _xml_map
            for issue in check_map(text):
                yield Finding(file, 0, issue, OUR_FAULT)


def _xml_map(text: str) -> _Issues:
    try:
        root = etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False))
    except (etree.XMLSyntaxError, ValueError) as error:
        yield f"the map is not well-formed XML ({error})"
        return
    if (root.tag, root.get("version")) != ("SXLEMAP", "2.1"):
        yield "the map is no SXLEMAP of version 2.1"
    tables = root.findall("TABLE")
    if not tables:
        yield "the map has no TABLE"
    for table in tables:
        yield from _table(table)


def _table(table: etree._Element) -> _Issues:
    place = table.findtext("TABLE-PATH") or ""
    if not place.startswith("/"):
        yield f"the table {table.get('name')} has no TABLE-PATH"
    columns = table.findall("COLUMN")
    names = [column.get("name", "") for column in columns]
    yield from _names([str(table.get("name", "")), *names], names)
    for column in columns:
        for issue in _column(column, place):
            yield f"the column {column.get('name')} {issue}"


def _names(all_names: list[str], columns: list[str]) -> _Issues:
    for name in all_names:
        if not _NAME.fullmatch(name):
            yield f"{name!r} is no name that SAS can hold"
    low = [name.lower() for name in columns]
    for name in sorted({one for one in low if low.count(one) > 1}):
        yield f"the column {name} stands there twice"


def _column(column: etree._Element, place: str) -> _Issues:
    path = column.findtext("PATH") or ""
    if not path.startswith(f"{place}/"):
        yield f"has the path {path or '(none)'}, which is not below {place}"
    name, kinds = column.get("name", ""), (column.findtext("TYPE"), column.findtext("DATATYPE"))
    if kinds == ("character", "string"):
        yield from _length(name, column.findtext("LENGTH") or "")
    elif name.lower() in LEAST_LENGTHS:
        yield "is not character and string: leading zeros would be lost"
    elif kinds not in _NUMERIC:
        yield f"is {kinds[0]} and {kinds[1]}, which does not go together"


def _length(name: str, text: str) -> _Issues:
    if not text.isdecimal() or not 1 <= int(text) <= _LONGEST_VALUE:
        yield f"has the length {text or '(none)'}; it goes from 1 to {_LONGEST_VALUE}"
    elif int(text) < LEAST_LENGTHS.get(name.lower(), 1):
        yield f"has the length {text} and needs {LEAST_LENGTHS[name.lower()]}"


def _json_map(text: str) -> _Issues:
    try:
        tables = json.loads(text)["DATASETS"]
        columns = [(table, column) for table in tables for column in table["VARIABLES"]]
        yield from _names([table["DSNAME"] for table in tables], [])
        for table, column in columns:
            yield from _variable(table, column)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"
        yield f"the map is no JSON map with DATASETS and VARIABLES ({what})"


def _variable(table: Any, column: Any) -> _Issues:
    name, path = str(column["NAME"]), str(column["PATH"])
    yield from _names([name], [])
    if not path.startswith(f"{table['TABLEPATH']}/"):
        yield f"the column {name} has the path {path}, which is not below {table['TABLEPATH']}"
    if column["TYPE"] == "CHARACTER":
        for issue in _length(name, str(column.get("LENGTH", ""))):
            yield f"the column {name} {issue}"
