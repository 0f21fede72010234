"""stpDownloadFile as exported, in the runner of tests/sas, on a simulated Unix and Windows.

Each run is also searched for what it must not leave behind or let out: see ``Site``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector_proxy.settings import Settings
from connector_proxy.staging import Staging
from connector_proxy.stream import encode
from tests.filestore import s3_error, send, short
from tests.sas import Killed, read
from tests.sassite import EMPTY_SHA, HOST, MakeSite, Site, csv, metadata

DATA = Path(__file__).parent / "data" / "payloads"
EVERYWHERE = pytest.mark.parametrize(
    ("platform", "encoding"),
    [("unix", "utf-8"), ("unix", "wlatin1"), ("windows", "utf-8"), ("windows", "wlatin1")],
)
PAIR = metadata("a", "b")


def names(site: Site, dataset: str) -> list[str]:
    return [column.name for column in read(site.output, dataset).columns]


def rows(site: Site, dataset: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in zip(*site.table(dataset).values(), strict=True)]


def is_refused(site: Site, payload: dict[str, Any], code: str, words: str, **session: Any) -> None:
    """Nothing was saved, and the answer says why."""
    answer, _ = site.call(payload, **session)
    assert (answer.status, answer.code) == ("error", code), answer
    assert words in answer.message
    assert (answer.data_set, answer.rows, answer.columns, answer.sha256) == ("", 0, 0, "")
    assert site.saved() == []


# What arrives


@EVERYWHERE
def test_a_task_becomes_a_typed_dataset(make_site: MakeSite, platform: str, encoding: str) -> None:
    site = make_site(platform, encoding)
    columns = metadata(
        "identity_id", ("customer id", "Character"), ("balance", "numeric"), ("birth", "date"),
        ("seen", "timestamp"), ("note", "a type that nobody knows"),
    )  # fmt: skip
    data = (
        b"id-1,007,12.50,1990-02-28,2026-11-21T08:00:00Z,x\n"
        b'id-2,1002,,,,"a, ""b"" it\'s"\r\n'
        b"id-3,1003,-3e2,2024-02-29,2026-11-21 09:30:00.250,\n"
    )
    answer, _ = site.call(site.bulk(columns, data))
    assert (answer.rows, answer.columns, answer.rejected, answer.unreadable) == (3, 6, 0, 0)
    assert answer.sha256 == hashlib.sha256(data).hexdigest()
    assert answer.occurrence == "occurrence-1"
    assert site.saved() == [answer.data_set.upper()]
    assert rows(site, answer.data_set) == [
        ("id-1", "007", 12.5, dt.date(1990, 2, 28), dt.datetime(2026, 11, 21, 8), "x"),
        ("id-2", "1002", None, None, None, 'a, "b" it\'s'),
        (
            "id-3",
            "1003",
            -300.0,
            dt.date(2024, 2, 29),
            dt.datetime(2026, 11, 21, 9, 30, 0, 250_000),
            "",
        ),
    ]
    first, second, third, fourth, fifth, _ = read(site.output, answer.data_set).columns
    assert (first.name, first.label, first.length) == ("identity_id", "identity_id", 4)
    assert (second.name, second.label, second.length) == ("customer_id", "customer id", 4)
    assert (third.format, fourth.format, fifth.format) == ("BEST32.", "E8601DA10.", "E8601DT26.3")


def test_the_hard_sample_arrives_whole(site: Site) -> None:
    columns, data = (
        (DATA / "metadata_array.json").read_bytes(),
        (DATA / "data_hard.csv").read_bytes(),
    )
    site.secrets += ["Doe", "Łukasz"]
    answer, _ = site.call(site.bulk(columns, data))
    assert (answer.rows, answer.columns, answer.unreadable) == (3, 8, 0)
    table = site.table(answer.data_set)
    assert list(table)[6:] == ["a_column_name_longer_than_thirty", "Balance_Amt_2"]
    assert table["customer_id"] == ["007", "1002", "1003"]
    assert table["full_name"] == ['Doe, "Jane"', "multi\nline", "Łukasz Ähre"]
    assert table["balance_amt"] == [12.5, None, -3.0]
    assert table["birth_dt"] == [dt.date(1990, 2, 28), None, dt.date(2024, 2, 29)]
    assert table["last_seen_dttm"] == [
        dt.datetime(2026, 11, 21, 8), None, dt.datetime(2026, 11, 21, 9, 30),
    ]  # fmt: skip
    assert table["a_column_name_longer_than_thirty"] == ["x", "", "a,b"]


@EVERYWHERE
@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a", b"a"),
        ("a,b", b'"a,b"'),
        ('a"b', b'"a""b"'),
        ('"', b'""""'),
        ('""', b'""""""'),
        ("O'Neill", b"O'Neill"),
        ("'tis", b"'tis"),
        ("it's, 'so'", b"\"it's, 'so'\""),
        ('in " between', b'in " between'),
        ("line\nbreak", b'"line\nbreak"'),
        ("line\r\nbreak", b'"line\r\nbreak"'),
        ("\n", b'"\n"'),
        ("two\n\nbreaks,and\n", b'"two\n\nbreaks,and\n"'),
        ("", b'""'),
        ("  inside  it", b"  inside  it"),
        ("\t", b'"\t"'),
        ("\x1aafter", b"\x1aafter"),
        ("&debug=0;%put x;&cp_code", b"&debug=0;%put x;&cp_code"),
        ("Grüße", "Grüße".encode()),
        ("007", b"007"),
        ("1E5", b"1E5"),
        (".", b"."),
        ("x" * 300, b"x" * 300),
    ],
)
def test_a_value_arrives_as_it_is(
    make_site: MakeSite, platform: str, encoding: str, value: str, written: bytes
) -> None:
    site = make_site(platform, encoding)
    for end in (b"\n", b"\r\n"):
        data = b"1," + written + b",2" + end + written + b",3," + written + end
        answer, _ = site.call(site.bulk(metadata("a", "b", "c"), data))
        assert answer.status == "ok", answer
        assert rows(site, answer.data_set) == [("1", value, "2"), (value, "3", value)]


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_last_line_may_end_or_not(site: Site, end: str) -> None:
    answer, _ = site.call(site.bulk(PAIR, f"1,2\n3,4{end}".encode()))
    assert rows(site, answer.data_set) == [("1", "2"), ("3", "4")]


