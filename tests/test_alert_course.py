"""When something is told, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_proxy.alerts.course import GAP, Course, Event, Kind, Sight, follow
from connector_proxy.alerts.words import message, trial_message

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def seen(count: int, since: float = 0, latest: float | None = None) -> Sight:
    newest = at(since if latest is None else latest)
    return Sight(count, at(since), newest) if count else Sight()


def told(*steps: tuple[float, Sight]) -> list[tuple[float, Event]]:
    """What is told of a kind, and in which minute, when it is looked at in these minutes."""
    course, events = Course(), []
    for minute, sight in steps:
        course, event = follow(course, sight, at(minute))
        if event:
            events.append((minute, event))
    return events


def test_what_begins_is_told_at_once() -> None:
    assert told((0, seen(1))) == [(0, Event.BEGAN)]
    assert told((0, Sight())) == []


def test_the_same_is_not_told_again() -> None:
    assert told(*((minute, seen(1)) for minute in range(100))) == [(0, Event.BEGAN)]


def test_more_of_it_is_told_ten_minutes_later() -> None:
    steps = [(0, seen(1)), (3, seen(2, latest=3)), (5, seen(3, latest=5)), (9, seen(3, latest=5))]
    assert told(*steps, (10, seen(3, latest=5)), (11, seen(3, latest=5))) == [
        (0, Event.BEGAN),
        (10, Event.NEWS),
    ]


def test_one_that_took_the_place_of_another_is_news() -> None:
    assert told((0, seen(1)), (20, seen(1, since=20)))[1:] == [(20, Event.NEWS)]


def test_more_of_the_same_cause_is_no_news() -> None:
    late = Sight(3, at(0)), Sight(9, at(0))
    assert told((0, late[0]), (30, late[1])) == [(0, Event.BEGAN)]


def test_its_end_is_told() -> None:
    assert told((0, seen(1)), (30, Sight()), (31, Sight())) == [
        (0, Event.BEGAN),
        (30, Event.OVER),
    ]


def test_what_comes_and_goes_within_ten_minutes_is_told_once_with_its_end() -> None:
    steps = [(0, seen(1)), (2, Sight()), (4, seen(1, since=4)), (6, Sight()), (10, Sight())]
    assert told(*steps) == [(0, Event.BEGAN), (10, Event.OVER)]


def test_what_is_gone_before_it_may_be_told_is_not_told() -> None:
    steps = [(0, seen(1)), (10, Sight()), (12, seen(1, since=12)), (14, Sight()), (30, Sight())]
    assert told(*steps) == [(0, Event.BEGAN), (10, Event.OVER)]


def test_it_remembers_since_when_there_has_been_something() -> None:
    course, _ = follow(Course(), seen(1), at(0))
    course, _ = follow(course, seen(5, since=60, latest=70), at(70))
    assert course.since == at(0), "the first may have left the hour that is looked at"
    course, event = follow(course, Sight(), at(80))
    assert (event, course.since) == (Event.OVER, None)


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    course, _ = follow(Course(), seen(1), at(600))
    _, event = follow(course, seen(2, latest=601), at(0))
    assert event is Event.NEWS


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=200))
def test_never_more_than_one_message_in_ten_minutes_and_ends_follow_beginnings(
    looks: list[tuple[int, int]],
) -> None:
    minute, course, open_now, last = 0, Course(), False, None
    for step, count in looks:
        minute += step
        before = course
        course, event = follow(course, seen(count, since=minute), at(minute))
        assert course.serial == before.serial + (event is not None)
        if event is None:
            continue
        assert last is None or at(minute) - at(last) >= GAP
        assert open_now is (event is not Event.BEGAN)
        open_now, last = event is not Event.OVER, minute
        assert course.open is open_now


@pytest.mark.parametrize("kind", Kind)
def test_each_message_says_what_how_many_since_when_and_what_to_do(kind: Kind) -> None:
    sight = Sight(7, at(0), at(5), ("04752c5e  Download File  Spring",))
    one = message(kind, Event.BEGAN, sight, at(0), "prod1")
    assert one.subject.startswith("connector-proxy on prod1: 7 ")
    assert one.text.startswith(one.subject.partition(": ")[2])
    for words in (
        "  04752c5e  Download File  Spring",
        "  and 6 more",
        f"Since {at(0).astimezone().isoformat(' ', 'seconds')}",
        "What to do:",
        "connector-proxy deliveries",
        "connector-proxy on prod1, version ",
    ):
        assert words in one.text, words
    assert (one.kind, one.event, one.count, one.since) == (kind, "began", 7, at(0).isoformat())
    over = message(kind, Event.OVER, Sight(), at(0), "prod1")
    assert (over.event, over.count) == ("over", 0)
    assert "It began at" in over.text
    assert "What to do" not in over.text
    assert over.subject != one.subject


def test_one_is_told_in_the_singular() -> None:
    one = message(Kind.HELD, Event.BEGAN, Sight(1, at(0)), at(0), "a")
    assert one.subject == "connector-proxy on a: 1 delivery is held"
    assert "more" not in one.text


def test_a_test_says_that_it_is_one() -> None:
    assert trial_message("a").text.startswith("This is a test: alerts get here.")
