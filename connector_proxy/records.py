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
    EXPIRED = "expired"


class State(StrEnum):
    """Where a delivery stands. ``held``: nobody can tell whether it ran, somebody decides."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    HELD = "held"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


OPEN = frozenset({State.WAITING, State.RUNNING})
"""States that the service itself will lead to an end."""
NOT_ENDED = OPEN | {State.HELD}
"""States in which a delivery and what belongs to it is kept."""
FAILED = frozenset({State.REFUSED, State.EXPIRED})
"""Ends after which the same webhook begins a new round."""


@dataclass(frozen=True)
class Webhook:
    """What a request body says, checked. ``task_name``, ``occurrence_id`` and
    ``tracking_code`` are empty when the payload does not tell; ``occurrence_id`` is
    ``task.occurrenceId`` of a bulk task and ``guid`` of an event. ``deadline``: when the first
    of its presigned URLs stops working, in UTC, or None."""

    kind: Kind
    stp_name: str
    payload: Payload
    task_name: str = ""
    occurrence_id: str = ""
    tracking_code: str = ""
    deadline: datetime | None = None


@dataclass(frozen=True)
class Attempt:
    """One try to carry a delivery out; times in UTC.

    ``number`` counts from 1 over all rounds, of which ``round`` is one. Until it has ended,
    ``ended_at`` is None and ``verdict`` too; ``next_at`` is when another attempt was planned for.
    """

    number: int
    round: int
    instance: str
    started_at: datetime
    ended_at: datetime | None = None
    destination: str = ""
    verdict: Verdict | None = None
    code: str = ""
    status: int = 0
    milliseconds: int = 0
    message: str = ""
    advice: str = ""
    cause: str = ""
    next_at: datetime | None = None


class ReportKind(StrEnum):
    """What CI 360 is told: an event of one end of a delivery, the order to run its task again,
    the fate of single rows."""

    EVENT = "event"
    RERUN = "rerun"
    ROWS = "rows"


class ReportState(StrEnum):
    """Where a report stands. ``unreported``: it is not sent again on its own."""

    WAITING = "waiting"
    SENT = "sent"
    UNREPORTED = "unreported"


@dataclass(frozen=True)
class Report:
    """What CI 360 is told of one end of a delivery; times in UTC.

    ``turn`` is the one that ended, ``ended_as`` the state that it ended in, ``event`` the name of
    the external event. ``code``, ``message`` and ``advice`` are those of the last try, ``status``
    is its HTTP status, 0 where none came.
    """

    delivery_id: str
    turn: int
    kind: ReportKind
    ended_as: State
    event: str
    state: ReportState
    placed_at: datetime
    changed_at: datetime
    tries: int
    next_at: datetime | None = None
    status: int = 0
    code: str = ""
    message: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Delivery:
    """One accepted webhook as the ledger knows it, without its payload; times in UTC.

    ``code``, ``message``, ``advice`` and ``result`` are those of the last attempt of this round.
    ``fetched_at``: its files lie on this side since then, and its deadline matters no more.
    ``paused``: it waits because its stored process is paused. ``attempts`` and ``reports`` are
    given where a single delivery is looked at, else attempts are only counted. ``note`` is what
    an administrator wrote.
    """

    delivery_id: str
    request_id: str
    kind: Kind
    stp_name: str
    task_name: str
    occurrence_id: str
    tracking_code: str
    state: State
    round: int
    accepted_at: datetime
    changed_at: datetime
    attempt_count: int
    next_attempt_at: datetime | None = None
    deadline: datetime | None = None
    fetched_at: datetime | None = None
    paused: bool = False
    verdict: Verdict | None = None
    code: str = ""
    message: str = ""
    advice: str = ""
    note: str = ""
    result: Mapping[str, str | int] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    reports: tuple[Report, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What an administrator decides: through which ``door`` (``cli``, ``api`` or ``page``), who
    (a user of the operating system, or the address of a peer), when (UTC), and why."""

    door: str
    who: str
    at: datetime
    note: str = ""


@dataclass(frozen=True)
class Change:
    """What a decision changed, as the audit trail keeps it: ``action`` is the command's word,
    ``outcome`` what it came to. ``delivery_id`` and ``stp_name`` are empty where it was about
    none."""

    number: int
    decision: Decision
    action: str
    delivery_id: str
    stp_name: str
    outcome: str


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
    side said in its own words: it goes to the log, and to ``deliveries show``. ``status`` is
    the HTTP status that the destination gave, 0 when there was none. ``result`` holds the few
    facts that the stored process told of itself (rows, columns …). ``retry_after`` is in seconds.
    """

    verdict: Verdict
    code: str
    message: str = ""
    advice: str = ""
    cause: str = ""
    status: int = 0
    result: Mapping[str, str | int] = field(default_factory=dict)
    retry_after: int | None = None
