"""Bars of a chart as rectangles in a box of 100 units height; the words beside them are HTML, so
that they keep their size on any screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector_proxy.figures import Bar, Course, Span
from connector_proxy.records import State
from connector_proxy.web.ops.words import tone

ORDER = (
    State.DONE,
    State.WAITING,
    State.RUNNING,
    State.HELD,
    State.REFUSED,
    State.EXPIRED,
    State.CANCELLED,
)
"""From the bottom of a bar to its top."""
STEP, WIDTH = 10, 8
_LEAST = 1.5


@dataclass(frozen=True)
class Piece:
    """A part of a bar: a state or a percentile, its value, and where it lies."""

    name: str
    tone: str
    value: int
    y: float
    height: float


@dataclass(frozen=True)
class Column:
    """A bar: the beginning of its hour or day, and its parts."""

    start: datetime
    x: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Chart:
    """Bars side by side; ``top`` is the value that the height of the box stands for."""

    columns: tuple[Column, ...]
    top: int

    @property
    def width(self) -> int:
        """That of the box, in units."""
        return STEP * len(self.columns)


def flow(bars: Sequence[Bar]) -> Chart:
    """How many deliveries came, stacked by state."""
    top = _round_up(max((sum(bar.counts.values()) for bar in bars), default=0))
    columns = (_stacked(bar, number, top) for number, bar in enumerate(bars))
    return Chart(tuple(columns), top)


def _stacked(bar: Bar, number: int, top: int) -> Column:
    pieces, y = [], 100.0
    for state in ORDER:
        if count := bar.counts.get(state, 0):
            height = max(_LEAST, 100 * count / top)
            y = max(0.0, y - height)
            pieces.append(Piece(str(state), tone(state), count, round(y, 2), round(height, 2)))
    return Column(bar.start, number * STEP + (STEP - WIDTH) // 2, tuple(pieces))


def durations(course: Course, span: Span, now: datetime) -> Chart:
    """How long the attempts of a stored process took: 95 of 100, and in front of it half of
    them."""
    paces = {pace.start: pace for pace in course.paces}
    top = _round_up(max((pace.p95 or 0 for pace in course.paces), default=0))
    columns = []
    for number, start in enumerate(span.starts(now)):
        pace = paces.get(start)
        known = (("p95", pace.p95), ("p50", pace.p50)) if pace else ()
        pieces = [
            Piece(name, name, value, round(100 - height, 2), round(height, 2))
            for name, value in known
            if value is not None
            for height in (max(_LEAST, 100 * value / top),)
        ]
        columns.append(Column(start, number * STEP + (STEP - WIDTH) // 2, tuple(pieces)))
    return Chart(tuple(columns), top)


def _round_up(value: int) -> int:
    """The next whole number of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12 …"""
    power = int("1" + "0" * (len(str(max(value, 1))) - 1))
    tops = (tenths * power / 10 for tenths in (10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100))
    return next(int(top) for top in tops if top >= value and top == int(top))