def test_a_byte_order_mark_is_no_part_of_the_first_value(site: Site) -> None:
    mark = b"\xef\xbb\xbf"
    answer, _ = site.call(site.bulk(mark + PAIR, mark + b'"1",2\n3,4\n'))
    assert rows(site, answer.data_set) == [("1", "2"), ("3", "4")]


def test_a_session_that_keeps_the_mark_does_the_same(site: Site) -> None:
    mark = b"\xef\xbb\xbf"
    answer, _ = site.call(site.bulk(mark + b"a,b", mark + b"1,2\n"), keeps_bom=True)
    assert names(site, answer.data_set) == ["a", "b"]
    assert rows(site, answer.data_set) == [("1", "2")]


@pytest.mark.parametrize("header", [b"id,full name", b"id,full name\n", b'id,"full name"\r\n'])
def test_the_older_metadata_is_one_line_of_names(site: Site, header: bytes) -> None:
    answer, _ = site.call(site.bulk(header, b"1,2\n"))
    assert names(site, answer.data_set) == ["id", "full_name"]


def test_a_file_without_rows_is_a_dataset_without_rows(site: Site) -> None:
    for empty in (True, False):
        answer, _ = site.call(
            site.bulk(metadata("a", ("n", "numeric")), b""), empty_body_writes=empty
        )
        assert (answer.status, answer.rows, answer.columns) == ("ok", 0, 2)
        assert answer.sha256 == EMPTY_SHA
        assert site.table(answer.data_set) == {"a": [], "n": []}


def test_one_column_of_which_some_values_are_empty(site: Site) -> None:
    answer, _ = site.call(site.bulk(metadata("only"), b'x\n\n""\ny\n'))
    assert rows(site, answer.data_set) == [("x",), ("",), ("",), ("y",)]


def test_five_hundred_columns(site: Site) -> None:
    wide = [f"column {number}" for number in range(500)]
    values = [[f"{row}:{number}" * 12 for number in range(500)] for row in range(3)]
    answer, _ = site.call(site.bulk(metadata(*wide), csv(values)))
    assert (answer.rows, answer.columns) == (3, 500)
    assert rows(site, answer.data_set) == [tuple(row) for row in values]


