"""What a query string or a JSON body asks for: the same words on the page, in the API and on the
command line. Whatever cannot be understood is ``Unprocessable`` with the name of its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from werkzeug.datastructures import MultiDict

from connector_proxy import moments, rows
from connector_proxy.audit import LONGEST_NOTE
from connector_proxy.errors import Detail, Unprocessable
from connector_proxy.figures import Span
from connector_proxy.lookup import Criteria, Place
from connector_proxy.records import Delivery, State

SPANS = {"24h": Span.DAY, "14d": Span.FORTNIGHT}
LONGEST_TEXT = 200
"""Characters of what is looked for."""
_PLACE = re.compile(r"(\d{1,15})\.([0-9a-f]{32})", re.ASCII)
_MOST = 500


def wrong(field: str, issue: str) -> NoReturn:
    """Raise that a field of the request cannot be understood."""
    raise Unprocessable(
        "The request cannot be understood.",
        advice="Correct what details names; /openapi.json describes every request.",
        details=[Detail(field, issue)],
    )


def criteria(query: MultiDict[str, str]) -> Criteria:
    """Which deliveries are looked for: ``state`` (several times), ``stp``, ``task``,
    ``trackingCode``, ``since``, ``until``."""
    states = []
    for word in filter(None, query.getlist("state")):
        if word not in set(State):
            wrong("state", f"write one of {', '.join(State)}")
        states.append(State(word))
    return Criteria(
        tuple(states),
        text(query, "stp"),
        text(query, "task"),
        text(query, "trackingCode"),
        _moment(query, "since"),
        _moment(query, "until"),
    )


def text(query: Mapping[str, str], name: str) -> str:
    """A word of the query, without blanks around it; empty where there is none."""
    found = query.get(name, "").strip()
    if len(found) > LONGEST_TEXT or "\0" in found:
        wrong(name, f"write at most {LONGEST_TEXT} characters")
    return rows.text(found)


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    try:
        return moments.parse(query[name], datetime.now(UTC)) if query.get(name) else None
    except ValueError as error:
        wrong(name, str(error))


def limit(query: Mapping[str, str], usual: int) -> int:
    """How many are wanted at most: ``limit``, from 1 to 500."""
    return _whole(query, "limit", _MOST) or usual


def before(query: Mapping[str, str]) -> int | None:
    """The number that those wanted lie before: ``before``."""
    return _whole(query, "before", (1 << 31) - 1)


def _whole(query: Mapping[str, str], name: str, most: int) -> int | None:
    given = query.get(name)
    if given is None:
        return None
    if not re.fullmatch(r"\d{1,10}", given, re.ASCII) or not 1 <= int(given) <= most:
        wrong(name, f"write a whole number from 1 to {most}")
    return int(given)


def after(query: Mapping[str, str]) -> Place | None:
    """Behind which delivery those wanted stand: ``after``, as ``place`` wrote it."""
    given = query.get("after")
    if not given:
        return None
    found = _PLACE.fullmatch(given)
    if not found or int(found[1]) > 10**14:
        wrong("after", "take it from the answer before this one")
    return rows.moment(int(found[1])), found[2]


def place(one: Delivery) -> str:
    """Where a delivery stands in a list, as a word for ``after``."""
    return f"{rows.ms(one.accepted_at)}.{one.delivery_id}"


def span(query: Mapping[str, str]) -> Span:
    """The span of time that is looked at: ``24h`` or ``14d``."""
    given = query.get("span", "24h")
    if given not in SPANS:
        wrong("span", f"write {' or '.join(SPANS)}")
    return SPANS[given]


def note(body: Mapping[str, Any]) -> str:
    """Why something is decided."""
    given = body.get("note", "")
    if type(given) is not str or len(given) > LONGEST_NOTE:  # a number is a kind of text
        wrong("note", f"write at most {LONGEST_NOTE} characters of text")
    return given.strip()


def found_out(body: Mapping[str, Any]) -> State:
    """How a held delivery ended: ``outcome``, ``done`` or ``refused``."""
    given = body.get("outcome")
    if given not in (State.DONE, State.REFUSED):
        wrong("outcome", "write done or refused")
    return State(given)
