"""What is written of the files that are fetched ahead of an attempt: they came, or they did not.

A turn whose files this service fetches comes out of the queue of downloads first. Its stored
process may be busy or paused meanwhile: presigned URLs are used while they work.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from connector_proxy import rows, schedule
from connector_proxy.carrier import Carried
from connector_proxy.ledger import Begun, Ledger, as_begun, find
from connector_proxy.records import State
from connector_proxy.schedule import Next
from connector_proxy.turns import change, is_over

_AGAIN = timedelta(minutes=1)


class Fetches:
    """Every function takes a connection with an open transaction and commits nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._turns = ledger.turns

    def wanted(
        self, connection: Connection, delivery_id: str, turn: int, now: datetime
    ) -> Begun | None:
        """The delivery whose files are to be fetched; None when they are not needed any more, are
        here, or are fetched by a later turn: they take one place of all downloads. Nothing is
        marked: a fetch that is cut off is simply made again."""
        row = find(connection, delivery_id)
        if row is None or not self._needs(row, turn) or not row.body or is_over(row, now):
            return None
        return as_begun(row)

    def needed(self, connection: Connection, delivery_id: str, turn: int) -> bool:
        """Whether somebody still waits for the files that are being fetched; a deadline that has
        passed meanwhile does not matter."""
        row = find(connection, delivery_id)
        return row is not None and self._needs(row, turn)

    def _needs(self, row: Row[Any], turn: int) -> bool:
        waits = row.state == State.WAITING and self._turns.to_fetch(row)
        return bool(waits and (row.turn == turn or row.paused))

    def over(self, connection: Connection, delivery_id: str, turn: int) -> None:
        """Nothing was to be fetched: let the turn be carried out, which tells why."""
        row = find(connection, delivery_id)
        if row is not None and _is_current(row, turn):
            self._turns.place_fetched(connection, row)

    def came(self, connection: Connection, delivery_id: str, turn: int, now: datetime) -> None:
        """The files are here: from now on the deadline of their URLs matters no more, for a
        replay either."""
        row = find(connection, delivery_id)
        if row is None:
            return
        change(connection, delivery_id, now, fetched_at=rows.ms(now))
        if _is_current(row, turn):
            self._turns.place_fetched(connection, row)

    def failed(
        self,
        connection: Connection,
        delivery_id: str,
        turn: int,
        run: str,
        carried: Carried,
        now: datetime,
        cause: str,
    ) -> tuple[Begun, Next | None] | None:
        """The files cannot be had. That is an attempt like any other, unless the disk here is to
        blame; returns the attempt and what follows, or None when it was none.

        A paused stored process changes nothing: its deliveries stay with it (``upkeep.py`` lets
        their files be fetched again).
        """
        row = find(connection, delivery_id)
        if row is None or not _is_current(row, turn):
            return None
        if carried.outcome.code in schedule.OF_THIS_DISK:
            self._again(connection, row, carried, now)
            return None
        begun = self._ledger.begin(connection, delivery_id, turn, run, now)
        if begun is None:
            return None
        following = self._ledger.finish(
            connection, begun, carried, now, cause=cause, repeat_unknown=False
        )
        return begun, following

    def _again(
        self, connection: Connection, row: Row[Any], carried: Carried, now: datetime
    ) -> None:
        """Try again in a minute, as long as the URLs work, and say meanwhile why it waits."""
        outcome = carried.outcome
        values = {
            "turn": row.turn + 1,
            "next_attempt_at": rows.ms(now + _AGAIN),
            "verdict": outcome.verdict,
            "code": outcome.code,
            "message": rows.text(outcome.message),
            "advice": rows.text(outcome.advice),
        }
        change(connection, row.delivery_id, now, **values)
        self._turns.place(connection, row, row.turn + 1, _AGAIN.total_seconds())


def _is_current(row: Row[Any], turn: int) -> bool:
    return bool(row.turn == turn and row.state == State.WAITING and not row.paused)
