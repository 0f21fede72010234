"""What deliveries and attempts come to in numbers: how many came when and how they stand, how
long attempts of each stored process took.

Everything is reckoned by the database when it is asked for; no index and no row is kept for it,
since each would slow the answers to webhooks down. A figure is reckoned anew after fifty times
what it cost at the earliest, so that looking never takes more than a fiftieth of a core.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from itertools import accumulate
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from connector_proxy import rows
from connector_proxy.database import Database
from connector_proxy.records import State, Verdict
from connector_proxy.tables import attempts, deliveries

_HOUR = 3_600_000
_REST = 50
Result = TypeVar("Result")


class Span(Enum):
    """A span of time that ends now, in hours or days of so many milliseconds, so many of them,
    the present one included. They are those of the present offset from UTC."""

    DAY = (_HOUR, 24)
    FORTNIGHT = (24 * _HOUR, 14)

    def starts(self, now: datetime) -> list[datetime]:
        """When its hours or days begin, the oldest first; ``now`` is in local time."""
        present = (rows.ms(now) + _offset(now)) // self.unit
        return [self.start(present - back, now) for back in reversed(range(self.value[1]))]

    @property
    def unit(self) -> int:
        """The length of an hour or day in milliseconds."""
        return self.value[0]

    def number(self, column: sa.ColumnElement[int], now: datetime) -> sa.ColumnElement[int]:
        """The number of the hour or day in which a moment of the database lies."""
        return (column + _offset(now)) // self.unit

    def start(self, number: int, now: datetime) -> datetime:
        """When the hour or day of that number begins, in the time zone of ``now``."""
        return rows.moment(number * self.unit - _offset(now)).astimezone(now.tzinfo)


def _offset(now: datetime) -> int:
    offset = now.utcoffset()
    assert offset is not None, "a moment without a time zone"
    return int(offset.total_seconds()) * 1000


@dataclass(frozen=True)
class Bar:
    """How many deliveries came in the hour or day that begins at ``start``, by the state in
    which they are now."""

    start: datetime
    counts: Mapping[State, int]


@dataclass(frozen=True)
class Pace:
    """Attempts that ended: how many, how many of them done, and how many milliseconds those took
    at most in half and in 95 of 100 cases (to two digits, cut; None without any). ``start`` is
    when their hour or day begins."""

    start: datetime
    attempts: int
    done: int
    p50: int | None
    p95: int | None


@dataclass(frozen=True)
class Course:
    """The attempts of a stored process in a span of time: all, and by hour or day, where there
    was one."""

    stp_name: str
    whole: Pace
    paces: tuple[Pace, ...]


class Figures:
    """Numbers for those who look; safe to use from many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[object, tuple[float, Any]] = {}
        self._reckoning = threading.Lock()

    def flow(self, now: datetime) -> dict[Span, list[Bar]]:
        """How many deliveries came, by hours and by days; ``now`` is in local time."""
        return self._seldom("flow", lambda connection: _flow(connection, now))

    def courses(self, now: datetime, span: Span) -> list[Course]:
        """How the attempts of each stored process went, by its name."""
        return self._seldom(span, lambda connection: _courses(connection, now, span))

    def oldest_waiting(self) -> datetime | None:
        """When the delivery was accepted that waits longest."""
        query = sa.select(sa.func.min(deliveries.c.accepted_at)).where(
            deliveries.c.state == State.WAITING
        )
        with self._database.read() as connection:
            return rows.moment_or_none(connection.execute(query).scalar_one())

    def _seldom(self, name: object, reckon: Callable[[Connection], Result]) -> Result:
        """The figure of that name, reckoned anew when its rest is over; one at a time."""
        with self._reckoning:
            until, value = self._kept.get(name, (0.0, None))
            began = time.monotonic()
            if began >= until:
                with self._database.read() as connection:
                    value = reckon(connection)
                ended = time.monotonic()
                self._kept[name] = (ended + _REST * (ended - began), value)
            return cast(Result, value)


def _flow(connection: Connection, now: datetime) -> dict[Span, list[Bar]]:
    first = Span.FORTNIGHT.starts(now)[0]
    hour = Span.DAY.number(deliveries.c.accepted_at, now)
    query = (
        sa.select(deliveries.c.state, hour, sa.func.count())
        .where(deliveries.c.accepted_at >= rows.ms(first))
        .group_by(deliveries.c.state, hour)
    )
    counts: dict[tuple[Span, datetime], dict[State, int]] = {}
    for state, number, count in connection.execute(query):
        for span in Span:
            start = span.start(number * _HOUR // span.unit, now)
            own = counts.setdefault((span, start), {})
            own[State(state)] = own.get(State(state), 0) + count
    return {
        span: [Bar(start, counts.get((span, start), {})) for start in span.starts(now)]
        for span in Span
    }


def _courses(connection: Connection, now: datetime, span: Span) -> list[Course]:
    names: dict[str, str] = {}
    tallies: dict[tuple[str, int], _Tally] = {}
    for row in connection.execute(_ended(now, span)):
        names[row.stp_key] = row.stp_name
        tally = tallies.setdefault((row.stp_key, row.number), _Tally())
        tally.add(row.verdict, row.milliseconds, row.times)
    courses = []
    for stp_key, stp_name in sorted(names.items()):
        own = [(number, tally) for (key, number), tally in tallies.items() if key == stp_key]
        whole = sum((tally for _, tally in own), start=_Tally())
        paces = tuple(tally.pace(span.start(number, now)) for number, tally in sorted(own))
        courses.append(Course(stp_name, whole.pace(span.starts(now)[0]), paces))
    return courses


def _ended(now: datetime, span: Span) -> sa.Select[Any]:
    """How many attempts of each stored process ended in each hour or day, by their verdict and
    how long they took: to two digits, so that there are few of them."""
    ms = attempts.c.milliseconds
    steps = [(ms < 100 * 10**power, ms // 10**power * 10**power) for power in range(7)]
    columns = (
        deliveries.c.stp_key,
        span.number(attempts.c.ended_at, now).label("number"),
        attempts.c.verdict,
        sa.case(*steps, else_=ms // 10**7 * 10**7).label("milliseconds"),
    )
    return (
        sa.select(
            *columns,
            sa.func.max(deliveries.c.stp_name).label("stp_name"),
            sa.func.count().label("times"),
        )
        .join_from(attempts, deliveries, deliveries.c.delivery_id == attempts.c.delivery_id)
        .where(attempts.c.ended_at >= rows.ms(span.starts(now)[0]))
        .group_by(*columns)
    )


@dataclass
class _Tally:
    """Attempts counted: all, and those that are done by the milliseconds they took."""

    attempts: int = 0
    done: Counter[int] = field(default_factory=Counter)

    def add(self, verdict: str, milliseconds: int, count: int) -> None:
        self.attempts += count
        if verdict == Verdict.DONE:
            self.done[milliseconds] += count

    def __add__(self, other: _Tally) -> _Tally:
        return _Tally(self.attempts + other.attempts, self.done + other.done)

    def pace(self, start: datetime) -> Pace:
        return Pace(start, self.attempts, self.done.total(), self._part(50), self._part(95))

    def _part(self, part: int) -> int | None:
        """The least milliseconds that ``part`` of 100 did not exceed."""
        wanted = self.done.total() * part / 100
        in_order = sorted(self.done)
        reached = accumulate(self.done[one] for one in in_order)
        return next(
            (ms for ms, count in zip(in_order, reached, strict=True) if count >= wanted), None
        )
