"""Datasets as rows of a database table: one table a task, one occurrence of it beside the other.

``cp_occurrence``, ``cp_version`` and ``cp_delivery`` tell whose rows they are. A table is never
narrowed: new columns are added, and a column of texts takes any value as the text that came.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connector_proxy.dataset.columns import Column, Kind, unique_names
from connector_proxy.errors import Refused

OCCURRENCE, VERSION, DELIVERY = OWN = ("cp_occurrence", "cp_version", "cp_delivery")
"""The columns of each table that are none of its task."""

_LONGEST = 63
"""Bytes of a name in PostgreSQL."""


@dataclass(frozen=True)
class Origin:
    """Where a dataset comes from, for its name and its manifest. ``delivery`` is the id of its
    delivery, which makes one dataset however often it is tried; empty: nobody delivered it.
    ``at`` is the moment that a form names as that of its making."""

    task: str
    occurrence: str
    tracking_code: str = ""
    delivery: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Plan:
    """What is to be done with a table: the ``names`` that our columns have in it, the ``kinds``
    that they are written as, the columns that it does not have yet."""

    names: list[str]
    kinds: list[Kind]
    missing: list[tuple[str, Kind]]


def own_columns(occurrence: str, version: int, delivery: str) -> list[str]:
    """Values of ``OWN`` as SQL; the texts are SQL already."""
    values = zip((occurrence, version, delivery), OWN, strict=True)
    return [f"{value} AS {name}" for value, name in values]


def table_name(task: str) -> str:
    """The table of a task: lower-case letters, digits and ``_``."""
    plain = re.sub(r"\W+", "_", unicodedata.normalize("NFC", task).lower()).strip("_")
    (name,) = unique_names([plain or "dataset"], _LONGEST)
    return name


def plan(
    existing: Mapping[str, tuple[str, Kind | None]],
    columns: Sequence[Column],
    kinds: Sequence[Kind],
) -> Plan:
    """How the columns go into a table that has ``existing`` ones: by their names in lower case the
    names, and what they are (None: nothing that a dataset has). Raises ``Refused``."""
    if existing and not {*OWN} <= existing.keys():
        raise _differs("there is a table of this name that is none of connector-proxy")
    names = unique_names([*OWN, *(one.name for one in columns)], _LONGEST)[len(OWN) :]
    made = Plan([], [], [])
    for name, kind in zip(names, kinds, strict=True):
        there, is_a = existing.get(name.lower(), (name, kind))
        if name.lower() not in existing:
            made.missing.append((name, kind))
        elif is_a not in (kind, Kind.CHARACTER):
            raise _differs(f"its column '{name}' is {is_a or 'something else'}, now it is {kind}")
        made.names.append(there)
        made.kinds.append(kind if is_a is kind else Kind.CHARACTER)
    return made


def _differs(why: str) -> Refused:
    return Refused(
        f"The rows do not go into the table of this task: {why}.",
        code="table_differs",
        advice="Nothing was written. Rename the table, or change the column, and send it again.",
    )
