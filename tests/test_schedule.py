"""When the next attempt is made, and what becomes of a delivery."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_proxy import schedule
from connector_proxy.records import Outcome, State, Verdict
from connector_proxy.schedule import Next, Pauses, Rate, parse_pauses, parse_rate

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY = parse_pauses("5s 1m 5m 30m 2h")


def after(verdict: Verdict = Verdict.RETRY, **more: Any) -> Next:
    retry_after = more.pop("retry_after", None)
    usual = {
        "number": 1, "now": NOW, "pauses": DAY, "deadline": None, "repeat_unknown": False, "chance": 0.0,
    }  # fmt: skip
    outcome = Outcome(verdict, "busy", "Not ready.", retry_after=retry_after)
    return schedule.after(outcome, **{**usual, **more})


def seconds(following: Next) -> float:
    assert following.at is not None
    return (following.at - NOW).total_seconds()


def test_pauses_read_as_they_are_written() -> None:
    assert DAY == (5, 60, 300, 1800, 7200)
    assert str(DAY) == "5s 1m 5m 30m 2h"
    assert parse_pauses("") == Pauses()


@pytest.mark.parametrize("text", ["5", "5 s", "0s", "-1s", "1w", "5s,1m", "8d", "1.5m"])
def test_other_pauses_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="5s 1m 5m 30m 2h"):
        parse_pauses(text)


def test_rates_read_as_they_are_written() -> None:
    assert parse_rate("10/m") == Rate(10, 60)
    assert str(parse_rate("2 / s")) == "2/s"
    assert parse_rate("") is None
    for wrong in ("0/s", "10", "10/min", "-1/s"):
        with pytest.raises(ValueError, match="10/m"):
            parse_rate(wrong)


@pytest.mark.parametrize(("number", "pause"), list(enumerate(DAY, start=1)))
def test_each_pause_follows_its_attempt(number: int, pause: int) -> None:
    assert after(number=number) == Next(State.WAITING, NOW + timedelta(seconds=pause))


def test_after_the_last_pause_it_is_given_up() -> None:
    given_up = after(number=6)
    assert (given_up.state, given_up.verdict) == (State.REFUSED, Verdict.REFUSED)
    assert "Given up after 6 attempts" in given_up.message
    assert after(pauses=Pauses()).state is State.REFUSED


@given(chance=st.floats(-1, 1), number=st.integers(1, 5))
def test_chance_moves_a_pause_by_a_tenth_at_most(chance: float, number: int) -> None:
    pause = DAY[number - 1]
    assert pause * 0.9 <= seconds(after(number=number, chance=chance)) <= pause * 1.1


def test_a_longer_wait_that_the_other_side_asks_for_is_honoured() -> None:
    assert seconds(after(retry_after=120)) == 120
    assert seconds(after(retry_after=1)) == 5


def test_no_attempt_is_planned_past_the_deadline() -> None:
    """The last one begins a minute before it; with less time than that, it has expired."""
    deadline = NOW + timedelta(minutes=15)
    assert after(number=4, deadline=deadline).at == deadline - schedule.RESERVE
    soon = NOW + timedelta(seconds=100)
    expired = after(number=4, deadline=soon)
    assert (expired.state, expired.verdict, expired.code) == (
        State.EXPIRED,
        Verdict.EXPIRED,
        "expired",
    )
    assert "Run the task again" in expired.advice
    assert after(number=1, deadline=soon).state is State.WAITING


@given(
    number=st.integers(1, 5),
    left=st.integers(1, 10_000),
    asked=st.none() | st.integers(0, 100_000),
    chance=st.floats(-1, 1),
)
def test_whatever_happens_the_next_attempt_lies_between_now_and_the_deadline(
    number: int, left: int, asked: int | None, chance: float
) -> None:
    deadline = NOW + timedelta(seconds=left)
    following = after(number=number, deadline=deadline, retry_after=asked, chance=chance)
    if following.state is State.WAITING:
        assert following.at and NOW < following.at <= deadline - schedule.RESERVE
    else:
        assert following.state is State.EXPIRED


@pytest.mark.parametrize(
    ("verdict", "repeat", "state"),
    [
        (Verdict.DONE, False, State.DONE),
        (Verdict.REFUSED, True, State.REFUSED),
        (Verdict.UNKNOWN, False, State.HELD),
        (Verdict.UNKNOWN, True, State.WAITING),
    ],
)
def test_a_verdict_becomes_a_state(verdict: Verdict, repeat: bool, state: State) -> None:
    assert after(verdict, repeat_unknown=repeat).state is state


def test_the_nearest_deadline_goes_first_and_an_event_is_not_overtaken_for_ever() -> None:
    order = [
        schedule.priority(NOW + timedelta(minutes=5), NOW),
        schedule.priority(None, NOW),
        schedule.priority(NOW + timedelta(hours=1), NOW),
    ]
    assert order == sorted(order)
    assert schedule.priority(None, NOW) < schedule.priority(NOW + timedelta(minutes=20), NOW)
    for moment in (datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)):
        assert 1 <= schedule.priority(moment, NOW) < 2**31
