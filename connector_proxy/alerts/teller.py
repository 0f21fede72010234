"""Looks whether something is to be told, and tells it.

What becomes of each kind and the letters in the queue are one transaction: of several instances
one decides, and what was decided is sent by whichever takes it out.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from connector_proxy.alertqueue import AlertQueue, Letter
from connector_proxy.alerts import channels, courses, sights
from connector_proxy.alerts.course import Course, Kind, Sight, follow
from connector_proxy.alerts.words import Message, message
from connector_proxy.database import Database
from connector_proxy.errors import Unavailable
from connector_proxy.health import folders
from connector_proxy.reports import Sent
from connector_proxy.settings import Settings

PAUSES = (60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600)
"""Seconds before the second, third … try to send; then a letter is given up."""
_log = logging.getLogger(__name__)


class Teller:
    """One a working process. ``written`` commits a write, however long that takes; ``told`` hears
    of each try to send."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        written: Callable[[Callable[[Connection], Any]], Any],
        told: Callable[[Sent], None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._queue = AlertQueue(database.engine, settings.instance)
        self._written = written
        self._told = told
        self._ways = channels.configured(settings)

    def register(self) -> None:
        """Make the queue known."""
        self._queue.register()

    def close(self) -> None:
        """Let go of the queue."""
        self._queue.close()

    def look(self, now: datetime) -> None:
        """See what there is, and decide; called once a minute. Nothing is looked at where nobody
        would be told. Raises ``QueueUnavailable``."""
        if not self._ways:
            return
        with self._database.read() as connection:
            seen = self._seen(connection, now)
            known = courses.read(connection)
        if not any(_moves(known, name, sight, now) for name, (_, sight) in seen.items()):
            return  # as nearly always: nobody who writes is held up
        with self._database.write() as connection:
            known = courses.locked(connection)
            for name, (kind, sight) in seen.items():
                if _moves(known, name, sight, now):
                    self._follow(connection, known, name, kind, sight, now)

    def _seen(self, connection: Connection, now: datetime) -> dict[str, tuple[Kind, Sight]]:
        """What there is, by the names of its courses."""
        patience = timedelta(minutes=self._settings.alertminutes)
        found = sights.look(connection, now, patience)
        own = f"{Kind.DISK}:{self._settings.instance}"
        disk = sights.disk(folders.rooms(self._settings))
        return {**{kind: (kind, sight) for kind, sight in found.items()}, own: (Kind.DISK, disk)}

    def _follow(
        self,
        connection: Connection,
        known: dict[str, Course],
        name: str,
        kind: Kind,
        sight: Sight,
        now: datetime,
    ) -> None:
        before = known.get(name, Course())
        after, event = follow(before, sight, now)
        courses.keep(connection, name, after)
        if event:
            since = after.since or before.since
            told = message(kind, event, sight, since, self._settings.instance)
            _log.warning("alert: %s", told.subject)
            for way in self._ways:
                letter = Letter(uuid.uuid4().hex, way, name, after.serial, 1, told.record())
                self._queue.put(connection, letter)

    def send(self, letter: Letter) -> None:
        """Try to send what came out of the queue; what cannot be sent goes back, and is left out
        when something newer of its kind was told meanwhile."""
        told = Message(**letter.message)
        if letter.channel not in self._ways:
            _log.warning("alert left out, %s is not configured: %s", letter.channel, told.subject)
            return
        if letter.number > 1 and self._is_overtaken(letter):
            _log.info("alert left out, a newer one was told: %s", told.subject)
            return
        try:
            problem = channels.send(letter.channel, told, self._settings)
        except Unavailable as error:
            self._told(Sent(letter.channel, str(error)))
            self._put_back(letter, told, error)
            return
        self._told(Sent(letter.channel, problem))
        if problem:  # once more would tell those again that have it
            _log.warning("alert sent by %s, not to all: %s", letter.channel, problem)
        _log.info("alert sent by %s: %s", letter.channel, told.subject)
        if letter.number > 1:  # the time until the next of its kind counts from here on
            now = datetime.now(UTC)
            self._written(lambda c: courses.told_now(c, letter.course, letter.serial, now))

    def _is_overtaken(self, letter: Letter) -> bool:
        known: dict[str, Course] = self._written(courses.locked)
        return letter.course in known and known[letter.course].serial != letter.serial

    def _put_back(self, letter: Letter, told: Message, error: Unavailable) -> None:
        if letter.number > len(PAUSES):
            _log.error("alert given up after %d tries: %s", letter.number, told.subject)
            return
        pause = PAUSES[letter.number - 1]
        words = f"{error} {error.cause} {error.advice}"
        _log.warning("alert not sent, again in %d s: %s", pause, words)
        again = replace(letter, number=letter.number + 1)
        self._written(lambda c: self._queue.put(c, again, pause))


def _moves(known: dict[str, Course], name: str, sight: Sight, now: datetime) -> bool:
    """Whether a course is another one after this sight."""
    before = known.get(name, Course())
    return follow(before, sight, now)[0] != before
