"""What is posted to CI 360: an event, or the order to run a task again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector_proxy.ci360.attributes import IDENTITIES
from connector_proxy.records import Kind, Payload

EVENTS = "/marketingGateway/events"
RERUN = "/marketingExecution/taskJobs"


@dataclass(frozen=True)
class Identity:
    """Whom an event is about: one of ``IDENTITIES`` and its value, which is personal data where
    it is that of a customer."""

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True)
class Letter:
    """A JSON object and the path that it is posted to."""

    path: str
    body: Mapping[str, Any]


def parse_identity(text: str) -> Identity | None:
    """``subject_id:VALUE``, or None for an empty text; raises ``ValueError`` with what to write."""
    if not text:
        return None
    kind, _, value = (part.strip() for part in text.partition(":"))
    if kind not in IDENTITIES or not value:
        raise ValueError(f"write one of {', '.join(IDENTITIES)}, a colon, and its value")
    return Identity(kind, value)


def identity(kind: Kind, payload: Payload, technical: Identity | None) -> Identity | None:
    """Whom the report of a delivery is about: the customer of an event; of a task, which is about
    many, the ``technical`` one of the settings. None where the payload names nobody."""
    if kind is Kind.BULK:
        return technical
    known = payload.get("identityId")
    return (
        Identity("datahub_id", known.strip()) if isinstance(known, str) and known.strip() else None
    )


def event(
    name: str, about: Identity, attributes: Mapping[str, str], rtc: tuple[str, str]
) -> Letter:
    """An external event; ``rtc`` is the attribute of the response tracking code and the code,
    which is left out where it is empty."""
    attribute, code = rtc
    tracked = {attribute: code} if attribute and code else {}
    return Letter(EVENTS, {"eventName": name, about.kind: about.value, **attributes, **tracked})


def rerun(payload: Payload) -> Letter | None:
    """The order to run the task of a payload again, whatever its schedule says; None where the
    payload does not name its task."""
    task = payload.get("task")
    task_id = task.get("taskId") if isinstance(task, dict) else None
    if not isinstance(task_id, str) or not task_id.strip():
        return None
    return Letter(RERUN, {"version": 1, "taskId": task_id.strip(), "overrideSchedule": True})