@pytest.mark.parametrize("size", [4094, 4095, 4096, 4097, 8190, 32_766, 32_767])
def test_long_values_arrive_whole(site: Site, size: int) -> None:
    inside = '"' + "q" * (size - 2) + '"'
    values = [
        ["x" * size, "y" * size],
        [inside, "é" * (size // 2)],
        ["\n" * size + "." if size < 32_767 else ".", "z"],
    ]
    answer, _ = site.call(site.bulk(PAIR, csv(values)))
    assert answer.status == "ok", answer
    assert rows(site, answer.data_set) == [tuple(row) for row in values]


def test_a_value_that_no_column_can_hold_makes_a_bad_row(site: Site) -> None:
    payload = site.bulk(PAIR, csv([["1", "2"], ["x" * 32_768, "3"]]))
    is_refused(
        site, payload, "bad_data", "Line 2 of the data file has a value of more than 32767 bytes."
    )


@pytest.mark.parametrize("at", range(4088, 4100))
@pytest.mark.parametrize("odd", ['","', '""",x"', 'a"\r\n"b', '"\n', "é,é", "€€€", "𝄞𝄞"])
def test_nothing_depends_on_where_the_window_of_the_scanner_ends(
    site: Site, at: int, odd: str
) -> None:
    values = [["x" * at + odd, "next"], [odd, "y" * at]]
    answer, _ = site.call(site.bulk(PAIR, csv(values)))
    assert answer.status == "ok", answer
    assert rows(site, answer.data_set) == [tuple(row) for row in values]


# Types


@pytest.mark.parametrize(
    ("kind", "values", "stored", "unreadable"),
    [
        ("numeric", ["1", "-2.5", "1e3", ".5", "", "0007"], [1.0, -2.5, 1000.0, 0.5, None, 7.0], 0),
        ("Integer", ["123456789012345", "1"], [123456789012345.0, 1.0], 0),
        ("decimal", ["1", "n/a", "0x1F", "1,5", "1 2", "."], [1.0, None, None, None, None, None], 5),
        ("number", ["1234567890123456", "1"], ["1234567890123456", "1"], 0),
        ("number", ["0.1234567890123456", "1"], ["0.1234567890123456", "1"], 0),
        ("number", ["000000000000000012", "1"], [12.0, 1.0], 0),
        ("decimal", ["1", "1-5", "1D5", ".A", "+", "e5", "0x"], [1.0, *[None] * 6], 6),
        ("decimal", ["1", "9" * 40], ["1", "9" * 40], 0),
        ("decimal", ["1", "9" * 65], ["1", "9" * 65], 0),
        ("decimal", ["1", "5" + " " * 70 + "x"], [1.0, None], 1),
        ("numeric", ["A-1", "B-2", ""], ["A-1", "B-2", ""], 0),
        ("numeric", ["", ""], [None, None], 0),
        ("date", ["2024-02-29", "2023-02-29", "29.02.2024"], [dt.date(2024, 2, 29), None, None], 2),
        ("date", ["1581-12-31", "x"], ["1581-12-31", "x"], 0),
        (
            "timestamp",
            ["2026-01-02T03:04:05", "2026-01-02 03:04:05.678", "2026-01-02T03:04:05+02:00", "2026-01-02"],
            [dt.datetime(2026, 1, 2, 3, 4, 5), dt.datetime(2026, 1, 2, 3, 4, 5, 678_000), dt.datetime(2026, 1, 2, 1, 4, 5), None],
            1,
        ),
        ("datetime", ["2026-01-02T03:04:05Z", "2026-13-45T03:04:05Z"], [dt.datetime(2026, 1, 2, 3, 4, 5), None], 1),
        ("VARCHAR(12)", ["007", " x"], ["007", " x"], 0),
    ],
)  # fmt: skip
def test_types_are_applied_where_nothing_is_lost(
    site: Site, kind: str, values: list[str], stored: list[object], unreadable: int
) -> None:
    site.secrets += [one for one in values if len(one) > 5 and one.isascii()]
    answer, _ = site.call(site.bulk(metadata("id", ("v", kind)), csv(["x", one] for one in values)))
    assert (answer.status, answer.unreadable) == ("ok", unreadable), answer
    assert site.table(answer.data_set)["v"] == stored


def test_there_is_room_for_longer_values_where_the_site_wants_it(make_site: MakeSite) -> None:
    site = make_site(lengthslack=50)
    answer, _ = site.call(site.bulk(PAIR, b"1234567890,x\n"))
    assert [column.length for column in read(site.output, answer.data_set).columns] == [15, 2]


# Names


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a b", "a_b"),
        ("1st", "_1st"),
        ("straße", "stra__e"),
        ("it's", "it_s"),
        ('say "hi"', "say__hi_"),
        ("&debug", "_debug"),
        ("%put x", "_put_x"),
        ("a;b", "a_b"),
        ("_n_", "C_n_"),
        ("_cp_text", "C_cp_text"),
        ("x" * 40, "x" * 32),
        ("line\nbreak", "line_break"),
        ("name", "name"),
        ("last", "last"),
        ("note", "note"),
        ("line", "line"),
        ("number", "number"),
        ("format", "format"),
        ("reason", "reason"),
        ("_error_", "C_error_"),
    ],
)
def test_a_name_becomes_legal_and_stays_as_label(site: Site, given: str, name: str) -> None:
    answer, _ = site.call(site.bulk(metadata(given, "other"), b"1,2\n"))
    assert answer.status == "ok", answer
    first = read(site.output, answer.data_set).columns[0]
    assert (first.name, first.label) == (name, given.replace("\n", " "))
    assert rows(site, answer.data_set) == [("1", "2")]


def test_names_that_differ_by_case_alone_are_told_apart(site: Site) -> None:
    long = "a" * 40
    answer, _ = site.call(site.bulk(metadata("x", "X", "x_2", long, long, "x 2"), b"1,2,3,4,5,6\n"))
    assert names(site, answer.data_set) == ["x", "X_2", "x_2_2", "a" * 32, "a" * 30 + "_2", "x_2_3"]
    assert rows(site, answer.data_set) == [("1", "2", "3", "4", "5", "6")]


@pytest.mark.parametrize(
    "task", ["'; endsas; %abort; &x", '"', "x" * 500, "", "Ł", "con", "_null_", "%include 'x';"]
)
def test_no_name_of_a_task_can_do_harm(site: Site, task: str) -> None:
    answer, _ = site.call(site.bulk(PAIR, b"1,2\n", task=task))
    assert answer.status == "ok", answer
    assert site.saved() == [answer.data_set.upper()]
    assert answer.data_set.replace("_", "").isalnum()
    assert answer.data_set.isascii()
    assert len(answer.data_set) <= 32


