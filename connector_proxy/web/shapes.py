"""What the page shows as JSON: shapes of the API, described by ``openapi``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from connector_proxy import asjson
from connector_proxy.contents import Content, Dataset
from connector_proxy.desk import Standing, Told
from connector_proxy.figures import Bar, Pace
from connector_proxy.lookup import StoredProcess
from connector_proxy.overview import Overview
from connector_proxy.records import Attempt, Change, Delivery
from connector_proxy.web import asked

_SPANS = {span: word for word, span in asked.SPANS.items()}


def overview(one: Overview) -> dict[str, Any]:
    """How things stand."""
    room = one.room
    return {
        "headline": one.headline,
        "condition": one.condition,
        "counts": {str(state): count for state, count in one.counts.items()},
        "oldestWaitingSince": asjson.moment(one.oldest_waiting),
        "storedProcesses": list(map(stored_process, one.troubled)),
        "checks": list(map(asjson.check, one.checks)),
        "disk": {"free": room.free, "total": room.total, "file": room.file} if room else None,
        "flow": {_SPANS[span]: list(map(bar, bars)) for span, bars in one.flow.items()},
    }


def bar(one: Bar) -> dict[str, Any]:
    """Deliveries that came in an hour or day."""
    counts = {str(state): count for state, count in one.counts.items()}
    return {"start": _start(one.start), "counts": counts}


def stored_process(one: StoredProcess) -> dict[str, Any]:
    """How a stored process fares."""
    return {
        "stpName": one.stp_name,
        "failures": one.failures,
        "pausedBy": one.paused_by,
        "pausedSince": asjson.moment(one.paused_at),
        "why": one.why,
        "waiting": one.waiting,
    }


def standing(one: Standing) -> dict[str, Any]:
    """A stored process with its attempts in a span of time."""
    course = one.course
    return {
        "stpName": one.stp_name,
        "whole": pace(course.whole) if course else None,
        "course": list(map(pace, course.paces)) if course else [],
        "trouble": stored_process(one.trouble) if one.trouble else None,
    }


def pace(one: Pace) -> dict[str, Any]:
    """Attempts that ended in a span of time; durations in milliseconds."""
    return {
        "start": _start(one.start),
        "attempts": one.attempts,
        "done": one.done,
        "p50": one.p50,
        "p95": one.p95,
    }


def _start(moment: datetime) -> str:
    """In local time: an hour or a day begins there, and not in UTC."""
    return moment.isoformat(timespec="seconds")


def page(found: Sequence[Delivery], more: bool) -> dict[str, Any]:
    """Deliveries, and the word for ``after`` that leads to further ones, or null."""
    return {
        "deliveries": [asjson.delivery(one, with_attempts=False) for one in found],
        "next": asked.place(found[-1]) if more else None,
    }


def told(one: Told) -> dict[str, Any]:
    """A delivery with attempts and changes; ``said`` is what the other side said, masked."""
    record = asjson.delivery(one.delivery, with_attempts=True)
    attempts = [_attempt(tried) for tried in one.delivery.attempts]
    return {**record, "attempts": attempts, "changes": list(map(asjson.change, one.changes))}


def _attempt(one: Attempt) -> dict[str, Any]:
    return asjson.attempt(one) | ({"said": one.cause} if one.cause else {})


def content(one: Content) -> dict[str, Any]:
    """The payload and the stream of a delivery, masked."""
    return {
        "payload": one.payload,
        "stream": one.stream,
        "renamings": [{"path": each.path, "name": each.name} for each in one.renamings],
        "hidden": one.hidden,
    }


def dataset(one: Dataset) -> dict[str, Any]:
    """A manifest, and the first rows where they may be shown."""
    return {"manifest": one.manifest, "firstRows": one.first_rows}


def changes(found: Sequence[Change], more: bool) -> dict[str, Any]:
    """Changes, and the number for ``before`` that leads to further ones, or null."""
    return {
        "changes": list(map(asjson.change, found)),
        "next": found[-1].number if more else None,
    }
