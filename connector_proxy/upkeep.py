"""What is due because time passed, and what mends where a delivery would wait for ever."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from connector_proxy import rows
from connector_proxy.dbosqueue import Queue
from connector_proxy.pauses import Pauses
from connector_proxy.records import OPEN, Kind, State
from connector_proxy.settings import Settings
from connector_proxy.tables import deliveries
from connector_proxy.turns import Turns, change, ends_soon

_CLOCK_TOLERANCE = timedelta(seconds=60)
_FORGOTTEN = timedelta(seconds=30)


class Upkeep:
    """Called once a minute by each instance; what two do at once does no harm."""

    def __init__(self, settings: Settings, queue: Queue) -> None:
        self._queue = queue
        self._turns = Turns(settings, queue)
        self._pauses = Pauses(self._turns)

    def pass_time(
        self, connection: Connection, now: datetime, in_hand: Callable[[], Collection[str]] = set
    ) -> list[str]:
        """Expire what waited too long for a paused stored process, fetch the files of the others
        meanwhile, try those that are paused for their failures, give a turn to what has none, and
        plan anew what a clock that was set back had put off. ``in_hand`` tells the deliveries that
        this process is busy with. Returns the ids of the deliveries that go on."""
        self._expire(connection, now, in_hand)
        self._fetch_meanwhile(connection, now, in_hand)
        return [
            *self._pauses.probe(connection, now),
            *self._pauses.release_forgotten(connection, now),
            *self._place_lost(connection, now, in_hand),
            *self._replan(connection, now),
        ]

    def near_deadline(self, connection: Connection, now: datetime) -> list[str]:
        """The ids of waiting deliveries whose URLs stop working within a quarter of an hour, and
        whose files are not here."""
        near = sa.select(deliveries.c.delivery_id).where(
            deliveries.c.state == State.WAITING, ends_soon(now)
        )
        return list(connection.execute(near.order_by(deliveries.c.deadline)).scalars())

    def _expire(
        self, connection: Connection, now: datetime, in_hand: Callable[[], Collection[str]]
    ) -> None:
        """End what is overdue, unless its files are just being downloaded: a transfer that began
        in time goes on to its end."""
        overdue = sa.select(deliveries).where(
            deliveries.c.state == State.WAITING,
            deliveries.c.paused,
            deliveries.c.deadline <= rows.ms(now),
            deliveries.c.fetched_at.is_(None),
        )
        found, busy = connection.execute(overdue).all(), in_hand()
        for row in found:
            if row.delivery_id not in busy:
                self._turns.expire(connection, row, now)

    def _place_lost(
        self, connection: Connection, now: datetime, in_hand: Callable[[], Collection[str]]
    ) -> list[str]:
        """Open deliveries without a place in the queue, or whose turn came out of it and was
        never begun. There should be none; a fault that makes one must not lose it. One that had
        begun ends as unknown.

        What is in hand is asked when the rows are locked: a turn that begins after that waits
        for this transaction, and finds itself void.
        """
        lost = sa.and_(deliveries.c.state.in_(OPEN), deliveries.c.paused.is_(False))
        forgotten = self._without_place(connection, lost, now, in_hand)
        return self._turns.go_on(connection, forgotten, now, probing=False)

    def _without_place(
        self,
        connection: Connection,
        condition: sa.ColumnElement[bool],
        now: datetime,
        in_hand: Callable[[], Collection[str]],
    ) -> list[Row[Any]]:
        placed = self._queue.has_place(
            connection,
            deliveries.c.delivery_id,
            deliveries.c.turn,
            forgotten_since=now - _FORGOTTEN,
        )
        lost = sa.select(deliveries).where(condition, sa.not_(placed))
        found = connection.execute(lost.with_for_update(of=deliveries)).all()
        busy = in_hand()
        return [row for row in found if row.delivery_id not in busy]

    def _fetch_meanwhile(
        self, connection: Connection, now: datetime, in_hand: Callable[[], Collection[str]]
    ) -> None:
        """Fetch the files of what waits for a paused stored process: an earlier try failed, or
        the pause came first. The URLs stop working, paused or not."""
        waiting = sa.and_(
            deliveries.c.state == State.WAITING,
            deliveries.c.paused,
            deliveries.c.fetched_at.is_(None),
            deliveries.c.kind == Kind.BULK,
        )
        for row in self._without_place(connection, waiting, now, in_hand):
            if self._turns.to_fetch(row):
                change(connection, row.delivery_id, now, turn=row.turn + 1)
                self._turns.place(connection, row, row.turn + 1)

    def _replan(self, connection: Connection, now: datetime) -> list[str]:
        """Waiting deliveries that were written in what is now the future: the clock was set
        back, and their attempts would come later by as much."""
        put_off = sa.select(deliveries).where(
            deliveries.c.state == State.WAITING,
            deliveries.c.next_attempt_at.is_not(None),
            deliveries.c.changed_at > rows.ms(now + _CLOCK_TOLERANCE),
        )
        return self._turns.go_on(connection, connection.execute(put_off), now, probing=False)
