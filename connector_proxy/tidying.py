"""Files that nobody needs any more: those of ended deliveries, what killed processes left, old
datasets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector_proxy import objectstore, rows
from connector_proxy.database import Database
from connector_proxy.dataset import shelf
from connector_proxy.records import NOT_ENDED
from connector_proxy.settings import Settings
from connector_proxy.staging import Staging
from connector_proxy.tables import deliveries

_FORGOTTEN = timedelta(days=1)
"""So long files stay that no delivery is known of, and those of a dataset that was being made:
their database may be another one, and their process may live."""
_log = logging.getLogger(__name__)


class Tidying:
    """Looks at the folders of one instance."""

    def __init__(self, settings: Settings, database: Database, staging: Staging) -> None:
        self._settings = settings
        self._database = database
        self._staging = staging

    def each_minute(self, now: datetime) -> None:
        """Remove the files of deliveries that ended ``keepfilesminutes`` ago, after the uploads of
        them that began and will not be completed."""
        here = list(self._staging.kept())
        gone = [*self._ended(here, now), *self._unknown(here, now)] if here else []
        reachable = True
        for delivery_id in gone:
            folder = self._staging.folder_of(delivery_id)
            if objectstore.has_unfinished(folder):  # without a store not one try for each
                reachable = reachable and objectstore.abandon(folder, self._settings)
                if not reachable:
                    continue
            self._staging.remove(delivery_id)

    def _ended(self, ids: Sequence[str], now: datetime) -> Sequence[str]:
        """Those whose files are given up. The deadline of their URLs counts again from here on,
        for a replay."""
        before = now - timedelta(minutes=self._settings.keepfilesminutes)
        ended = sa.and_(
            deliveries.c.delivery_id.in_(ids),
            deliveries.c.state.not_in(NOT_ENDED),
            deliveries.c.changed_at <= rows.ms(before),
        )
        with self._database.read() as connection:
            if not connection.execute(sa.select(deliveries.c.delivery_id).where(ended)).first():
                return []
        given_up = sa.update(deliveries).where(ended).values(fetched_at=None)
        with self._database.write() as connection:
            return connection.execute(given_up.returning(deliveries.c.delivery_id)).scalars().all()

    def _unknown(self, ids: Sequence[str], now: datetime) -> list[str]:
        query = sa.select(deliveries.c.delivery_id).where(deliveries.c.delivery_id.in_(ids))
        with self._database.read() as connection:
            known = set(connection.execute(query).scalars())
        before = (now - _FORGOTTEN).timestamp()
        return [one for one in ids if one not in known and self._staging.changed_at(one) < before]

    def each_hour(self, now: datetime) -> None:
        """Remove datasets that are older than ``keepdatasetdays``, and what is left of some that
        were never finished."""
        days = self._settings.keepdatasetdays
        for folder in {one.outputfolder for one in self._settings.each() if one.embedded}:
            shelf.remove_unfinished(folder, now - _FORGOTTEN)
            if days and (count := shelf.remove_older(folder, now - timedelta(days=days))):
                _log.info("datasets removed since keepdatasetdays = %d: %d", days, count)
