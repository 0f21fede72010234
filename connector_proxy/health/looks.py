"""What a running service looks at: each function gives one check, or a few of a kind.

Only what keeps *this* service from its work is a ``fail``: a front end may take an instance away
that fails, and deliveries for a SAS server that does not answer are kept and tried again.
"""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from connector_proxy import __version__, rows
from connector_proxy.database import Database
from connector_proxy.errors import QueueUnavailable
from connector_proxy.health.check import Check, Condition
from connector_proxy.pauses import BY_ADMINISTRATOR, BY_FAILURES
from connector_proxy.settings import Settings
from connector_proxy.standing import Standing
from connector_proxy.tables import inserting, instances

WRONG_CLOCK_SECONDS = 60.0
_PATIENCE_SECONDS = 5.0


def database(place: Database, instance: str, now: datetime) -> Check:
    """Whether the database of the deliveries can be written: by a row that is written."""
    try:
        with place.write(_PATIENCE_SECONDS) as connection:
            row = {"instance": instance, "seen_at": rows.ms(now)}
            write = inserting(connection, instances).values(row)
            seen = {"seen_at": rows.ms(now)}
            connection.execute(write.on_conflict_do_update(index_elements=["instance"], set_=seen))
    except QueueUnavailable as error:
        return Check("database", Condition.FAIL, error.cause, error.advice)
    return Check("database", Condition.OK, f"{place.shown()} can be written")


def clock(place: Database, heard: float | None) -> Check:
    """Our clock beside that of PostgreSQL and of the servers that answered last, which is
    ``heard`` by so many seconds behind ours."""
    drifts = {"the last server that answered": heard}
    if not place.is_file:
        drifts["PostgreSQL"] = _drift_of_database(place)
    known = {other: drift for other, drift in drifts.items() if drift is not None}
    for other, drift in known.items():
        if abs(drift) > WRONG_CLOCK_SECONDS:
            how = "ahead of" if drift > 0 else "behind"
            message = f"is {abs(drift):.0f} s {how} that of {other}"
            advice = "Set the clock: deadlines of presigned URLs are reckoned by it."
            return Check("clock", Condition.WARN, message, advice)
    beside = f"agrees with {' and '.join(known)}" if known else "nothing to compare it with yet"
    return Check("clock", Condition.OK, beside)


def _drift_of_database(place: Database) -> float | None:
    try:
        with place.read() as connection:
            told: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
            return (datetime.now(UTC) - told).total_seconds()
    except QueueUnavailable:
        return None


def of_standing(standing: Standing, settings: Settings, now: datetime) -> Iterator[Check]:
    """What the numbers of the deliveries say."""
    yield _oldest(standing, timedelta(minutes=settings.alertminutes), now)
    yield _deadlines(standing)
    yield _paused(standing)
    last = f"accepted {_ago(now - standing.last)} ago" if standing.last else "none yet"
    yield Check("last webhook", Condition.OK, last)
    if settings.reportvia != "off":
        yield _reports(standing)


def _oldest(standing: Standing, limit: timedelta, now: datetime) -> Check:
    name = "oldest waiting"
    if standing.oldest is None:
        return Check(name, Condition.OK, "nothing waits")
    age = now - standing.oldest
    message = f"{standing.waiting} wait, the oldest for {_ago(age)}"
    if age <= limit:
        return Check(name, Condition.OK, message)
    advice = "See why: connector-proxy deliveries list --state waiting"
    return Check(name, Condition.WARN, message, advice)


def _deadlines(standing: Standing) -> Check:
    if not standing.near:
        return Check("deadlines", Condition.OK, "none within 15 minutes")
    message = f"URLs of {standing.near} waiting deliveries stop working within 15 minutes"
    advice = (
        "See why they wait (connector-proxy deliveries list --state waiting); what expires must be "
        "run again in CI 360."
    )
    return Check("deadlines", Condition.WARN, message, advice)


def _paused(standing: Standing) -> Check:
    if not standing.paused:
        return Check("paused", Condition.OK, "no stored process")
    told = [f"{name} ({_BY[by]})" for name, by in standing.paused]
    if all(by != BY_FAILURES for _, by in standing.paused):
        return Check("paused", Condition.OK, ", ".join(told))
    advice = (
        "One delivery a minute is tried. Look at its errors (connector-proxy deliveries list); "
        "connector-proxy deliveries resume STP ends a pause."
    )
    return Check("paused", Condition.WARN, ", ".join(told), advice)


def _reports(standing: Standing) -> Check:
    if not standing.unreported:
        return Check("reports", Condition.OK, "CI 360 was told of every end, or will be")
    message = f"CI 360 was not told of {standing.unreported} ends"
    return Check("reports", Condition.WARN, message, "See why: connector-proxy report")


_BY = {BY_FAILURES: "after failures", BY_ADMINISTRATOR: "by an administrator"}


def _ago(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} seconds"


def others(checks: Iterable[Check]) -> Iterator[Check]:
    """Checks of other machines: what fails there is a warning here."""
    for one in checks:
        failed = one.condition is Condition.FAIL
        yield replace(one, condition=Condition.WARN) if failed else one


def version() -> Check:
    """What runs."""
    message = f"connector-proxy {__version__}, Python {platform.python_version()}"
    return Check("version", Condition.OK, f"{message}, SQLite {sqlite3.sqlite_version}")
