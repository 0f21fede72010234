"""What is known of each delivery, written with its place in the queue in one transaction.

Four events: webhooks are accepted, an attempt begins, it ends, and time passes. Every function
takes a connection with an open transaction and commits nothing itself; moments come in as
arguments. What administrators do stands in ``deliveries.py``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from connector_proxy import schedule
from connector_proxy.carrier import Carried
from connector_proxy.database import attempts, deliveries, payloads, stored_processes
from connector_proxy.dbosqueue import Place, Queue
from connector_proxy.errors import ConnectorProxyError
from connector_proxy.records import (
    FAILED,
    OPEN,
    Attempt,
    Delivery,
    Kind,
    Outcome,
    State,
    Verdict,
    Webhook,
)
from connector_proxy.schedule import Next
from connector_proxy.settings import Settings

BY_FAILURES = "failures"
BY_ADMINISTRATOR = "administrator"
_LONGEST_TEXT = 500
_CLOCK_TOLERANCE = timedelta(seconds=60)
_FORGOTTEN = timedelta(seconds=30)
_LONGEST_PROBE = timedelta(hours=1)


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
    beginning and its end, so that nobody knows how it ended."""

    delivery: Delivery
    body: bytes
    turn: int
    run: str
    tries: int
    probing: bool
    interrupted: bool


_OWN: sa.BindParameter[str] = sa.bindparam("own")
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
    .where(deliveries.c.delivery_id == _OWN)
    .with_for_update(of=deliveries)
)
_MARK = sa.update(deliveries).where(deliveries.c.delivery_id == _OWN)
_END = _MARK.where(
    deliveries.c.turn == sa.bindparam("own_turn"), deliveries.c.run == sa.bindparam("own_run")
)
_NOTE_ATTEMPT = sa.insert(attempts)
_STP = sa.select(stored_processes).where(stored_processes.c.stp_key == _OWN)
_SET_STP = sa.update(stored_processes).where(stored_processes.c.stp_key == _OWN)
"""Statements of the hot path, made once: making one anew costs more than running it."""


