"""The XMLV2 engine with a static SXLEMAP 2.1."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lxml import etree

from tests.sas.datasets import Column, Dataset
from tests.sas.errors import Fault, StepError, Unknown
from tests.sas.functions import MAX_CHAR
from tests.sas.informats import Invalid, read_number

_PATH = re.compile(r"(/[A-Za-z_][\w.-]*)+(/@[A-Za-z_][\w.-]*)?")
_KNOWN = {"PATH", "TYPE", "DATATYPE", "LENGTH", "DESCRIPTION", "TABLE-PATH", "COLUMN",
          "TABLE-DESCRIPTION", "FORMAT", "INFORMAT"}  # fmt: skip


@dataclass(frozen=True)
class MapTable:
    """One TABLE of a map: where its rows are and its columns with their paths."""

    name: str
    path: str
    columns: tuple[tuple[Column, str], ...]


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)


def read_map(raw: bytes) -> list[MapTable]:
    """The tables of a map; ValueError when it is not one."""
    try:
        root = etree.fromstring(raw, _parser())
    except etree.XMLSyntaxError as fault:
        raise ValueError(str(fault)) from None
    if root.tag != "SXLEMAP" or root.get("version") not in ("2.1", "1.9"):
        raise ValueError("no SXLEMAP of version 2.1")
    return [_table(one) for one in root.iterfind("TABLE")]


def _table(element: Any) -> MapTable:
    path = _path(element.find("TABLE-PATH"))
    columns = tuple(_column(one, path) for one in element.iterfind("COLUMN"))
    names = [column.name.lower() for column, _ in columns]
    if len(set(names)) != len(names):
        raise Fault("two columns of an XMLMap have one name")
    for child in element:
        if isinstance(child.tag, str) and child.tag not in _KNOWN:
            raise Unknown(f"{child.tag} in an XMLMap")
    return MapTable(_name(element), path, columns)


def _name(element: Any) -> str:
    name = element.get("name") or ""
    if not re.fullmatch(r"[A-Za-z_]\w{0,31}", name, re.ASCII):
        raise Fault(f"{name!r} in an XMLMap is no SAS name")
    return name


def _path(element: Any) -> str:
    text = "" if element is None else (element.text or "").strip()
    if not _PATH.fullmatch(text):
        raise Unknown(f"the path {text!r} in an XMLMap")
    if (element.get("syntax") or "XPath").lower() not in ("xpath", "xpathenr"):
        raise Unknown(f"the syntax {element.get('syntax')} in an XMLMap")
    return text


def _column(element: Any, table: str) -> tuple[Column, str]:
    for child in element:
        if isinstance(child.tag, str) and child.tag not in _KNOWN:
            raise Unknown(f"{child.tag} in an XMLMap")
    path = _path(element.find("PATH"))
    if not path.startswith(f"{table}/"):
        raise Unknown(f"the column path {path}, which is not below {table}")
    kind = (element.findtext("TYPE") or "").strip().lower()
    if kind not in ("character", "numeric"):
        raise Fault(f"TYPE {kind!r} in an XMLMap")
    character = kind == "character"
    text = (element.findtext("LENGTH") or "").strip()
    if character and not (text.isdigit() and 1 <= int(text) <= MAX_CHAR):
        raise Fault(f"LENGTH {text!r} of a character column in an XMLMap")
    label = (element.findtext("DESCRIPTION") or "").strip()
    length = int(text) if character else 8
    return Column(_name(element), "char" if character else "num", length, label), path


def read_document(
    raw: bytes, tables: list[MapTable], python: str, encoding: str
) -> dict[str, Dataset]:
    """All tables; StepError as the engine's ERROR at the first read."""
    try:
        root = etree.fromstring(raw, _parser())
    except etree.XMLSyntaxError as fault:
        raise StepError(f"XML parsing error: {fault.msg}.", 3000) from None
    tree = root.getroottree()
    return {
        table.name.upper(): Dataset(
            [column for column, _ in table.columns],
            [_row(element, table, python) for element in tree.xpath(table.path)],
            encoding,
        )
        for table in tables
    }


def _row(element: Any, table: MapTable, python: str) -> tuple[Any, ...]:
    return tuple(
        _value(element, column, path[len(table.path) + 1 :], python)
        for column, path in table.columns
    )


def _value(element: Any, column: Column, path: str, python: str) -> Any:
    found = element.xpath(path)
    if len(found) > 1:
        raise Fault(f"{path} stands there {len(found)} times in one row: not documented")
    text = "" if not found else found[0] if isinstance(found[0], str) else (found[0].text or "")
    try:
        raw = text.encode(python)
    except UnicodeEncodeError:
        raise StepError(
            "Some character data was lost during transcoding in the XML document.", 3000
        ) from None
    if column.kind == "char":
        return raw[: column.length].rstrip(b" ")
    try:
        return read_number(raw.strip())
    except Invalid:
        return None
