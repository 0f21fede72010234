"""A payload in, the stream document and the request out."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from connector_proxy.errors import NotJson
from connector_proxy.intake import parse
from connector_proxy.records import Stream
from connector_proxy.stream import (
    build_request,
    destination_url,
    encode,
    is_raw,
    is_soap,
    legal_name,
)
from tests.conftest import PAYLOADS

REST = "http://sas:7980/SASBIWS/rest/storedProcesses/Shared Data/CI360/{{stpName}}"


def elements(stream: Stream) -> dict[str, str]:
    table = etree.fromstring(stream.document)
    assert [child.tag for child in table] == ["InData"]
    pairs = [(child.tag, child.text or "") for child in table[0]]
    assert len({name.lower() for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def encoded(document: dict[str, Any]) -> dict[str, str]:
    return elements(encode(parse(json.dumps(document).encode()), "S"))


def test_leaves_become_elements_in_document_order() -> None:
    document = {"task": {"b": "1", "a": {"z": "2"}}, "top": "3"}
    assert list(encoded(document).items()) == [("b", "1"), ("z", "2"), ("top", "3"), ("stpName", "S")]  # fmt: skip


def test_a_later_name_takes_its_qualified_name_and_then_a_number() -> None:
    document = {
        "task": {"taskName": "1"},
        "sendParameters": {"TASKNAME": "2", "taskname": "3"},
        "sendParameters_": {"taskName": "4"},
    }
    assert list(encoded(document)) == [
        "taskName", "sendParameters_TASKNAME", "taskname_2", "sendParameters__taskName", "stpName",
    ]  # fmt: skip


def test_lists_are_numbered() -> None:
    document = {"list": ["A", "B", None], "points": [{"x": "1", "y": "2"}, {"x": "3"}], "deep": [["a", "b"]]}  # fmt: skip
    assert encoded(document) == {
        "list": "A", "list_2": "B", "list_3": "", "points_1_x": "1", "points_1_y": "2",
        "points_2_x": "3", "deep": "a", "deep_2": "b", "stpName": "S",
    }  # fmt: skip


def test_values_are_written_as_they_are() -> None:
    raw = b'{"n": null, "t": true, "f": false, "d": 0.10, "i": 12345678901234567890, "l": [], "o": {}}'
    assert elements(encode(parse(raw), "S")) == {
        "n": "", "t": "true", "f": "false", "d": "0.10", "i": "12345678901234567890", "l": "",
        "o": "", "stpName": "S",
    }  # fmt: skip


def test_the_stored_process_name_is_an_element_once() -> None:
    assert encoded({"sendParameters": {"stpName": " A "}}) == {"stpName": " A "}
    assert encoded({"a": "1"})["stpName"] == "S"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("plain", "plain"), ("s3_filename ", "s3_filename"), ("run date", "run_date"),
        ("1st", "_1st"), ("a:b", "a_b"), ("Größe", "Große".replace("ß", "_")), ("é", "e"),
        ("", "_"), ("日本", "__"), ("x" * 40, "x" * 32), ("9" * 40, "_" + "9" * 31), ("_N_", "_N_"),
    ],
)  # fmt: skip
def test_names_become_legal_for_sas(key: str, name: str) -> None:
    assert legal_name(key) == name


def test_names_that_a_data_step_reserves_are_numbered() -> None:
    assert list(encoded({"_N_": "1", "_error_": "2"})) == ["_N__2", "_error__2", "stpName"]


def test_every_renaming_is_told() -> None:
    stream = encode(parse((PAYLOADS / "bulk_odd_values.json").read_bytes()), "S")
    told = {renaming.path: renaming.name for renaming in stream.renamings}
    assert told == {
        "sendParameters.run date": "run_date",
        "sendParameters.1st": "_1st",
        "sendParameters.a:b": "a_b",
        "sendParameters.list[0]": "list",
        "sendParameters.list[1]": "list_2",
        "sendParameters.bell\\x07": "bell_",
        "sendParameters.very_long_parameter_name_that_sas_cannot_hold": "very_long_parameter_name_that_sa",
        "sendParameters.very_long_parameter_name_that_sas_cannot_keep": "very_long_parameter_name_that__2",
        "sendParameters.TASKNAME": "sendParameters_TASKNAME",
    }  # fmt: skip


def test_forbidden_characters_become_blanks_and_are_counted() -> None:
    stream = encode({"a": "x\0y\x0b\ufffe\ud800z", "b": "\t\n\r ok \U0001f600"}, "S")
    assert stream.blanked == 4
    assert elements(stream)["a"] == "x y   z"
    assert elements(stream)["b"] == "\t\n\r ok \U0001f600"


def test_the_document_is_one_line_of_ascii() -> None:
    stream = encode(parse((PAYLOADS / "bulk_odd_values.json").read_bytes()), "S")
    assert stream.document.isascii()
    assert b"\n" not in stream.document
    assert elements(stream)["emoji"] == "Ünï😀"


def test_ten_thousand_equal_names_below_a_huge_key_take_no_time() -> None:
    stream = encode({"k" * 500_000: [{"a": "1"} for _ in range(10_000)]}, "S")
    assert len(elements(stream)) == 10_001


def test_eight_thousand_names_that_begin_alike_take_no_time() -> None:
    members = {f"{'n' * 27}{number:05}": "1" for number in range(8000)}
    assert len(elements(encode({"a": members, "b": members}, "S"))) == 16_001


json_text = st.text(st.characters(codec="utf-8"), max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | json_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(json_text, inner, max_size=5),
    max_leaves=30,
)  # fmt: skip
json_objects = st.dictionaries(json_text, json_values, max_size=8)


def leaf_texts(value: Any) -> list[str]:
    """The values without children, in document order, as the stream must hold them."""
    if isinstance(value, dict) and value:
        return [text for child in value.values() for text in leaf_texts(child)]
    if isinstance(value, list) and value:
        return [text for child in value for text in leaf_texts(child)]
    if value is None or isinstance(value, dict | list):
        return [""]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", " ", str(value))]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_objects)
@example({"": ""})
@example({"a": [[], {}, [{}]], "A": {"a": [1]}})
@example({"stpname": 1, "_n_": [{"_n_": 2}]})
def test_any_object_parses_back_to_its_values_under_legal_unique_names(
    document: dict[str, Any],
) -> None:
    payload = parse(json.dumps(document).encode())
    found = elements(encode(payload, "S"))
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,31}", name) for name in found)
    expected = leaf_texts(payload) if document else []
    own_name = {name.lower() for name in list(found)[: len(expected)]} & {"stpname"}
    assert list(found.values()) == expected + ([] if own_name else ["S"])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | json_text.map(str.encode))
def test_any_bytes_are_an_object_or_a_clear_error(raw: bytes) -> None:
    try:
        assert isinstance(parse(raw), dict)
    except NotJson as error:
        assert error.status == 400


@pytest.mark.parametrize(
    ("template", "name", "url"),
    [
        (REST, "Download File", "http://sas:7980/SASBIWS/rest/storedProcesses/Shared%20Data/CI360/Download%20File"),
        ("http://sas/SASBIWS/rest/storedProcesses/Shared%20Data/{{stpName}}", "A+B", "http://sas/SASBIWS/rest/storedProcesses/Shared%20Data/A%2BB"),
        ("http://sas/SASBIWS/rest/storedProcesses/X/{{stpName}}/dataTargets/_WEBOUT", "a&b='c'", "http://sas/SASBIWS/rest/storedProcesses/X/a%26b%3D%27c%27/dataTargets/_WEBOUT"),
        ("http://sas/SASBIWS/services/{{ STPNAME }}", "Download File", "http://sas/SASBIWS/services/DownloadFile"),
        ("http://sas/SASBIWS/rest/svc/{{stpName}}", "Download File", "http://sas/SASBIWS/rest/svc/DownloadFile"),
        ("http://[::1]:80/SASBIWS/rest/storedProcesses/{{stpName}}", "Größe", "http://[::1]:80/SASBIWS/rest/storedProcesses/Gr%C3%B6%C3%9Fe"),
        ("http://sas/other/{{stpName}}", "A B", "http://sas/other/A%20B"),
    ],
)  # fmt: skip
def test_the_name_is_quoted_into_the_address(template: str, name: str, url: str) -> None:
    assert destination_url(template, name) == url


def test_a_rest_request_is_plain_xml_named_after_the_stored_process() -> None:
    request = build_request(REST, "Download File", Stream(b"<Table/>"))
    assert request.headers["Content-Type"] == "application/xml; charset=UTF-8"
    assert request.body == (
        b"<DownloadFile><streams><instream><Value><Table/></Value></instream></streams></DownloadFile>"
    )
    assert "Authorization" not in request.headers


def test_credentials_are_sent_at_once() -> None:
    request = build_request(REST, "A", Stream(b"<Table/>"), "sasdemo", "pässword:1")
    kind, token = request.headers["Authorization"].split()
    assert (kind, base64.b64decode(token).decode()) == ("Basic", "sasdemo:pässword:1")


def test_a_soap_request_has_an_envelope_and_a_username_token() -> None:
    template = "http://sas/SASBIWS/services/{{stpName}}"
    request = build_request(template, "Download File", Stream(b"<Table/>"), "user&", "p<w")
    root = etree.fromstring(request.body)
    assert root.tag == "{http://schemas.xmlsoap.org/soap/envelope/}Envelope"
    assert root.findtext(".//{*}UsernameToken/{*}Username") == "user&"
    assert root.findtext(".//{*}UsernameToken/{*}Password") == "p<w"
    assert root.find("{*}Body/DownloadFile/streams/instream/Value/Table") is not None
    assert request.headers["SOAPAction"] == '""'


@pytest.mark.parametrize("name", ["1 + 1", "Größe", "a&b", "(x)", "日本", "-", "@"])
def test_the_root_is_a_legal_xml_name_for_any_stored_process(name: str) -> None:
    request = build_request(REST, name, Stream(b"<Table/>"))
    assert etree.fromstring(request.body).find("streams/instream/Value/Table") is not None


def test_the_family_is_told_by_the_address() -> None:
    assert is_soap("http://sas/SASBIWS/services/A")
    assert not is_soap("http://sas/SASBIWS/rest/storedProcesses/A")
    assert is_raw("http://sas/SASBIWS/rest/storedProcesses/A/dataTargets/_WEBOUT")
    assert is_raw("http://sas/SASBIWS/rest/storedProcesses/A/streams/_WEBOUT")
    assert not is_raw("http://sas/SASBIWS/rest/storedProcesses/A")
