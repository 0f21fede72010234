"""What a process learns by the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from connector_proxy import tally


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What other tests left, and what these leave."""
    tally.take()
    yield
    tally.take()


def test_what_was_counted_is_given_once() -> None:
    tally.downloaded(3)
    tally.downloaded(4)
    tally.expired("A")
    assert (tally.take().downloaded, tally.take().downloaded) == (7, 0)
    tally.expired("B")
    assert tally.take().expired == ("B",)


@pytest.mark.parametrize("ahead", [-3600, 0, 3600])
def test_the_clock_of_another_is_compared_with_ours(ahead: int) -> None:
    theirs = datetime.now(UTC) + timedelta(seconds=ahead)
    tally.heard(format_datetime(theirs, usegmt=True))
    assert tally.take().drift == pytest.approx(-ahead, abs=5)
    assert tally.take().drift is None


@pytest.mark.parametrize(
    "date",
    [None, "", "soon", "0", "Tue, 99 Jan 2030 00:00:00 GMT", "Tue, 01 Jan 99999 00:00:00 GMT",
     "Tue, 01 Jan 2030 00:00:00 +9999999999", "\x00", "é" * 5000],
)  # fmt: skip
def test_what_is_no_date_says_nothing(date: str | None) -> None:
    tally.heard(date)
    assert tally.take().drift is None
