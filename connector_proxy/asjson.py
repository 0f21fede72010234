"""Deliveries and checks as JSON records: the same at their addresses, on the command line and on
the page. Without payloads; moments are ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connector_proxy.health.check import Check
from connector_proxy.records import Attempt, Change, Delivery, Report


def delivery(one: Delivery, *, with_attempts: bool) -> dict[str, Any]:
    """The record of a delivery; ``attempts`` are a list where they were looked up, else their
    number. What is not known is left out."""
    record = {
        "deliveryId": one.delivery_id,
        "state": one.state,
        "stpName": one.stp_name,
        "taskName": one.task_name,
        "occurrenceId": one.occurrence_id,
        "responseTrackingCode": one.tracking_code,
        "kind": one.kind,
        "requestId": one.request_id,
        "round": one.round,
        "acceptedAt": moment(one.accepted_at),
        "changedAt": moment(one.changed_at),
        "nextAttemptAt": moment(one.next_attempt_at),
        "deadline": moment(one.deadline),
        "fetchedAt": moment(one.fetched_at),
        "paused": one.paused or None,
        "verdict": one.verdict,
        "code": one.code,
        "message": one.message,
        "advice": one.advice,
        "result": dict(one.result),
        "note": one.note,
    }
    if with_attempts and one.reports:
        record["reports"] = list(map(report, one.reports))
    attempts = [attempt(tried) for tried in one.attempts] if with_attempts else one.attempt_count
    return {name: value for name, value in record.items() if value not in (None, "", {})} | {
        "attempts": attempts
    }


def attempt(one: Attempt) -> dict[str, Any]:
    """The record of an attempt. What the other side said in its own words stays out where it
    may quote the customer's data: it stands in the log."""
    record = {
        "number": one.number,
        "round": one.round,
        "instance": one.instance,
        "startedAt": moment(one.started_at),
        "endedAt": moment(one.ended_at),
        "destination": one.destination,
        "verdict": one.verdict,
        "code": one.code,
        "status": one.status or None,
        "ms": one.milliseconds if one.ended_at else None,
        "message": one.message,
        "advice": one.advice,
        "nextAttemptAt": moment(one.next_at),
    }
    return {name: value for name, value in record.items() if value not in (None, "")}


def report(one: Report) -> dict[str, Any]:
    """The record of a report to CI 360, without whom it is about."""
    record = {
        "kind": one.kind,
        "event": one.event,
        "endedAs": one.ended_as,
        "state": one.state,
        "tries": one.tries,
        "placedAt": moment(one.placed_at),
        "changedAt": moment(one.changed_at),
        "nextTryAt": moment(one.next_at),
        "status": one.status or None,
        "code": one.code,
        "message": one.message,
        "advice": one.advice,
    }
    return {name: value for name, value in record.items() if value not in (None, "")}


def change(one: Change) -> dict[str, Any]:
    """The record of a change by an administrator."""
    by = one.decision
    record = {
        "number": one.number,
        "at": moment(by.at),
        "door": by.door,
        "who": by.who,
        "action": one.action,
        "deliveryId": one.delivery_id,
        "stpName": one.stp_name,
        "outcome": one.outcome,
        "note": by.note,
    }
    return {name: value for name, value in record.items() if value != ""}


def check(one: Check) -> dict[str, Any]:
    """The record of a check of the running service."""
    return {
        "name": one.name,
        "condition": one.condition,
        "message": one.message,
        "advice": one.advice,
        "since": moment(one.since),
    }


def moment(value: datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds, or None."""
    return value.isoformat(timespec="milliseconds") if value else None
