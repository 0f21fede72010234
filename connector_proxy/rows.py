"""Rows of the deliveries and what is said in them: moments as milliseconds of the epoch, texts as
every database takes them, records made of rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from connector_proxy.records import (
    Attempt,
    Delivery,
    Kind,
    Report,
    ReportKind,
    ReportState,
    State,
    Verdict,
)

_LONGEST_TEXT = 500


def stp_key(stp_name: str) -> str:
    """By what a stored process is known: its name without regard to case."""
    return stp_name.lower()


def text(words: str, longest: int = _LONGEST_TEXT) -> str:
    """``words`` as every database takes them: no NUL, no half of a surrogate pair."""
    clean = words.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return clean if len(clean) <= longest else clean[: longest - 3] + "..."


def ms(moment: datetime) -> int:
    """Milliseconds of the epoch."""
    return int(moment.timestamp() * 1000)


def ms_or_none(moment: datetime | None) -> int | None:
    """Milliseconds of the epoch, or None."""
    return None if moment is None else ms(moment)


def moment(milliseconds: int) -> datetime:
    """A moment in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def moment_or_none(milliseconds: int | None) -> datetime | None:
    """A moment in UTC, or None."""
    return None if milliseconds is None else moment(milliseconds)


def as_delivery(row: Any, tried: Iterable[Any] = (), told: Iterable[Any] = ()) -> Delivery:
    """A row as a record. A word that is no state is an error that shows it."""
    return Delivery(
        delivery_id=row.delivery_id,
        request_id=row.request_id,
        kind=Kind(row.kind),
        stp_name=row.stp_name,
        task_name=row.task_name,
        occurrence_id=row.occurrence_id,
        tracking_code=row.tracking_code,
        state=State(row.state),
        round=row.round,
        accepted_at=moment(row.accepted_at),
        changed_at=moment(row.changed_at),
        attempt_count=row.attempt_count,
        next_attempt_at=moment_or_none(row.next_attempt_at),
        deadline=moment_or_none(row.deadline),
        fetched_at=moment_or_none(row.fetched_at),
        paused=row.paused,
        verdict=Verdict(row.verdict) if row.verdict else None,
        code=row.code,
        message=row.message,
        advice=row.advice,
        note=row.note,
        result=json.loads(row.result),
        attempts=tuple(map(_as_attempt, tried)),
        reports=tuple(map(as_report, told)),
    )


def _as_attempt(row: Any) -> Attempt:
    return Attempt(
        number=row.number,
        round=row.round,
        instance=row.instance,
        started_at=moment(row.started_at),
        ended_at=moment_or_none(row.ended_at),
        destination=row.destination,
        verdict=Verdict(row.verdict) if row.verdict else None,
        code=row.code,
        status=row.status,
        milliseconds=row.milliseconds,
        message=row.message,
        advice=row.advice,
        cause=row.cause,
        next_at=moment_or_none(row.next_at),
    )


def as_report(row: Any) -> Report:
    """A row of the reports as a record."""
    return Report(
        delivery_id=row.delivery_id,
        turn=row.turn,
        kind=ReportKind(row.kind),
        ended_as=State(row.ended_as),
        event=row.event,
        state=ReportState(row.state),
        placed_at=moment(row.placed_at),
        changed_at=moment(row.changed_at),
        tries=row.tries,
        next_at=moment_or_none(row.next_at),
        status=row.status,
        code=row.code,
        message=row.message,
        advice=row.advice,
    )
