"""Data files become datasets in every form, and independent readers find the same values."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pandas as pd
import psycopg
import pyarrow.parquet
import pyreadstat
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from connector_proxy.dataset import Column, Kind, duck, fitting, read_metadata
from connector_proxy.dataset.fitting import Limits
from connector_proxy.dataset.outputs import Wanted
from connector_proxy.errors import Refused, Unavailable
from tests.conftest import PAYLOADS, ROOT
from tests.datasets import Maker, as_csv, columns
from tests.filestore import zipped
from tests.postgres import Postgres

TYPED = ["parquet", "duckdb", "xpt", "table"]
FORMS = ["csv", *TYPED]


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[str]:
    address = postgres.fresh_database()
    yield address
    postgres.drop(address)


@pytest.fixture
def maker(tmp_path: Path, queueurl: str) -> Maker:
    return Maker(tmp_path, queueurl)


def made(maker: Maker, form: str, data: bytes, *kinds: str, **more: Any) -> list[tuple[Any, ...]]:
    return maker.rows(maker.make(data, columns(*kinds), form, **more), form)


D, T = dt.date, dt.datetime


@pytest.mark.parametrize("form", TYPED)
@pytest.mark.parametrize(
    ("kind", "texts", "values"),
    [
        ("character", ["007", "1e5", " a ", "NULL", "\\N", "\\."], ["007", "1e5", " a ", "NULL", "\\N", "\\."]),
        ("character", ["12345678901234567890", ""], ["12345678901234567890", None]),
        ("numeric", ["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        ("integer", ["1", "-2", "007", ""], [1.0, -2.0, 7.0, None]),
        ("decimal", ["0.1", "1e5", "+.5", "123456789012345", "0.10000000000000000000"], [0.1, 1e5, 0.5, 123456789012345.0, 0.1]),
        ("number", ["x", "y"], ["x", "y"]),
        ("date", ["1959-12-31", "1960-01-01", "2024-02-29", "1900-03-01", "9999-12-31", " 2024-01-01 ", "  "],
         [D(1959, 12, 31), D(1960, 1, 1), D(2024, 2, 29), D(1900, 3, 1), D(9999, 12, 31), D(2024, 1, 1), None]),
        ("timestamp", ["1959-12-31T23:59:59", "2026-11-21T08:00:00Z", "2026-01-02 03:04:05.25", "2026-01-02T03:04:05-05:30"],
         [T(1959, 12, 31, 23, 59, 59), T(2026, 11, 21, 8), T(2026, 1, 2, 3, 4, 5, 250000), T(2026, 1, 2, 8, 34, 5)]),
        ("geometry", ["1", "2"], ["1", "2"]),
        ("character", ['say "x"', "a,b", "two\nlines", "two\r\nlines", "Łukasz", "x" * 20000], None),
        ("date", ["2023-02-29", "1.2.2024"], ["2023-02-29", "1.2.2024"]),
        ("numeric", ["", ""], [None, None]),
    ],
)  # fmt: skip
def test_values_arrive_with_their_types(
    form: str, kind: str, texts: list[str], values: list[Any] | None, maker: Maker
) -> None:
    data = as_csv([[text, "end"] for text in texts])
    found = [row[0] for row in made(maker, form, data, kind, "character")]
    expected = texts if values is None else values
    if form == "xpt":  # texts of SAS end with their last character that is no blank
        expected = [one.rstrip(" ") if isinstance(one, str) else one for one in expected]
    assert found == expected


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"1,2\r\n3,4\r\n", [("1", "2"), ("3", "4")]),
        (b"1,2\r\n", [("1", "2")]),
        (b"\xef\xbb\xbf1,2\n3,4", [("1", "2"), ("3", "4")]),
        (zipped(b'"a\nb",2\n'), [("a\nb", "2")]),
        (b'"",x\n,y\n', [(None, "x"), (None, "y")]),
        (b'"a\r\nb","c\rd"\r\n', [("a\r\nb", "c\rd")]),
        (b"", []),
        (b"x,\n,\n", [("x", None), (None, None)]),
        (b"x,1\ry,2\r", [("x", "1"), ("y", "2")]),
        (b'a"b,c\n', [('a"b', "c")]),
    ],
)
def test_files_of_every_legal_form_give_the_same_rows(
    form: str, data: bytes, rows: list[Any], maker: Maker
) -> None:
    assert made(maker, form, data, "character", "character") == rows


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_line_of_a_single_column_is_a_missing_value(form: str, maker: Maker) -> None:
    assert made(maker, form, b"1\n\n3\n", "character") == [("1",), (None,), ("3",)]


@pytest.mark.parametrize("form", FORMS)
def test_five_hundred_columns_are_no_matter(form: str, maker: Maker) -> None:
    kinds = ["numeric", "date", "character", "timestamp"] * 125
    row = ["1.5", "2024-02-29", "x", "2026-01-01T00:00:00Z"] * 125
    (found,) = made(maker, form, as_csv([row]), *kinds)
    typed = (1.5, D(2024, 2, 29), "x", T(2026, 1, 1)) * 125
    assert found[-500:] == (tuple(row) if form == "csv" else typed)


@pytest.mark.parametrize("form", ["csv", "parquet", "duckdb"])
def test_a_nul_byte_is_kept_where_a_form_has_room_for_it(form: str, maker: Maker) -> None:
    assert made(maker, form, b"a\0b,1\n", "character", "numeric")[0][0] == "a\0b"


@pytest.mark.parametrize("form", ["xpt", "table"])
def test_a_nul_byte_does_not_fit_where_texts_have_none(form: str, maker: Maker) -> None:
    with pytest.raises(Refused, match=r"Line 1 .* column 'c0' that holds a NUL byte"):
        made(maker, form, b"a\0b,1\n", "character", "numeric")


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_values_of_a_million_characters_are_taken(form: str, maker: Maker) -> None:
    value = "ä" * 1_000_000
    assert (
        made(maker, form, as_csv([[value, "1"], ["x", "2"]]), "character", "numeric")[0][0] == value
    )


def test_xpt_refuses_a_value_that_sas_cannot_hold(maker: Maker) -> None:
    with pytest.raises(Refused, match="column 'c0' that has more than 32767 bytes"):
        made(maker, "xpt", as_csv([["x" * 32768, "1"]]), "character", "numeric")
    with pytest.raises(Refused, match="column 'c0' that is not a date"):
        made(maker, "xpt", b"1581-12-31\n2000-01-01\n", "date")
    with pytest.raises(Refused, match="column 'c0' that is not a number"):
        made(maker, "xpt", b"1e77\n1\n", "number")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"1,2024-01-01\n2\n", "Line 2 of the data file has 1 values, the metadata names 2 columns."),
        (b"1,2024-01-01\nsecret,2024-01-01\n", "Line 2 of the data file has a value in column 'c0' that is not a number."),
        (b'"1\n",2024-01-01\n2,2024-01-01\n3,2023-02-29\n', "Line 1 of the data file has a value in column 'c0' that is not a number."),
        (b"1,2024-01-01\n3,2023-02-29\n", "Line 2 of the data file has a value in column 'c1' that is not a date."),
        (b"1,2024-01-01\n\n", "Line 2 of the data file has 0 values, the metadata names 2 columns."),
        (b'1,"2024-01-01"x\n', "Line 1 of the data file has text behind a closing quote."),
        (b"1,2024-01-01\n\xff,2024-01-01\n", "Line 2 of the data file is not UTF-8."),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_refuses_the_file_by_line_and_column(
    data: bytes, words: str, maker: Maker
) -> None:
    with pytest.raises(Refused) as caught:
        maker.make(data, columns("numeric", "date"), *TYPED)
    assert str(caught.value) == words
    assert caught.value.__cause__ is None and "secret" not in caught.value.advice
    assert [name for name in maker.left() if "duckdb" not in name] == []


BAD = b'1,2024-01-01\n2\n"x\ny",2024-01-01\n3,2023-02-29\n4,"2"x\n\xff,\n5,2024-01-05\n'


@pytest.mark.parametrize("form", TYPED)
def test_rejected_rows_lie_verbatim_beside_the_dataset(form: str, maker: Maker) -> None:
    one = maker.make(BAD, columns("numeric", "date"), form, on_bad_row="reject")
    assert maker.rows(one, form) == [(1.0, D(2024, 1, 1)), (5.0, D(2024, 1, 5))]
    assert (one.rows, one.rejected, one.manifest["rejectedRows"]) == (2, 5, 5)
    path = maker.folder / f"{one.name}_rejects.csv"
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        header, *rejected = csv.reader(file)
    assert header == ["line", "reason", "row"]
    assert [(line, row) for line, _, row in rejected] == [
        ("2", "2"), ("3", '"x\ny",2024-01-01'), ("5", "3,2023-02-29"), ("6", '4,"2"x'), ("7", "\udcff,"),
    ]  # fmt: skip
    assert rejected[1][1] == "The row has a value in column 'c0' that is not a number."


def test_as_csv_each_value_is_the_text_that_came_and_only_rows_are_judged(maker: Maker) -> None:
    one = maker.make(BAD, columns("numeric", "date"), "csv", on_bad_row="reject")
    assert [row[0] for row in maker.rows(one, "csv")] == ["1", "x\ny", "3", "5"]
    assert one.rejected == 3


def test_a_file_of_which_no_row_fits_is_refused_even_if_rows_may_be_rejected(maker: Maker) -> None:
    with pytest.raises(Refused, match="Not one row"):
        maker.make(b"1\n2\n", columns("numeric", "date"), on_bad_row="reject")
    assert maker.left() == []


@pytest.mark.parametrize("name", ["data_hard.csv", "data_bad_rows.csv"])
def test_the_shared_files_arrive_value_by_value_in_every_form(name: str, maker: Maker) -> None:
    head = read_metadata((PAYLOADS / "metadata_array.json").read_bytes())
    data = (PAYLOADS / name).read_bytes()
    one = maker.make(data, head, *FORMS, on_bad_row="reject")
    texts = maker.rows(one, "csv")
    assert len(texts) == {"data_hard.csv": 3, "data_bad_rows.csv": 2}[name]
    expected = [
        tuple(value_of(text, column.kind) for text, column in zip(row, head, strict=True))
        for row in texts
    ]
    for form in TYPED:
        rows = maker.rows(one, form)
        assert [row[-len(head) :] for row in rows] == expected or form == "table", form


def value_of(text: str | None, kind: Kind) -> Any:
    word = (text or "").strip(" ")
    if kind is Kind.CHARACTER:
        return text
    if not word:
        return None
    if kind is Kind.NUMBER:
        return float(word)
    if kind is Kind.DATE:
        return D.fromisoformat(word)
    found = T.fromisoformat(word)
    return found.astimezone(dt.UTC).replace(tzinfo=None) if found.tzinfo else found


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
OF_KIND = {
    "character": TEXTS | st.sampled_from(["", "007", 'a "b"', "a,b", "x\ny", "x\r\ny", "\r", "\ufeff"]),
    "numeric": st.decimals(-(10**9), 10**9, places=3).map(str) | st.sampled_from(["", "1e5", "-0", "+.5", " 7 "]),
    "date": st.dates(D(1582, 1, 1)).map(str) | st.just(""),
    "timestamp": st.datetimes(T(1583, 1, 1), T(9998, 1, 1)).map(lambda one: one.isoformat(timespec="milliseconds")) | st.sampled_from(["", "2026-01-02T03:04:05+05:30"]),
}  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    kinds = draw(st.lists(st.sampled_from(list(OF_KIND)), min_size=1, max_size=4))
    row = st.tuples(*(OF_KIND[kind] for kind in kinds)).map(list)
    return kinds, draw(st.lists(row, max_size=6))


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory, database: str) -> Maker:
    return Maker(tmp_path_factory.mktemp("any"), database)


@pytest.mark.parametrize("form", FORMS)
@tried(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=tables(), end=st.sampled_from(["\n", "\r\n"]))
def test_any_table_is_read_back_equal(
    form: str, keeper: Maker, table: tuple[list[str], list[list[str]]], end: str
) -> None:
    kinds, rows = table
    head = [Column(f"{kind}{place}", kind) for place, kind in enumerate(kinds)]
    mark = "\ufeff".encode()  # the first character of a file would be taken for one
    one = keeper.make(mark + as_csv(rows, end), head, form, task="T")
    found = keeper.rows(one, form)
    if form == "csv":
        assert found == [tuple(text or None for text in row) for row in rows]
        return
    expected = [
        tuple(value_of(text or None, one.kind) for text, one in zip(row, head, strict=True))
        for row in rows
    ]
    if form in ("duckdb", "table"):  # whose table has the columns of earlier ones, too
        compare_in_table(keeper, form, one.manifest["occurrence"], head, expected)
        return
    if form == "xpt":
        expected = [tuple(shortened(value) for value in row) for row in expected]
    assert found == expected


def shortened(value: Any) -> Any:
    """A text as SAS keeps it."""
    return value.rstrip(" ") or None if isinstance(value, str) else value


def compare_in_table(
    keeper: Maker, form: str, occurrence: str, head: list[Column], expected: list[Any]
) -> None:

    names = ", ".join(f'"{column.name}"' for column in head)
    if form == "duckdb":
        with duckdb.connect(str(keeper.folder / "datasets.duckdb"), read_only=True) as store:
            found = store.execute(
                f"SELECT {names} FROM t WHERE cp_occurrence = ?", [occurrence]
            ).fetchall()
    else:
        with psycopg.connect(keeper.table) as server:
            found = server.execute(
                f"SELECT {names} FROM t WHERE cp_occurrence = %s", (occurrence,)
            ).fetchall()
    assert found == expected


def test_the_manifest_tells_all_but_urls(maker: Maker) -> None:
    data = b"1,20240101,x\n"
    head = [Column("amount", "numeric"), Column("Amount", "date"), Column("full name", "json")]
    one = maker.make(data, head, "parquet", "csv", occurrence="o-1", task="Spring audience")
    manifest = json.loads((maker.folder / "Spring_audience_o-1.json").read_text(encoding="utf-8"))
    assert manifest == one.manifest
    assert (manifest["task"], manifest["occurrence"], manifest["responseTrackingCode"]) == (
        "Spring audience",
        "o-1",
        "tracked",
    )
    assert manifest["columns"] == [
        {"name": "amount", "type": "number", "dataType": "numeric"},
        {"name": "Amount", "type": "character", "dataType": "date", "note": "no value is of its type"},
        {"name": "full name", "type": "character", "dataType": "json", "note": "its type is not known"},
    ]  # fmt: skip
    for file in manifest["files"]:
        written = (maker.folder / file["name"]).read_bytes()

        assert (file["bytes"], file["sha256"]) == (
            len(written),
            hashlib.sha256(written).hexdigest(),
        )
    assert maker.left() == [f"Spring_audience_o-1.{end}" for end in ("csv", "json", "parquet")]


def test_names_differ_without_regard_to_case_and_the_originals_are_labels(maker: Maker) -> None:
    head = [Column("amount"), Column("Amount"), Column("über 'x'"), Column("a" * 40)]
    one = maker.make(b"1,2,3,4\n", head, "parquet", "xpt", "csv")
    parquet = pyarrow.parquet.read_schema(maker.folder / f"{one.name}.parquet")
    assert parquet.names == ["amount", "Amount_2", "über 'x'", "a" * 40]
    assert json.loads(parquet.metadata[b"labels"])["Amount_2"] == "Amount"
    _, facts = pyreadstat.read_xport(str(maker.folder / f"{one.name}.xpt"))
    assert facts.column_names == ["amount", "Amount_2", "C_ber__x_", "a" * 32]
    assert facts.column_labels == [column.name for column in head]
    header = (maker.folder / f"{one.name}.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == f"amount,Amount,über 'x',{'a' * 40}"


def test_xpt_is_byte_for_byte_what_readstat_writes(maker: Maker, tmp_path: Path) -> None:

    head = [
        Column("id"),
        Column("n", "number"),
        Column("d", "date"),
        Column("t", "timestamp"),
        Column("L" * 60),
    ]
    data = "007,1.5,2024-02-29,2026-01-01T01:02:03Z,x\né,,,,\nz,-123456.789,1959-01-01,1900-01-01T00:00:00Z,y\nq,1e-9,,,\nq,0,,,\n"
    one = maker.make(data.encode(), head, "xpt", task="MYTABLE")
    days = [D(2024, 2, 29), None, D(1959, 1, 1), None, None]
    times = [T(2026, 1, 1, 1, 2, 3), None, T(1900, 1, 1), None, None]
    frame = pd.DataFrame(
        {
            "id": ["007", "é", "z", "q", "q"],
            "n": [1.5, None, -123456.789, 1e-9, 0.0],
            "d": days,
            "t": times,
            "L" * 32: ["x", "", "y", "", ""],
        }
    )
    other = tmp_path / "other.xpt"
    pyreadstat.write_xport(
        frame, str(other), file_format_version=8, table_name="MYTABLE", column_labels=[column.name for column in head],
        variable_format={"d": "E8601DA10", "t": "E8601DT26.3"},
    )  # fmt: skip
    assert without_times((maker.folder / one.main).read_bytes()) == without_times(
        other.read_bytes()
    )


def without_times(raw: bytes) -> list[bytes]:
    """Records of 80 bytes but those that tell when the file was written."""
    records = [raw[start : start + 80] for start in range(0, len(raw), 80)]
    return [
        one[:64] if place in (1, 5) else one
        for place, one in enumerate(records)
        if place not in (2, 6)
    ]


def test_the_same_occurrence_again_replaces_its_dataset_whatever_form_it_had(maker: Maker) -> None:
    head = columns("numeric", "date")
    maker.make(BAD, head, "csv", "parquet", occurrence="o", on_bad_row="reject")
    assert maker.left() == ["T_o.csv", "T_o.json", "T_o.parquet", "T_o_rejects.csv"]
    again = maker.make(b"9,\n", head, "parquet", occurrence="o")
    assert maker.left() == ["T_o.json", "T_o.parquet"]
    assert maker.rows(again, "parquet") == [(9.0, None)]


def test_versions_lie_beside_each_other(maker: Maker) -> None:
    names = [
        maker.make(b"1\n", columns("numeric"), occurrence="o", on_existing="version").name
        for _ in range(3)
    ]
    assert names == ["T_o", "T_o_2", "T_o_3"]
    assert len(maker.left()) == 6


def test_a_delivery_has_one_version_however_often_it_is_tried(maker: Maker) -> None:
    """An attempt may be cut off behind its dataset, before anybody has written down that it is."""
    head = columns("numeric")
    names = [
        maker.make(data, head, "parquet", occurrence="o", delivery=own, on_existing="version").name
        for own, data in (("a", b"1\n"), ("b", b"2\n"), ("a", b"3\n"), ("b", b"4\n"))
    ]
    assert names == ["T_o", "T_o_2", "T_o", "T_o_2"]
    assert maker.left() == ["T_o.json", "T_o.parquet", "T_o_2.json", "T_o_2.parquet"]
    for form in ("duckdb", "table"):
        for own, value in (("a", b"1\n"), ("b", b"2\n"), ("a", b"3\n")):
            maker.make(
                value, head, form, occurrence="o", task=form, delivery=own, on_existing="version"
            )
        assert all_rows(maker, form, form if form == "duckdb" else '"table"') == [
            ("o", 2, "b", 2.0),
            ("o", 3, "a", 3.0),
        ]


def test_rows_of_tables_are_replaced_or_kept_as_versions(maker: Maker) -> None:
    for form in ("duckdb", "table"):
        task = f"again {form}"
        for value in (b"1\n", b"2\n"):
            maker.make(value, columns("numeric"), form, occurrence="o", task=task)
        maker.make(b"3\n", columns("numeric"), form, occurrence="other", task=task)
        maker.make(
            b"4\n", columns("numeric"), form, occurrence="o", task=task, on_existing="version"
        )
        assert all_rows(maker, form, f"again_{form}") == [
            ("o", 1, "", 2.0),
            ("other", 1, "", 3.0),
            ("o", 2, "", 4.0),
        ]


def all_rows(maker: Maker, form: str, table: str) -> list[Any]:

    if form == "duckdb":
        with duckdb.connect(str(maker.folder / "datasets.duckdb"), read_only=True) as store:
            return store.execute(f"FROM {table}").fetchall()
    with psycopg.connect(maker.table) as server:
        return server.execute(f"SELECT * FROM {table}").fetchall()


@pytest.mark.parametrize("form", ["duckdb", "table"])
def test_a_table_gains_columns_and_a_column_of_texts_takes_every_value(
    form: str, maker: Maker
) -> None:
    task, table = f"grows {form}", f"grows_{form}"
    maker.make(b"x\n", [Column("a")], form, occurrence="1", task=task)
    maker.make(
        b"1.50,2\n",
        [Column("A", "numeric"), Column("b", "numeric")],
        form,
        occurrence="2",
        task=task,
    )
    assert all_rows(maker, form, table) == [("1", 1, "", "x", None), ("2", 1, "", "1.50", 2.0)]


@pytest.mark.parametrize("form", ["duckdb", "table"])
def test_texts_do_not_go_into_a_column_of_numbers(form: str, maker: Maker) -> None:
    task = f"narrow {form}"
    maker.make(b"1\n", [Column("a", "numeric")], form, occurrence="1", task=task)
    with pytest.raises(Refused, match="column 'a' is number, now it is character"):
        maker.make(
            b"12345678901234567890\n", [Column("a", "numeric")], form, occurrence="2", task=task
        )
    assert all_rows(maker, form, f"narrow_{form}") == [("1", 1, "", 1.0)], "the table is as it was"


def test_a_table_of_somebody_else_is_left_alone(maker: Maker) -> None:

    with psycopg.connect(maker.table) as server:
        server.execute("CREATE TABLE customers (a text)")
    with pytest.raises(Refused, match="none of connector-proxy"):
        maker.make(b"1\n", [Column("a")], "table", task="Customers")


def test_a_database_that_is_not_there_may_be_repeated_and_its_password_is_told_to_nobody(
    tmp_path: Path,
) -> None:
    maker = Maker(tmp_path, "postgresql://user:hunter2@127.0.0.1:1/nowhere")
    with pytest.raises(Unavailable) as caught:
        maker.make(b"1\n", [Column("a")], "table")
    assert caught.value.code == "table_unavailable"
    assert "hunter2" not in f"{caught.value}{caught.value.cause}{Wanted(table=maker.table)!r}"
    assert maker.left() == []


def test_a_duckdb_file_that_another_process_holds_may_be_repeated(maker: Maker) -> None:
    maker.make(b"1\n", columns("numeric"), "duckdb")
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    command = [sys.executable, "-c", code, str(maker.folder / "datasets.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline()
        with pytest.raises(Unavailable, match="in use"):
            maker.make(b"2\n", columns("numeric"), "duckdb")
        other.communicate(b"\n")
    maker.make(b"2\n", columns("numeric"), "duckdb")


def test_a_byte_order_mark_comes_when_it_is_asked_for(maker: Maker) -> None:
    one = maker.make(b"1\n", columns("numeric"), "csv", bom=True)
    assert (maker.folder / one.main).read_bytes() == b"\xef\xbb\xbfc0\r\n1\r\n"


def test_a_packed_file_stops_where_the_disk_would_be_full(maker: Maker) -> None:
    with pytest.raises(Unavailable) as caught:
        maker.make(zipped(b"1\n" * 1000), columns("numeric"), reserve=1 << 60)
    assert caught.value.code == "disk_low"
    assert maker.left() == []


def test_a_transport_file_that_would_fill_the_disk_is_not_begun(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One long text makes every row long."""
    data = b"x" * 1000 + b"\n" + b"y\n" * 99
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=150_000))
    with pytest.raises(Unavailable, match="transport file of 100,000 bytes") as caught:
        maker.make(data, columns("character"), "xpt", reserve=100_000)
    assert caught.value.code == "disk_low"
    assert maker.left() == []
    assert maker.make(data, columns("character"), "xpt", reserve=10_000).rows == 100


