"""When something is told: each kind of alert begins, goes on with news, and is over; never more
than one message of a kind in ten minutes.

Facts only: what is seen and the moment come in as arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

GAP = timedelta(minutes=10)
"""So long after a message of a kind no other of that kind is sent."""
QUIET = timedelta(hours=1)
"""Deliveries that were refused or expired are told of for so long."""


class Kind(StrEnum):
    """What alerts are about. ``disk`` has a course of its own for each instance."""

    HELD = "held"
    REFUSED = "refused"
    EXPIRED = "expired"
    PAUSED = "paused"
    WAITING = "waiting"
    DISK = "disk"


class Event(StrEnum):
    """What a message tells."""

    BEGAN = "began"
    NEWS = "news"
    OVER = "over"


@dataclass(frozen=True)
class Sight:
    """What is seen of a kind at one moment: how many there are, the oldest and the newest of
    them, and a few in words. ``latest`` is None where more of the same are no news."""

    count: int = 0
    since: datetime | None = None
    latest: datetime | None = None
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Course:
    """How the alert of a kind stands. ``since``: from when on there has been something, or None;
    ``open``: it was told and its end was not; ``told_at``: when a message left last; ``latest``:
    the newest that was told; ``serial`` counts messages, so that one that could not be sent is
    not sent after its successor."""

    serial: int = 0
    since: datetime | None = None
    open: bool = False
    told_at: datetime | None = None
    latest: datetime | None = None


def follow(course: Course, sight: Sight, now: datetime) -> tuple[Course, Event | None]:
    """The course after ``sight``, and what is told, if anything is.

    What comes and goes within the ten minutes after a message is not told at all.
    """
    if not sight.count:
        if course.open and _may_tell(course, now):
            return _told(course, now, open=False), Event.OVER
        return course if course.open else replace(course, since=None), None
    course = replace(course, since=course.since or sight.since or now)
    if not _is_news(course, sight) or not _may_tell(course, now):
        return course, None
    event = Event.NEWS if course.open else Event.BEGAN
    return replace(_told(course, now, open=True), latest=sight.latest), event


def _is_news(course: Course, sight: Sight) -> bool:
    if not course.open:
        return True
    return sight.latest is not None and (course.latest is None or sight.latest > course.latest)


def _may_tell(course: Course, now: datetime) -> bool:
    """A moment that lies ahead was told before the clock was set back."""
    told = course.told_at
    return told is None or not told <= now < told + GAP


def _told(course: Course, now: datetime, *, open: bool) -> Course:  # noqa: A002
    serial = course.serial + 1
    since = course.since if open else None
    return replace(course, serial=serial, since=since, open=open, told_at=now, latest=None)
