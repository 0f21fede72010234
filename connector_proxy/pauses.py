"""Pauses of stored processes: by five failures in a row, ended by a delivery that is tried; or by
an administrator, ended by one. Deliveries leave the queue meanwhile and cost no attempt."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from connector_proxy import masking, rows, schedule
from connector_proxy.errors import NotPossible
from connector_proxy.records import OPEN, Outcome, State, Verdict
from connector_proxy.tables import deliveries, inserting, stored_processes
from connector_proxy.turns import OWN, Turns

BY_FAILURES = "failures"
BY_ADMINISTRATOR = "administrator"
_RUNS = {"paused_by": "", "paused_at": None, "failures": 0, "why": ""}
_LONGEST_PROBE = timedelta(hours=1)
_log = logging.getLogger(__name__)
_STP = sa.select(stored_processes).where(stored_processes.c.stp_key == OWN)
_SET_STP = sa.update(stored_processes).where(stored_processes.c.stp_key == OWN)


def blames_stp(outcome: Outcome) -> bool:
    """Whether an outcome speaks of the stored process, and not of what was delivered."""
    return outcome.verdict is not Verdict.DONE and outcome.code in schedule.OF_THE_DESTINATION


class Pauses:
    """Counts, pauses and resumes; every function takes a connection with an open transaction."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def count(self, connection: Connection, stp_name: str, outcome: Outcome, now: datetime) -> bool:
        """Count an outcome; returns whether the stored process is paused now."""
        stp = connection.execute(_STP, {"own": rows.stp_key(stp_name)}).one_or_none()
        paused_by, failures = (stp.paused_by, stp.failures) if stp else ("", 0)
        if not blames_stp(outcome):  # it answered, whatever it said of this delivery
            if paused_by == BY_FAILURES:
                self.run_again(connection, stp_name)
                self.release(connection, stp_name, now)
            elif failures:
                _keep(connection, stp_name, failures=0)
            return bool(paused_by == BY_ADMINISTRATOR)
        values: dict[str, Any] = {"failures": failures + 1}
        if not paused_by and failures + 1 >= schedule.FAILURES_TO_PAUSE:
            paused_by, why = BY_FAILURES, rows.text(outcome.message)
            values |= {"paused_by": paused_by, "paused_at": rows.ms(now), "why": why}
            _log.warning(
                "%s is paused after %d failures in a row; one delivery a minute is tried: %s",
                masking.shorten(stp_name),
                failures + 1,
                why,
            )
        _keep(connection, stp_name, **values)
        return bool(paused_by)

    def pause(self, connection: Connection, stp_name: str, now: datetime) -> int:
        """Let what waits for a stored process wait until ``resume``; returns how many wait."""
        _keep(connection, stp_name, paused_by=BY_ADMINISTRATOR, paused_at=rows.ms(now), why="")
        of_stp = sa.and_(
            deliveries.c.stp_key == rows.stp_key(stp_name), deliveries.c.state == State.WAITING
        )
        going = sa.and_(of_stp, deliveries.c.paused.is_(False))
        found = connection.execute(sa.select(deliveries).where(going).with_for_update()).all()
        self._turns.withdraw(connection, found)
        connection.execute(
            sa.update(deliveries)
            .where(going)
            .values(paused=True, next_attempt_at=None, turn=deliveries.c.turn + 1)
        )
        return connection.execute(sa.select(sa.func.count()).where(of_stp)).scalar_one()

    def run_again(self, connection: Connection, stp_name: str) -> int:
        """Let a stored process run again; returns how many deliveries ``release`` will let go."""
        own = rows.stp_key(stp_name)
        connection.execute(_SET_STP, {"own": own, **_RUNS})
        query = sa.select(sa.func.count()).select_from(deliveries).where(_held_back(own))
        count = connection.execute(query).scalar_one()
        _log.info("%s runs again, %d deliveries go on", masking.shorten(stp_name), count)
        return count

    def release(
        self, connection: Connection, stp_name: str, now: datetime, limit: int | None = None
    ) -> int:
        """Let go what waits for a stored process that runs again, also what was put off because
        it did not run, ``limit`` at most; returns how many. None when it is paused anew."""
        if self.issue(connection, stp_name):
            return 0
        waiting = sa.select(deliveries).where(_held_back(rows.stp_key(stp_name)))
        some = waiting.order_by(deliveries.c.accepted_at).limit(limit).with_for_update()
        found = connection.execute(some).all()
        return len(self._turns.go_on(connection, found, now, probing=False))

    def issue(self, connection: Connection, stp_name: str) -> NotPossible | None:
        """What keeps a delivery from being tried at once."""
        stp = connection.execute(_STP, {"own": rows.stp_key(stp_name)}).one_or_none()
        if stp is None or not stp.paused_by:
            return None
        return NotPossible(
            f"The stored process is paused (by {stp.paused_by}).",
            advice=f'Let it run again: connector-proxy deliveries resume "{stp.stp_name}".',
        )

    def probe(self, connection: Connection, now: datetime) -> list[str]:
        """Try one delivery of each stored process that is paused for its failures; returns their
        ids."""
        paused = sa.select(stored_processes).where(stored_processes.c.paused_by == BY_FAILURES)
        going_on = []
        for stp in connection.execute(paused.with_for_update()).all():
            going_on += self._probe_one(connection, stp.stp_name, now)
        return going_on

    def _probe_one(self, connection: Connection, stp_name: str, now: datetime) -> list[str]:
        """Try the delivery that was tried least; with nobody waiting the next one is the probe."""
        own = deliveries.c.stp_key == rows.stp_key(stp_name)
        of_stp = sa.and_(own, deliveries.c.state.in_(OPEN))
        probing = sa.select(deliveries.c.delivery_id).where(
            of_stp,
            deliveries.c.probing,
            deliveries.c.changed_at > rows.ms(now - _LONGEST_PROBE),  # else its machine is gone
        )
        if connection.execute(probing).first():
            return []
        order = (
            deliveries.c.attempt_count,
            deliveries.c.deadline.nulls_last(),
            deliveries.c.accepted_at,
        )
        least = sa.select(deliveries).where(of_stp, deliveries.c.paused).order_by(*order).limit(1)
        found = connection.execute(least.with_for_update()).all()
        if not found:
            failures = schedule.FAILURES_TO_PAUSE - 1
            _keep(connection, stp_name, **{**_RUNS, "failures": failures})
        return self._turns.go_on(connection, found, now, probing=True)

    def release_forgotten(self, connection: Connection, now: datetime) -> list[str]:
        """Let go what was found paused in the moment of a resume by another process; returns
        their ids."""
        paused = sa.select(stored_processes.c.stp_key).where(stored_processes.c.paused_by != "")
        forgotten = sa.select(deliveries).where(
            deliveries.c.state == State.WAITING,
            deliveries.c.paused,
            deliveries.c.stp_key.not_in(paused),
        )
        return self._turns.go_on(connection, connection.execute(forgotten), now, probing=False)


def _held_back(stp_key: str) -> sa.ColumnElement[bool]:
    """What waits because a stored process did not run."""
    put_off = sa.and_(
        deliveries.c.next_attempt_at.is_not(None),
        deliveries.c.code.in_(schedule.OF_THE_DESTINATION),
    )
    return sa.and_(
        deliveries.c.stp_key == stp_key,
        deliveries.c.state == State.WAITING,
        sa.or_(deliveries.c.paused, put_off),
    )


def _keep(connection: Connection, stp_name: str, **values: Any) -> None:
    """Change the row of a stored process, which is made where there is none; another process may
    make it in the same moment."""
    own = {"own": rows.stp_key(stp_name), **values}
    if connection.execute(_SET_STP, own).rowcount:
        return
    row = {**_RUNS, "stp_key": own["own"], "stp_name": stp_name}
    connection.execute(inserting(connection, stored_processes).on_conflict_do_nothing(), row)
    connection.execute(_SET_STP, own)