def test_a_failure_inside_of_a_duckdb_file_is_told_and_lets_go_of_it(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB ends a transaction by itself where it runs out of memory; what comes behind must not
    hide that."""
    run, broken = duck.Duck.run, []

    def cramped(own: duck.Duck, statement: str) -> Any:
        if statement.startswith("INSERT") and not broken:
            broken.append(statement)
            run(own, "ROLLBACK")
            raise duck.Cramped
        return run(own, statement)

    monkeypatch.setattr(duck.Duck, "run", cramped)
    made = maker.make(b"1\n2\n", columns("numeric"), "duckdb", occurrence="o")
    assert broken and (made.rows, made.rejected) == (2, 0)
    assert sorted(maker.rows(made, "duckdb")) == [(1.0,), (2.0,)]


MEMORY = """
import resource, sys, tempfile
from pathlib import Path
from tests.filestore import zipped
from tests.datasets import Maker, columns
folder = Path(sys.argv[1])
kinds = ["character", "character", "numeric", "date", "timestamp"]
maker = Maker(folder)
made = maker.make((folder / "data").read_bytes(), columns(*kinds), sys.argv[2])
print(made.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.parametrize("form", ["parquet", "csv", "duckdb", "xpt"])
def test_memory_does_not_grow_with_the_file(form: str, tmp_path: Path) -> None:
    peaks = []
    for rows in (100_000, 400_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        line = '{0:032x},"Doe, {0}",{0}.25,2024-02-29,2026-01-01T00:00:00Z\n'
        with (folder / "data").open("w") as file:
            file.writelines(line.format(number) for number in range(rows))
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(folder), form],
            capture_output=True, text=True, check=True, cwd=ROOT, timeout=120,
        )  # fmt: skip
        count, peak = done.stdout.split()
        assert int(count) == rows
        peaks.append(int(peak))
    own = 30 * 2  # MB that the larger file itself takes here, read whole by the test
    assert peaks[1] - peaks[0] < 120 + own, peaks


def test_limits_of_several_forms_count_together() -> None:
    limits = Wanted(("parquet", "xpt", "table")).limits
    assert limits == Limits(nul=False, longest=32767, first_year=1582, greatest=limits.greatest)
    assert fitting.misfit("1581-01-01", Kind.DATE, limits)


@pytest.mark.parametrize(("roomy", "fits"), [("1500MB", True), ("30MB", False)])
def test_where_memory_is_short_it_goes_on_slowly_or_refuses(
    roomy: str, fits: bool, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duck, "MEMORY", "30MB")
    monkeypatch.setattr(duck, "ROOMY_MEMORY", roomy)
    rows = [
        [str(number), *(f"{place} of {number}" for place in range(399))] for number in range(3000)
    ]
    data, head = as_csv(rows), columns("numeric", *["character"] * 399)
    if fits:
        one = maker.make(data, head, "parquet")
        found = maker.rows(one, "parquet")
        assert [row[399] for row in found] == [f"398 of {number}" for number in range(3000)]
        return
    with pytest.raises(Refused) as caught:
        maker.make(data, head, "parquet")
    assert caught.value.code == "memory_low"
    assert maker.left() == []
