"""The attributes of an event: names with templates, filled with what is known of a delivery."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from connector_proxy.records import Delivery

IDENTITIES = ("datahub_id", "subject_id", "customer_id", "login_id")
"""What CI 360 knows somebody by."""
_TAKEN = frozenset(("eventname", *IDENTITIES))
_OF_RESULT = ("rows", "columns", "rejectedRows", "unreadableValues", "dataSet", "sha256")
FACTS = (
    "deliveryId", "requestId", "state", "code", "message", "kind", "stpName", "taskName",
    "occurrenceId", "attempts", "seconds", *_OF_RESULT,
)  # fmt: skip
"""What a template may name; none of it is data of a customer."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PLACE = re.compile(r"\{(\w*)\}")
_LONGEST = 200


class Attributes(tuple[tuple[str, str], ...]):
    """Pairs of a name and its template; as text the way one writes them."""

    __slots__ = ()

    def __str__(self) -> str:
        return ", ".join(f"{name}={template}" for name, template in self)


def name(text: str) -> str:
    """The name of an attribute; raises ``ValueError`` with what to write."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"'{text}' is no name of an attribute; take letters, digits and _")
    if text.lower() in _TAKEN:
        raise ValueError(f"'{text}' has a meaning of its own in an event; take another name")
    return text


def parse(text: str) -> Attributes:
    """``rows={rows}, what={state} {code}`` as pairs; raises ``ValueError`` with what to write."""
    pairs: dict[str, str] = {}
    for one in filter(None, map(str.strip, text.split(","))):
        left, sign, template = (part.strip() for part in one.partition("="))
        if not sign or name(left) in pairs:
            raise ValueError(f"'{one}': write name={{fact}}, each name once, separated by commas")
        pairs[left] = _template(template)
    return Attributes(pairs.items())


def _template(text: str) -> str:
    for fact in _PLACE.findall(text):
        if fact not in FACTS:
            near = difflib.get_close_matches(fact, FACTS, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(FACTS)}"
            raise ValueError(f"there is no fact '{fact}'; {hint}")
    if set("{}") & set(_PLACE.sub("", text)):
        raise ValueError(f"'{text}': braces stand around the name of a fact, such as {{rows}}")
    return text


def facts(one: Delivery) -> dict[str, str]:
    """What is known of a delivery that has ended; ``seconds`` from arrival to end."""
    known = {
        "deliveryId": one.delivery_id,
        "requestId": one.request_id,
        "state": str(one.state),
        "code": one.code,
        "message": one.message,
        "kind": str(one.kind),
        "stpName": one.stp_name,
        "taskName": one.task_name,
        "occurrenceId": one.occurrence_id,
        "attempts": str(one.attempt_count),
        "seconds": f"{max(0.0, (one.changed_at - one.accepted_at).total_seconds()):.0f}",
    }
    return known | {fact: str(one.result[fact]) for fact in _OF_RESULT if fact in one.result}


def fill(attributes: Attributes, known: Mapping[str, str]) -> dict[str, str]:
    """The attributes with their values, each of 200 characters at most; what comes out empty is
    left out."""
    filled = {
        name: _PLACE.sub(lambda found: known.get(found[1], ""), template).strip()
        for name, template in attributes
    }
    return {name: _short(value) for name, value in filled.items() if value}


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
