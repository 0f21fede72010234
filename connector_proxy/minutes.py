"""What the working process does each minute, and each hour."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from sqlalchemy import Connection

from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.deliveries import Deliveries
from connector_proxy.errors import QueueUnavailable
from connector_proxy.settings import Settings
from connector_proxy.staging import Staging
from connector_proxy.tidying import Tidying
from connector_proxy.upkeep import Upkeep

_MINUTE = 60.0
_PRUNE_EVERY = 60
_NAMED = 20
_log = logging.getLogger(__name__)


class Minutes:
    """``in_hand`` tells the deliveries that this process is busy with, ``place_reports`` places
    reports that were lost, ``tell`` sees whether somebody must be told something."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        queue: Queue,
        staging: Staging,
        in_hand: Callable[[], Collection[str]],
        place_reports: Callable[[Connection, datetime], int],
        tell: Callable[[datetime], None],
    ) -> None:
        self._database = database
        self._administration = Deliveries(settings, database, queue)
        self._upkeep = Upkeep(settings, queue)
        self._tidying = Tidying(settings, database, staging)
        self._in_hand = in_hand
        self._place_reports = place_reports
        self._tell = tell

    def run(self, stopping: threading.Event) -> None:
        """Until ``stopping``; a fault puts the work off to the next minute."""
        minutes = 0
        while not stopping.wait(_MINUTE):
            works = [self._pass, self._tell]
            if minutes % _PRUNE_EVERY == 0:
                works.append(self._pass_hour)
            for work in works:
                try:
                    work(_now())
                except QueueUnavailable as error:
                    _log.error("the minute's work is put off: %s", error)
                except Exception:  # the next minute may go well, and the thread is needed then
                    _log.exception("the minute's work failed")
            minutes += 1

    def _pass(self, now: datetime) -> None:
        with self._database.write() as connection:
            going_on = self._upkeep.pass_time(connection, now, self._in_hand)
            near = self._upkeep.near_deadline(connection, now)
            reports = self._place_reports(connection, now)
        if going_on:
            _log.info("placed in the queue again: %s", _some(going_on))
        if reports:
            _log.info("%d reports placed in the queue again", reports)
        if near:
            _log.warning(
                "%d waiting deliveries have presigned URLs that stop working within 15 minutes: %s",
                len(near),
                _some(near),
            )
        self._tidying.each_minute(now)

    def _pass_hour(self, now: datetime) -> None:
        self._administration.prune(now)
        self._tidying.each_hour(now)


def _now() -> datetime:
    return datetime.now(UTC)


def _some(ids: Collection[str]) -> str:
    return " ".join(list(ids)[:_NAMED])
