"""Where a payload may hold what somebody wrote into the task: send parameters, outbound
properties, the query string of the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_PLACES = (("sendParameters",), ("outboundProperties", "properties"), ("properties",))
LOOKED_IN = (
    "looked in sendParameters, outboundProperties.properties, properties and the query string"
)


def written(
    payload: Mapping[str, Any], name: str, query: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Any]]:
    """Each value of ``name`` that is not blank, with its path, the first place first. People type
    the name in any case and with blanks around it."""
    for place in _PLACES:
        parent: Any = payload
        for step in place:
            parent = parent.get(step) if isinstance(parent, dict) else None
        yield from _named(parent, name, ".".join(place) + ".")
    yield from _named(query, name, "query string: ")


def _named(members: Any, name: str, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(members, Mapping):
        for key, value in members.items():
            if key.strip().casefold() == name.casefold() and not _blank(value):
                yield f"{prefix}{name}", value


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
