"""What is a number, a date, a time: Python and DuckDB say the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from connector_proxy.dataset import fitting
from connector_proxy.dataset.columns import Kind
from connector_proxy.dataset.fitting import Limits

SEEDS = {
    Kind.NUMBER: ["1", "-1.5", "1e5", "123456789012345", "1234567890123456", "0.10000000000000000", "1e400", "9e999", ".", "+", "1_0", "inf", "nan", "0x1", "00000000000000000001", "1" * 33, "1." + "0" * 31, "-0", "٣", "1e-400", "1E+5", "1d3", "1,5", ".5", "5.", "+.", "-.e1", "1e", "e1", "1e76"],
    Kind.DATE: ["2024-02-29", "2023-02-29", "1900-02-29", "0001-01-01", "0000-01-01", "9999-12-31", "1581-12-31", "1582-01-01", "1959-12-31", "2024-1-1", "20240101", "2024-W01-1", "infinity", "10000-01-01"],
    Kind.TIMESTAMP: ["2024-02-29T00:00:00Z", "2024-02-29 23:59:59.999999999", "2024-02-29T24:00:00Z", "2024-02-29T23:59:60", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59", "1582-01-01T00:00:00+01:00", "2024-02-29T00:00:00+23:59", "2024-02-29T00:00:00+24:00", "2024-02-29T00:00", "2024-02-29T00:00:00.1-05:30", "0000-01-01T00:00:00Z", "2024-02-29t00:00:00z", "2024-02-29T00:00:00 Z"],
}  # fmt: skip


@st.composite
def nearly(draw: st.DrawFn) -> tuple[Kind, str]:
    """A text that is one of a kind, or was before a few of its characters changed."""
    kind = draw(st.sampled_from(list(SEEDS)))
    text = list(draw(st.sampled_from(SEEDS[kind])))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(text)))
        text[place : place + draw(st.integers(0, 1))] = draw(
            st.text("0129+-.:eETZ \tx,é\n", max_size=2)
        )
    return kind, draw(st.sampled_from(["", " "])) + "".join(text) + draw(
        st.sampled_from(["", "  "])
    )


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


LIMITS = st.sampled_from([Limits(), Limits(first_year=1582, greatest=7.2e75)])


@tried(max_examples=1500, deadline=None)
@given(case=nearly(), limits=LIMITS)
@example(case=(Kind.TIMESTAMP, "2024-01-01T00:30:00+01:00"), limits=Limits())
def test_python_and_duckdb_agree_on_what_fits_and_on_its_value(
    duck: duckdb.DuckDBPyConnection, case: tuple[Kind, str], limits: Limits
) -> None:
    kind, text = case
    fits = not fitting.misfit(text, kind, limits)
    query = f"SELECT {fitting.typed_sql('c', kind, limits)} FROM (SELECT nullif(?, '') AS c)"
    try:
        (found,) = duck.execute(query, [text]).fetchone() or ()
    except duckdb.Error as error:
        assert fitting.UNFIT in str(error)
        assert not fits
        return
    assert fits
    assert found == value_of(text.strip(" "), kind)


@tried(max_examples=1000, deadline=None)
@given(case=nearly(), limits=LIMITS)
def test_counting_and_converting_agree(
    duck: duckdb.DuckDBPyConnection, case: tuple[Kind, str], limits: Limits
) -> None:
    kind, text = case
    precise = fitting.too_precise_sql("c") if kind is Kind.NUMBER else "false"
    query = (
        f"SELECT {fitting.filled_sql('c')}, {fitting.readable_sql('c', kind, limits)}, {precise}"
    )
    filled, readable, too_precise = (
        duck.execute(f"{query} FROM (SELECT ? AS c)", [text]).fetchone() or ()
    )
    assert filled == bool(text.strip(" "))
    if filled:
        assert (readable and not too_precise) == (not fitting.misfit(text, kind, limits))


def value_of(word: str, kind: Kind) -> object:
    if not word:
        return None
    if kind is Kind.NUMBER:
        return float(word)
    if kind is Kind.DATE:
        return dt.date.fromisoformat(word)
    found = dt.datetime.fromisoformat(word)
    return found.astimezone(dt.UTC).replace(tzinfo=None) if found.tzinfo else found


@pytest.mark.parametrize(
    ("text", "limits", "why"),
    [
        ("a\0b", Limits(nul=False), "holds a NUL byte"),
        ("a\0b", Limits(), ""),
        ("éé", Limits(longest=3), "has more than 3 bytes"),
        ("éé", Limits(longest=4), ""),
    ],
)
def test_texts_have_limits_where_a_target_has(
    duck: duckdb.DuckDBPyConnection, text: str, limits: Limits, why: str
) -> None:
    assert fitting.misfit(text, Kind.CHARACTER, limits) == why
    query = f"SELECT {fitting.typed_sql('c', Kind.CHARACTER, limits)} FROM (SELECT ? AS c)"
    try:
        assert duck.execute(query, [text]).fetchone() == (text,)
        assert not why
    except duckdb.Error:
        assert why


def test_zeros_in_front_and_at_the_end_of_a_fraction_are_no_digits() -> None:
    assert fitting.digits("-0012.500") == 3
    assert fitting.digits("1200") == 4
    assert fitting.digits("1e5") == 1
