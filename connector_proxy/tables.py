"""The tables of the deliveries, and what leads from one version of them to the next."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

SCHEMA = "connector_proxy"
"""Where they lie in PostgreSQL; a SQLite file has no such thing."""
_metadata = sa.MetaData(schema=SCHEMA)

deliveries = sa.Table(
    "deliveries", _metadata,
    sa.Column("delivery_id", sa.Text, primary_key=True),
    sa.Column("identity", sa.Text, nullable=False, unique=True),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("stp_key", sa.Text, nullable=False),
    sa.Column("stp_name", sa.Text, nullable=False),
    sa.Column("task_name", sa.Text, nullable=False),
    sa.Column("occurrence_id", sa.Text, nullable=False),
    sa.Column("tracking_code", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("probing", sa.Boolean, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("accepted_at", sa.BigInteger, nullable=False),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
    sa.Column("next_attempt_at", sa.BigInteger),
    sa.Column("deadline", sa.BigInteger),
    sa.Column("fetched_at", sa.BigInteger),
    sa.Column("attempt_count", sa.Integer, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("advice", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("payload_kept", sa.Boolean, nullable=False),
    sa.Index("deliveries_by_state", "state", "stp_key", "accepted_at"),
    sa.Index("deliveries_by_time", "accepted_at"),
    sa.Index("deliveries_by_stp", "stp_key", "accepted_at"),
)  # fmt: skip
"""One row a delivery; times are milliseconds of the epoch. ``turn`` counts its places in the
queue: what comes out of the queue with another turn is void. ``run`` names the execution that
began the attempt at hand, ``tries`` counts attempts of this round against the retry schedule.
``fetched_at``: since when the files of its task lie on the disk of an instance."""

payloads = sa.Table(
    "payloads", _metadata,
    sa.Column("delivery_id", sa.Text, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)  # fmt: skip
"""The body of the webhook as it came: kept apart, so that it can be removed early."""

attempts = sa.Table(
    "attempts", _metadata,
    sa.Column("delivery_id", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("instance", sa.Text, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("milliseconds", sa.Integer, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("advice", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("next_at", sa.BigInteger),
    sa.PrimaryKeyConstraint("delivery_id", "number"),
)  # fmt: skip

stored_processes = sa.Table(
    "stored_processes", _metadata,
    sa.Column("stp_key", sa.Text, primary_key=True),
    sa.Column("stp_name", sa.Text, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("paused_by", sa.Text, nullable=False),
    sa.Column("paused_at", sa.BigInteger),
    sa.Column("why", sa.Text, nullable=False),
)  # fmt: skip
"""How each stored process fares: failures in a row, and who paused it (``failures`` or
``administrator``; empty: it runs)."""

audit = sa.Table(
    "audit", _metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("door", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("delivery_id", sa.Text, nullable=False),
    sa.Column("stp_name", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Index("audit_by_delivery", "delivery_id"),
)  # fmt: skip
"""What administrators changed: one row a change, written with it in one transaction."""

instances = sa.Table(
    "instances", _metadata,
    sa.Column("instance", sa.Text, primary_key=True),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
)  # fmt: skip
"""Each instance writes now and then that it lives, and sees by that that it can write."""

alerts = sa.Table(
    "alerts", _metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("serial", sa.Integer, nullable=False),
    sa.Column("since", sa.BigInteger),
    sa.Column("open", sa.Boolean, nullable=False),
    sa.Column("told_at", sa.BigInteger),
    sa.Column("latest", sa.BigInteger),
)  # fmt: skip
"""How the alert of each kind stands. ``since``: from when on there has been something to tell,
``open``: it was told and its end was not, ``latest``: the newest that was told, ``serial`` counts
what was told."""

reports = sa.Table(
    "reports", _metadata,
    sa.Column("delivery_id", sa.Text, nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("occurrence_id", sa.Text, nullable=False),
    sa.Column("ended_as", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("attributes", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("placed_at", sa.BigInteger, nullable=False),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
    sa.Column("next_at", sa.BigInteger),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("advice", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("delivery_id", "turn", "kind"),
    sa.Index("reports_by_state", "state", "placed_at"),
    sa.Index("reports_by_occurrence", "kind", "occurrence_id"),
)  # fmt: skip
"""What CI 360 is told of each end of a delivery, named by the turn that ended. ``attributes`` are
a JSON object as they were at that end, ``place`` counts places in the queue of reports, ``run``
names the execution that sends."""

version = sa.Table(
    "ledger_version", _metadata, sa.Column("version", sa.Integer, nullable=False)
)  # fmt: skip


def inserting(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT of a row that may be there already."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _create(connection: sa.Connection) -> None:
    _metadata.create_all(connection)
    connection.execute(sa.insert(version).values(version=0))


UPGRADES = (_create,)
"""What leads from each version of the tables to the next. Released ones are never changed."""
