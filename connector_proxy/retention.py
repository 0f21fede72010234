"""What is old is removed, a few hundred rows a transaction, so that nobody waits for long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector_proxy import audit, rows
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.records import NOT_ENDED, ReportState
from connector_proxy.settings import Settings
from connector_proxy.tables import attempts, deliveries, payloads, reports

_AT_ONCE = 500


@dataclass(frozen=True)
class Pruned:
    """How many deliveries and how many payloads were removed."""

    deliveries: int
    payloads: int


class Retention:
    """Keeps what ``keepdays`` and ``keeppayloaddays`` say."""

    def __init__(self, settings: Settings, database: Database, queue: Queue) -> None:
        self._settings = settings
        self._database = database
        self._queue = queue

    def prune(self, now: datetime) -> Pruned:
        """Remove what is older, and give the room back to the disk. What waits, runs or is held,
        or is still to be reported, stays."""
        oldest = now - timedelta(days=self._settings.keepdays)
        payloads_gone = self._drop_payloads(now - timedelta(days=self._settings.keeppayloaddays))
        gone = self._drop_deliveries(oldest)
        with self._database.write() as connection:
            audit.forget(connection, oldest)
        self._queue.forget(now)
        self._database.give_back()
        return Pruned(gone, payloads_gone)

    def _drop_payloads(self, before: datetime) -> int:
        old = sa.and_(_ended_before(before), deliveries.c.payload_kept)
        count = 0
        while ids := self._ids(old):
            with self._database.write() as connection:
                # Asked again: one of them may have begun a new round since.
                still = sa.update(deliveries).where(deliveries.c.delivery_id.in_(ids), old)
                gone = still.values(payload_kept=False).returning(deliveries.c.delivery_id)
                ids = connection.execute(gone).scalars().all()
                connection.execute(sa.delete(payloads).where(payloads.c.delivery_id.in_(ids)))
            count += len(ids)
        return count

    def _drop_deliveries(self, before: datetime) -> int:
        old = _ended_before(before)
        count = 0
        while ids := self._ids(old):
            with self._database.write() as connection:
                still = sa.delete(deliveries).where(deliveries.c.delivery_id.in_(ids), old)
                gone = still.returning(deliveries.c.delivery_id)
                ids = connection.execute(gone).scalars().all()
                for table in (payloads, attempts, reports):
                    connection.execute(sa.delete(table).where(table.c.delivery_id.in_(ids)))
            count += len(ids)
        return count

    def _ids(self, condition: sa.ColumnElement[bool]) -> Sequence[str]:
        query = sa.select(deliveries.c.delivery_id).where(condition).limit(_AT_ONCE)
        with self._database.read() as connection:
            return connection.execute(query).scalars().all()


def _ended_before(moment: datetime) -> sa.ColumnElement[bool]:
    told = sa.exists().where(  # its report takes from the payload whom it is about
        reports.c.delivery_id == deliveries.c.delivery_id, reports.c.state == ReportState.WAITING
    )
    return sa.and_(
        deliveries.c.state.not_in(NOT_ENDED),
        deliveries.c.changed_at < rows.ms(moment),
        sa.not_(told),
    )
