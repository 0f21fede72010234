"""How things stand, at a glance: what flows, what waits, what needs somebody, and the health."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector_proxy.database import Database
from connector_proxy.deliveries import Deliveries
from connector_proxy.figures import Bar, Figures, Span
from connector_proxy.health.check import Check, Condition, worst
from connector_proxy.lookup import StoredProcess
from connector_proxy.records import State

Checks = Callable[[], Sequence[Check]]
"""Gives the present checks of the running service, at once."""


@dataclass(frozen=True)
class Room:
    """The disk of ``datafolder`` and the file of the deliveries on it, in bytes."""

    free: int
    total: int
    file: int


@dataclass(frozen=True)
class Overview:
    """All of it. ``headline`` says in a few words whether somebody is needed, ``condition`` how
    much. ``room`` is None where the deliveries lie on a database server."""

    headline: str
    condition: Condition
    counts: Mapping[State, int]
    oldest_waiting: datetime | None
    troubled: Sequence[StoredProcess]
    checks: Sequence[Check]
    room: Room | None
    flow: Mapping[Span, Sequence[Bar]]


def overview(
    deliveries: Deliveries, figures: Figures, database: Database, checks: Checks, now: datetime
) -> Overview:
    """How things stand at ``now``, which is in local time."""
    counts, troubled = deliveries.counts(), deliveries.stored_processes()
    worst_first = list(Condition)[::-1]
    found = sorted(checks(), key=lambda one: worst_first.index(one.condition))
    headline, condition = _headline(counts, troubled, found)
    return Overview(
        headline,
        condition,
        counts,
        figures.oldest_waiting(),
        troubled,
        found,
        _room(database),
        figures.flow(now),
    )


def _headline(
    counts: Mapping[State, int], troubled: Sequence[StoredProcess], checks: Sequence[Check]
) -> tuple[str, Condition]:
    if worst(checks) is Condition.FAIL:
        failing = ", ".join(one.name for one in checks if one.condition is Condition.FAIL)
        return f"Something is at fault: {failing}.", Condition.FAIL
    paused = sum(bool(one.paused_by) for one in troubled)
    if held := counts[State.HELD]:
        words = "1 delivery waits" if held == 1 else f"{held} deliveries wait"
        return f"{words} for a decision.", Condition.WARN
    if paused:
        words = "1 stored process is" if paused == 1 else f"{paused} stored processes are"
        return f"{words} paused.", Condition.WARN
    if worst(checks) is Condition.WARN:
        warned = ", ".join(one.name for one in checks if one.condition is Condition.WARN)
        return f"Deliveries flow; look at: {warned}.", Condition.WARN
    return "Deliveries flow.", Condition.OK


def _room(database: Database) -> Room | None:
    if not database.is_file:
        return None
    disk = shutil.disk_usage(database.folder)
    return Room(disk.free, disk.total, database.path.stat().st_size)
