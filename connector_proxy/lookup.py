"""Deliveries that are looked for: by what is known of them, by the beginning of an id; how many
there are, and how their stored processes fare. Every function takes a connection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from connector_proxy import rows
from connector_proxy.errors import NoSuchDelivery
from connector_proxy.records import Delivery, Report, ReportState, State
from connector_proxy.tables import attempts, deliveries, payloads, reports, stored_processes

Place = tuple[datetime, str]
"""Where a delivery stands in a list: when it was accepted, and its id."""
_SHORTEST_ID = 4
_BEGINNING = re.compile("[0-9a-f]{1,32}")


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
class Criteria:
    """Which deliveries are looked for: of these states (none: of every state), of this stored
    process (without regard to case), with this text in the task's name, of this tracking code,
    accepted since the one moment and before the other. What is empty does not narrow down."""

    states: Sequence[State] = ()
    stp: str = ""
    task: str = ""
    tracking_code: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """What must be true of a row."""
        own = deliveries.c
        wanted = (
            (self.states, own.state.in_(self.states)),
            (self.stp, own.stp_key == rows.stp_key(self.stp)),
            (self.task, own.task_name.icontains(self.task, autoescape=True)),
            (self.tracking_code, own.tracking_code == self.tracking_code),
            (self.since, own.accepted_at >= (rows.ms_or_none(self.since) or 0)),
            (self.until, own.accepted_at < (rows.ms_or_none(self.until) or 0)),
        )
        return [condition for given, condition in wanted if given]


def search(
    connection: Connection, criteria: Criteria, limit: int | None, after: Place | None
) -> list[Delivery]:
    """Deliveries, the latest first; with ``after`` those behind that place."""
    own = deliveries.c
    query = sa.select(deliveries).where(*criteria.conditions())
    if after is not None:
        moment, last = after
        at = rows.ms(moment)
        same = sa.and_(own.accepted_at == at, own.delivery_id > last)
        query = query.where(own.accepted_at <= at, sa.or_(own.accepted_at < at, same))
    query = query.order_by(own.accepted_at.desc(), own.delivery_id).limit(limit)
    return [rows.as_delivery(row) for row in connection.execute(query)]


def found(connection: Connection, delivery_id: str, *, lock: bool = False) -> Row[Any]:
    """The row of an id, or of the only one that begins like it. Raises ``NoSuchDelivery``."""
    start = delivery_id.strip().lower()
    if len(start) < _SHORTEST_ID:
        raise NoSuchDelivery(
            f"Write at least {_SHORTEST_ID} characters of the id.",
            advice="connector-proxy deliveries list shows the ids.",
        )
    if not _BEGINNING.fullmatch(start):
        raise NoSuchDelivery("There is no delivery with this id.")
    own = deliveries.c.delivery_id
    query = sa.select(deliveries).where(own >= start, own < start + "g")  # uses the index
    known = connection.execute((query.with_for_update() if lock else query).limit(2)).all()
    if len(known) > 1:
        raise NoSuchDelivery("More than one delivery begins with this id; write more of it.")
    if not known:
        raise NoSuchDelivery("There is no delivery with this id.")
    return known[0]


def show(connection: Connection, delivery_id: str) -> Delivery:
    """One delivery with its attempts and reports. Raises ``NoSuchDelivery``."""
    row = found(connection, delivery_id)
    own = attempts.c.delivery_id == row.delivery_id
    tried = connection.execute(sa.select(attempts).where(own).order_by(attempts.c.number))
    told = sa.select(reports).where(reports.c.delivery_id == row.delivery_id)
    return rows.as_delivery(row, tried.all(), connection.execute(told.order_by(reports.c.turn)))


def payload(connection: Connection, delivery_id: str) -> bytes:
    """The body of a delivery's webhook; empty where it is not kept any more. ``delivery_id`` is
    a whole one."""
    own = sa.select(payloads.c.body).where(payloads.c.delivery_id == delivery_id)
    return bytes(connection.execute(own).scalar_one_or_none() or b"")


def reported(
    connection: Connection, states: Sequence[ReportState], limit: int | None
) -> list[Report]:
    """Reports that stand in one of ``states``, the oldest first."""
    own = sa.select(reports).where(reports.c.state.in_(states))
    query = own.order_by(reports.c.placed_at, reports.c.delivery_id).limit(limit)
    return [rows.as_report(row) for row in connection.execute(query)]


def counts(connection: Connection) -> dict[State, int]:
    """How many deliveries there are in each state."""
    query = sa.select(deliveries.c.state, sa.func.count()).group_by(deliveries.c.state)
    known = {State(state): count for state, count in connection.execute(query)}
    return {state: known.get(state, 0) for state in State}


def troubled(connection: Connection) -> list[StoredProcess]:
    """The stored processes that failed last or are paused."""
    waits = sa.and_(
        deliveries.c.stp_key == stored_processes.c.stp_key, deliveries.c.state == State.WAITING
    )
    waiting = sa.select(sa.func.count()).where(waits).scalar_subquery().label("waiting")
    query = sa.select(stored_processes, waiting).order_by(stored_processes.c.stp_name)
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