def test_the_same_occurrence_replaces_its_dataset_and_another_does_not(site: Site) -> None:
    first, _ = site.call(site.bulk(PAIR, b"1,2\n"))
    again, _ = site.call(site.bulk(PAIR, b"3,4\n5,6\n"))
    other, _ = site.call(site.bulk(PAIR, b"7,8\n", occurrence="occurrence-2"))
    assert first.data_set == again.data_set != other.data_set
    assert rows(site, again.data_set) == [("3", "4"), ("5", "6")]
    assert len(site.saved()) == 2


def test_a_site_can_keep_what_is_there(make_site: MakeSite) -> None:
    site = make_site(existing="keep")
    called = [site.call(site.bulk(PAIR, f"{n},x\n".encode()))[0].data_set for n in range(3)]
    assert called[1:] == [f"{called[0][:26]}_2", f"{called[0][:26]}_3"]
    assert [site.table(name)["a"] for name in called] == [["0"], ["1"], ["2"]]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"namepattern": "task"}, "Spring_audience"),
        ({"namepattern": "task timestamp"}, "Spring_audie_261125091500123"),
        ({"namepattern": "timestamp", "nameprefix": "ci_"}, "ci_261125091500123"),
        ({"nameprefix": "ci360_", "namepattern": "task"}, "ci360_Spring_audience"),
    ],
)
def test_the_site_says_what_a_dataset_is_called(
    make_site: MakeSite, settings: dict[str, str], name: str
) -> None:
    site = make_site(**settings)
    now = dt.datetime(2026, 11, 25, 9, 15, 0, 123_000)
    answer, _ = site.call(site.bulk(PAIR, b"1,2\n"), now=now)
    assert answer.data_set == name


# Bad rows


def test_bad_rows_are_refused_and_nothing_is_saved(site: Site) -> None:
    columns, data = (
        (DATA / "metadata_array.json").read_bytes(),
        (DATA / "data_bad_rows.csv").read_bytes(),
    )
    site.secrets += ["id-1", "2020-01-01"]
    is_refused(
        site,
        site.bulk(columns, data),
        "bad_data",
        "Line 2 of the data file has 4 values and the metadata names 8 columns.",
    )


def test_bad_rows_are_set_aside_where_the_site_wants_it(make_site: MakeSite) -> None:
    site = make_site(badrows="reject")
    columns, data = (
        (DATA / "metadata_array.json").read_bytes(),
        (DATA / "data_bad_rows.csv").read_bytes(),
    )
    answer, _ = site.call(site.bulk(columns, data))
    assert (answer.status, answer.rows, answer.rejected, answer.unreadable) == ("ok", 4, 2, 2)
    assert site.table(answer.data_set)["identity_id"] == ["id-1", "id-3", "id-4", "id-6"]
    rejected = site.table(f"{answer.data_set}_rej")
    assert list(rejected) == ["line", "reason"]
    assert rejected["line"] == [2.0, 5.0]
    again, _ = site.call(site.bulk(columns, data.splitlines(keepends=True)[0]))
    assert (again.rows, again.rejected) == (1, 0)
    assert site.saved() == [answer.data_set.upper()], "the rejects of the earlier run are gone"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"1,2\n3\n", "Line 2 of the data file has 1 values and the metadata names 2 columns."),
        (b"1,2\n\n", "Line 2 of the data file has 1 values"),
        (b"1,2,3\n", "Line 1 of the data file has 3 values"),
        (b'1,"2"x\n', "Line 1 of the data file has text behind the closing quote of value 2."),
        (b'1,"2\n3,4\n', "Line 1 of the data file has a quote that is never closed."),
        (b'1,2\n"a\nb",2\n3\n', "Line 4 of the data file has 1 values"),
        (b"1,\xff\n", "Line 1 of the data file has bytes that are not UTF-8."),
        (b"1,2\n3,\xc3\n", "Line 2 of the data file has bytes that are not UTF-8."),
        (b"\x1f\x8b\x08\x00", "The data file is compressed"),
    ],
)
def test_a_bad_row_is_named_by_its_line(site: Site, data: bytes, words: str) -> None:
    is_refused(site, site.bulk(PAIR, data), "bad_data", words)


def test_a_quote_that_never_closes_is_refused_even_where_bad_rows_are_set_aside(
    make_site: MakeSite,
) -> None:
    site = make_site(badrows="reject")
    is_refused(site, site.bulk(PAIR, b'1,2\n3,"4\n'), "bad_data", "a quote that is never closed")


def test_a_row_after_a_bad_one_is_read_from_its_line(make_site: MakeSite) -> None:
    site = make_site(badrows="reject", longestvalue=5)
    data = b'1,"2"x,3\n4,5\n6,123456\n7,8\n9,\xff\n10,11\n'
    answer, _ = site.call(site.bulk(PAIR, data))
    assert rows(site, answer.data_set) == [("4", "5"), ("7", "8"), ("10", "11")]
    assert site.table(f"{answer.data_set}_rej")["line"] == [1.0, 3.0, 5.0]


