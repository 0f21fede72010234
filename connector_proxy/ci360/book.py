"""What is written of reports: one is due, it is being sent, how that came out.

Whatever ends a delivery places its report with the same transaction. A mark stands before
anything is sent; one that is found again is that of a process which died, and whether its report
arrived is known to nobody. So no end is reported twice by our doing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from connector_proxy import rows
from connector_proxy.ci360 import answer, attributes
from connector_proxy.ci360.answer import Answered, Course
from connector_proxy.dbosqueue import Queue
from connector_proxy.records import Delivery, Kind, Report, ReportKind, ReportState, State
from connector_proxy.settings import Settings
from connector_proxy.tables import deliveries, payloads, reports

OFF = "off"
_LATE = timedelta(minutes=1)
_EVENTS = {
    State.DONE: "doneevent",
    State.HELD: "heldevent",
    State.REFUSED: "failedevent",
    State.EXPIRED: "failedevent",
    State.CANCELLED: "failedevent",
}


@dataclass(frozen=True)
class Key:
    """Which report: of which delivery, which turn that ended, and of what kind."""

    delivery_id: str
    turn: int
    kind: ReportKind

    def condition(self) -> sa.ColumnElement[bool]:
        """What is true of its row alone."""
        own = reports.c
        return sa.and_(
            own.delivery_id == self.delivery_id, own.turn == self.turn, own.kind == self.kind
        )


@dataclass(frozen=True)
class Begun:
    """A report that is being sent: its delivery, the payload (empty where it is not kept), the
    attributes as they were at the end, and the code of the try before."""

    report: Report
    delivery: Delivery
    body: bytes
    attributes: dict[str, str]
    run: str
    before: str


class Book:
    """Every function takes a connection with an open transaction and commits nothing."""

    def __init__(self, settings: Settings, queue: Queue) -> None:
        self._settings = settings
        self._queue = queue.reports

    def ended(self, connection: Connection, delivery_id: str, now: datetime) -> None:
        """A delivery has ended, or is held: place what CI 360 is to be told of that."""
        if self._settings.reportvia != OFF:
            found = sa.select(deliveries).where(deliveries.c.delivery_id == delivery_id)
            self.place(connection, connection.execute(found).one(), now)

    def place(self, connection: Connection, row: Row[Any], now: datetime) -> list[Key]:
        """Place what the settings name for the present end of a delivery; returns it."""
        delivery = rows.as_delivery(row)
        placed = []
        for kind, event in self._wanted(connection, delivery):
            key = Key(delivery.delivery_id, row.turn, kind)
            connection.execute(sa.insert(reports), self._row(key, event, delivery, now))
            self._put(connection, key, 1)
            placed.append(key)
        return placed

    def _wanted(
        self, connection: Connection, delivery: Delivery
    ) -> Iterator[tuple[ReportKind, str]]:
        own = self._settings.for_stp(delivery.stp_name)
        event = _event(own, ReportKind.EVENT, delivery.state)
        if event and (delivery.kind is Kind.TRIGGERED or own.reportidentity):
            yield ReportKind.EVENT, event
        if own.reportvia != "gateway":
            return
        if own.rerun and delivery.state is State.EXPIRED and not _was_rerun(connection, delivery):
            yield ReportKind.RERUN, ""
        if own.rowevent and _knows_rejects(delivery, own):
            yield ReportKind.ROWS, own.rowevent

    def _row(self, key: Key, event: str, delivery: Delivery, now: datetime) -> dict[str, Any]:
        own = self._settings.for_stp(delivery.stp_name)
        filled = attributes.fill(own.reportattributes, attributes.facts(delivery))
        return {
            "delivery_id": key.delivery_id,
            "turn": key.turn,
            "kind": key.kind,
            "occurrence_id": delivery.occurrence_id,
            "ended_as": delivery.state,
            "event": event,
            "attributes": json.dumps(filled),
            "state": ReportState.WAITING,
            "place": 1,
            "run": "",
            "tries": 0,
            "placed_at": rows.ms(now),
            "changed_at": rows.ms(now),
            "next_at": rows.ms(now),
            "status": 0,
            "code": "",
            "message": "",
            "advice": "",
        }

    def _put(self, connection: Connection, key: Key, place: int, delay: float = 0.0) -> None:
        words = (key.delivery_id, key.turn, str(key.kind), place)
        self._queue.put(connection, ".".join(map(str, words)), *words, delay=delay)

    # -- one try -------------------------------------------------------------------------

    def begin(
        self, connection: Connection, key: Key, place: int, run: str, now: datetime
    ) -> Begun | None:
        """Mark that a report is being sent; None when nothing is to be done: the place is void,
        or a process died while it sent, so that nobody knows whether it arrived."""
        row = self._found(connection, key)
        if row is None or row.place != place or row.state != ReportState.WAITING:
            return None
        if row.run not in ("", run):
            self._settle(connection, row, answer.unknown(), now, tries=row.tries)
            return None
        changed = {"run": run, "changed_at": rows.ms(now)}
        connection.execute(sa.update(reports).where(key.condition()).values(changed))
        return _begun(connection, row, run)

    def finish(
        self, connection: Connection, key: Key, run: str, answered: Answered, now: datetime
    ) -> Report | None:
        """Record how a try came out and plan the next one; None where it counts no more."""
        row = self._found(connection, key)
        if row is None or row.run != run:
            return None
        tries, chance = row.tries + 1, random.uniform(-1, 1)  # noqa: S311 - only spreads load
        if answered.course is Course.AGAIN:
            pause = answer.pause(answered, tries, self._settings.reportschedule, chance)
            if pause is None:
                answered = answer.given_up(answered, tries)
            else:
                return self._wait(connection, row, answered, now, tries, pause)
        return self._settle(connection, row, answered, now, tries=tries)

    def _wait(
        self,
        connection: Connection,
        row: Row[Any],
        answered: Answered,
        now: datetime,
        tries: int,
        pause: float,
    ) -> Report:
        next_at = rows.ms(now + timedelta(seconds=pause))
        changed = {"place": row.place + 1, "tries": tries, "next_at": next_at}
        self._put(connection, key_of(row), row.place + 1, pause)
        return self._changed(connection, row, answered, now, **changed)

    def _settle(
        self, connection: Connection, row: Row[Any], answered: Answered, now: datetime, tries: int
    ) -> Report:
        sent = answered.course is Course.SENT
        state = ReportState.SENT if sent else ReportState.UNREPORTED
        changed = {"state": state, "tries": tries, "next_at": None}
        return self._changed(connection, row, answered, now, **changed)

    def _changed(
        self, connection: Connection, row: Row[Any], answered: Answered, now: datetime, **more: Any
    ) -> Report:
        said = {
            "run": "",
            "changed_at": rows.ms(now),
            "status": answered.status,
            "code": answered.code,
            "message": rows.text(answered.message),
            "advice": rows.text(answered.advice),
        }
        changed = sa.update(reports).where(key_of(row).condition()).values(said | more)
        return rows.as_report(connection.execute(changed.returning(*reports.c)).one())

    # -- places --------------------------------------------------------------------------

    def place_again(
        self, connection: Connection, key: Key, now: datetime, *, queued: bool = True
    ) -> int:
        """Give a report another place, which makes the one that it had void, and the whole
        schedule; ``queued``: in the queue, and not at the hand of the caller. Returns its
        number. The event is what the settings name now: a wrong name can be mended."""
        row = self._found(connection, key)
        assert row is not None
        named = sa.select(deliveries.c.stp_name).where(deliveries.c.delivery_id == key.delivery_id)
        own = self._settings.for_stp(connection.execute(named).scalar_one())
        fresh = {
            "event": _event(own, key.kind, State(row.ended_as)) or row.event,
            "state": ReportState.WAITING,
            "place": row.place + 1,
            "run": "",
            "tries": 0,
            "changed_at": rows.ms(now),
            "next_at": rows.ms(now),
        }
        connection.execute(sa.update(reports).where(key.condition()).values(fresh))
        if queued:
            self._put(connection, key, row.place + 1)
        return int(row.place) + 1

    def put_back(self, connection: Connection, key: Key, place: int, now: datetime) -> None:
        """Give a report that came out of the queue and was not begun back to it; one that a
        process which died had begun keeps its mark."""
        row = self._found(connection, key)
        if row is not None and row.place == place and row.state == ReportState.WAITING:
            changed = {"place": place + 1, "changed_at": rows.ms(now)}
            connection.execute(sa.update(reports).where(key.condition()).values(changed))
            self._put(connection, key, place + 1)

    def place_lost(
        self, connection: Connection, now: datetime, in_hand: Callable[[], Collection[Key]]
    ) -> int:
        """Place what waits and has no place (DBOS takes one out and starts it in two steps);
        ``in_hand`` tells what this process sends. Returns how many."""
        own, late = reports.c, rows.ms(now - _LATE)
        turn, number = sa.cast(own.turn, sa.Text), sa.cast(own.place, sa.Text)
        place = own.delivery_id + "." + turn + "." + own.kind + "." + number
        lost = sa.select(reports).where(
            own.state == ReportState.WAITING,
            own.next_at <= late,
            sa.not_(self._queue.has_place(connection, place, late)),
        )
        found = connection.execute(lost.with_for_update()).all()
        busy = in_hand()
        idle = [row for row in found if key_of(row) not in busy]
        for row in idle:
            self.put_back(connection, key_of(row), row.place, now)
        return len(idle)

    def _found(self, connection: Connection, key: Key) -> Row[Any] | None:
        query = sa.select(reports).where(key.condition()).with_for_update()
        return connection.execute(query).one_or_none()


def key_of(row: Row[Any]) -> Key:
    """Which report a row is."""
    return Key(row.delivery_id, row.turn, ReportKind(row.kind))


def _begun(connection: Connection, row: Row[Any], run: str) -> Begun:
    own = deliveries.c.delivery_id == row.delivery_id
    joined = deliveries.outerjoin(payloads, payloads.c.delivery_id == deliveries.c.delivery_id)
    query = sa.select(deliveries, payloads.c.body).select_from(joined).where(own)
    found = connection.execute(query).one()
    return Begun(
        rows.as_report(row),
        rows.as_delivery(found),
        found.body or b"",
        json.loads(row.attributes),
        run,
        row.code,
    )


def _event(own: Settings, kind: ReportKind, ended_as: State) -> str:
    """The external event that the settings name for an end; empty: none."""
    if kind is ReportKind.ROWS:
        return own.rowevent
    told = kind is ReportKind.EVENT and ended_as in _EVENTS
    return str(getattr(own, _EVENTS[ended_as])) if told else ""


def _knows_rejects(delivery: Delivery, own: Settings) -> bool:
    """Whether rows were rejected, and a file lists them."""
    listed = "rejects" in delivery.result or (own.embedded and delivery.state is State.DONE)
    return listed and str(delivery.result.get("rejectedRows", 0)) != "0"


def _was_rerun(connection: Connection, delivery: Delivery) -> bool:
    """Whether CI 360 was asked before to run the task of this occurrence again."""
    earlier = sa.exists().where(
        reports.c.kind == ReportKind.RERUN,
        sa.or_(
            reports.c.delivery_id == delivery.delivery_id,
            sa.and_(
                reports.c.occurrence_id == delivery.occurrence_id,
                sa.literal(delivery.occurrence_id) != "",
            ),
        ),
    )
    return bool(connection.execute(sa.select(earlier)).scalar_one())
