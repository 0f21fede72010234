"""How the deliveries stand at a moment, in numbers: for health and metrics."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from connector_proxy import rows
from connector_proxy.database import Database
from connector_proxy.errors import QueueUnavailable
from connector_proxy.records import ReportState, State
from connector_proxy.tables import deliveries, reports, stored_processes
from connector_proxy.turns import ends_soon

_AT_MOST_EVERY = 1.0


@dataclass(frozen=True)
class Standing:
    """How many deliveries wait (``put_off`` of them for a paused stored process), are held, and
    wait with a deadline that is near and files that were not fetched; when the oldest that waits
    was accepted, and the last one of all; the names of paused stored processes, with who paused
    each; how many reports to CI 360 are not sent again on their own."""

    waiting: int = 0
    put_off: int = 0
    held: int = 0
    near: int = 0
    oldest: datetime | None = None
    last: datetime | None = None
    paused: tuple[tuple[str, str], ...] = ()
    unreported: int = 0


def look(connection: Connection, now: datetime) -> Standing:
    """The numbers of all instances that share the database."""
    own = deliveries.c
    near = sa.case((ends_soon(now), 1), else_=0)
    waiting = sa.select(
        sa.func.count(),
        sa.func.sum(sa.case((own.paused, 1), else_=0)),
        sa.func.sum(near),
        sa.func.min(own.accepted_at),
    ).where(own.state == State.WAITING)
    count, put_off, deadlines, oldest = connection.execute(waiting).one()
    held = sa.select(sa.func.count()).where(own.state == State.HELD)
    stps = stored_processes.c
    paused = sa.select(stps.stp_name, stps.paused_by).where(stps.paused_by != "")
    return Standing(
        waiting=count,
        put_off=put_off or 0,
        held=connection.execute(held).scalar_one(),
        near=deadlines or 0,
        oldest=rows.moment_or_none(oldest),
        last=rows.moment_or_none(connection.execute(_LAST).scalar()),
        paused=tuple((row.stp_name, row.paused_by) for row in connection.execute(paused)),
        unreported=connection.execute(_UNREPORTED).scalar_one(),
    )


_UNREPORTED = sa.select(sa.func.count()).where(reports.c.state == ReportState.UNREPORTED)
_LAST = sa.select(sa.func.max(deliveries.c.accepted_at))


class Lookout:
    """Looks when it is asked, at most once a second; safe to use from many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._standing: Standing | None = None

    def standing(self) -> Standing | None:
        """How the deliveries stand now; None while the database does not answer."""
        with self._lock:
            if time.monotonic() - self._looked_at >= _AT_MOST_EVERY:
                self._standing = self._look()
                self._looked_at = time.monotonic()
            return self._standing

    def _look(self) -> Standing | None:
        try:
            with self._database.read() as connection:
                return look(connection, datetime.now(UTC))
        except QueueUnavailable:
            return None
