"""What the page and its API work with: one set of operations and figures over a database of its
own, so that those who look never take a connection from those who answer webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector_proxy import rows
from connector_proxy.contents import Contents
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.deliveries import Deliveries
from connector_proxy.figures import Course, Figures, Span
from connector_proxy.lookup import StoredProcess
from connector_proxy.overview import Checks, Overview, overview
from connector_proxy.records import Change, Delivery
from connector_proxy.settings import Settings

CONNECTIONS = 2
_CHANGES = 200


@dataclass(frozen=True)
class Told:
    """A delivery with its attempts, and what administrators changed of it."""

    delivery: Delivery
    changes: Sequence[Change]


@dataclass(frozen=True)
class Standing:
    """A stored process: how its attempts went in a span of time (None: there was none), and how
    it fares (None: well)."""

    stp_name: str
    course: Course | None
    trouble: StoredProcess | None


class Desk:
    """Safe to use from many threads; each method raises ``QueueUnavailable`` when the database
    does not answer."""

    def __init__(self, settings: Settings, database: Database, checks: Checks) -> None:
        self.settings = settings
        self.deliveries = Deliveries(settings, database, Queue(database.engine, settings))
        self.contents = Contents(settings, self.deliveries)
        self._database = database
        self._figures = Figures(database)
        self._checks = checks

    def overview(self, now: datetime) -> Overview:
        """How things stand; ``now`` is in local time."""
        return overview(self.deliveries, self._figures, self._database, self._checks, now)

    def told(self, delivery_id: str) -> Told:
        """One delivery. Raises ``NoSuchDelivery``."""
        one = self.deliveries.show(delivery_id)
        return Told(one, self.deliveries.changes(delivery_id=one.delivery_id, limit=_CHANGES))

    def stored_processes(self, now: datetime, span: Span) -> list[Standing]:
        """Those that were called in ``span``, that failed last or are paused, by name."""
        courses = {rows.stp_key(one.stp_name): one for one in self._figures.courses(now, span)}
        troubles = {rows.stp_key(one.stp_name): one for one in self.deliveries.stored_processes()}
        names = {key: one.stp_name for key, one in (troubles | courses).items()}
        return [
            Standing(name, courses.get(key), troubles.get(key))
            for key, name in sorted(names.items())
        ]
