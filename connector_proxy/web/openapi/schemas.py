"""The shapes of requests and answers as JSON Schema (2020-12)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from connector_proxy.audit import LONGEST_NOTE
from connector_proxy.health.check import Condition
from connector_proxy.records import Kind, ReportKind, ReportState, State, Verdict

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
MOMENT: Schema = {"type": "string", "format": "date-time"}
YES: Schema = {"const": True}
ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
ANY_OBJECT: Schema = {"type": "object"}


def named(name: str) -> Schema:
    """A schema of this document."""
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(kind: type[StrEnum]) -> Schema:
    """One of the words of an enum."""
    return {"type": "string", "enum": [str(word) for word in kind]}


def several(items: Schema) -> Schema:
    """An array."""
    return {"type": "array", "items": items}


def maybe(schema: Schema) -> Schema:
    """A value, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def record(always: dict[str, Schema], **sometimes: Schema) -> Schema:
    """An object with these members and no others."""
    return {
        "type": "object",
        "properties": {**always, **sometimes},
        "required": list(always),
        "additionalProperties": False,
    }


_COUNTS = record({}, **{str(state): WHOLE for state in State})
_FACTS: Schema = {
    "type": "object",
    "additionalProperties": {"type": ["string", "integer"]},
    "description": "What the stored process says of itself, such as rows and dataSet.",
}
_DELIVERY = {
    "deliveryId": ID,
    "state": one_of(State),
    "stpName": TEXT,
    "kind": one_of(Kind),
    "requestId": TEXT,
    "round": WHOLE,
    "acceptedAt": MOMENT,
    "changedAt": MOMENT,
}
_OF_DELIVERY = {
    "taskName": TEXT,
    "occurrenceId": TEXT,
    "responseTrackingCode": TEXT,
    "nextAttemptAt": MOMENT,
    "deadline": MOMENT,
    "fetchedAt": MOMENT,
    "paused": YES,
    "verdict": one_of(Verdict),
    "code": TEXT,
    "message": TEXT,
    "advice": TEXT,
    "result": _FACTS,
    "note": TEXT,
}
_ATTEMPT = {
    "number": WHOLE,
    "round": WHOLE,
    "instance": TEXT,
    "startedAt": MOMENT,
}
_OF_ATTEMPT = {
    "endedAt": MOMENT,
    "destination": TEXT,
    "verdict": one_of(Verdict),
    "code": TEXT,
    "status": WHOLE,
    "ms": WHOLE,
    "message": TEXT,
    "advice": TEXT,
    "nextAttemptAt": MOMENT,
}
_REPORT = {
    "kind": one_of(ReportKind),
    "endedAs": one_of(State),
    "state": one_of(ReportState),
    "tries": WHOLE,
    "placedAt": MOMENT,
    "changedAt": MOMENT,
}
_OF_REPORT = {
    "event": TEXT,
    "nextTryAt": MOMENT,
    "status": WHOLE,
    "code": TEXT,
    "message": TEXT,
    "advice": TEXT,
}
_ACCEPTED = {"status": TEXT, "deliveryId": ID, "requestId": TEXT, "stpName": TEXT}
_EACH = several(ANY_OBJECT)
"""Where a webhook has several destinations: what is answered for each."""
_NOTE: Schema = {
    "type": "string",
    "maxLength": LONGEST_NOTE,
    "description": "Why; it is kept in the audit trail.",
}

_SETTINGS: Schema = {
    "type": "object",
    "additionalProperties": record({"value": TEXT, "origin": TEXT}),
}