def test_a_letter_that_the_session_lacks_is_refused_not_replaced(make_site: MakeSite) -> None:
    site = make_site("windows", "wlatin1")
    site.secrets += ["ukasz"]
    is_refused(
        site, site.bulk(PAIR, "1,Łukasz\n".encode()), "bad_data", "in the encoding of this session"
    )


def test_a_bad_row_teaches_nothing_about_the_columns(make_site: MakeSite) -> None:
    site = make_site(badrows="reject")
    data = csv([["1", "12", "x"], ["22", "7"]]) + csv([["wide" * 9, "n/a", "y", "z"]])
    answer, _ = site.call(site.bulk(metadata("a", ("n", "numeric")), data))
    assert (answer.rows, answer.rejected, answer.unreadable) == (1, 2, 0)
    saved = read(site.output, answer.data_set)
    assert [(column.kind, column.length) for column in saved.columns] == [("char", 2), ("num", 8)]


def test_what_is_kept_beside_has_its_own_rejects(make_site: MakeSite) -> None:
    site = make_site(badrows="reject", existing="keep", namepattern="task")
    first, _ = site.call(site.bulk(PAIR, b"1,2\n3\n", task="X"))
    second, _ = site.call(site.bulk(PAIR, b"1,2\n\n3,4\n", task="X", occurrence="o-2"))
    assert (first.data_set, second.data_set) == ("X", "X_2")
    assert site.table("X_rej")["line"] == [2.0]
    assert site.table("X_2_rej")["line"] == [2.0]
    assert site.saved() == ["X", "X_2", "X_2_REJ", "X_REJ"]


def test_a_task_cannot_take_the_name_of_another_ones_rejects(make_site: MakeSite) -> None:
    site = make_site(badrows="reject", namepattern="task")
    site.call(site.bulk(PAIR, b"1,2\n3\n", task="X"))
    answer, _ = site.call(site.bulk(PAIR, b"5,6\n", task="X_rej", occurrence="o-2"))
    assert answer.data_set.upper() != "X_REJ"
    assert site.table("X_rej")["line"] == [2.0]


# Metadata


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The metadata file is empty."),
        (b" \n", "The metadata file is empty."),
        (b"[]", "names no column"),
        (b'{"columnName": "a"}', "is JSON but not an array"),
        (b'[{"columnName": "a"', "cannot be read as JSON"),
        (b'[{"columnName": " "}]', "Column 1 of the metadata has no name."),
        (b"a,,b", "Column 2 of the metadata has no name."),
        (b"a,b\nc,d\n", "is followed by another one"),
        (b'"a', "a quote that is never closed"),
    ],
)
def test_metadata_that_cannot_be_used_is_refused(site: Site, content: bytes, words: str) -> None:
    is_refused(site, site.bulk(content, b"1,2\n"), "bad_data", words)


# Downloads


@pytest.mark.parametrize(
    ("answers", "code", "words", "tries"),
    [
        ([s3_error(403, "AccessDenied", "Request has expired")], "url_expired", "has expired or is not valid", 1),
        ([s3_error(404, "NoSuchKey")], "file_gone", "no longer there", 1),
        ([send(302, b"", Location="https://elsewhere.example.com/")], "download_refused", "HTTP status 302", 1),
        ([send(206, b"1,2\n")], "download_refused", "HTTP status 206", 1),
        ([s3_error(503, "SlowDown")], "download_failed", "is not ready (HTTP status 503)", 3),
        ([short(b"1,2\n")], "download_failed", "could not be downloaded to its end", 3),
    ],
)  # fmt: skip
@pytest.mark.parametrize("which", ["metadata", "data"])
def test_a_download_that_fails_is_told_by_its_kind(
    site: Site, which: str, answers: list[Any], code: str, words: str, tries: int
) -> None:
    payload = site.bulk(PAIR, b"1,2\n")
    site.store.answers[f"occurrence-1-{which}"] = answers[0]
    for fails in (True, False):
        site.store.seen.clear()
        is_refused(site, payload, code, words, short_body_fails=fails)
        asked = [one for one in site.store.seen if one.path.partition("?")[0].endswith(f"-{which}")]
        assert len(asked) == tries


def test_a_store_that_is_not_ready_is_asked_again(site: Site) -> None:
    payload = site.bulk(PAIR, b"1,2\n")
    waiting = iter([s3_error(503, "SlowDown"), s3_error(500, "InternalError"), send(200, b"1,2\n")])
    site.store.answers["occurrence-1-data"] = lambda handler: next(waiting)(handler)
    answer, run = site.call(payload)
    assert (answer.status, answer.rows) == ("ok", 1)
    assert run.sleeps == [2.0, 4.0]


def test_a_status_of_an_earlier_call_is_not_taken_for_an_answer(site: Site) -> None:
    """The first file is there, then the store is gone: the macro variable still says 200."""
    payload = site.bulk(PAIR, b"1,2\n")

    def cut(handler: Any) -> None:
        handler.close_connection = True
        handler.connection.close()

    site.store.answers["occurrence-1-data"] = cut
    is_refused(
        site, payload, "download_failed", "The data file could not be downloaded to its end."
    )


