"""stpAppendRow as exported, in the runner of tests/sas, on a simulated Unix and Windows."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from connector_proxy.intake import parse
from connector_proxy.stream import encode
from tests.sas import Killed, read
from tests.sassite import Answer, MakeSite, Site, metadata

DATA = Path(__file__).parent / "data" / "payloads"
EVERYWHERE = pytest.mark.parametrize(
    ("platform", "encoding"), [("unix", "utf-8"), ("windows", "wlatin1")]
)


def event(guid: str = "g-1", **properties: Any) -> dict[str, Any]:
    return {
        "guid": guid,
        "eventType": "outboundSystem",
        "outboundProperties": {"properties": {"stpName": "One Customer", **properties}},
    }


def append(site: Site, payload: dict[str, Any], **session: Any) -> Answer:
    return site.call(payload, "stpAppendRow", **session)[0]


def appended(site: Site, payload: dict[str, Any]) -> Answer:
    answer = append(site, payload)
    assert (answer.status, answer.rows) == ("ok", 1), answer
    return answer


@EVERYWHERE
def test_an_event_becomes_a_row_with_every_element(
    make_site: MakeSite, platform: str, encoding: str
) -> None:
    site = make_site(platform, encoding)
    payload = parse((DATA / "triggered.json").read_bytes())
    answer = appended(site, payload)
    assert answer.data_set == "OneCustomer"
    assert site.saved() == ["ONECUSTOMER"]
    table = site.table("OneCustomer")
    assert table["guid"] == ["18a06b23-390f-4435-9a0b-bc0dd63da938"]
    assert table["generatedTimestamp"] == ["1751625227523"]
    assert table["creativeContent"] == ["<p>Hello\n world</p>"]
    assert table["ipAddress"] == [""]
    assert len(table) == answer.columns + 1
    received = read(site.output, "OneCustomer").column("cp_received")
    assert (received.kind, received.label) == ("num", "Received")


@pytest.mark.parametrize(
    "name", ["triggered.json", "bulk_no_send_parameters.json", "bulk_odd_values.json"]
)
def test_what_the_encoder_writes_is_what_the_table_holds(site: Site, name: str) -> None:
    payload = dict(parse((DATA / name).read_bytes()))
    payload.pop("presignedUrls", None)
    payload["guid"] = "g-1"
    document = encode(payload, "Odd").document
    answer, _ = site.run(document, "stpAppendRow")
    assert (answer.status, answer.rows) == ("ok", 1), answer
    table = site.table(answer.data_set)
    for element in etree.fromstring(document)[0]:
        assert table[str(element.tag)] == [(element.text or "").rstrip(" ")], element.tag


def test_the_second_event_goes_below_the_first(site: Site) -> None:
    appended(site, event("g-1", greeting="hello"))
    appended(site, event("g-2", greeting="servus"))
    assert site.saved() == ["ONE_CUSTOMER"]
    assert site.table("One_Customer")["greeting"] == ["hello", "servus"]


def test_new_elements_become_new_columns_and_missing_ones_stay_blank(site: Site) -> None:
    appended(site, event("g-1", greeting="hello", colour="red"))
    appended(site, event("g-2", greeting="servus", size="9"))
    appended(site, event("g-3"))
    table = site.table("One_Customer")
    assert table["greeting"] == ["hello", "servus", ""]
    assert table["colour"] == ["red", "", ""]
    assert table["size"] == ["", "9", ""]
    assert table["guid"] == ["g-1", "g-2", "g-3"]
    assert list(table).index("colour") < list(table).index("size")


def test_a_longer_value_widens_its_column(site: Site) -> None:
    values = ["x", "y" * 100, "z" * 32_767, "w"]
    for number, value in enumerate(values):
        appended(site, event(f"g-{number}", text=value))
    assert site.table("One_Customer")["text"] == values


def test_a_value_that_no_column_can_hold_is_refused(site: Site) -> None:
    answer = append(site, event("g-1", text="x" * 40_000))
    assert (answer.status, answer.code) == ("error", "bad_stream")
    assert "more than 32767 bytes" in answer.message
    assert site.saved() == []


@pytest.mark.parametrize(
    "value",
    [
        "a&b<c>'\"",
        "Grüße €",
        "&debug=0;%put x",
        "line\nbreak\ttab",
        "  leading",
        "007",
        "]]>",
        "&#65;",
        "/",
    ],
)
@EVERYWHERE
def test_values_arrive_as_they_are(
    make_site: MakeSite, platform: str, encoding: str, value: str
) -> None:
    site = make_site(platform, encoding)
    appended(site, event("g-1", text=value))
    assert site.table("One_Customer")["text"] == [value]


def test_the_same_event_again_is_not_appended_again(site: Site) -> None:
    appended(site, event("g-1", greeting="hello"))
    again = append(site, event("g-1", greeting="hello"))
    assert (again.status, again.rows, again.data_set) == ("ok", 0, "One_Customer")
    assert site.table("One_Customer")["greeting"] == ["hello"]


def test_the_answer_names_the_occurrence_where_there_is_one(site: Site) -> None:
    assert appended(site, event("g-1")).occurrence == ""
    assert appended(site, event("g-2", occurrenceId="o-9 <x>")).occurrence == "o-9x"


def test_events_without_an_id_are_all_kept(site: Site) -> None:
    payload = event()
    del payload["guid"]
    appended(site, payload)
    appended(site, payload)
    assert len(site.table("One_Customer")["stpName"]) == 2


def test_each_stored_process_has_its_table(make_site: MakeSite) -> None:
    site = make_site(nameprefix="ci_")
    for name in ("A", "B & C", "x" * 60, "1st", "Ł"):
        payload = event(f"g-{name}")
        payload["outboundProperties"]["properties"]["stpName"] = name
        appended(site, payload)
    assert site.saved() == sorted(["CI_A", "CI_B___C", "CI_" + "X" * 25, "CI__1ST", "CI___"])


@pytest.mark.parametrize(
    "name",
    ["name", "number", "count", "last", "id", "column", "_n_x", "texts", "N", "place", "event"],
)
def test_an_element_may_be_called_like_anything(site: Site, name: str) -> None:
    appended(site, event("g-1", **{name: "first"}))
    appended(site, event("g-2", **{name: "second", "other": "x"}))
    assert site.table("One_Customer")[name] == ["first", "second"]


@pytest.mark.parametrize(
    "document",
    [
        b"<Table><InData>",
        b"<Table/>",
        b"<Table><InData/></Table>",
        b"<Table><InData><a>1</a></InData><InData><a>2</a></InData></Table>",
        b"<Table><InData><a>1</a><A>2</A></InData></Table>",
        b"<Table><InData><a><b>1</b></a></InData></Table>",
        b"<Table><InData><cp_received>1</cp_received></InData></Table>",
        b"<Table><InData><a.b>1</a.b></InData></Table>",
        b"<!DOCTYPE x [<!ENTITY y 'z'>]><Table><InData><a>&y;</a></InData></Table>",
    ],
)
def test_a_stream_that_is_none_is_told(site: Site, document: bytes) -> None:
    answer, _ = site.run(document, "stpAppendRow")
    assert (answer.status, answer.code) == ("error", "bad_stream"), answer
    assert answer.message
    assert site.saved() == []


def test_a_bulk_task_is_for_the_other_program(site: Site) -> None:
    answer = append(site, site.bulk(metadata("a"), b"1\n"))
    assert (answer.status, answer.code) == ("error", "bad_stream")
    assert "that is for stpDownloadFile" in answer.message


def test_the_stream_may_be_many_lines(site: Site) -> None:
    document = encode(event("g-1", greeting="hello"), "x").document.replace(b"><", b">\r\n  <")
    answer, _ = site.run(b'<?xml version="1.0" encoding="UTF-8"?>\n' + document, "stpAppendRow")
    assert (answer.status, answer.rows) == ("ok", 1), answer
    assert site.table("One_Customer")["greeting"] == ["hello"]


def test_a_library_of_the_site_takes_rows(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(outputlibref="crm")
    elsewhere = tmp_path / "crm"
    elsewhere.mkdir()
    for guid in ("g-1", "g-2"):
        answer = append(site, event(guid), librefs={"crm": (elsewhere, True)})
        assert (answer.status, answer.rows) == ("ok", 1), answer
    assert read(elsewhere, "One_Customer").values("guid") == ["g-1", "g-2"]


def test_a_table_of_a_database_grows_by_rows_only(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(outputlibref="crm")
    tables = tmp_path / "crm"
    tables.mkdir()
    more: dict[str, Any] = {"librefs": {"crm": (tables, False)}}
    assert append(site, event("g-1", a="1"), **more).rows == 1
    assert append(site, event("g-2", a="2"), **more).rows == 1
    answer = append(site, event("g-3", b="3"), **more)
    assert (answer.status, answer.code) == ("error", "save_failed")
    assert "lacks a column" in answer.message
    assert read(tables, "One_Customer").values("a") == ["1", "2"]


def test_many_at_once_lose_no_row(site: Site) -> None:
    site.contended = True
    together = threading.Barrier(6)

    def one(number: int) -> None:
        together.wait(10)
        for turn in range(3):
            own = {f"column_{number % 3}": f"{number}.{turn}" * (1 + turn * 10)}
            answer = append(site, event(f"g-{number}-{turn}", **own))
            assert (answer.status, answer.rows) == ("ok", 1), answer

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(6)))
    guids = site.table("One_Customer")["guid"]
    assert sorted(map(str, guids)) == sorted(f"g-{n}-{t}" for n in range(6) for t in range(3))


def test_the_same_event_at_once_is_one_row(site: Site) -> None:
    site.contended = True
    together = threading.Barrier(4)

    def one(_: int) -> int:
        together.wait(10)
        answer = append(site, event("g-1"))
        assert answer.status == "ok", answer
        return answer.rows

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(one, range(4))) == 1
    assert site.table("One_Customer")["guid"] == ["g-1"]


@pytest.mark.parametrize("grows", [False, True])
def test_a_killed_session_leaves_the_table_whole_and_no_lock(site: Site, grows: bool) -> None:
    appended(site, event("g-0", a="1"))
    more = {"b": "new"} if grows else {"a": "2"}
    points: list[str] = []
    append(
        site,
        event("g-probe", **more, c="x") if grows else event("g-probe", **more),
        kill=points.append,
    )
    assert points
    for number in range(len(points)):
        passed = iter(range(number))

        def kill(point: str, passed: Iterator[int] = passed) -> None:
            if next(passed, None) is None:
                raise Killed(point)

        payload = event(f"g-killed-{number}", **{**more, **({f"d{number}": "x"} if grows else {})})
        document = encode(copy.deepcopy(payload), "One Customer").document
        with pytest.raises(Killed):
            site.session(kill=kill).run(site.home / "code" / "stpAppendRow.sas", document)
        table = site.table("One_Customer")
        assert table["guid"][:2] == ["g-0", "g-probe"]
        assert len({len(column) for column in table.values()}) == 1
        assert append(site, payload).status == "ok"
        assert site.table("One_Customer")["guid"].count(f"g-killed-{number}") == 1