SCHEMAS: dict[str, Schema] = {
    "Bulk": {
        "type": "object",
        "description": "What CI 360 sends for a bulk task.",
        "properties": {
            "presignedUrls": {
                "type": "object",
                "properties": {"dataFile": TEXT, "metadataFile": TEXT},
                "required": ["dataFile", "metadataFile"],
            },
            "task": ANY_OBJECT,
            "sendParameters": ANY_OBJECT,
        },
        "required": ["presignedUrls"],
    },
    "Triggered": {
        "type": "object",
        "description": "What CI 360 sends for an event of one customer.",
        "properties": {"guid": TEXT, "eventType": TEXT, "outboundProperties": ANY_OBJECT},
        "required": ["guid", "eventType"],
    },
    "Answered": record(_ACCEPTED, result=_FACTS, statusUrl=TEXT, duplicate=YES, deliveries=_EACH),
    "Error": record(
        {
            "error": record(
                {
                    "code": TEXT,
                    "message": TEXT,
                    "advice": TEXT,
                    "timestamp": MOMENT,
                    "requestId": TEXT,
                    "details": several(record({"field": TEXT, "issue": TEXT})),
                }
            )
        },
        deliveryId=ID,
        duplicate=YES,
        deliveries=_EACH,
    ),
    "Attempt": record(_ATTEMPT, **_OF_ATTEMPT),
    "Report": record(_REPORT, **_OF_REPORT),
    "ToldAttempt": record(
        _ATTEMPT,
        **_OF_ATTEMPT,
        said={**TEXT, "description": "What the other side said, masked."},
    ),
    "Delivery": record(
        {**_DELIVERY, "attempts": several(named("Attempt"))},
        **_OF_DELIVERY,
        reports=several(named("Report")),
    ),
    "ListedDelivery": record({**_DELIVERY, "attempts": WHOLE}, **_OF_DELIVERY),
    "ToldDelivery": record(
        {
            **_DELIVERY,
            "attempts": several(named("ToldAttempt")),
            "changes": several(named("Change")),
        },
        **_OF_DELIVERY,
        reports=several(named("Report")),
    ),
    "Change": record(
        {
            "number": WHOLE,
            "at": MOMENT,
            "door": {"enum": ["cli", "page", "api"]},
            "who": TEXT,
            "action": TEXT,
            "outcome": TEXT,
        },
        deliveryId=ID,
        stpName=TEXT,
        note=TEXT,
    ),
    "Content": record(
        {
            "payload": ANY_OBJECT,
            "stream": TEXT,
            "renamings": several(record({"path": TEXT, "name": TEXT})),
            "hidden": {"type": "boolean", "description": "Data of a customer was masked."},
        }
    ),
    "Dataset": record({"manifest": ANY_OBJECT, "firstRows": maybe(several(several(TEXT)))}),
    "StoredProcess": record(
        {
            "stpName": TEXT,
            "failures": WHOLE,
            "pausedBy": {"enum": ["", "failures", "administrator"]},
            "pausedSince": maybe(MOMENT),
            "why": TEXT,
            "waiting": WHOLE,
        }
    ),
    "Pace": record(
        {
            "start": MOMENT,
            "attempts": WHOLE,
            "done": WHOLE,
            "p50": maybe({**WHOLE, "description": "milliseconds, to two digits"}),
            "p95": maybe(WHOLE),
        }
    ),
    "Standing": record(
        {
            "stpName": TEXT,
            "whole": maybe(named("Pace")),
            "course": several(named("Pace")),
            "trouble": maybe(named("StoredProcess")),
        }
    ),
    "Check": record(
        {
            "name": TEXT,
            "condition": one_of(Condition),
            "message": TEXT,
            "advice": TEXT,
            "since": maybe(MOMENT),
        }
    ),
    "Health": record({"status": one_of(Condition), "checks": several(named("Check"))}),
    "Bar": record({"start": MOMENT, "counts": _COUNTS}),
    "Overview": record(
        {
            "headline": TEXT,
            "condition": one_of(Condition),
            "counts": _COUNTS,
            "oldestWaitingSince": maybe(MOMENT),
            "storedProcesses": several(named("StoredProcess")),
            "checks": several(named("Check")),
            "disk": maybe(record({"free": WHOLE, "total": WHOLE, "file": WHOLE})),
            "flow": record({"24h": several(named("Bar")), "14d": several(named("Bar"))}),
        }
    ),
    "Configuration": record(
        {
            "conf": TEXT,
            "settings": _SETTINGS,
            "storedProcesses": {"type": "object", "additionalProperties": _SETTINGS},
        }
    ),
    "Why": record({}, note=_NOTE),
    "FoundOut": record(
        {"outcome": {"type": "string", "enum": [str(State.DONE), str(State.REFUSED)]}},
        note=_NOTE,
    ),
}
