"""Bars of a chart: what they stand for, and that they stay in their box."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_proxy.figures import Bar, Course, Pace, Span
from connector_proxy.records import State
from connector_proxy.web.ops import chart, words

NOON = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
COUNTS = st.dictionaries(st.sampled_from(list(State)), st.integers(1, 10**6))


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (1, 1), (2, 2), (7, 8), (9, 10), (10, 10), (11, 12), (21, 25), (212, 250), (999, 1000), (1001, 1200)],
)  # fmt: skip
def test_a_chart_ends_at_a_round_number(value: int, top: int) -> None:
    counts = {State.DONE: value} if value else {}
    assert chart.flow([Bar(NOON, counts)]).top == top


@given(st.lists(COUNTS, min_size=1, max_size=24))
def test_stacked_bars_stay_in_their_box_and_nothing_is_left_out(
    counts: list[dict[State, int]],
) -> None:
    found = chart.flow([Bar(NOON, one) for one in counts])
    assert found.width == 10 * len(counts)
    for column, one in zip(found.columns, counts, strict=True):
        assert {piece.name: piece.value for piece in column.pieces} == {str(key): value for key, value in one.items()}  # fmt: skip
        assert all(0 <= piece.y <= 100 and piece.height >= 1.5 for piece in column.pieces)


def test_the_heights_of_a_bar_are_its_counts() -> None:
    (column,) = chart.flow([Bar(NOON, {State.DONE: 60, State.REFUSED: 20})]).columns
    assert [(piece.name, piece.y, piece.height) for piece in column.pieces] == [
        ("done", 25.0, 75.0),
        ("refused", 0.0, 25.0),
    ]


def test_durations_stand_in_their_hour() -> None:
    start = NOON.replace(minute=0) - timedelta(hours=1)
    pace = Pace(start, 3, 2, 100, 400)
    found = chart.durations(Course("A", pace, (pace,)), Span.DAY, NOON)
    assert (len(found.columns), found.top) == (24, 400)
    assert [len(column.pieces) for column in found.columns] == [0] * 22 + [2, 0]
    assert [(piece.name, piece.height) for piece in found.columns[22].pieces] == [("p95", 100.0), ("p50", 25.0)]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (words.took(None), "–"), (words.took(0), "0 ms"), (words.took(999), "999 ms"),
        (words.took(1500), "1.5 s"), (words.took(150_000), "2 min"), (words.took(7_300_000), "2 h"),
        (words.lasting(0.4), "0 s"), (words.lasting(119), "119 s"), (words.lasting(200_000), "2 d"),
        (words.ago(NOON, NOON + timedelta(minutes=5)), "5 min ago"), (words.ago(None, NOON), ""),
        (words.ago(NOON + timedelta(hours=3), NOON), "in 3 h"), (words.size(512), "512 bytes"),
        (words.size(1 << 31), "2.0 GB"), (words.number(1234567), "1,234,567"),
        (words.plural(1, "row"), "1 row"), (words.plural(1000, "row"), "1,000 rows"),
        (words.plural(2, "delivery waits", "deliveries wait"), "2 deliveries wait"),
        (words.printable("half \ud800"), "half ?"), (words.tone("held"), "held"), (words.tone("x"), ""),
    ],
)  # fmt: skip
def test_values_are_written_for_people(written: str, expected: str) -> None:
    assert written == expected
