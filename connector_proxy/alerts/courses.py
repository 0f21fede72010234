"""The courses of alerts in the database. Every function takes a connection with an open
transaction."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from connector_proxy import rows
from connector_proxy.alerts.course import Course
from connector_proxy.tables import alerts, inserting

_LOCK = 361


def locked(connection: Connection) -> dict[str, Course]:
    """The same as ``read``. Until the commit no other process gets them so: a SQLite file is
    locked as a whole, in PostgreSQL a lock is taken, since there may be no row yet."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    return read(connection)


def read(connection: Connection) -> dict[str, Course]:
    """All courses by their names."""
    return {
        row.kind: Course(
            row.serial,
            rows.moment_or_none(row.since),
            row.open,
            rows.moment_or_none(row.told_at),
            rows.moment_or_none(row.latest),
        )
        for row in connection.execute(sa.select(alerts))
    }


def keep(connection: Connection, name: str, course: Course) -> None:
    """Write a course."""
    row = {
        "serial": course.serial,
        "since": rows.ms_or_none(course.since),
        "open": course.open,
        "told_at": rows.ms_or_none(course.told_at),
        "latest": rows.ms_or_none(course.latest),
    }
    write = inserting(connection, alerts).values({"kind": name, **row})
    connection.execute(write.on_conflict_do_update(index_elements=["kind"], set_=row))


def told_now(connection: Connection, name: str, serial: int, now: datetime) -> None:
    """A message that had to be tried again has left only now, if it is still the last one."""
    own = sa.and_(alerts.c.kind == name, alerts.c.serial == serial)
    connection.execute(sa.update(alerts).where(own).values(told_at=rows.ms(now)))