def test_the_store_gets_the_url_that_was_signed(site: Site) -> None:
    payload = site.bulk(PAIR, b"1,2\n")
    odd = "/exports/data%20x?a=1&debug=0&X-Amz-Signature=%2F%C3%A9+*!()'&%put=;&cp_code=$"
    site.store.answers["data%20x"] = send(200, b"1,2\n")
    payload["presignedUrls"]["dataFile"] = f"https://{HOST}{odd}"
    answer, _ = site.call(payload)
    assert answer.status == "ok", answer
    assert site.store.seen[-1].path == odd
    assert "Authorization" not in site.store.seen[-1].headers


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("", "url_missing", "The URL of the data file is empty."),
        (f"http://{HOST}/x", "url_not_allowed", "does not begin with a scheme of urlschemes"),
        ("ftp://x/", "url_not_allowed", "does not begin with a scheme"),
        ("file:///etc/passwd", "url_not_allowed", "does not begin with a scheme"),
        ("https://evil.example.com/x", "url_not_allowed", "leads to a host that is not in urlhosts"),
        ("https://evilamazonaws.com/x", "url_not_allowed", "host that is not in urlhosts"),
        ("https://amazonaws.com.evil.example/x", "url_not_allowed", "host that is not in urlhosts"),
        (f"https://user@{HOST}/x", "url_not_allowed", "holds a user name"),
        (f"https://{HOST}:x/", "url_not_allowed", "has no readable port"),
        (f"https://{HOST}:/", "url_not_allowed", "has no readable port"),
        ("https:///x", "url_not_allowed", "has no readable host"),
        ("https://[::1]/x", "url_not_allowed", "has no readable host"),
        (f'https://{HOST}/x" out=y', "url_not_allowed", "holds a character that no URL may have"),
        (f"https://{HOST}/x;run", None, ""),
        (f"https://{HOST}/ü", "url_not_allowed", "holds a character that no URL may have"),
        (f"https://{HOST}/a b", "url_not_allowed", "holds a character that no URL may have"),
        (f"https://{HOST}/" + "x" * 8000, "url_not_allowed", "is longer than 8000 characters"),
        (f"https://{HOST}/" + "x" * 20_000, "url_not_allowed", "is longer than 8000 characters"),
        (f"https://{HOST}/{'x' * 7900}", None, ""),
    ],
)  # fmt: skip
def test_a_url_is_checked_before_it_is_used(
    site: Site, url: str, code: str | None, words: str
) -> None:
    payload = site.bulk(PAIR, b"1,2\n")
    payload["presignedUrls"]["dataFile"] = url
    if code is None:
        name = url.rpartition("/")[2]
        site.store.answers[name] = send(200, b"1,2\n")
        assert site.call(payload)[0].status == "ok"
    else:
        is_refused(site, payload, code, words)
        assert site.store.seen == []


def test_hosts_and_schemes_are_those_of_the_site(make_site: MakeSite) -> None:
    site = make_site(urlhosts=f"other.example.com {HOST}", urlschemes="http https")
    assert site.call(site.bulk(PAIR, b"1,2\n"))[0].status == "ok"
    site.configure(urlhosts=f"not-{HOST}")
    payload = site.bulk(PAIR, b"1,2\n", occurrence="o-2")
    assert site.call(payload)[0].code == "url_not_allowed"


TOKEN = "0123456789abcdef" * 2 + "." + "q-_Z" * 10 + "abc"


@pytest.fixture
def inside(make_site: MakeSite) -> Site:
    """A site whose files a service of the house keeps: the store answers as ``proxyhost``."""
    site = make_site(urlhosts="proxyhost", urlschemes="http")
    site.hosts = ("proxyhost",)
    site.secrets += [TOKEN, "proxyhost"]
    return site


def kept(site: Site, data: bytes = b"1,2\n") -> dict[str, Any]:
    """A payload with the URLs of that service, without a query."""
    site.store.answers |= {"metadata": send(200, PAIR), "data": send(200, data)}
    start = f"http://proxyhost:8100/files/{TOKEN}"
    urls = {"metadataFile": f"{start}/metadata", "dataFile": f"{start}/data"}
    return {**site.bulk(b"", b""), "presignedUrls": urls}


def test_a_host_inside_the_house_is_a_matter_of_two_settings(inside: Site) -> None:
    answer, _ = inside.call(kept(inside))
    assert (answer.status, answer.rows) == ("ok", 1), answer
    assert [one.path for one in inside.store.seen] == [
        f"/files/{TOKEN}/metadata",
        f"/files/{TOKEN}/data",
    ]


def test_the_urls_that_the_service_hands_over_are_taken(
    inside: Site, tmp_path: Path, settings: Settings
) -> None:
    delivery_id = uuid.uuid4().hex
    (tmp_path / delivery_id).mkdir()
    own = replace(settings, stageas="url", publicurl="http://proxyhost:8100")
    answer, _ = inside.call(Staging(tmp_path).handed_over(delivery_id, kept(inside), own))
    assert (answer.status, answer.rows) == ("ok", 1), answer
    asked = inside.store.seen[-1].path
    assert asked.startswith(f"/files/{delivery_id}.")
    assert asked.endswith("/data")


