"""What is to be seen: one look at the database and at the disks, by kinds of alerts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from connector_proxy import masking, rows
from connector_proxy.alerts.course import QUIET, Kind, Sight
from connector_proxy.deliveries import RESOLVED
from connector_proxy.health.check import Check, Condition
from connector_proxy.pauses import BY_FAILURES
from connector_proxy.records import State
from connector_proxy.tables import deliveries, stored_processes

_EXAMPLES = 5
_LONGEST_NAME = 40


def look(connection: Connection, now: datetime, patience: timedelta) -> dict[Kind, Sight]:
    """What there is of each kind that the database knows; ``patience`` is how long a delivery
    may wait."""
    own, recent = deliveries.c, deliveries.c.changed_at > rows.ms(now - QUIET)
    refused = sa.and_(own.state == State.REFUSED, recent, own.code != RESOLVED)
    late = sa.and_(own.state == State.WAITING, own.accepted_at < rows.ms(now - patience))
    return {
        Kind.HELD: _of_deliveries(connection, own.state == State.HELD),
        Kind.REFUSED: _of_deliveries(connection, refused),
        Kind.EXPIRED: _of_deliveries(connection, sa.and_(own.state == State.EXPIRED, recent)),
        Kind.WAITING: _of_deliveries(connection, late, waiting=True),
        Kind.PAUSED: _paused(connection),
    }


def _of_deliveries(
    connection: Connection, which: sa.ColumnElement[bool], *, waiting: bool = False
) -> Sight:
    """Those of a state since they came into it; those that wait since they were accepted, where
    more of them are no news: they are late for the same reason."""
    own = deliveries.c
    moment = own.accepted_at if waiting else own.changed_at
    query = sa.select(sa.func.count(), sa.func.min(moment), sa.func.max(moment)).where(which)
    count, since, latest = connection.execute(query).one()
    if not count:
        return Sight()
    order = moment if waiting else moment.desc()
    few = sa.select(deliveries).where(which).order_by(order).limit(_EXAMPLES)
    examples = tuple(_example(row) for row in connection.execute(few))
    newest = None if waiting else rows.moment(latest)
    return Sight(count, rows.moment(since), newest, examples)


def _example(row: Any) -> str:
    name = masking.printable(masking.shorten(row.stp_name, _LONGEST_NAME))
    task = masking.printable(masking.shorten(row.task_name, _LONGEST_NAME))
    return "  ".join(filter(None, (row.delivery_id[:8], name, task, row.code)))


def _paused(connection: Connection) -> Sight:
    query = sa.select(stored_processes).where(stored_processes.c.paused_by == BY_FAILURES)
    found = connection.execute(query.order_by(stored_processes.c.paused_at.desc())).all()
    if not found:
        return Sight()
    moments = [rows.moment(row.paused_at) for row in found]
    few = (f"{masking.shorten(row.stp_name, _LONGEST_NAME)}: {row.why}" for row in found)
    examples = tuple(masking.printable(one) for _, one in zip(range(_EXAMPLES), few, strict=False))
    return Sight(len(found), min(moments), max(moments), examples)


def disk(checks: Iterable[Check]) -> Sight:
    """The disks of this instance that have little room."""
    low = [one for one in checks if one.condition is not Condition.OK]
    return Sight(len(low), examples=tuple(f"{one.name}: {one.message}" for one in low))