class Ledger:
    """Reads and writes of the deliveries; holds no state of its own."""

    def __init__(self, settings: Settings, queue: Queue) -> None:
        self._settings = settings
        self._queue = queue

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
            )
            for arrival, accepted in fresh
        ]
        self._queue.put_new(connection, places)

    def _new_round(self, connection: Connection, arrival: Arrival, earlier: Accepted) -> Accepted:
        accepted = _accepted(arrival, earlier.delivery_id, earlier.turn + 1)
        own = {"own": accepted.delivery_id}
        deadline = _usable_deadline(arrival)
        new = {
            "turn": accepted.turn,
            "round": deliveries.c.round + 1,
            "request_id": arrival.request_id,
            "deadline": _ms(deadline),
            "payload_kept": True,
        }
        connection.execute(_MARK.values({**_fresh_round(arrival.at), **new}), own)
        connection.execute(sa.delete(payloads).where(payloads.c.delivery_id == _OWN), own)
        connection.execute(_KEEP_BODY, {"delivery_id": accepted.delivery_id, "body": arrival.raw})
        self._place(
            connection,
            accepted.delivery_id,
            accepted.turn,
            accepted.stp_name,
            deadline,
            arrival.at,
        )
        return accepted

    def _place(
        self,
        connection: Connection,
        delivery_id: str,
        turn: int,
        stp_name: str,
        deadline: datetime | None,
        accepted_at: datetime,
        delay: float = 0.0,
    ) -> None:
        self._queue.put(
            connection,
            delivery_id,
            turn,
            stp_name=stp_name,
            priority=schedule.priority(deadline, accepted_at),
            delay=delay,
        )

    # -- an attempt begins ---------------------------------------------------------------

    def begin(
        self, connection: Connection, delivery_id: str, turn: int, run: str, now: datetime
    ) -> Begun | None:
        """Mark that an attempt begins, before anything is sent; None when nothing is to be done:
        the turn is void, the stored process is paused, or the deadline has passed.

        An attempt that is marked already was begun by a process that died.
        """
        row = connection.execute(_FOR_ATTEMPT, {"own": delivery_id}).one_or_none()
        if row is None or row.turn != turn or row.state not in OPEN:
            return None
        if row.state == State.RUNNING:  # the same run: the commit of our mark was not confirmed
            return _begun(row, interrupted=row.run != run)
        if row.paused_by and not row.probing:
            self._set(connection, delivery_id, now, paused=True, next_attempt_at=None)
            return None
        if row.deadline is not None and row.deadline <= _ms(now):
            self._expire(connection, [row], now)
            return None
        mark = {
            "state": State.RUNNING,
            "run": run,
            "attempt_count": row.attempt_count + 1,
            "changed_at": _ms(now),
        }
        connection.execute(_MARK, {"own": delivery_id, **mark})
        return _begun(row, interrupted=False, **mark)

    def put_back(self, connection: Connection, delivery_id: str, turn: int, now: datetime) -> None:
        """Give a turn that came out of the queue and was not begun now back to it; one that a
        process which died had begun keeps its mark."""
        row = connection.execute(_FOR_ATTEMPT, {"own": delivery_id}).one_or_none()
        if row is not None and row.turn == turn and row.state in OPEN:
            self._go_on(connection, [row], now, probing=row.probing)

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
        its own end says nothing about the stored process.
        """
        delivery, outcome = begun.delivery, carried.outcome
        blames_stp = outcome.code in schedule.OF_THE_DESTINATION
        spared = begun.probing and blames_stp and outcome.verdict is not Verdict.UNKNOWN
        tries = begun.tries + (not spared)
        following = Next(State.WAITING)
        if not spared:
            following = schedule.after(
                outcome,
                number=tries,
                now=now,
                pauses=self._settings.for_stp(delivery.stp_name).retryschedule,
                deadline=delivery.deadline,
                repeat_unknown=repeat_unknown,
                chance=random.uniform(-1, 1),  # noqa: S311 - only spreads load
            )
        waits = following.state is State.WAITING
        turn = begun.turn + waits
        parked = False
        if not begun.interrupted:
            parked = self._count(connection, delivery.stp_name, outcome, blames_stp, now) and waits
        ended = connection.execute(
            _END,
            {
                "own": delivery.delivery_id,
                "own_turn": begun.turn,
                "own_run": begun.run,
                "state": following.state,
                "turn": turn,
                "run": "",
                "tries": tries,
                "probing": False,
                "paused": parked,
                "changed_at": _ms(now),
                "next_attempt_at": None if parked else _ms(following.at),
                "verdict": following.verdict or outcome.verdict,
                "code": following.code or outcome.code,
                "message": _text(following.message or outcome.message),
                "advice": _text(following.advice or outcome.advice),
                "result": json.dumps(dict(outcome.result)),
            },
        )
        if ended.rowcount == 0:
            return None
        self._note_attempt(connection, begun, carried, following, now, cause)
        if waits and not parked:
            # A probe that was spared has no moment: it goes on at once, since the stored process
            # was resumed meanwhile.
            delay = max(0.0, ((following.at or now) - now).total_seconds())
            self._place(
                connection,
                delivery.delivery_id,
                turn,
                delivery.stp_name,
                delivery.deadline,
                delivery.accepted_at,
                delay=delay,
            )
        return following

    def _note_attempt(
        self,
        connection: Connection,
        begun: Begun,
        carried: Carried,
        following: Next,
        now: datetime,
        cause: str,
    ) -> None:
        outcome = carried.outcome
        connection.execute(
            _NOTE_ATTEMPT,
            {
                "delivery_id": begun.delivery.delivery_id,
                "number": begun.delivery.attempt_count,
                "instance": begun.run.partition("/")[0],
                "started_at": _ms(begun.delivery.changed_at),
                "ended_at": _ms(now),
                "destination": carried.destination,
                "verdict": outcome.verdict,
                "code": outcome.code,
                "status": outcome.status,
                "milliseconds": carried.milliseconds,
                "message": _text(outcome.message),
                "advice": _text(outcome.advice),
                "cause": _text(cause, 2000),
                "next_at": _ms(following.at),
            },
        )

    def _count(
        self,
        connection: Connection,
        stp_name: str,
        outcome: Outcome,
        blames_stp: bool,
        now: datetime,
    ) -> bool:
        """Count failures in a row; returns whether the stored process is paused now."""
        stp = connection.execute(_STP, {"own": _key(stp_name)}).one_or_none()
        paused_by = stp.paused_by if stp else ""
        failures = stp.failures if stp else 0
        if not blames_stp:  # it answered, whatever it said of this delivery
            if paused_by == BY_FAILURES:
                self.resume(connection, _key(stp_name), now)
            elif failures:
                _upsert(connection, stp_name, failures=0)
            return paused_by == BY_ADMINISTRATOR
        if failures + 1 >= schedule.FAILURES_TO_PAUSE and not paused_by:
            paused_by = BY_FAILURES
            pause = {"paused_by": paused_by, "paused_at": _ms(now), "why": _text(outcome.message)}
            _upsert(connection, stp_name, failures=failures + 1, **pause)
        else:
            _upsert(connection, stp_name, failures=failures + 1)
        return bool(paused_by)

    def hold(self, connection: Connection, delivery_id: str, turn: int, now: datetime) -> None:
        """Hold a delivery whose turn failed by a fault of this service: whether the stored
        process ran is not known."""
        row = connection.execute(_FOR_ATTEMPT, {"own": delivery_id}).one_or_none()
        if row is not None and row.turn == turn and row.state in OPEN:
            self._set(
                connection,
                delivery_id,
                now,
                state=State.HELD,
                turn=turn + 1,
                probing=False,
                verdict=Verdict.UNKNOWN,
                code=ConnectorProxyError.code,
                message="The service failed while it carried the delivery out.",
                advice=ConnectorProxyError.advice,
            )

    # -- time passes ---------------------------------------------------------------------

    def pass_time(
        self, connection: Connection, now: datetime, in_hand: Collection[str] = ()
    ) -> list[str]:
        """What is due once a minute: deliveries whose deadline passed while they waited for a
        paused stored process expire, one delivery of each stored process that is paused for its
        failures is tried, and what a clock that was set back had put off is planned anew.
        ``in_hand`` are the deliveries that this process is busy with. Returns the ids of the
        deliveries that go on."""
        overdue = sa.select(deliveries).where(
            deliveries.c.state == State.WAITING,
            deliveries.c.paused,
            deliveries.c.deadline <= _ms(now),
        )
        self._expire(connection, connection.execute(overdue).all(), now)
        going_on = []
        paused = sa.select(stored_processes).where(stored_processes.c.paused_by == BY_FAILURES)
        for stp in connection.execute(paused.with_for_update()).all():
            going_on += self._probe(connection, stp.stp_key, now)
        going_on += self._release_forgotten(connection, now)
        going_on += self._place_lost(connection, now, in_hand)
        return going_on + self._replan(connection, now)

    def _probe(self, connection: Connection, stp_key: str, now: datetime) -> list[str]:
        """Try one delivery of a paused stored process: the one that was tried least."""
        of_stp = sa.and_(deliveries.c.stp_key == stp_key, deliveries.c.state.in_(OPEN))
        if connection.execute(
            sa.select(deliveries.c.delivery_id).where(
                of_stp,
                deliveries.c.probing,
                deliveries.c.changed_at > _ms(now - _LONGEST_PROBE),  # else its machine is gone
            )
        ).first():
            return []
        order = (
            deliveries.c.attempt_count,
            deliveries.c.deadline.nulls_last(),
            deliveries.c.accepted_at,
        )
        row = connection.execute(
            sa.select(deliveries)
            .where(of_stp, deliveries.c.paused)
            .order_by(*order)
            .limit(1)
            .with_for_update()
        ).one_or_none()
        if row is None:  # nobody waits: the next delivery is the probe
            _upsert(connection, stp_key, paused_by="", failures=schedule.FAILURES_TO_PAUSE - 1)
            return []
        return self._go_on(connection, [row], now, probing=True)

    def resume(self, connection: Connection, stp_key: str, now: datetime) -> list[str]:
        """Let a stored process run again, and all that waits for it; returns their ids."""
        connection.execute(
            sa.update(stored_processes)
            .where(stored_processes.c.stp_key == stp_key)
            .values(paused_by="", paused_at=None, failures=0, why="")
        )
        rows = connection.execute(
            sa.select(deliveries)
            .where(
                deliveries.c.stp_key == stp_key,
                deliveries.c.state == State.WAITING,
                deliveries.c.paused,
            )
            .with_for_update()
        ).all()
        return self._go_on(connection, rows, now, probing=False)

    def _release_forgotten(self, connection: Connection, now: datetime) -> list[str]:
        """Deliveries that were found paused in the moment of a resume by another process."""
        paused = sa.select(stored_processes.c.stp_key).where(stored_processes.c.paused_by != "")
        rows = connection.execute(
            sa.select(deliveries).where(
                deliveries.c.state == State.WAITING,
                deliveries.c.paused,
                deliveries.c.stp_key.not_in(paused),
            )
        ).all()
        return self._go_on(connection, rows, now, probing=False)

    def _place_lost(
        self, connection: Connection, now: datetime, in_hand: Collection[str]
    ) -> list[str]:
        """Open deliveries without a place in the queue, or whose turn came out of it and was
        never begun. There should be none; a fault that makes one must not lose it. One that had
        begun ends as unknown."""
        placed = self._queue.has_place(
            connection,
            deliveries.c.delivery_id,
            deliveries.c.turn,
            forgotten_since=now - _FORGOTTEN,
            in_hand=in_hand,
        )
        rows = connection.execute(
            sa.select(deliveries).where(
                deliveries.c.state.in_(OPEN), deliveries.c.paused.is_(False), sa.not_(placed)
            )
        ).all()
        return self._go_on(connection, rows, now, probing=False)

    def _replan(self, connection: Connection, now: datetime) -> list[str]:
        """Waiting deliveries that were written in what is now the future: the clock was set
        back, and their attempts would come later by as much."""
        rows = connection.execute(
            sa.select(deliveries).where(
                deliveries.c.state == State.WAITING,
                deliveries.c.next_attempt_at.is_not(None),
                deliveries.c.changed_at > _ms(now + _CLOCK_TOLERANCE),
            )
        ).all()
        return self._go_on(connection, rows, now, probing=False)

    def _go_on(
        self, connection: Connection, rows: Iterable[Row[Any]], now: datetime, *, probing: bool
    ) -> list[str]:
        """Give each delivery a new turn that is due at once."""
        rows = list(rows)
        self._queue.withdraw(connection, ((row.delivery_id, row.turn) for row in rows))
        going_on = []
        for row in rows:
            self._set(
                connection,
                row.delivery_id,
                now,
                turn=row.turn + 1,
                paused=False,
                probing=probing,
                next_attempt_at=None,
            )
            accepted_at = _required(row.accepted_at)
            deadline = _moment(row.deadline)
            self._place(
                connection, row.delivery_id, row.turn + 1, row.stp_name, deadline, accepted_at
            )
            going_on.append(row.delivery_id)
        return going_on

    def again(self, connection: Connection, row: Row[Any], now: datetime) -> None:
        """Begin a new round of a delivery with the payload that is kept."""
        connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.delivery_id == row.delivery_id)
            .values(
                {
                    **_fresh_round(now),
                    "turn": row.turn + 1,
                    "round": row.round + (row.state not in OPEN),
                    "accepted_at": row.accepted_at,
                }
            )
        )
        self._queue.withdraw(connection, [(row.delivery_id, row.turn)])
        accepted_at, deadline = _required(row.accepted_at), _moment(row.deadline)
        self._place(connection, row.delivery_id, row.turn + 1, row.stp_name, deadline, accepted_at)

    def _expire(self, connection: Connection, rows: Iterable[Row[Any]], now: datetime) -> None:
        ended = schedule.expired()
        for row in rows:
            self._set(
                connection,
                row.delivery_id,
                now,
                state=ended.state,
                turn=row.turn + 1,
                paused=False,
                probing=False,
                next_attempt_at=None,
                verdict=ended.verdict,
                code=ended.code,
                message=ended.message,
                advice=ended.advice,
            )

    def _set(self, connection: Connection, delivery_id: str, now: datetime, **values: Any) -> None:
        connection.execute(_MARK, {"own": delivery_id, "changed_at": _ms(now), **values})

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
        return {row.delivery_id: (row.turn, as_delivery(row)) for row in connection.execute(query)}


def _begun(row: Row[Any], *, interrupted: bool, **mark: Any) -> Begun:
    marked = SimpleNamespace(**{**row._mapping, **mark})
    return Begun(
        as_delivery(marked),
        row.body or b"",
        row.turn,
        marked.run,
        row.tries,
        row.probing,
        interrupted,
    )


def as_delivery(row: Any, tried: Iterable[Row[Any]] = ()) -> Delivery:
    """A row as a record. A word that is no state is an error that shows it."""
    return Delivery(
        delivery_id=row.delivery_id,
        request_id=row.request_id,
        kind=Kind(row.kind),
        stp_name=row.stp_name,
        task_name=row.task_name,
        occurrence_id=row.occurrence_id,
        tracking_code=row.tracking_code,
        state=State(row.state),
        round=row.round,
        accepted_at=_required(row.accepted_at),
        changed_at=_required(row.changed_at),
        attempt_count=row.attempt_count,
        next_attempt_at=_moment(row.next_attempt_at),
        deadline=_moment(row.deadline),
        paused=row.paused,
        verdict=Verdict(row.verdict) if row.verdict else None,
        code=row.code,
        message=row.message,
        advice=row.advice,
        note=row.note,
        result=json.loads(row.result),
        attempts=tuple(map(_as_attempt, tried)),
    )


def _as_attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        number=row.number,
        instance=row.instance,
        started_at=_required(row.started_at),
        ended_at=_moment(row.ended_at),
        destination=row.destination,
        verdict=Verdict(row.verdict) if row.verdict else None,
        code=row.code,
        status=row.status,
        milliseconds=row.milliseconds,
        message=row.message,
        advice=row.advice,
        cause=row.cause,
        next_at=_moment(row.next_at),
    )


def _new_row(arrival: Arrival) -> dict[str, Any]:
    webhook = arrival.webhook
    return {
        "delivery_id": arrival.delivery_id,
        "identity": arrival.identity,
        "request_id": arrival.request_id,
        "kind": webhook.kind,
        "stp_key": _key(webhook.stp_name),
        "stp_name": webhook.stp_name,
        "task_name": _text(webhook.task_name),
        "occurrence_id": _text(webhook.occurrence_id),
        "tracking_code": _text(webhook.tracking_code),
        "round": 1,
        "turn": 1,
        "attempt_count": 0,
        "deadline": _ms(_usable_deadline(arrival)),
        "payload_kept": True,
        **_fresh_round(arrival.at),
    }


def _fresh_round(now: datetime) -> dict[str, Any]:
    return {
        "state": State.WAITING,
        "run": "",
        "tries": 0,
        "probing": False,
        "paused": False,
        "accepted_at": _ms(now),
        "changed_at": _ms(now),
        "next_attempt_at": None,
        "verdict": "",
        "code": "",
        "message": "",
        "advice": "",
        "result": "{}",
        "note": "",
    }


def _usable_deadline(arrival: Arrival) -> datetime | None:
    """The deadline of a webhook, unless it has passed on arrival: then this machine's clock may
    be wrong, and the file store is the one to tell."""
    deadline = arrival.webhook.deadline
    return deadline if deadline and deadline > arrival.at else None


def _accepted(arrival: Arrival, delivery_id: str, turn: int) -> Accepted:
    return Accepted(delivery_id, turn, arrival.webhook.stp_name, State.WAITING, duplicate=False)


def _upsert(connection: Connection, stp_name: str, **values: Any) -> None:
    stp_key = _key(stp_name)
    if connection.execute(_SET_STP, {"own": stp_key, **values}).rowcount == 0:
        empty = {"failures": 0, "paused_by": "", "why": "", "stp_name": stp_name}
        connection.execute(sa.insert(stored_processes), {**empty, **values, "stp_key": stp_key})


def _key(stp_name: str) -> str:
    return stp_name.lower()


def _text(text: str, longest: int = _LONGEST_TEXT) -> str:
    """``text`` as every database takes it: no NUL, no half of a surrogate pair."""
    clean = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return clean if len(clean) <= longest else clean[: longest - 3] + "..."


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _required(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
