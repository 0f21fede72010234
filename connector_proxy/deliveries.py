"""What an administrator can see and do: the same for the command line, HTTP and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from connector_proxy import rows, values
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.errors import NoSuchDelivery, NotPossible
from connector_proxy.instance import WORKING, InstanceLock
from connector_proxy.pauses import Pauses
from connector_proxy.records import OPEN, Delivery, State, Verdict
from connector_proxy.settings import Settings
from connector_proxy.tables import attempts, deliveries, payloads, stored_processes
from connector_proxy.turns import Turns, is_over

RESOLVED = "resolved"
"""The code of a delivery that somebody ended after looking."""
_AT_ONCE = 500
_SHORTEST_ID = 4
_LONGEST_NOTE = 1000
_REPLAYABLE = frozenset(State) - {State.RUNNING}


@dataclass(frozen=True)
class StoredProcess:
    """How a stored process fares: failures in a row, who paused it (empty: it runs), since
    when, why, and how many deliveries wait for it."""

    stp_name: str
    failures: int
    paused_by: str
    paused_at: datetime | None
    why: str
    waiting: int


@dataclass(frozen=True)
class Pruned:
    """How many deliveries and how many payloads were removed."""

    deliveries: int
    payloads: int


class Deliveries:
    """Operations on what was accepted, while the service runs or not; safe to use from many
    threads. Each raises ``QueueUnavailable`` when the database does not answer."""

    def __init__(self, settings: Settings, database: Database, queue: Queue) -> None:
        self._settings = settings
        self._database = database
        self._queue = queue
        self._turns = Turns(queue)
        self._pauses = Pauses(self._turns)

    def search(
        self,
        *,
        states: Sequence[State] = (),
        stp: str = "",
        since: datetime | None = None,
        task: str = "",
        limit: int | None = 100,
    ) -> list[Delivery]:
        """Deliveries, the latest first: of these states, of this stored process (without regard
        to case), accepted since that moment, with this text in the task's name."""
        query = sa.select(deliveries).order_by(
            deliveries.c.accepted_at.desc(), deliveries.c.delivery_id
        )
        if states:
            query = query.where(deliveries.c.state.in_(states))
        if stp:
            query = query.where(deliveries.c.stp_key == rows.stp_key(stp))
        if since:
            query = query.where(deliveries.c.accepted_at >= rows.ms(since))
        if task:
            query = query.where(deliveries.c.task_name.icontains(task, autoescape=True))
        with self._database.read() as connection:
            return [rows.as_delivery(row) for row in connection.execute(query.limit(limit))]

    def show(self, delivery_id: str) -> Delivery:
        """One delivery with its attempts; the beginning of its id is enough where it is the only
        one. Raises ``NoSuchDelivery``."""
        with self._database.read() as connection:
            row = _found(connection, delivery_id)
            own = attempts.c.delivery_id == row.delivery_id
            tried = connection.execute(sa.select(attempts).where(own).order_by(attempts.c.number))
            return rows.as_delivery(row, tried.all())

    def counts(self) -> dict[State, int]:
        """How many deliveries there are in each state."""
        query = sa.select(deliveries.c.state, sa.func.count()).group_by(deliveries.c.state)
        with self._database.read() as connection:
            found = {State(state): count for state, count in connection.execute(query)}
        return {state: found.get(state, 0) for state in State}

    def stored_processes(self) -> list[StoredProcess]:
        """Those that failed last or are paused."""
        waits = sa.and_(
            deliveries.c.stp_key == stored_processes.c.stp_key, deliveries.c.state == State.WAITING
        )
        waiting = sa.select(sa.func.count()).where(waits).scalar_subquery().label("waiting")
        query = sa.select(stored_processes, waiting).order_by(stored_processes.c.stp_name)
        with self._database.read() as connection:
            return [
                StoredProcess(
                    row.stp_name,
                    row.failures,
                    row.paused_by,
                    rows.moment_or_none(row.paused_at),
                    row.why,
                    row.waiting,
                )
                for row in connection.execute(query)
                if row.failures or row.paused_by
            ]

    def replay(self, delivery_id: str, now: datetime) -> Delivery:
        """Carry a delivery out again with the payload that is kept, at once. Raises
        ``NotPossible`` while it runs, while its stored process is paused, without its payload,
        and after its deadline."""
        with self._database.write() as connection:
            row = _found(connection, delivery_id, lock=True)
            issue = _not_replayable(row, now) or self._pauses.issue(connection, row.stp_name)
            if issue:
                raise issue
            self._turns.again(connection, row, now)
        return self.show(row.delivery_id)

    def resolve(self, delivery_id: str, state: State, note: str, now: datetime) -> Delivery:
        """End a held delivery as ``done`` or ``refused``, as somebody found out. Raises
        ``NotPossible`` for one that is not held."""
        with self._database.write() as connection:
            row = _found(connection, delivery_id, lock=True)
            if row.state != State.HELD:
                raise NotPossible(f"The delivery is {row.state}; only a held one is resolved.")
            verdict = Verdict.DONE if state is State.DONE else Verdict.REFUSED
            words = {
                "verdict": str(verdict),
                "code": RESOLVED,
                "message": f"An administrator looked and found it {state}.",
                "advice": "",
                "note": rows.text(note, _LONGEST_NOTE),
            }
            self._turns.end(connection, row, state, now, **words)
        return self.show(row.delivery_id)

    def cancel(self, delivery_id: str, note: str, now: datetime) -> Delivery:
        """End a delivery that waits or is held without carrying it out. Raises ``NotPossible``
        for one that runs or has ended."""
        with self._database.write() as connection:
            row = _found(connection, delivery_id, lock=True)
            if row.state not in (State.WAITING, State.HELD):
                raise NotPossible(
                    f"The delivery is {row.state}; only one that waits or is held is cancelled."
                )
            words = {
                "code": "cancelled",
                "message": "An administrator cancelled this delivery.",
                "advice": "Run the task again in CI 360, or let the delivery be replayed.",
                "note": rows.text(note, _LONGEST_NOTE),
            }
            self._turns.end(connection, row, State.CANCELLED, now, **words)
        return self.show(row.delivery_id)

    def pause(self, stp_name: str, now: datetime) -> int:
        """Let deliveries for a stored process wait until ``resume``; returns how many wait. Its
        attempts in hand go on."""
        with self._database.write() as connection:
            return self._pauses.pause(connection, stp_name, now)

    def resume(self, stp_name: str, now: datetime) -> int:
        """Let a stored process run again; returns how many deliveries go on at once."""
        with self._database.write() as connection:
            return len(self._pauses.resume(connection, stp_name, now))

    def prune(self, now: datetime) -> Pruned:
        """Remove what is older than ``keepdays`` and ``keeppayloaddays`` say, and give the room
        back to the disk. What waits, runs or is held stays."""
        payloads_gone = self._drop_payloads(now - timedelta(days=self._settings.keeppayloaddays))
        gone = self._drop_deliveries(now - timedelta(days=self._settings.keepdays))
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
                for table in (payloads, attempts):
                    connection.execute(sa.delete(table).where(table.c.delivery_id.in_(ids)))
            count += len(ids)
        return count

    def _ids(self, condition: sa.ColumnElement[bool]) -> Sequence[str]:
        query = sa.select(deliveries.c.delivery_id).where(condition).limit(_AT_ONCE)
        with self._database.read() as connection:
            return connection.execute(query).scalars().all()

    def recover(self, instance: str) -> int:
        """Take over the work of an instance that will not come back; returns how many
        deliveries. What it had begun is not repeated but held (or repeated, where the settings
        say so). Raises ``NotPossible`` while that instance is alive."""
        try:
            instance = values.instance(instance, self._database.folder)
        except ValueError as error:
            raise NotPossible(f"This is no name of an instance: {error}.") from None
        lock = InstanceLock(self._database, instance, WORKING)
        if not lock.take():
            raise NotPossible(
                f"The instance {instance} is alive.",
                advice="Stop it first; a live instance carries its deliveries out itself.",
            )
        try:
            return self._queue.take_over(instance)
        finally:
            lock.free()