def test_a_host_inside_the_house_refuses_as_a_store_does(inside: Site) -> None:
    payload = kept(inside)
    inside.store.answers["data"] = send(404, b"")
    is_refused(inside, payload, "file_gone", "The data file is no longer there")
    inside.store.answers["data"] = send(503, b"")
    is_refused(inside, payload, "download_failed", "is not ready")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"urlhosts": ".amazonaws.com"}, "leads to a host that is not in urlhosts"),
        ({"urlhosts": "proxyhost:8100"}, "leads to a host that is not in urlhosts"),
        ({"urlschemes": "https"}, "does not begin with a scheme of urlschemes"),
    ],
)
def test_neither_setting_alone_leads_to_a_host_inside_the_house(
    inside: Site, settings: dict[str, str], words: str
) -> None:
    inside.configure(**settings)
    is_refused(inside, kept(inside), "url_not_allowed", words)
    assert inside.store.seen == []


# The stream


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "without the stream instream"),
        (b"<Table><InData>", ""),
        (b"not xml", ""),
        (b"<Table/>", "exactly one InData row"),
        (
            b"<Table><InData><occurrenceId>1</occurrenceId></InData><InData/></Table>",
            "exactly one InData row",
        ),
        (b"<Table><InData><guid>1</guid></InData></Table>", "that is for stpAppendRow"),
    ],
)
def test_a_stream_that_is_none_is_told(site: Site, document: bytes | None, words: str) -> None:
    answer, _ = site.run(document)
    assert (answer.status, answer.code) == ("error", "bad_stream")
    assert words in answer.message


def test_the_stream_may_be_one_line_or_many(site: Site) -> None:
    document = encode(site.bulk(PAIR, b"1,2\n"), "Download File").document
    assert b"\n" not in document
    for form in (document, document.replace(b"><", b">\r\n  <")):
        assert site.run(form)[0].status == "ok"


def test_the_map_of_the_site_is_not_touched(site: Site) -> None:
    before = {path: path.read_bytes() for path in (site.home / "conf").iterdir()}
    site.call(site.bulk(PAIR, b"1,2\n"))
    assert {path: path.read_bytes() for path in (site.home / "conf").iterdir()} == before


# The installation


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gettries": "0"}, "gettries is not a whole number from 1 to 20"),
        ({"gettries": "many"}, "gettries is not a whole number"),
        ({"longestvalue": "40000"}, "longestvalue is not a whole number from 1 to 32767"),
        ({"badrows": "ignore"}, "badrows in conf/config.sas is empty or none of: refuse reject"),
        ({"existing": ""}, "existing in conf/config.sas is empty"),
        ({"namepattern": "task task"}, "namepattern has a part twice"),
        ({"nameprefix": "1x"}, "nameprefix is not the beginning of a SAS name"),
        (
            {"liblocation": "&cp_root/nowhere"},
            "The folder of the setting liblocation does not exist.",
        ),
        ({"outputlibref": "nolib"}, "The output library cannot be assigned or is not there."),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_before_anything_is_downloaded(
    make_site: MakeSite, settings: dict[str, str], words: str
) -> None:
    site = make_site(**settings)
    is_refused(site, site.bulk(PAIR, b"1,2\n"), "settings", words)
    assert site.store.seen == []


def test_a_setting_that_is_missing_is_told(site: Site) -> None:
    path = site.home / "conf" / "config.sas"
    path.write_text(path.read_text().replace("%let badrows = refuse;", ""))
    is_refused(site, site.bulk(PAIR, b"1,2\n"), "settings", "The setting badrows is missing")


@pytest.mark.parametrize("file", ["conf/inpxmlmap.map", "conf/jsonmap.map"])
def test_a_file_that_is_missing_is_told(site: Site, file: str) -> None:
    (site.home / file).unlink()
    is_refused(site, site.bulk(PAIR, b"1,2\n"), "settings", f"There is no {file} below cp_root.")


@pytest.mark.parametrize("file", ["code/cpCommon.sas", "conf/config.sas"])
def test_without_its_own_code_it_still_answers(site: Site, file: str) -> None:
    (site.home / file).unlink()
    document = encode(site.bulk(PAIR, b"1,2\n"), "Download File").document
    run = site.session().run(site.home / "code" / "stpDownloadFile.sas", document)
    assert b"<status>error</status><code>settings</code>" in run.webout.replace(b"\n", b"")


def test_a_library_of_the_site_takes_the_dataset(make_site: MakeSite, tmp_path: Path) -> None:
    for counts in (True, False):
        site = make_site(encoding="utf-8" if counts else "wlatin1", outputlibref="crm")
        elsewhere = tmp_path / f"crm-{counts}"
        elsewhere.mkdir()
        for data in (b"1,2\n", b"3,4\n"):
            answer, _ = site.call(site.bulk(PAIR, data), librefs={"crm": (elsewhere, counts)})
            assert answer.status == "ok", answer
        assert read(elsewhere, answer.data_set).values("a") == ["3"]
        assert site.saved() == []


