"""What comes out of the queue of reports is sent: once each, or it is listed as unreported."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from connector_proxy import intake, logs
from connector_proxy.ci360 import answer, letter, rowevents
from connector_proxy.ci360.answer import Answered
from connector_proxy.ci360.book import OFF, Begun, Book, Key
from connector_proxy.ci360.gateway import Gateway
from connector_proxy.ci360.letter import Letter
from connector_proxy.errors import NotJson, OutcomeUnknown, Unavailable
from connector_proxy.records import Payload, Report, ReportKind
from connector_proxy.settings import Settings

_log = logging.getLogger(__name__)
Written = Callable[[Callable[[sa.Connection], Any]], Any]
_SWITCHED_OFF = answer.never(
    "reports_off", "Reports are switched off.", "Set reportvia in serviceConfig.ini."
)
_NOBODY = answer.never(
    "no_identity",
    "The payload does not say whom it is about, or is not kept any more.",
    "CI 360 takes an event only with an identity.",
)
_NO_TASK = answer.never(
    "no_task",
    "The payload does not name its task, or is not kept any more.",
    "Run the task again in CI 360.",
)
_FAULT = answer.never(
    "internal_error",
    "This service failed while it sent the report.",
    "Look for the delivery id in the log; 'connector-proxy report ID' sends it by hand.",
)


class Sending:
    """Sends in the threads of the engine. ``written`` commits a write, however long that takes;
    once ``stopping`` is set nothing is begun any more."""

    def __init__(
        self, settings: Settings, book: Book, written: Written, stopping: threading.Event
    ) -> None:
        self._settings = settings
        self._book = book
        self._written = written
        self._stopping = stopping
        self._gateway = Gateway(settings) if settings.reportvia != OFF else None
        self._in_hand: set[Key] = set()

    def turn(self, delivery_id: str, turn: int, kind: str, place: int) -> Report | None:
        """Send a report if this is still its place; returns how it stands then."""
        key = Key(delivery_id, turn, ReportKind(kind))
        logs.delivery_id.set(delivery_id)
        run = f"{self._settings.instance}/{uuid.uuid4().hex}"
        with self._counted(key):
            try:
                return self._send(key, place, run)
            except Exception:  # a fault of ours: DBOS would end the turn, and nobody would know
                _log.exception("a report could not be sent")
                report: Report | None = self._written(
                    lambda c: self._book.finish(c, key, run, _FAULT, _now())
                )
                return report

    def _send(self, key: Key, place: int, run: str) -> Report | None:
        if self._stopping.is_set():
            self._written(lambda c: self._book.put_back(c, key, place, _now()))
            return None
        begun = self._written(lambda c: self._book.begin(c, key, place, run, _now()))
        if begun is None:
            return None
        logs.request_id.set(begun.delivery.request_id)
        answered = self._post(begun)
        report: Report | None = self._written(
            lambda c: self._book.finish(c, key, run, answered, _now())
        )
        _tell(begun, report, answered)
        return report

    def _post(self, begun: Begun) -> Answered:
        if self._gateway is None:
            return _SWITCHED_OFF
        if begun.report.kind is ReportKind.ROWS:
            return rowevents.upload(self._gateway, begun, self._settings)
        made = written_letter(begun, self._settings)
        if isinstance(made, Answered):
            return made
        try:
            got = self._gateway.post(made)
        except Unavailable as error:
            return answer.unreachable(str(error))
        except OutcomeUnknown:
            return answer.unknown()
        return answer.read(got.status, got.retry_after, begun.before)

    def in_hand(self) -> frozenset[Key]:
        """The reports that are being sent."""
        return frozenset(self._in_hand)

    def place_lost(self, connection: sa.Connection, now: datetime) -> int:
        """Place what waits and has no place; returns how many."""
        return self._book.place_lost(connection, now, self.in_hand)

    @contextmanager
    def _counted(self, key: Key) -> Iterator[None]:
        self._in_hand.add(key)
        try:
            yield
        finally:
            self._in_hand.discard(key)


def written_letter(begun: Begun, settings: Settings) -> Letter | Answered:
    """What is to be posted for a report, or why there is nothing."""
    own = settings.for_stp(begun.delivery.stp_name)
    payload = _payload(begun.body)
    if begun.report.kind is ReportKind.RERUN:
        return letter.rerun(payload) or _NO_TASK
    about = letter.identity(begun.delivery.kind, payload, own.reportidentity)
    if about is None:
        return _NOBODY
    rtc = (own.rtcattribute, begun.delivery.tracking_code)
    return letter.event(begun.report.event, about, begun.attributes, rtc)


def _payload(body: bytes) -> Payload:
    try:
        return intake.parse(body) if body else {}
    except NotJson:
        return {}


def _tell(begun: Begun, report: Report | None, answered: Answered) -> None:
    """One line of log a try, without whom it is about."""
    told = {
        "report": begun.report.kind,
        "event": begun.report.event or None,
        "ended": begun.report.ended_as,
        "state": report.state if report else "taken over elsewhere",
        "try": report.tries if report else None,
        "status": answered.status or None,
        "code": answered.code or None,
        "message": answered.message or None,
    }
    level = logging.INFO if answered.course is answer.Course.SENT else logging.WARNING
    words = "told CI 360 %s" if level is logging.INFO else "CI 360 is not told %s"
    _log.log(level, words, json.dumps({k: v for k, v in told.items() if v is not None}))


def _now() -> datetime:
    return datetime.now(UTC)
