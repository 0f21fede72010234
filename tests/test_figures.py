"""What deliveries and attempts come to in numbers, over both databases."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from connector_proxy import outcomes
from connector_proxy.carrier import Carried
from connector_proxy.figures import Figures, Span
from connector_proxy.records import State
from tests.test_ledger import NOON, RETRY, UNKNOWN, Books, books

__all__ = ["books"]
INDIA = timezone(timedelta(hours=5, minutes=30))
LOCAL = NOON.astimezone(INDIA)
"""Half past five in the afternoon."""


def took(books: Books, milliseconds: int, stp: str = "A") -> None:
    """One delivery that was done after so long."""
    begun = books.begin(books.accept(stp=stp))
    assert begun is not None
    carried = Carried(outcomes.done(200), "sas", milliseconds)
    with books.database.write() as connection:
        books.ledger.finish(connection, begun, carried, books.clock, cause="", repeat_unknown=False)


def test_deliveries_are_counted_by_the_hour_and_day_in_which_they_came(books: Books) -> None:
    books.clock = NOON - timedelta(days=13)
    books.attempt(books.accept(), outcomes.done(200))
    books.clock = NOON - timedelta(hours=23)
    books.attempt(books.accept(), UNKNOWN)
    books.clock = NOON
    books.accept()
    books.accept()
    flow = Figures(books.database).flow(LOCAL)
    hours, days = flow[Span.DAY], flow[Span.FORTNIGHT]
    assert (len(hours), len(days)) == (24, 14)
    assert hours[-1].start == datetime(2026, 11, 21, 17, 0, tzinfo=INDIA)
    assert days[-1].start == datetime(2026, 11, 21, 0, 0, tzinfo=INDIA)
    assert [(number, bar.counts) for number, bar in enumerate(hours) if bar.counts] == [
        (0, {State.HELD: 1}),
        (23, {State.WAITING: 2}),
    ]
    assert [(number, bar.counts) for number, bar in enumerate(days) if bar.counts] == [
        (0, {State.DONE: 1}),
        (12, {State.HELD: 1}),
        (13, {State.WAITING: 2}),
    ]


def test_what_came_earlier_is_not_counted(books: Books) -> None:
    books.clock = datetime(2026, 11, 7, 23, 59, tzinfo=INDIA)
    books.accept()
    flow = Figures(books.database).flow(LOCAL)
    assert not any(bar.counts for bars in flow.values() for bar in bars)


def test_attempts_are_counted_for_each_stored_process_with_their_durations(books: Books) -> None:
    for milliseconds in range(1, 101):
        took(books, milliseconds)
    books.attempt(books.accept(stp="a"), RETRY)
    took(books, 12_345, stp="B")
    first, second = Figures(books.database).courses(LOCAL, Span.DAY)
    assert first.stp_name in ("A", "a")
    assert (first.whole.attempts, first.whole.done) == (101, 100)
    assert (first.whole.p50, first.whole.p95) == (50, 95)
    assert [(pace.start.hour, pace.attempts) for pace in first.paces] == [(17, 101)]
    assert (second.stp_name, second.whole.p50) == ("B", 12_000), "two digits are enough"


def test_attempts_are_counted_by_the_hour_or_day_in_which_they_ended(books: Books) -> None:
    for hours, milliseconds in ((40, 10), (23, 20), (0, 30), (0, 40)):
        books.clock = NOON - timedelta(hours=hours)
        took(books, milliseconds)
    figures = Figures(books.database)
    (day,) = figures.courses(LOCAL, Span.DAY)
    assert [pace.p50 for pace in day.paces] == [20, 30]
    assert (day.whole.attempts, day.whole.p95) == (3, 40)
    (fortnight,) = figures.courses(LOCAL, Span.FORTNIGHT)
    assert [(pace.start.day, pace.attempts) for pace in fortnight.paces] == [(20, 2), (21, 2)]


def test_a_stored_process_of_which_nothing_was_done_has_no_duration(books: Books) -> None:
    books.attempt(books.accept(), RETRY)
    (course,) = Figures(books.database).courses(LOCAL, Span.DAY)
    assert (course.whole.attempts, course.whole.done) == (1, 0)
    assert (course.whole.p50, course.whole.p95) == (None, None)


def test_the_oldest_that_waits_is_known(books: Books) -> None:
    figures = Figures(books.database)
    assert figures.oldest_waiting() is None
    books.attempt(books.accept(), outcomes.done(200))
    books.later(minutes=1)
    books.accept()
    assert figures.oldest_waiting() == NOON + timedelta(minutes=1)


def test_a_figure_rests_fifty_times_as_long_as_it_took(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([0.0, 1.0])
    monkeypatch.setattr("connector_proxy.figures.time.monotonic", lambda: next(ticks))
    figures = Figures(books.database)
    assert figures.flow(LOCAL)[Span.DAY][-1].counts == {}
    books.accept()
    monkeypatch.undo()
    monkeypatch.setattr("connector_proxy.figures.time.monotonic", lambda: 50.9)
    assert figures.flow(LOCAL)[Span.DAY][-1].counts == {}
    monkeypatch.setattr("connector_proxy.figures.time.monotonic", lambda: 51.1)
    assert figures.flow(LOCAL)[Span.DAY][-1].counts == {State.WAITING: 1}
