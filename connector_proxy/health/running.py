"""The health of a running service: a thread looks now and then, and whoever asks gets what it saw
last. To ask costs nothing and waits for nobody."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from connector_proxy.database import Database
from connector_proxy.health import folders, hosts, looks
from connector_proxy.health.check import Check, Condition
from connector_proxy.health.signs import Signs
from connector_proxy.reports import Report
from connector_proxy.settings import Settings
from connector_proxy.standing import Lookout

_ROUND_SECONDS = 15.0
_OTHERS_EVERY = 4
_LATE_SECONDS = 120.0
_LONGEST_CONNECT = 5.0
_log = logging.getLogger(__name__)


class Health:
    """Looks from ``start`` until ``stop``; safe to use from many threads."""

    def __init__(self, settings: Settings, database: Database, lookout: Lookout) -> None:
        self._settings = settings
        self._database = database
        self._lookout = lookout
        self._signs = Signs(settings)
        self._here: tuple[Check, ...] = ()
        self._elsewhere: tuple[Check, ...] = ()
        self._looked_at = time.monotonic()
        self._since: dict[str, tuple[Condition, datetime]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._looked_at = time.monotonic()
        self._thread.start()

    def ending(self) -> None:
        """From now on this service accepts nothing more, and says so."""
        self._signs.ending()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_LONGEST_CONNECT)

    def heard(self, report: Report) -> None:
        """Take note of what the working side tells."""
        self._signs.heard(report)

    def checks(self) -> list[Check]:
        """Every check as it was seen last, from memory, each with the moment since when it has
        been so."""
        now = datetime.now(UTC)
        found = [
            *self._signs.checks(),
            *self._here,
            *self._elsewhere,
            self._lateness(),
            looks.version(),
        ]
        with self._lock:
            return [self._dated(one, now) for one in found]

    def _dated(self, check: Check, now: datetime) -> Check:
        condition, since = self._since.get(check.name, (None, now))
        if condition is not check.condition:
            self._since[check.name] = (check.condition, now)
            since = now
        return replace(check, since=since)

    def _lateness(self) -> Check:
        """Whether the thread that looks comes to an end with it: it waits where a disk or a
        database hangs."""
        late = time.monotonic() - self._looked_at
        if late < _LATE_SECONDS:
            return Check("checks", Condition.OK, "up to date")
        advice = "The database or a disk hangs; look at them, then at the log."
        return Check("checks", Condition.FAIL, f"have not come to an end for {late:.0f} s", advice)

    def _run(self) -> None:
        rounds = 0
        while True:
            try:
                self._look()
                if rounds % _OTHERS_EVERY == 0:
                    self._elsewhere = tuple(looks.others(self._of_others()))
                self.checks()  # so that ``since`` is known though nobody asks
            except Exception:  # the next look may go well, and the thread is needed then
                _log.exception("the checks failed")
            rounds += 1
            if self._stopping.wait(_ROUND_SECONDS):
                return

    def _look(self) -> None:
        now = datetime.now(UTC)
        found = [looks.database(self._database, self._settings.instance, now)]
        standing = self._lookout.standing()
        if standing:
            found += looks.of_standing(standing, self._settings, now)
        found += folders.rooms(self._settings)
        found.append(looks.clock(self._database, self._signs.drift))
        self._here = tuple(found)
        self._looked_at = time.monotonic()

    def _of_others(self) -> Iterator[Check]:
        ways: tuple[Iterable[Check], ...] = (
            hosts.stored_process_hosts(self._settings, _LONGEST_CONNECT),
            hosts.table_databases(self._settings, _LONGEST_CONNECT),
        )
        for way in ways:
            yield from way
