"""The same files through the embedded stored process and through the SAS code: equal tables."""

from __future__ import annotations

import csv as csv_module
import datetime as dt
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as tried
from hypothesis import strategies as st
from lxml import etree

from connector_proxy.destinations import embedded
from connector_proxy.settings import Settings
from connector_proxy.stream import encode
from tests.filestore import FileStore
from tests.sas import read
from tests.sassite import Site, as_python, csv, metadata

KINDS = st.sampled_from(["character", "numeric", "date", "timestamp", "VARCHAR"])
TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "",
        " ",
        "007",
        "O'Neill",
        'a "b"',
        "a,b",
        "line\nbreak",
        "cr\r\nlf",
        "Ł",
        "&x %put",
        "x" * 5000,
    ]
)
NUMBERS = st.decimals(-(10**9), 10**9, places=3).map(str) | st.sampled_from(
    ["", "1e5", "-0", "+.5", "12345678901234567", "x"]
)
DATES = st.dates(dt.date(1600, 1, 1), dt.date(2200, 1, 1)).map(str) | st.sampled_from(
    ["", "2023-02-29", "1.2.2024"]
)
TIMES = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1)).map(
    lambda one: one.isoformat(timespec="milliseconds")
) | st.sampled_from(
    ["", "2026-01-02 03:04:05", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05-05:30", "now"]
)
OF_KIND = {"numeric": NUMBERS, "date": DATES, "timestamp": TIMES}
NAMES = (
    st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=40)
    .map(str.strip)
    .filter(bool)
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[list[str]]]:
    columns = draw(st.lists(st.tuples(NAMES, KINDS), min_size=1, max_size=5))
    row = st.tuples(*(OF_KIND.get(kind, TEXTS) | TEXTS.filter(str.isascii) for _, kind in columns))
    return columns, [list(one) for one in draw(st.lists(row, max_size=6))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with FileStore() as store:
        yield Site(tmp_path_factory.mktemp("sas"), store)


NUMBERED = itertools.count()


@pytest.mark.timeout(600)
@tried(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=tables(), end=st.sampled_from(["\n", "\r\n"]))
@example(table=([("a", "numeric"), ("A", "date")], []), end="\n")
@example(table=([("only", "character")], [["\r"], ["\n"], ['"']]), end="\r\n")
def test_both_make_the_same_table(
    site: Site,
    settings: Settings,
    table: tuple[list[tuple[str, str]], list[list[str]]],
    end: str,
) -> None:
    columns, rows = table
    payload = site.bulk(metadata(*columns), csv(rows, end), occurrence=f"o-{next(NUMBERED)}")
    answer, _ = site.call(payload)
    assert answer.status == "ok", answer
    ours = read(site.output, answer.data_set)
    names, theirs, result = through_the_embedded(site, settings, payload)
    assert (answer.rows, answer.columns, answer.sha256) == (
        int(result["rows"]), int(result["columns"]), result["sha256"],
    )  # fmt: skip
    assert [column.label for column in ours.columns] == names
    stored = list(as_python(ours).values())
    unreadable = 0
    for place, (_, kind) in enumerate(columns):
        expected, lost = as_sas_would([row[place] for row in theirs], kind)
        unreadable += lost
        assert stored[place] == expected
    assert answer.unreadable == unreadable


def through_the_embedded(
    site: Site, own: Settings, payload: dict[str, dict[str, str]]
) -> tuple[list[str], list[list[str]], dict[str, str]]:
    """Header, rows and answer of the embedded stored process; it asks the store itself."""
    urls = {
        name: url.replace(url.partition("/exports")[0], site.store.address)
        for name, url in payload["presignedUrls"].items()
    }
    document = encode({**payload, "presignedUrls": urls}, "x").document
    own = replace(own, datasetformat=("csv",))  # which keeps the text of each value as it came
    result = {str(one.tag): one.text or "" for one in etree.fromstring(embedded.run(document, own))}
    with (own.outputfolder / result["dataSet"]).open(encoding="utf-8", newline="") as file:
        header, *rows = csv_module.reader(file)
    (own.outputfolder / result["dataSet"]).unlink()
    return header, [row or [""] for row in rows], result


def as_sas_would(values: list[str], kind: str) -> tuple[list[object], int]:
    """The values of a column as the description of the stored process says, told in Python's own
    way, and how many cannot be read."""
    reader = {"numeric": number, "date": date, "timestamp": timestamp}.get(kind)
    filled = [value for value in values if value.strip(" ")]
    read_values = [reader(value.strip(" ")) if reader else None for value in filled]
    lost = sum(one is None for one in read_values)
    too_precise = kind == "numeric" and any(
        number(value.strip(" ")) is not None and digits(value.strip(" ")) > 15 for value in filled
    )
    if reader is None or too_precise or (filled and lost == len(filled)):
        return [value.rstrip(" ") for value in values], 0
    return [reader(value.strip(" ")) if value.strip(" ") else None for value in values], lost


def number(text: str) -> float | None:
    plain = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text)
    return float(Decimal(text)) if plain and len(text) <= 32 else None


def digits(text: str) -> int:
    return len(re.split("[eE]", text)[0].replace(".", "").lstrip("+-").lstrip("0"))


def date(text: str) -> dt.date | None:
    try:
        return (
            dt.date.fromisoformat(text)
            if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text)
            else None
        )
    except ValueError:
        return None


def timestamp(text: str) -> dt.datetime | None:
    form = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?"
    try:
        found = dt.datetime.fromisoformat(text) if re.fullmatch(form, text) else None
    except ValueError:
        return None
    return found.astimezone(dt.UTC).replace(tzinfo=None) if found and found.tzinfo else found


def test_the_rule_of_this_test_is_that_of_the_description() -> None:
    assert as_sas_would(["1", "x", ""], "numeric") == ([1.0, None, None], 1)
    assert as_sas_would(["x", "y "], "numeric") == (["x", "y"], 0)
    assert as_sas_would(["1", "1234567890123456"], "numeric") == (["1", "1234567890123456"], 0)
    assert as_sas_would(["2026-01-02T03:04:05-05:30"], "timestamp") == (
        [dt.datetime(2026, 1, 2, 8, 34, 5)],
        0,
    )
