"""What comes out of the queue of downloads: the files of a delivery are fetched, then its turn
goes into the queue where it is carried out."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from connector_proxy import attemptlog, logs
from connector_proxy.carrier import Carried, Carrier
from connector_proxy.database import Database
from connector_proxy.errors import QueueUnavailable
from connector_proxy.fetches import Fetches
from connector_proxy.ledger import Begun, Ledger
from connector_proxy.schedule import Next
from connector_proxy.settings import Settings

_LOOK_SECONDS = 5.0
_log = logging.getLogger(__name__)
Written = Callable[[Callable[[sa.Connection], Any]], Any]
Told = Callable[[Begun, Carried, str, Next | None], None]


class _Ending(Exception):
    """The service ends; what has arrived stays for its next start."""


class _Needless(Exception):
    """The delivery was cancelled, say; another one gets the place."""


class Fetching:
    """Fetches in the threads of the engine. ``written`` commits a write, however long that takes;
    ``told`` gets an attempt that failed, its cause and what follows; ``stopping`` ends each
    download within moments."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        carrier: Carrier,
        ledger: Ledger,
        written: Written,
        told: Told,
        stopping: threading.Event,
    ) -> None:
        self._settings = settings
        self._database = database
        self._carrier = carrier
        self._ledger = ledger
        self._fetches = Fetches(ledger)
        self._written = written
        self._told = told
        self._stopping = stopping

    def turn(self, delivery_id: str, turn: int) -> None:
        """Fetch the files of a delivery, and let its turn go on if it is still the current one."""
        logs.work_on(delivery=delivery_id)
        begun = self._written(lambda c: self._fetches.wanted(c, delivery_id, turn, _now()))
        if begun is None:
            self._written(lambda c: self._fetches.over(c, delivery_id, turn))
            return
        logs.work_on(request=begun.delivery.request_id, delivery=delivery_id)
        try:
            failed = self._fetch(begun, turn)
        except _Needless:
            _log.info("the download was ended: nobody needs the files any more")
            return
        except _Ending:
            self._written(lambda c: self._ledger.put_back(c, delivery_id, turn, _now()))
            return
        if failed is None:
            self._written(lambda c: self._fetches.came(c, delivery_id, turn, _now()))
        else:
            self._tell(begun, turn, failed)

    def _fetch(self, begun: Begun, turn: int) -> Carried | None:
        looked = time.monotonic()

        def go_on(*_: object) -> None:
            nonlocal looked
            if self._stopping.is_set():
                raise _Ending
            if time.monotonic() - looked > _LOOK_SECONDS:
                looked = time.monotonic()
                if not self._is_needed(begun.delivery.delivery_id, turn):
                    raise _Needless

        go_on()
        return self._carrier.fetch(begun.delivery, begun.body, go_on)

    def _is_needed(self, delivery_id: str, turn: int) -> bool:
        with suppress(QueueUnavailable), self._database.read() as connection:
            return self._fetches.needed(connection, delivery_id, turn)
        return True

    def _tell(self, begun: Begun, turn: int, failed: Carried) -> None:
        """Write down and log that the files cannot be had."""
        delivery, run = begun.delivery, f"{self._settings.instance}/{uuid.uuid4().hex}"
        failed, cause = attemptlog.masked(
            failed, self._settings.for_stp(delivery.stp_name), begun.body
        )
        ended = self._written(
            lambda c: self._fetches.failed(
                c, delivery.delivery_id, turn, run, failed, _now(), cause
            )
        )
        if ended is None:
            _log.warning("the files cannot be had yet: %s %s", failed.outcome.message, cause)
        else:
            marked, following = ended
            self._told(marked, failed, cause, following)


def _now() -> datetime:
    return datetime.now(UTC)
