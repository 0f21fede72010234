"""Places in the durable queue: DBOS Transact (package ``dbos``), kept in the database of the
deliveries. What waits there is an id and a number; the payload stays in our own table.

The queue has a partition for each stored process. DBOS knows one set of limits a queue, so a
stored process with limits of its own gets a queue of its own. Turns whose files are fetched first
wait in the queue of downloads, where the nearest deadline goes first, whatever the stored process.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from dbos import EnqueueOptions
from sqlalchemy import Connection, Engine

from connector_proxy import dbosclient, sidequeue
from connector_proxy.dbosclient import VERSION, WAITING
from connector_proxy.records import Kind
from connector_proxy.rows import stp_key
from connector_proxy.settings import Settings
from connector_proxy.sidequeue import SideQueue

WORKFLOW = "attempt"
FETCHING = "fetch"
"""The two kinds of workflows: a turn is carried out, or its files are fetched before that."""
REPORTS = sidequeue.Kind("reports", "report", at_once=32, polling_seconds=0.25)
POLLING_SECONDS = 0.05
_QUEUE = "deliveries"
_DOWNLOADS = "downloads"
_AT_ONCE = 500
_PATTERN_ID = "0pattern0"
_FILES = ".files"


def queue_name(settings: Settings, stp_name: str) -> str:
    """The queue of a stored process."""
    own = settings.for_stp(stp_name)
    limits = (own.concurrency, own.ratelimit)
    shared = limits == (settings.concurrency, settings.ratelimit)
    return _QUEUE if shared else f"{_QUEUE}:{stp_key(stp_name)}"


def _workflow_id(delivery_id: str, turn: int, *, fetching: bool = False) -> str:
    return f"{delivery_id}.{turn}{_FILES if fetching else ''}"


@dataclass(frozen=True)
class Place:
    """Where a new delivery goes; the smaller priority comes out first. ``fetch``: its files are
    fetched before it is carried out."""

    delivery_id: str
    stp_name: str
    priority: int
    fetch: bool = False


@dataclass(frozen=True)
class _Pattern:
    """A table of DBOS: the statement that inserts rows, and a row as DBOS writes it."""

    insert: sa.Insert
    row: dict[str, Any]


class Queue:
    """The side of the queue that places and takes over; ``engine.py`` is the one that works."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._settings = settings
        self._client = dbosclient.client(engine)
        self.reports = SideQueue(engine, REPORTS, settings.instance)
        self._patterns: dict[bool, tuple[_Pattern, _Pattern]] = {}

    def register(self) -> None:
        """Make the queues known with the limits that the settings name; what still waits in the
        own queue of a stored process that has no limits of its own any more gets the shared
        ones."""
        stps = {queue_name(self._settings, stp): stp for stp in ("", *self._settings.overrides)}
        for queue in self._client.list_queues():
            if queue.name.startswith(_QUEUE):
                stps.setdefault(queue.name, queue.name.partition(":")[2])
        for name, stp_name in stps.items():
            own = self._settings.for_stp(stp_name)
            rate = own.ratelimit
            self._client.register_queue(
                name,
                worker_concurrency=self._settings.instanceconcurrency,
                partition_worker_concurrency=min(
                    own.concurrency, self._settings.instanceconcurrency
                ),
                partition_limiter={"limit": rate.number, "period": rate.seconds} if rate else None,
                polling_interval_sec=POLLING_SECONDS,
            )
        self._client.register_queue(
            _DOWNLOADS,
            worker_concurrency=self._settings.downloadsatonce,
            polling_interval_sec=2 * POLLING_SECONDS,
        )
        self.reports.register()

    def fetches(self, kind: str, stp_name: str) -> bool:
        """Whether the files of such deliveries are fetched before they are carried out."""
        return kind == Kind.BULK and self._settings.for_stp(stp_name).fetches

    def put(
        self,
        connection: Connection,
        delivery_id: str,
        turn: int,
        *,
        stp_name: str,
        priority: int,
        fetch: bool = False,
        delay: float = 0.0,
    ) -> None:
        """Place ``turn`` of a delivery in the queue with the commit of ``connection``, or in that
        of downloads if ``fetch``; it comes out after ``delay`` seconds at the earliest. The same
        turn twice is one place."""
        options: EnqueueOptions = {
            "queue_name": _DOWNLOADS if fetch else queue_name(self._settings, stp_name),
            "workflow_name": FETCHING if fetch else WORKFLOW,
            "workflow_id": _workflow_id(delivery_id, turn, fetching=fetch),
            "app_version": VERSION,
            "priority": priority,
        }
        if not fetch:
            options["queue_partition_key"] = stp_key(stp_name)
        if delay > 0:
            options["delay_seconds"] = delay
        self._client.enqueue_in_transaction(connection, options, delivery_id, turn)

    def put_new(self, connection: Connection, places: Sequence[Place]) -> None:
        """Place the first turn of many new deliveries at once, with the commit of
        ``connection``.

        DBOS builds its two statements anew for each place, which is two thirds of the cost of
        accepting a webhook. So one place is made by DBOS itself and taken back; what it wrote is
        the pattern for all others, and nothing here knows how such rows look. A test holds both
        ways against each other.
        """
        now = int(time.time() * 1000)
        for fetch in (False, True):
            self._put_alike(connection, [one for one in places if one.fetch is fetch], fetch, now)

    def _put_alike(
        self, connection: Connection, places: Sequence[Place], fetch: bool, now: int
    ) -> None:
        """Place turns that go to the same kind of queue."""
        if not places:
            return
        if fetch not in self._patterns:
            self._patterns[fetch] = self._learn(connection, fetch)
        status, inputs = self._patterns[fetch]
        own = [
            {"workflow_uuid": _workflow_id(one.delivery_id, 1, fetching=fetch)} for one in places
        ]
        where = [self._where(one, now) for one in places]
        what = [
            {
                "inputs": inputs.row["inputs"].replace(_PATTERN_ID, one.delivery_id),
                "retention_timestamp": now,
            }
            for one in places
        ]
        for pattern, values in ((status, where), (inputs, what)):
            rows = [{**pattern.row, **key, **mine} for key, mine in zip(own, values, strict=True)]
            connection.execute(pattern.insert, rows)

    def _where(self, place: Place, now: int) -> dict[str, Any]:
        """What is its own in the row of a place."""
        facts = {
            "creator_xid": uuid.uuid4().hex,
            "priority": place.priority,
            "created_at": now,
            "updated_at": now,
        }
        if place.fetch:
            return facts
        return {
            **facts,
            "queue_name": queue_name(self._settings, place.stp_name),
            "queue_partition_key": stp_key(place.stp_name),
        }

    def _learn(self, connection: Connection, fetch: bool) -> tuple[_Pattern, _Pattern]:
        """The rows that DBOS writes for one place; they are gone when this returns."""
        schema = "dbos" if connection.dialect.name == "postgresql" else None
        tables = [
            sa.Table(name, sa.MetaData(schema=schema), autoload_with=connection)
            for name in ("workflow_status", "workflow_input")
        ]
        with connection.begin_nested() as taken_back:
            self.put(connection, _PATTERN_ID, 1, stp_name="pattern", priority=1, fetch=fetch)
            own = _workflow_id(_PATTERN_ID, 1, fetching=fetch)
            status, inputs = (
                _Pattern(
                    sa.insert(table),
                    dict(
                        connection.execute(sa.select(table).where(table.c.workflow_uuid == own))
                        .mappings()
                        .one()
                    ),
                )
                for table in tables
            )
            taken_back.rollback()
        return status, inputs

    def has_place(
        self,
        connection: Connection,
        delivery_id: sa.ColumnElement[str],
        turn: sa.ColumnElement[int],
        *,
        forgotten_since: datetime,
    ) -> sa.ColumnElement[bool]:
        """A condition: that turn of a delivery waits in the queue or in that of downloads, or was
        taken out of it lately or by another instance.

        What this instance took out before ``forgotten_since`` must be in hand: DBOS takes a turn
        out and starts it in two steps, and what fails in between is looked at again by nobody
        but the next start.
        """
        place = dbosclient.places(connection)
        own = delivery_id + "." + sa.cast(turn, sa.Text)
        forgotten = sa.and_(
            place.c.status == "PENDING",
            place.c.executor_id == self._settings.instance,
            place.c.started_at_epoch_ms < int(forgotten_since.timestamp() * 1000),
        )
        return sa.exists().where(
            place.c.workflow_uuid.in_([own, own + _FILES]),
            place.c.status.in_((*WAITING, "PENDING")),
            sa.not_(forgotten),
        )

    def withdraw(self, connection: Connection, turns: Iterable[tuple[str, int]]) -> None:
        """Take back places whose turn was overtaken, with the commit of ``connection``: left
        there they would count against a rate limit and come out before newer ones. A download
        goes on: its files are wanted as long as the delivery is."""
        place = dbosclient.places(connection)
        own = [_workflow_id(delivery_id, turn) for delivery_id, turn in turns]
        for start in range(0, len(own), _AT_ONCE):
            connection.execute(
                sa.update(place)
                .where(
                    place.c.workflow_uuid.in_(own[start : start + _AT_ONCE]),
                    place.c.status.in_(WAITING),
                )
                .values(status="CANCELLED", completed_at=int(time.time() * 1000))
            )

    def take_over(self, executor: str) -> int:
        """Put what an instance had in hand back into the queue, for any instance to take;
        returns how many."""
        in_hand = self._client.list_workflows(
            status="PENDING", executor_id=executor, load_input=False, load_output=False
        )
        for workflow in in_hand:
            self._client.resume_workflow(workflow.workflow_id, queue_name=workflow.queue_name)
        return len(in_hand)

    def forget(self, before: datetime) -> None:
        """Remove the places whose turn ended before that moment. Those of the last hour, or of
        the longest period of a rate limit, stay: the limit is counted by them."""
        rates = (own.ratelimit for own in self._settings.each())
        counted = max((rate.seconds for rate in rates if rate), default=3600)
        moment = min(before, datetime.now(UTC) - timedelta(seconds=counted + 60))
        while ended := self._client.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED"],
            completed_before=moment.isoformat(),
            limit=_AT_ONCE,
            load_input=False,
            load_output=False,
        ):
            self._client.delete_workflows([one.workflow_id for one in ended])

    def close(self) -> None:
        """Let go of the client; the engine stays open."""
        self.reports.close()
        self._client.destroy()
