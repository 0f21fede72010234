"""Which rows are in a data file: the quick look and DuckDB against the strict reader."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from connector_proxy.dataset import strict, tidy
from connector_proxy.dataset.duck import Duck, Misread, source
from connector_proxy.dataset.tidy import NotPlain, Tidy
from connector_proxy.errors import Refused
from tests.datasets import as_csv

HARD = st.text(st.sampled_from("a,\"\n\r\0é\ufeff \\#'"), max_size=4)


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Duck]:
    with Duck(tmp_path_factory.mktemp("duck")) as one:
        yield one


def read(duck: Duck, found: Tidy, width: int) -> list[list[str]]:
    rows = duck.run(f"SELECT * FROM {source(found, width)}")
    return [["" if value is None else str(value) for value in row] for row in rows]


def by_csv_module(data: bytes, width: int) -> list[list[str]] | None:
    """What the strict reader of Python makes of it; None: it does not take it."""
    try:
        text = io.StringIO(data.decode("utf-8-sig"), newline="")
        rows = [row or [""] * (width == 1) for row in csv.reader(text, strict=True)]
    except (csv.Error, UnicodeDecodeError):
        return None
    return rows if all(len(row) == width for row in rows) else None


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, int]:
    """Any bytes that look like CSV, or real CSV."""
    width = draw(st.integers(1, 3))
    if draw(st.booleans()):
        text = draw(st.text(st.sampled_from('a,"\n\r\0é'), max_size=16))
        return text.encode() + draw(st.sampled_from([b"", b"\xff", b"\xed\xa0\x80"])), width
    rows = draw(st.lists(st.lists(HARD, min_size=width, max_size=width), max_size=5))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    data = as_csv(rows, draw(st.sampled_from(["\n", "\r\n"])), quoting)
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + data[
        : draw(st.sampled_from([None, -1]))
    ], width


def looked_at(path: Path, width: int) -> Tidy | None:
    """What the quick look vouches for."""
    found = tidy.tidied(path, width, path.parent, lambda read: None)
    if found and not found.vouched:
        found = tidy.in_pieces(path, width, path.parent, lambda read: None)
    return found


@tried(max_examples=2000, deadline=None)
@given(file=files())
@example(file=(b"a\r\n", 1))
@example(file=(b"a,,\nb\n", 2))
@example(file=(b"a,b\n\nc,d\n", 2))
@example(file=(b"a,\n", 1))
@example(file=(b'"a","b"', 2))
@example(file=(b"\xef\xbb\xbf\xef\xbb\xbf\n", 1))
def test_duckdb_reads_what_the_quick_look_vouches_for_as_the_strict_reader_does(
    duck: Duck, file: tuple[bytes, int]
) -> None:
    data, width = file
    expected = by_csv_module(data, width)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "data"
        path.write_bytes(data)
        found = looked_at(path, width)
        if not found:
            return
        try:
            rows = read(duck, found, width)
        except Misread:  # the strict reader is asked then
            rows = None
        if rows is not None and len(rows) == found.rows:
            assert rows == expected
        else:
            assert expected is None


@tried(max_examples=500, deadline=None)
@given(file=files())
def test_rows_of_the_strict_reader_are_those_of_the_csv_module_and_survive_duckdb(
    duck: Duck, file: tuple[bytes, int]
) -> None:
    data, width = file
    expected = by_csv_module(data, width)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "data"
        path.write_bytes(data)
        try:
            rows = list(strict.read(path, width))
        except Refused:
            assert expected is None
            return
        assert b"".join(
            row.raw.encode("utf-8", "surrogateescape") for row in rows
        ) == data.removeprefix(b"\xef\xbb\xbf")
        good = [row for row in rows if not row.fault]
        found = tidy.cleaned(good, Path(name))
        assert read(duck, found, width) == [row.values for row in good]
        if len(good) == len(rows):
            assert [row.values for row in rows] == expected
        else:
            assert expected is None


def lines(tmp_path: Path, data: bytes, width: int) -> list[tuple[int, str]]:
    (tmp_path / "data").write_bytes(data)
    return [(row.line, row.fault) for row in strict.read(tmp_path / "data", width)]


def test_bad_rows_have_the_number_of_their_first_line_and_a_reason(tmp_path: Path) -> None:
    data = b'1,"a\nb"\n2\n3,"x"y\n4,\xff\n5,"x"y,"open\nstill"\n6,ok\n'
    width = "has 1 values, the metadata names 2 columns"
    quote = "has text behind a closing quote"
    assert lines(tmp_path, data, 2) == [
        (1, ""),
        (3, width),
        (4, quote),
        (5, "is not UTF-8"),
        (6, quote),
        (8, ""),
    ]


@pytest.mark.parametrize("data", [b'1,2\n3,"open\n4,5\n', b'1,2\n3,"x"y,"open\n4,5\n'])
def test_a_quote_that_is_never_closed_is_refused_with_its_line(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(
        Refused, match=r"^Line 2 of the data file has a quote that is never closed\.$"
    ):
        lines(tmp_path, data, 2)


def test_a_large_file_is_cut_into_pieces_of_whole_rows_and_read_in_order(
    tmp_path: Path, duck: Duck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy, "CHUNK", 1000)
    monkeypatch.setattr(tidy, "PIECE", 5000)
    rows = [[str(number), 'line\nbreak "and" quote' * (number % 7), ""] for number in range(3000)]
    (tmp_path / "data").write_bytes(as_csv(rows, "\r\n"))
    found = looked_at(tmp_path / "data", 3)
    assert found and len(found.paths) > 10 and found.rows == 3000
    assert read(duck, found, 3) == rows


def test_a_plain_file_is_used_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"1,2\n3,4\n")
    found = looked_at(tmp_path / "data", 2)
    assert found and (found.paths, found.rows) == ((tmp_path / "data",), 2)
    assert (found.whole, found.row_length) == (True, 4)


@pytest.mark.parametrize(
    ("later", "sound"), [(b'"x",y\n', True), (b"x,y\r\n", True), (b"\n", False), (b"x\n", False)]
)
def test_a_file_that_only_begins_like_a_plain_one_is_not_taken_for_one(
    later: bytes, sound: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy, "CHUNK", 100)
    path = tmp_path / "data"
    path.write_bytes(b"1,2\n" * 200 + later + b"3,4\n" * 200)
    begun = tidy.tidied(path, 2, tmp_path, lambda read: None)
    assert begun and begun.paths == (path,) and not begun.vouched
    with pytest.raises(NotPlain):
        begun.counted.result()
    found = looked_at(path, 2)
    assert bool(found) == sound
    assert found is None or (found.rows, found.whole) == (401, False)


def test_names_of_folders_are_not_taken_for_patterns(tmp_path: Path, duck: Duck) -> None:
    odd = tmp_path / "a[b]*'c"
    odd.mkdir()
    (odd / "data").write_bytes(b"1,2\n")
    found = looked_at(odd / "data", 2)
    assert found and read(duck, found, 2) == [["1", "2"]]
