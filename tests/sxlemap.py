"""Reads XML as the XMLV2 engine of SAS does with a map (SXLEMAP 2.1), as far as the shipped maps
need it; anything else in a map is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from lxml import etree

_KNOWN = {"PATH", "TYPE", "DATATYPE", "LENGTH"}


@dataclass
class Read:
    """What SAS would have: rows of values by column; ``cut`` and ``repeated`` name columns whose
    values it would have lost, ``unread`` elements that no column takes."""

    columns: list[str]
    rows: list[dict[str, str]] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    repeated: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)


def read(document: bytes, xml_map: bytes) -> Read:
    """One row for each element at the path of the table, a blank where an element is missing,
    values cut at LENGTH bytes of UTF-8."""
    root = etree.fromstring(xml_map)
    (table,) = root.findall("TABLE")
    place = str(table.findtext("TABLE-PATH"))
    columns = {str(one.get("name")): one for one in table.findall("COLUMN")}
    result = Read(list(columns))
    for element in etree.fromstring(document).xpath(place):
        result.rows.append(
            {name: _value(name, element, one, place, result) for name, one in columns.items()}
        )
        paths = {str(one.findtext("PATH")) for one in columns.values()}
        result.unread |= {child.tag for child in element if f"{place}/{child.tag}" not in paths}
    return result


def _value(
    name: str, element: etree._Element, column: etree._Element, place: str, result: Read
) -> str:
    assert {child.tag for child in column} <= _KNOWN, name
    found = element.findall(str(column.findtext("PATH")).removeprefix(f"{place}/"))
    if len(found) > 1:
        result.repeated.add(name)
    value = (found[0].text or "").encode() if found else b""
    width = int(str(column.findtext("LENGTH") or 8))
    if len(value) > width and column.findtext("TYPE") == "character":
        result.cut.add(name)
        value = value[:width]
    return value.decode(errors="ignore")
