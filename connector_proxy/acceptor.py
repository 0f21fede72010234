"""The accepting side: a webhook is checked, committed, and only then answered.

Many requests share a commit. A request may wait for the verdict of the first attempt; one thread
looks at the database for all that wait, and as many threads stay free for those that do not.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime

import sqlalchemy as sa

from connector_proxy import logs, rows
from connector_proxy.commits import Commits
from connector_proxy.database import Database
from connector_proxy.errors import QueueUnavailable
from connector_proxy.intake import identity
from connector_proxy.ledger import Accepted, Arrival, Ledger
from connector_proxy.records import OPEN, Delivery, Webhook
from connector_proxy.settings import Settings

ROOM_BYTES = 200 * 1024 * 1024
"""With less room on the disk nothing more is accepted: what was accepted must end in order."""
_LOOK_SECONDS = 0.05
_GUARD_SECONDS = 1.0
_SPARE_THREADS = 2
_DOOR_SECONDS = 0.5
Arrivals = tuple[Arrival, ...]
"""The deliveries of one webhook: accepted together."""
Read = Callable[[bytes, Mapping[str, str], Settings, datetime], list[Webhook]]
"""Understands a body; ``addressees`` has one for each door."""
_log = logging.getLogger(__name__)
_log.addFilter(logs.Seldom())


class Acceptor:
    """Accepts webhooks and tells how they fare; safe to use from many threads.

    ``writing`` is for the commits alone, ``reading`` for everything else.
    """

    def __init__(
        self, settings: Settings, writing: Database, reading: Database, ledger: Ledger
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._commits: Commits[Arrivals, list[Accepted]] = Commits(writing, self._keep)
        self._guard = _Guard(settings, reading, ledger)
        self._verdicts = _Verdicts(reading, ledger)
        self._places = threading.BoundedSemaphore(settings.threads * 3 // 4)
        self._doors = threading.BoundedSemaphore(max(1, settings.threads - _SPARE_THREADS))
        self._stopping = False

    def accept(
        self, read: Read, raw: bytes, query: Mapping[str, str], request_id: str
    ) -> list[Accepted]:
        """Check and keep the body of a webhook, once for each destination that ``read`` finds for
        it; all are committed together when this returns.

        Raises ``NotJson`` and ``Unprocessable`` for a body that cannot be used and
        ``QueueUnavailable`` where it cannot be kept; nothing was accepted then.
        """
        now = datetime.now(UTC)
        webhooks = read(raw, query, self._settings, now)
        if self._stopping:
            raise QueueUnavailable("The service is ending.", code="stopping")
        for webhook in webhooks:
            self._guard.check(webhook.stp_name)
        arrivals = tuple(self._arrival(webhook, raw, request_id, now) for webhook in webhooks)
        if not self._doors.acquire(timeout=_DOOR_SECONDS):
            raise QueueUnavailable("The database is slow, and too many webhooks wait for it.")
        try:
            return self._commits.run(arrivals)
        finally:
            self._doors.release()

    def _arrival(self, webhook: Webhook, raw: bytes, request_id: str, now: datetime) -> Arrival:
        how = self._settings.for_stp(webhook.stp_name).identity
        own = identity(webhook, raw, how)
        return Arrival(uuid.uuid4().hex, own, request_id, webhook, raw, now)

    def _keep(self, connection: sa.Connection, groups: Sequence[Arrivals]) -> list[list[Accepted]]:
        every = iter(self._ledger.accept(connection, [one for group in groups for one in group]))
        return [[next(every) for _ in group] for group in groups]

    def first_verdicts(self, accepted: Sequence[Accepted]) -> list[Delivery | None]:
        """Each delivery after its first attempt of this round, or as soon as it waits for a paused
        stored process; None where that takes longer than ``waitseconds``, or when too many
        requests wait already."""
        started = time.monotonic()
        return [self._first_verdict(one, started) for one in accepted]

    def _first_verdict(self, accepted: Accepted, started: float) -> Delivery | None:
        seconds = self._settings.for_stp(accepted.stp_name).waitseconds
        if seconds <= 0 or self._stopping or not self._places.acquire(blocking=False):
            return None
        try:
            return self._verdicts.wait(accepted, max(0.0, started + seconds - time.monotonic()))
        finally:
            self._places.release()

    def stop(self) -> None:
        """Accept nothing more. Requests that wait for a verdict go on waiting for it."""
        self._stopping = True

    def close(self) -> None:
        """Let nobody wait any longer, commit what is at hand, and end; after ``stop``."""
        self._verdicts.close()
        self._commits.close()


class _Guard:
    """Back-pressure: looked at once a second, whatever the rate of webhooks."""

    def __init__(self, settings: Settings, database: Database, ledger: Ledger) -> None:
        self._settings = settings
        self._database = database
        self._ledger = ledger
        self._looking = threading.Lock()
        self._looked_at = -_GUARD_SECONDS
        self._issue: QueueUnavailable | None = None
        self._paused: dict[str, int] = {}

    def check(self, stp_name: str) -> None:
        """Raise what keeps a webhook for a stored process from being accepted."""
        if time.monotonic() - self._looked_at > _GUARD_SECONDS and self._looking.acquire(False):
            try:
                self._issue = self._look()
                self._looked_at = time.monotonic()
            finally:
                self._looking.release()
        issue = self._issue
        if issue is not None:
            raise QueueUnavailable(str(issue), code=issue.code, advice=issue.advice)
        if self._paused.get(rows.stp_key(stp_name), 0) >= self._settings.maxwaiting:
            raise _too_many("Too many deliveries wait for this stored process, which is paused.")

    def _look(self) -> QueueUnavailable | None:
        free = self._database.free_bytes()
        if free is not None and free < ROOM_BYTES:
            return QueueUnavailable(
                "The disk of the deliveries has less than 200 MB left.",
                code="disk_low",
                advice="Make room on the disk of datafolder; what was accepted is carried out.",
            )
        try:
            with self._database.read() as connection:
                waiting, self._paused = self._ledger.waiting(connection)
        except QueueUnavailable as error:
            return error
        if waiting >= self._settings.maxwaiting:
            return _too_many("Too many deliveries wait.")
        return None


def _too_many(message: str) -> QueueUnavailable:
    return QueueUnavailable(
        message,
        code="too_many_waiting",
        advice="See why they wait (connector-proxy deliveries list --state waiting), or raise "
        "maxwaiting.",
    )


class _Verdicts:
    """Requests that wait for the first verdict of their delivery."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger
        self._waiting: dict[Future[Delivery | None], Accepted] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="verdicts", daemon=True)
        self._thread.start()

    def wait(self, accepted: Accepted, seconds: float) -> Delivery | None:
        future: Future[Delivery | None] = Future()
        with self._changed:
            self._waiting[future] = accepted
            self._changed.notify()
        try:
            return future.result(seconds)
        except TimeoutError:
            return None
        finally:
            with self._changed:
                self._waiting.pop(future, None)

    def close(self) -> None:
        """Look once more, then let everybody go."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                waiting, closing = dict(self._waiting), self._closing
            try:
                self._look(waiting)
            except Exception:  # one row must not keep the others from their verdicts
                _log.exception("the verdicts cannot be read")
            time.sleep(_LOOK_SECONDS)
        for future in waiting:
            _tell(future, None)

    def _look(self, waiting: dict[Future[Delivery | None], Accepted]) -> None:
        try:
            with self._database.read() as connection:
                ids = {accepted.delivery_id for accepted in waiting.values()}
                standings = self._ledger.standings(connection, ids)
        except QueueUnavailable as error:
            _log.warning("the verdicts cannot be read: %s", error)
            return
        for future, accepted in waiting.items():
            turn, delivery = standings.get(accepted.delivery_id, (accepted.turn, None))
            overtaken = turn != accepted.turn
            if delivery is None or overtaken or delivery.paused or delivery.state not in OPEN:
                _tell(future, delivery)


def _tell(future: Future[Delivery | None], delivery: Delivery | None) -> None:
    if not future.done():
        future.set_result(delivery)