def _found(connection: Connection, delivery_id: str, *, lock: bool = False) -> Row[Any]:
    """The row of an id, or of the only one that begins like it."""
    start = delivery_id.strip().lower()
    if len(start) < _SHORTEST_ID:
        raise NoSuchDelivery(
            f"Write at least {_SHORTEST_ID} characters of the id.",
            advice="connector-proxy deliveries list shows the ids.",
        )
    own = deliveries.c.delivery_id
    query = sa.select(deliveries).where(own >= start, own < start + "g")  # uses the index
    found = connection.execute((query.with_for_update() if lock else query).limit(2)).all()
    if len(found) > 1:
        raise NoSuchDelivery("More than one delivery begins with this id; write more of it.")
    if not found:
        raise NoSuchDelivery("There is no delivery with this id.")
    return found[0]


def _not_replayable(row: Row[Any], now: datetime) -> NotPossible | None:
    if row.state not in _REPLAYABLE:
        return NotPossible("The delivery is running; it cannot be replayed now.")
    if not row.payload_kept:
        return NotPossible(
            "The payload of the delivery was removed (keeppayloaddays).",
            advice="Run the task again in CI 360.",
        )
    if is_over(row, now):
        return NotPossible(
            "The presigned URLs of the delivery have stopped working.",
            advice="Run the task again in CI 360: its URLs are made anew.",
        )
    return None


def _ended_before(moment: datetime) -> sa.ColumnElement[bool]:
    kept = (*OPEN, State.HELD)
    return sa.and_(deliveries.c.state.not_in(kept), deliveries.c.changed_at < rows.ms(moment))
