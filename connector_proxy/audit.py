"""The audit trail: what administrators changed, written in the transaction that changes it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from connector_proxy import masking, rows
from connector_proxy.records import Change, Decision
from connector_proxy.tables import audit, deliveries

LONGEST_NOTE = 1000
"""Characters of a note that are kept."""
_log = logging.getLogger(__name__)


def record(
    connection: Connection,
    action: str,
    by: Decision,
    outcome: str,
    *,
    delivery_id: str = "",
    stp_name: str = "",
) -> Change:
    """Write a change with the transaction of ``connection``; ``told`` is for when it was
    committed."""
    row = {
        "at": rows.ms(by.at),
        "door": by.door,
        "who": rows.text(by.who),
        "action": action,
        "delivery_id": delivery_id,
        "stp_name": stp_name,
        "note": rows.text(by.note, LONGEST_NOTE),
        "outcome": outcome,
    }
    written = connection.execute(sa.insert(audit).returning(*audit.c), row)
    return _as_change(written.one())


def told(change: Change) -> None:
    """One line of the log for a change."""
    by = change.decision
    about = change.delivery_id or masking.shorten(change.stp_name) or "-"
    note = f" note={masking.shorten(by.note)}" if by.note else ""
    _log.info(
        "changed action=%s of=%s by=%s %s: %s%s",
        change.action, about, by.door, by.who, change.outcome, note,
    )  # fmt: skip


def search(
    connection: Connection, *, delivery_id: str = "", before: int | None = None, limit: int = 100
) -> list[Change]:
    """Changes, the latest first: of one delivery, with a smaller number than ``before``."""
    query = sa.select(audit).order_by(audit.c.number.desc()).limit(limit)
    if delivery_id:
        query = query.where(audit.c.delivery_id == delivery_id)
    if before is not None:
        query = query.where(audit.c.number < before)
    return [_as_change(row) for row in connection.execute(query)]


def forget(connection: Connection, moment: datetime) -> int:
    """Remove changes that are older than ``moment``, but for those of deliveries that are still
    there; returns how many."""
    there = sa.exists().where(deliveries.c.delivery_id == audit.c.delivery_id)
    old = sa.delete(audit).where(audit.c.at < rows.ms(moment), sa.not_(there))
    return connection.execute(old).rowcount


def _as_change(row: Any) -> Change:
    return Change(
        number=row.number,
        decision=Decision(row.door, row.who, rows.moment(row.at), row.note),
        action=row.action,
        delivery_id=row.delivery_id,
        stp_name=row.stp_name,
        outcome=row.outcome,
    )
