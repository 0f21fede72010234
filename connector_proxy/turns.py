"""Turns: the places of deliveries in the queue, counted. What changes a delivery from outside an
attempt gives it another turn or none, and so makes void what is still in the queue."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from connector_proxy import masking, rows, schedule, tally
from connector_proxy.ci360.book import Book
from connector_proxy.dbosqueue import Queue
from connector_proxy.records import OPEN, State
from connector_proxy.settings import Settings
from connector_proxy.tables import deliveries

_log = logging.getLogger(__name__)
NEAR = timedelta(minutes=15)
"""A deadline that is nearer than this is told."""
_FILES_GONE_SECONDS = 1.0
"""Two instances that share no downloadfolder would ask each other without end otherwise."""
OWN: sa.BindParameter[str] = sa.bindparam("own")
MARK = sa.update(deliveries).where(deliveries.c.delivery_id == OWN)
"""Changes one row; made once, since making it anew costs more than running it."""


def change(connection: Connection, delivery_id: str, now: datetime, **values: Any) -> None:
    """Change the row of a delivery."""
    connection.execute(MARK, {"own": delivery_id, "changed_at": rows.ms(now), **values})


def is_over(row: Row[Any], now: datetime) -> bool:
    """Whether the presigned URLs of a delivery have stopped working before its files were here."""
    return row.deadline is not None and row.deadline <= rows.ms(now) and row.fetched_at is None


def ends_soon(now: datetime) -> sa.ColumnElement[bool]:
    """The same as a condition: it will be so within a quarter of an hour."""
    own = deliveries.c
    return sa.and_(own.deadline <= rows.ms(now + NEAR), own.fetched_at.is_(None))


def fresh_round(now: datetime) -> dict[str, Any]:
    """What a delivery has at the beginning of a round."""
    return {
        "state": State.WAITING,
        "run": "",
        "tries": 0,
        "probing": False,
        "paused": False,
        "accepted_at": rows.ms(now),
        "changed_at": rows.ms(now),
        "next_attempt_at": None,
        "verdict": "",
        "code": "",
        "message": "",
        "advice": "",
        "result": "{}",
        "note": "",
    }


class Turns:
    """Gives turns and takes them; every function takes a connection with an open transaction."""

    def __init__(self, settings: Settings, queue: Queue) -> None:
        self._queue = queue
        self.reports = Book(settings, queue)

    def place(self, connection: Connection, row: Row[Any], turn: int, delay: float = 0.0) -> None:
        """Put a turn of a delivery into the queue, due after ``delay`` seconds, or in that of
        downloads where its files are to be fetched first; ``row`` is its row."""
        self._put(connection, row, turn, delay, fetch=self.to_fetch(row))

    def place_fetched(self, connection: Connection, row: Row[Any]) -> None:
        """Put the present turn, which came out of the queue of downloads, into the queue."""
        self._put(connection, row, row.turn, 0.0, fetch=False)

    def to_fetch(self, row: Row[Any]) -> bool:
        """Whether a delivery has files that this service fetches and has not yet."""
        return row.fetched_at is None and self._queue.fetches(row.kind, row.stp_name)

    def was_fetched(self, row: Row[Any]) -> bool:
        """Whether this service fetched the files of a delivery."""
        return row.fetched_at is not None and self._queue.fetches(row.kind, row.stp_name)

    def fetch_again(self, connection: Connection, row: Row[Any], now: datetime) -> None:
        """Give a delivery whose files are gone another turn, by the queue of downloads."""
        change(connection, row.delivery_id, now, turn=row.turn + 1, fetched_at=None)
        self._put(connection, row, row.turn + 1, _FILES_GONE_SECONDS, fetch=True)

    def _put(
        self, connection: Connection, row: Row[Any], turn: int, delay: float, *, fetch: bool
    ) -> None:
        deadline, accepted_at = rows.moment_or_none(row.deadline), rows.moment(row.accepted_at)
        self._queue.put(
            connection,
            row.delivery_id,
            turn,
            stp_name=row.stp_name,
            priority=schedule.priority(deadline, accepted_at),
            fetch=fetch,
            delay=delay,
        )

    def go_on(
        self, connection: Connection, found: Iterable[Row[Any]], now: datetime, *, probing: bool
    ) -> list[str]:
        """Give each delivery a new turn that is due at once; returns their ids."""
        going_on = list(found)
        self.withdraw(connection, going_on)
        for row in going_on:
            change(
                connection,
                row.delivery_id,
                now,
                turn=row.turn + 1,
                paused=False,
                probing=probing,
                next_attempt_at=None,
            )
            self.place(connection, row, row.turn + 1)
        return [row.delivery_id for row in going_on]

    def again(self, connection: Connection, row: Row[Any], now: datetime) -> None:
        """Begin a new round of a delivery with the payload that is kept; one that waits stays in
        its round."""
        self.withdraw(connection, [row])
        same = {"accepted_at": row.accepted_at, "round": row.round + (row.state not in OPEN)}
        fresh = {**fresh_round(now), **same, "turn": row.turn + 1}
        change(connection, row.delivery_id, now, **fresh)
        self.place(connection, row, row.turn + 1)

    def end(
        self, connection: Connection, row: Row[Any], state: State, now: datetime, **words: str
    ) -> None:
        """End a delivery outside an attempt; ``words`` are the columns that tell why."""
        self.withdraw(connection, [row])
        change(
            connection,
            row.delivery_id,
            now,
            state=state,
            turn=row.turn + 1,
            run="",
            paused=False,
            probing=False,
            next_attempt_at=None,
            **words,
        )
        self.reports.ended(connection, row.delivery_id, now)

    def expire(self, connection: Connection, row: Row[Any], now: datetime) -> None:
        """End a delivery whose presigned URLs have stopped working before it was carried out."""
        ended = schedule.expired()
        words = {
            "verdict": str(ended.verdict),
            "code": ended.code,
            "message": ended.message,
            "advice": ended.advice,
        }
        self.end(connection, row, ended.state, now, **words)
        tally.expired(row.stp_name)
        _log.warning("expired delivery=%s stp=%s", row.delivery_id, masking.shorten(row.stp_name))

    def withdraw(self, connection: Connection, found: Sequence[Row[Any]]) -> None:
        """Take the present turns of deliveries out of the queue."""
        self._queue.withdraw(connection, [(row.delivery_id, row.turn) for row in found])
