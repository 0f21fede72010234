"""What an administrator can see and do: the same for the command line, HTTP and the page.

A change of a delivery or of a stored process stands in the audit trail with the same transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from connector_proxy import audit, lookup, rows, values
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.errors import NotPossible
from connector_proxy.instance import WORKING, InstanceLock
from connector_proxy.lookup import Criteria, Place, StoredProcess
from connector_proxy.pauses import Pauses
from connector_proxy.records import (
    Change,
    Decision,
    Delivery,
    Report,
    ReportState,
    State,
    Verdict,
)
from connector_proxy.retention import Pruned, Retention
from connector_proxy.settings import Settings
from connector_proxy.turns import Turns, is_over

RESOLVED = "resolved"
"""The code of a delivery that somebody ended after looking."""
_AT_ONCE = 500
_REPLAYABLE = frozenset(State) - {State.RUNNING}


class Deliveries:
    """Operations on what was accepted, while the service runs or not; safe to use from many
    threads. Each raises ``QueueUnavailable`` when the database does not answer."""

    def __init__(self, settings: Settings, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue
        self._turns = Turns(settings, queue)
        self._pauses = Pauses(self._turns)
        self._retention = Retention(settings, database, queue)

    def search(
        self,
        criteria: Criteria | None = None,
        *,
        limit: int | None = 100,
        after: Place | None = None,
    ) -> list[Delivery]:
        """Deliveries, the latest first; with ``after`` those behind that place."""
        with self._database.read() as connection:
            return lookup.search(connection, criteria or Criteria(), limit, after)

    def show(self, delivery_id: str) -> Delivery:
        """One delivery with its attempts; the beginning of its id is enough where it is the only
        one. Raises ``NoSuchDelivery``."""
        with self._database.read() as connection:
            return lookup.show(connection, delivery_id)

    def payload(self, delivery_id: str) -> bytes:
        """The body of a delivery's webhook, as it came; empty where it is not kept any more."""
        with self._database.read() as connection:
            return lookup.payload(connection, delivery_id)

    def counts(self) -> dict[State, int]:
        """How many deliveries there are in each state."""
        with self._database.read() as connection:
            return lookup.counts(connection)

    def stored_processes(self) -> list[StoredProcess]:
        """Those that failed last or are paused."""
        with self._database.read() as connection:
            return lookup.troubled(connection)

    def changes(
        self, *, delivery_id: str = "", before: int | None = None, limit: int = 100
    ) -> list[Change]:
        """What administrators changed, the latest first: of one delivery, with a smaller number
        than ``before``."""
        with self._database.read() as connection:
            return audit.search(connection, delivery_id=delivery_id, before=before, limit=limit)

    def reports(self, *states: ReportState, limit: int | None = None) -> list[Report]:
        """What CI 360 was told or is to be told and stands in one of ``states``, the oldest
        first."""
        with self._database.read() as connection:
            return lookup.reported(connection, states, limit)

    def replay(self, delivery_id: str, by: Decision) -> Delivery:
        """Carry a delivery out again with the payload that is kept, at once. Raises
        ``NotPossible`` while it runs, while its stored process is paused, without its payload,
        and after its deadline."""
        with self._database.write() as connection:
            row = lookup.found(connection, delivery_id, lock=True)
            issue = _not_replayable(row, by.at) or self._pauses.issue(connection, row.stp_name)
            if issue:
                raise issue
            self._turns.again(connection, row, by.at)
            change = _recorded(connection, "replay", by, row, f"{row.state} before, waits")
        return self._changed(change)

    def resolve(self, delivery_id: str, state: State, by: Decision) -> Delivery:
        """End a held delivery as ``done`` or ``refused``, as somebody found out. Raises
        ``NotPossible`` for one that is not held."""
        with self._database.write() as connection:
            row = lookup.found(connection, delivery_id, lock=True)
            if row.state != State.HELD:
                raise NotPossible(f"The delivery is {row.state}; only a held one is resolved.")
            verdict = Verdict.DONE if state is State.DONE else Verdict.REFUSED
            words = {
                "verdict": str(verdict),
                "code": RESOLVED,
                "message": f"An administrator looked and found it {state}.",
                "advice": "",
                "note": rows.text(by.note, audit.LONGEST_NOTE),
            }
            self._turns.end(connection, row, state, by.at, **words)
            change = _recorded(connection, "resolve", by, row, f"held before, {state}")
        return self._changed(change)

    def cancel(self, delivery_id: str, by: Decision) -> Delivery:
        """End a delivery that waits or is held without carrying it out. Raises ``NotPossible``
        for one that runs or has ended."""
        with self._database.write() as connection:
            row = lookup.found(connection, delivery_id, lock=True)
            if row.state not in (State.WAITING, State.HELD):
                raise NotPossible(
                    f"The delivery is {row.state}; only one that waits or is held is cancelled."
                )
            words = {
                "code": "cancelled",
                "message": "An administrator cancelled this delivery.",
                "advice": "Run the task again in CI 360, or let the delivery be replayed.",
                "note": rows.text(by.note, audit.LONGEST_NOTE),
            }
            self._turns.end(connection, row, State.CANCELLED, by.at, **words)
            change = _recorded(connection, "cancel", by, row, f"{row.state} before, cancelled")
        return self._changed(change)

    def _changed(self, change: Change) -> Delivery:
        audit.told(change)
        return self.show(change.delivery_id)

    def pause(self, stp_name: str, by: Decision) -> int:
        """Let deliveries for a stored process wait until ``resume``; returns how many wait. Its
        attempts in hand go on."""
        with self._database.write() as connection:
            waiting = self._pauses.pause(connection, stp_name, by.at)
            change = audit.record(connection, "pause", by, f"{waiting} wait", stp_name=stp_name)
        audit.told(change)
        return waiting

    def resume(self, stp_name: str, by: Decision) -> int:
        """Let a stored process run again; returns how many deliveries go on at once. They do in
        portions: others write in between. What a process that died left undone is done within a
        minute."""
        with self._database.write() as connection:
            waiting = self._pauses.run_again(connection, stp_name)
            change = audit.record(connection, "resume", by, f"{waiting} go on", stp_name=stp_name)
        audit.told(change)
        going_on = some = self._release_some(stp_name, by.at)
        while some == _AT_ONCE:
            some = self._release_some(stp_name, by.at)
            going_on += some
        return going_on

    def _release_some(self, stp_name: str, now: datetime) -> int:
        with self._database.write() as connection:
            return self._pauses.release(connection, stp_name, now, _AT_ONCE)

    def prune(self, now: datetime, by: Decision | None = None) -> Pruned:
        """Remove what is older than ``keepdays`` and ``keeppayloaddays`` say, and give the room
        back to the disk. What waits, runs or is held stays."""
        pruned = self._retention.prune(now)
        if by is not None:
            outcome = f"{pruned.deliveries} deliveries, {pruned.payloads} payloads removed"
            with self._database.write() as connection:
                change = audit.record(connection, "prune", by, outcome)
            audit.told(change)
        return pruned

    def recover(self, instance: str, by: Decision) -> int:
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
            taken = self._queue.take_over(instance)
        finally:
            lock.free()
        with self._database.write() as connection:
            change = audit.record(connection, "recover", by, f"{taken} taken over from {instance}")
        audit.told(change)
        return taken


def _recorded(
    connection: Connection, action: str, by: Decision, row: Row[Any], outcome: str
) -> Change:
    return audit.record(
        connection, action, by, outcome, delivery_id=row.delivery_id, stp_name=row.stp_name
    )


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
