"""What is known of each delivery, written with its place in the queue in one transaction:
webhooks are accepted, an attempt begins, it ends.

Every function takes a connection with an open transaction and commits nothing itself; moments
come in as arguments. What happens outside attempts stands in ``turns.py``, ``pauses.py`` and
``upkeep.py``, what administrators do in ``deliveries.py``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from connector_proxy import rows, schedule
from connector_proxy.carrier import Carried
from connector_proxy.dbosqueue import Place, Queue
from connector_proxy.errors import ConnectorProxyError
from connector_proxy.pauses import Pauses, blames_stp
from connector_proxy.records import FAILED, OPEN, Delivery, Outcome, State, Verdict, Webhook
from connector_proxy.schedule import Next
from connector_proxy.settings import Settings
from connector_proxy.tables import attempts, deliveries, payloads, stored_processes
from connector_proxy.turns import MARK, OWN, Turns, change, fresh_round, is_over


@dataclass(frozen=True)
class Arrival:
    """A webhook that was checked and is to be kept. ``delivery_id`` is the one it gets if it is
    a new delivery; ``identity`` tells whether it is."""

    delivery_id: str
    identity: str
    request_id: str
    webhook: Webhook
    raw: bytes
    at: datetime


@dataclass(frozen=True)
class Accepted:
    """What became of an arrival: its delivery, the turn that will tell its first verdict, and
    whether the same webhook had been accepted before."""

    delivery_id: str
    turn: int
    stp_name: str
    state: State
    duplicate: bool


@dataclass(frozen=True)
class Begun:
    """An attempt that was begun: what to carry out. ``interrupted``: a process died between its
    beginning and its end, so that nobody knows how it ended. ``row`` is its row as it was found."""

    delivery: Delivery
    body: bytes
    row: Any
    run: str
    interrupted: bool


_KNOWN = (
    sa.select(
        deliveries.c.identity,
        deliveries.c.delivery_id,
        deliveries.c.turn,
        deliveries.c.stp_name,
        deliveries.c.state,
    )
    .where(deliveries.c.identity.in_(sa.bindparam("identities", expanding=True)))
    .order_by(deliveries.c.identity)
    .with_for_update()
)
_KEEP = sa.insert(deliveries)
_KEEP_BODY = sa.insert(payloads)
_FOR_ATTEMPT = (
    sa.select(deliveries, payloads.c.body, stored_processes.c.paused_by)
    .select_from(
        deliveries.outerjoin(
            payloads, payloads.c.delivery_id == deliveries.c.delivery_id
        ).outerjoin(stored_processes, stored_processes.c.stp_key == deliveries.c.stp_key)
    )
    .where(deliveries.c.delivery_id == OWN)
    .with_for_update(of=deliveries)
)
_END = MARK.where(
    deliveries.c.turn == sa.bindparam("own_turn"), deliveries.c.run == sa.bindparam("own_run")
)
_NOTE_ATTEMPT = sa.insert(attempts)
"""Statements of the hot path, made once: making one anew costs more than running it."""
_FAULT = Carried(
    Outcome(
        Verdict.UNKNOWN,
        ConnectorProxyError.code,
        "The service failed while it carried the delivery out.",
        ConnectorProxyError.advice,
    ),
    "",
    0,
    reached=False,
)


class Ledger:
    """Reads and writes of the deliveries; holds no state of its own. ``turns`` are their places."""

    def __init__(self, settings: Settings, queue: Queue) -> None:
        self._settings = settings
        self._queue = queue
        self.turns = Turns(settings, queue)
        self._pauses = Pauses(self.turns)

    # -- a webhook arrives ---------------------------------------------------------------

    def accept(self, connection: Connection, arrivals: Sequence[Arrival]) -> list[Accepted]:
        """Keep ``arrivals`` and place each new one in the queue.

        The same webhook again is the same delivery; after a final failure it begins a new round
        with the body that came now.
        """
        known = self._known(connection, {one.identity for one in arrivals})
        fresh: list[tuple[Arrival, Accepted]] = []
        accepted = []
        for arrival in arrivals:
            earlier = known.get(arrival.identity)
            if earlier is None:
                earlier = _accepted(arrival, arrival.delivery_id, 1)
                fresh.append((arrival, earlier))
            elif earlier.state in FAILED:
                earlier = self._new_round(connection, arrival, earlier)
            accepted.append(earlier)
            known[arrival.identity] = replace(earlier, duplicate=True)
        if fresh:
            self._insert(connection, fresh)
        return accepted

    def _known(self, connection: Connection, identities: set[str]) -> dict[str, Accepted]:
        found = connection.execute(_KNOWN, {"identities": sorted(identities)})
        return {
            row.identity: Accepted(
                row.delivery_id, row.turn, row.stp_name, State(row.state), duplicate=True
            )
            for row in found
        }

    def _insert(self, connection: Connection, fresh: list[tuple[Arrival, Accepted]]) -> None:
        fresh.sort(key=lambda one: one[0].identity)  # one order for all instances: no deadlock
        connection.execute(_KEEP, [_new_row(arrival) for arrival, _ in fresh])
        bodies = [{"delivery_id": arrival.delivery_id, "body": arrival.raw} for arrival, _ in fresh]
        connection.execute(_KEEP_BODY, bodies)
        places = [
            Place(
                accepted.delivery_id,
                accepted.stp_name,
                schedule.priority(_usable_deadline(arrival), arrival.at),
                self._queue.fetches(arrival.webhook.kind, accepted.stp_name),
            )
            for arrival, accepted in fresh
        ]
        self._queue.put_new(connection, places)

    def _new_round(self, connection: Connection, arrival: Arrival, earlier: Accepted) -> Accepted:
        accepted = _accepted(arrival, earlier.delivery_id, earlier.turn + 1)
        own = {"own": accepted.delivery_id}
        new = {
            **fresh_round(arrival.at),
            "turn": accepted.turn,
            "round": deliveries.c.round + 1,
            "request_id": arrival.request_id,
            "deadline": rows.ms_or_none(_usable_deadline(arrival)),
            "fetched_at": None,
            "payload_kept": True,
        }
        row = connection.execute(MARK.values(new).returning(*deliveries.c), own).one()
        connection.execute(sa.delete(payloads).where(payloads.c.delivery_id == OWN), own)
        connection.execute(_KEEP_BODY, {"delivery_id": accepted.delivery_id, "body": arrival.raw})
        self.turns.place(connection, row, accepted.turn)
        return accepted

    # -- an attempt begins ---------------------------------------------------------------

    def begin(
        self,
        connection: Connection,
        delivery_id: str,
        turn: int,
        run: str,
        now: datetime,
        here: Callable[[str], bool] = lambda _: True,
    ) -> Begun | None:
        """Mark that an attempt begins, before anything is sent; None when nothing is to be done:
        the turn is void, the stored process is paused, the deadline has passed, or the files that
        were fetched are not ``here`` any more, and are fetched again first.

        An attempt that is marked already was begun by a process that died.
        """
        row = find(connection, delivery_id)
        if row is None or row.turn != turn or row.state not in OPEN:
            return None
        if row.state == State.RUNNING:  # the same run: the commit of our mark was not confirmed
            return as_begun(row, interrupted=row.run != run)
        if row.paused_by and not row.probing:
            change(connection, delivery_id, now, paused=True, next_attempt_at=None)
            return None
        if is_over(row, now):
            self.turns.expire(connection, row, now)
            return None
        if self.turns.was_fetched(row) and not here(delivery_id):
            self.turns.fetch_again(connection, row, now)
            return None
        mark = {
            "state": State.RUNNING,
            "run": run,
            "attempt_count": row.attempt_count + 1,
            "changed_at": rows.ms(now),
        }
        connection.execute(MARK, {"own": delivery_id, **mark})
        return as_begun(row, interrupted=False, **mark)

    def put_back(self, connection: Connection, delivery_id: str, turn: int, now: datetime) -> None:
        """Give a turn that came out of the queue and was not begun now back to it; one that a
        process which died had begun keeps its mark."""
        row = find(connection, delivery_id)
        if row is not None and row.turn == turn and row.state in OPEN:
            self.turns.go_on(connection, [row], now, probing=row.probing)

    # -- an attempt ends -----------------------------------------------------------------

    def finish(
        self,
        connection: Connection,
        begun: Begun,
        carried: Carried,
        now: datetime,
        *,
        cause: str,
        repeat_unknown: bool,
    ) -> Next | None:
        """Record how an attempt ended and plan the next one; None when the delivery was taken
        from this process meanwhile, so that its end counts no more.

        While a stored process is paused for its failures, a probe that is refused for the same
        kind of reason does not cost its delivery. An attempt that this service interrupted by
        its own end, or that failed before the stored process was called, says nothing about it.
        """
        delivery, outcome = begun.delivery, carried.outcome
        known = outcome.verdict is not Verdict.UNKNOWN
        spared = begun.row.probing and known and blames_stp(outcome)
        tries = begun.row.tries + (not spared)
        following = Next(State.WAITING)
        if not spared:
            following = schedule.after(
                outcome,
                number=tries,
                now=now,
                pauses=self._settings.for_stp(delivery.stp_name).retryschedule,
                deadline=None if delivery.fetched_at else delivery.deadline,
                repeat_unknown=repeat_unknown,
                chance=random.uniform(-1, 1),  # noqa: S311 - only spreads load
            )
        if not self._end(connection, begun, carried, following, now, cause=cause, tries=tries):
            return None
        paused = carried.reached and self._pauses.count(connection, delivery.stp_name, outcome, now)
        if following.state is State.WAITING:
            self._wait(connection, begun, following, now, paused=paused)
        return following

    def _wait(
        self, connection: Connection, begun: Begun, following: Next, now: datetime, *, paused: bool
    ) -> None:
        """Plan the next attempt, or let it wait for a paused stored process. A probe that was
        spared has no moment: it goes on at once where the stored process was resumed meanwhile."""
        if paused:
            own = begun.delivery.delivery_id
            change(connection, own, now, paused=True, next_attempt_at=None)
        else:
            delay = max(0.0, ((following.at or now) - now).total_seconds())
            self.turns.place(connection, begun.row, begun.row.turn + 1, delay)

    def hold(self, connection: Connection, delivery_id: str, turn: int, now: datetime) -> None:
        """Hold a delivery whose turn failed by a fault of this service: whether the stored
        process ran is not known."""
        row = find(connection, delivery_id)
        if row is not None and row.turn == turn and row.state in OPEN:
            begun = as_begun(row, interrupted=False)
            self._end(connection, begun, _FAULT, Next(State.HELD), now, cause="", tries=row.tries)

    def _end(
        self,
        connection: Connection,
        begun: Begun,
        carried: Carried,
        following: Next,
        now: datetime,
        *,
        cause: str,
        tries: int,
    ) -> bool:
        """Write the end of an attempt; returns whether it was still ours."""
        delivery, outcome = begun.delivery, carried.outcome
        ended = connection.execute(
            _END,
            {
                "own": delivery.delivery_id,
                "own_turn": begun.row.turn,
                "own_run": begun.run,
                "state": following.state,
                "turn": begun.row.turn + (following.state is State.WAITING),
                "run": "",
                "tries": tries,
                "probing": False,
                "paused": False,
                "changed_at": rows.ms(now),
                "next_attempt_at": rows.ms_or_none(following.at),
                "verdict": following.verdict or outcome.verdict,
                "code": following.code or outcome.code,
                "message": rows.text(following.message or outcome.message),
                "advice": rows.text(following.advice or outcome.advice),
                "result": json.dumps(dict(outcome.result)),
            },
        )
        if ended.rowcount and begun.run:
            connection.execute(_NOTE_ATTEMPT, _attempt(begun, carried, following, now, cause))
        if ended.rowcount and following.state is not State.WAITING:
            self.turns.reports.ended(connection, delivery.delivery_id, now)
        return bool(ended.rowcount)

    # -- looking -------------------------------------------------------------------------

    def waiting(self, connection: Connection) -> tuple[int, dict[str, int]]:
        """How many deliveries wait in the queue, and how many for each paused stored process (by
        its name in lower case)."""
        query = (
            sa.select(deliveries.c.stp_key, deliveries.c.paused, sa.func.count())
            .where(deliveries.c.state == State.WAITING)
            .group_by(deliveries.c.stp_key, deliveries.c.paused)
        )
        rows = connection.execute(query).all()
        return (
            sum(count for _, paused, count in rows if not paused),
            {stp_key: count for stp_key, paused, count in rows if paused},
        )

    def standings(
        self, connection: Connection, delivery_ids: Iterable[str]
    ) -> dict[str, tuple[int, Delivery]]:
        """Turn and delivery of each id."""
        query = sa.select(deliveries).where(deliveries.c.delivery_id.in_(list(delivery_ids)))
        return {
            row.delivery_id: (row.turn, rows.as_delivery(row)) for row in connection.execute(query)
        }


def find(connection: Connection, delivery_id: str) -> Row[Any] | None:
    """The row of a delivery with its payload and who paused its stored process; it is locked."""
    return connection.execute(_FOR_ATTEMPT, {"own": delivery_id}).one_or_none()


def as_begun(row: Row[Any], *, interrupted: bool = False, **mark: Any) -> Begun:
    """The row as an attempt, as ``mark`` changes it."""
    marked = SimpleNamespace(**{**row._mapping, **mark})
    return Begun(rows.as_delivery(marked), row.body or b"", row, marked.run, interrupted)


def _attempt(
    begun: Begun, carried: Carried, following: Next, now: datetime, cause: str
) -> dict[str, Any]:
    outcome = carried.outcome
    return {
        "delivery_id": begun.delivery.delivery_id,
        "number": begun.delivery.attempt_count,
        "round": begun.delivery.round,
        "instance": begun.run.partition("/")[0],
        "started_at": rows.ms(begun.delivery.changed_at),
        "ended_at": rows.ms(now),
        "destination": carried.destination,
        "verdict": outcome.verdict,
        "code": outcome.code,
        "status": outcome.status,
        "milliseconds": carried.milliseconds,
        "message": rows.text(outcome.message),
        "advice": rows.text(outcome.advice),
        "cause": rows.text(cause, 2000),
        "next_at": rows.ms_or_none(following.at),
    }


def _new_row(arrival: Arrival) -> dict[str, Any]:
    webhook = arrival.webhook
    return {
        "delivery_id": arrival.delivery_id,
        "identity": arrival.identity,
        "request_id": arrival.request_id,
        "kind": webhook.kind,
        "stp_key": rows.stp_key(webhook.stp_name),
        "stp_name": webhook.stp_name,
        "task_name": rows.text(webhook.task_name),
        "occurrence_id": rows.text(webhook.occurrence_id),
        "tracking_code": rows.text(webhook.tracking_code),
        "round": 1,
        "turn": 1,
        "attempt_count": 0,
        "deadline": rows.ms_or_none(_usable_deadline(arrival)),
        "payload_kept": True,
        **fresh_round(arrival.at),
    }


def _usable_deadline(arrival: Arrival) -> datetime | None:
    """The deadline of a webhook, unless it has passed on arrival: then this machine's clock may
    be wrong, and the file store is the one to tell."""
    deadline = arrival.webhook.deadline
    return deadline if deadline and deadline > arrival.at else None


def _accepted(arrival: Arrival, delivery_id: str, turn: int) -> Accepted:
    return Accepted(delivery_id, turn, arrival.webhook.stp_name, State.WAITING, duplicate=False)
