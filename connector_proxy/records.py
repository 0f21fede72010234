"""The words of this project as values: frozen records and closed enums, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

Payload = dict[str, Any]
"""A JSON object whose numbers are ``Number``: text, as they were written."""


class Number(str):
    """A JSON number kept as it was written: 0.1 stays 0.1, a 20-digit id keeps its digits."""

    __slots__ = ()


class Kind(StrEnum):
    """What CI 360 sent: a bulk task with two files, or one event of one customer."""

    BULK = "bulk"
    TRIGGERED = "triggered"


class Verdict(StrEnum):
    """What an attempt came to."""

    DONE = "done"
    RETRY = "retry"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Webhook:
    """What a request body says, checked. ``task_name``, ``occurrence_id`` and
    ``tracking_code`` are empty when the payload does not tell; ``occurrence_id`` is
    ``task.occurrenceId`` of a bulk task and ``guid`` of an event."""

    kind: Kind
    stp_name: str
    payload: Payload
    task_name: str = ""
    occurrence_id: str = ""
    tracking_code: str = ""


@dataclass(frozen=True)
class Delivery:
    """One accepted webhook, from arrival to its end. ``accepted_at`` is in UTC."""

    delivery_id: str
    request_id: str
    accepted_at: datetime
    webhook: Webhook


@dataclass(frozen=True)
class Renaming:
    """``path`` is where a value stands in the JSON, ``name`` the element it became."""

    path: str
    name: str


@dataclass(frozen=True)
class Stream:
    """The XML document handed to a stored process as ``instream``.

    ``document`` is ASCII: ``<Table><InData>…</InData></Table>`` on one line. ``renamings``
    lists each element whose name is not its JSON key; ``blanked`` counts characters that XML
    does not allow and that became a blank.
    """

    document: bytes
    renamings: tuple[Renaming, ...] = ()
    blanked: int = 0


@dataclass(frozen=True)
class Request:
    """One POST to a stored process, ready to send."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended.

    ``code``, ``message`` and ``advice`` are fit for an answer; ``cause`` is what the other
    side said in its own words and goes to the log only. ``status`` is the HTTP status that
    the destination gave, 0 when there was none. ``result`` holds the few facts that the
    stored process told of itself (rows, columns …). ``retry_after`` is in seconds.
    """

    verdict: Verdict
    code: str
    message: str = ""
    advice: str = ""
    cause: str = ""
    status: int = 0
    result: Mapping[str, str | int] = field(default_factory=dict)
    retry_after: int | None = None
