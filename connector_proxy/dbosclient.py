"""The client of DBOS Transact, and what is asked of the table where it keeps places."""

from __future__ import annotations

import sqlalchemy as sa
from dbos import DBOSClient, DBOSPortableJSONSerializer
from sqlalchemy import Connection, Engine

APPLICATION = "connector-proxy"
VERSION = "1"
"""Pinned: work that one release accepted is carried out by the next one."""
WAITING = ("ENQUEUED", "DELAYED")
"""The status of a place that has not come out yet; ``PENDING`` has, and has not ended."""


def client(engine: Engine) -> DBOSClient:
    """A client that works with the connections of ``engine``."""
    return DBOSClient(
        system_database_engine=engine,
        serializer=DBOSPortableJSONSerializer(),
        application_name=APPLICATION,
        retry_connection_errors=False,
        lazy=True,
    )


def places(connection: Connection) -> sa.TableClause:
    """The table of places."""
    names = ("workflow_uuid", "status", "executor_id", "started_at_epoch_ms", "completed_at")
    schema = "dbos" if connection.dialect.name == "postgresql" else None
    return sa.table("workflow_status", *map(sa.column, names), schema=schema)