def test_an_spd_library_and_a_database_of_the_configuration(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site(libengine="spde")
    assert site.call(site.bulk(PAIR, b"1,2\n"))[0].status == "ok"
    site = make_site(
        encoding="wlatin1", libengine="oracle", liblocation="", liboptions='path="crm"'
    )
    tables = tmp_path / "oracle"
    tables.mkdir()
    for _ in range(2):
        answer, _ = site.call(site.bulk(PAIR, b"1,2\n"), engines={"oracle": tables})
        assert answer.status == "ok", answer
    assert read(tables, answer.data_set).values("b") == ["2"]


# Logs


def test_the_log_of_a_call_can_go_to_a_file(make_site: MakeSite) -> None:
    for failing in (False, True):
        site = make_site("windows" if failing else "unix", saslogredirect=1, debug=1)
        logs = site.home / "logs"
        for name in (
            "stpDownloadFile_20260101_120000000_1.log",
            "other_20260101_120000000_1.log",
            "notes.txt",
        ):
            (logs / name).write_text("old")
        fresh = logs / f"stpDownloadFile_{dt.datetime.now():%Y%m%d}_120000000_1.log"
        fresh.write_text("fresh")
        payload = site.bulk(PAIR, b"1\n" if failing else b"1,2\n")
        answer, _ = site.call(payload)
        assert (answer.status == "error") is failing
        written = [path for path in logs.iterdir() if path.read_text() not in ("old", "fresh")]
        assert len(written) == 1
        assert fresh.exists()
        assert sorted(path.name for path in logs.iterdir() if path.read_text() == "old") == [
            "notes.txt",
            "other_20260101_120000000_1.log",
        ]
        text = written[0].read_text()
        assert "cp_download done" in text
        assert "X-Amz" not in text
        assert ("ERROR: connector-proxy: bad_data" in text) is failing


def test_options_that_show_everything_show_no_secret(site: Site) -> None:
    loud = {"mprint": True, "symbolgen": True, "mlogic": True, "source2": True}
    site.secrets += ["Geheim"]
    answer, run = site.call(site.bulk(PAIR, b"1,Geheim\n"), options=loud)
    assert answer.status == "ok"
    assert run.options == {}


def test_a_server_that_stops_after_an_error_still_gets_its_answer(site: Site) -> None:
    payload = site.bulk(PAIR, b"1,2\n")
    payload["presignedUrls"]["dataFile"] = site.url("nowhere")
    answer, _ = site.call(payload, options={"syntaxcheck": True})
    assert answer.code == "file_gone"


# Several at once, and a sudden end


def test_two_at_once_do_not_mix(site: Site) -> None:
    def one(number: int) -> tuple[str, list[tuple[object, ...]]]:
        data = csv([[str(number), str(row)] for row in range(200)])
        answer, _ = site.call(site.bulk(PAIR, data, occurrence=f"o-{number}"))
        assert answer.status == "ok", answer
        return answer.data_set, rows(site, answer.data_set)

    with ThreadPoolExecutor(4) as pool:
        for number, (_, found) in enumerate(pool.map(one, range(8))):
            assert found == [(str(number), str(row)) for row in range(200)]
    assert len(site.saved()) == 8


@pytest.mark.parametrize("existing", ["replace", "keep"])
def test_the_same_occurrence_at_once_gives_whole_datasets(
    make_site: MakeSite, existing: str
) -> None:
    site = make_site(existing=existing)
    site.contended = True
    payload = site.bulk(PAIR, csv([["x", str(row)] for row in range(200)]))
    together = threading.Barrier(4)

    def one(_: int) -> str:
        together.wait(10)
        answer, _run = site.call(payload)
        assert answer.status == "ok" or answer.code == "save_failed", answer
        return answer.data_set

    with ThreadPoolExecutor(4) as pool:
        called = {name for name in pool.map(one, range(4)) if name}
    assert called
    assert {name.upper() for name in called} == set(site.saved())
    for name in called:
        assert len(rows(site, name)) == 200


def test_a_killed_session_leaves_no_half_dataset_and_no_lock(site: Site) -> None:
    before, _ = site.call(site.bulk(PAIR, b"1,2\n"))
    points: list[str] = []

    def note(point: str) -> None:
        points.append(point)

    site.call(site.bulk(PAIR, b"3,4\n", occurrence="o-2"), kill=note)
    assert points, "nothing to be killed at"
    for number in range(len(points)):
        passed = iter(range(number))

        def kill(point: str, passed: Iterator[int] = passed) -> None:
            if next(passed, None) is None:
                raise Killed(point)

        document = encode(site.bulk(PAIR, b"5,6\n7,8\n"), "Download File").document
        with pytest.raises(Killed):
            site.session(kill=kill).run(site.home / "code" / "stpDownloadFile.sas", document)
        assert rows(site, before.data_set) in ([("1", "2")], [("5", "6"), ("7", "8")])
        again, _ = site.call(site.bulk(PAIR, b"1,2\n"))
        assert again.status == "ok", again
        assert rows(site, before.data_set) == [("1", "2")]
