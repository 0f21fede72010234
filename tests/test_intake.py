"""Raw bytes in, a checked webhook out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector_proxy.errors import NotJson, Unprocessable
from connector_proxy.intake import MAX_DEPTH, parse, read_webhook, shown_path
from connector_proxy.records import Kind
from tests.conftest import PAYLOADS, payload


def read(document: dict[str, Any], **more: Any) -> Any:
    return read_webhook(json.dumps(document).encode(), **more)


def test_a_bulk_request_is_understood() -> None:
    webhook = read_webhook((PAYLOADS / "bulk_stp.json").read_bytes())
    assert webhook.kind is Kind.BULK
    assert webhook.stp_name == "Download File"
    assert webhook.task_name == "Spring audience to SAS"
    assert webhook.occurrence_id == "5d0b3b9a-6c5e-4a53-9a3c-0d3f6a8a3e11"
    assert webhook.tracking_code == "a4727276-333f-46d6-8822-ef798eaa85ea"


def test_a_triggered_request_is_understood() -> None:
    webhook = read_webhook((PAYLOADS / "triggered.json").read_bytes())
    assert webhook.kind is Kind.TRIGGERED
    assert webhook.stp_name == "OneCustomer"
    assert webhook.occurrence_id == "18a06b23-390f-4435-9a0b-bc0dd63da938"
    assert webhook.tracking_code == ""


def test_a_byte_order_mark_does_not_matter() -> None:
    raw = (PAYLOADS / "bulk_stp.json").read_bytes()
    assert read_webhook(b"\xef\xbb\xbf" + raw) == read_webhook(raw)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"To=%2B15550100&Body=Hello", "not JSON"),
        (b'{"sessionId": 0012}', "line 1, column 16"),
        (b'{"a": 1} trailing', "Extra data"),
        (b'{"a": 1}{"a": 1}', "Extra data"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": "\xff"}', "UTF-8"),
        ('{"a": "ä"}'.encode("utf-16"), "UTF-8"),
        (b"[1]", "not an object"),
        (b'"text"', "not an object"),
        (b"null", "not an object"),
        (b'{"a": "tab\there"}', "Invalid control character"),
        (b"{'a': 1}", "not JSON"),
        (b"[" * 500_000, "nested"),
        (b'{"a":' * 100_000, "nested"),
        (b'{"a":' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}", "nested"),
    ],
)
def test_a_body_that_is_not_one_clean_object_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(NotJson, match=words):
        parse(raw)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"a": 1, "a": 1}', "a"),
        (b'{"a": {"b": [1, {"c": 1, "d": 2, "c": 3}]}}', "a.b[1].c"),
        ((PAYLOADS / "duplicate_keys.json").read_bytes(), "task.occurrenceId"),
    ],
)
def test_a_duplicate_key_is_named_with_its_path(raw: bytes, path: str) -> None:
    with pytest.raises(NotJson) as caught:
        parse(raw)
    assert [detail.field for detail in caught.value.details] == [path]


@pytest.mark.parametrize(
    "raw",
    [b'{"a":{"b":1,"b":2}, broken', b'{"a":{"b":1,"b":2}', b'{"b":1,"b":2} xx',
     b'{"a":1,"b":' + b"9" * 5000 + b',"a":2}', b'{"a":{"b":1,"b":2},"c":' + b"[" * 100_000],
)  # fmt: skip
def test_a_duplicate_key_in_a_broken_body_is_still_a_clear_error(raw: bytes) -> None:
    with pytest.raises(NotJson, match="twice"):
        parse(raw)


def test_a_key_that_may_be_a_secret_is_not_sent_back() -> None:
    raw = b'{"https://b/x?X-Amz-Signature=1": {"jane@example.com": 1, "jane@example.com": 2}}'
    with pytest.raises(NotJson) as caught:
        parse(raw)
    assert [detail.field for detail in caught.value.details] == ["(odd key).(odd key)"]


def test_the_deepest_legal_nesting_is_read() -> None:
    raw = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert "a" in parse(raw)


def test_numbers_stay_as_written() -> None:
    written = parse(b'{"a": 0.1, "b": 12345678901234567890, "c": 1E400, "d": -0, "e": 1.50}')
    assert list(written.values()) == ["0.1", "12345678901234567890", "1E400", "-0", "1.50"]


def test_a_payload_of_neither_kind_names_what_is_missing() -> None:
    with pytest.raises(Unprocessable) as caught:
        read({"eventType": "x", "sendParameters": {"stpName": "A"}})
    assert [detail.field for detail in caught.value.details] == ["presignedUrls", "guid"]


@pytest.mark.parametrize(
    ("urls", "fields"),
    [
        ({"dataFile": "https://x"}, ["presignedUrls.metadataFile"]),
        ({"dataFile": "", "metadataFile": " "}, ["presignedUrls.dataFile", "presignedUrls.metadataFile"]),
        ([], ["presignedUrls.dataFile", "presignedUrls.metadataFile"]),
        ({"dataFile": {}, "metadataFile": "https://x"}, ["presignedUrls.dataFile"]),
    ],
)  # fmt: skip
def test_a_bulk_payload_without_a_url_is_refused(urls: Any, fields: list[str]) -> None:
    with pytest.raises(Unprocessable) as caught:
        read({**payload(), "presignedUrls": urls})
    assert [detail.field for detail in caught.value.details] == fields


def test_a_null_in_the_place_of_the_urls_leaves_an_event_an_event() -> None:
    assert read({**payload("triggered.json"), "presignedUrls": None}).kind is Kind.TRIGGERED


@pytest.mark.parametrize(
    ("places", "query", "default", "expected"),
    [
        ({"sendParameters": {"stpName": "A"}, "properties": {"stpName": "B"}}, {}, "", "A"),
        ({"sendParameters": {"STPNAME ": "A"}}, {}, "", "A"),
        ({"sendParameters": {"stpName": "  "}, "properties": {"stpName": "B"}}, {}, "", "B"),
        ({"sendParameters": {"stpName": None, " stpname": "A"}}, {}, "", "A"),
        ({"outboundProperties": {"properties": {"stpName": "C"}}}, {"stpName": "Q"}, "", "C"),
        ({"properties": {"stpName": "B"}}, {"stpName": "Q"}, "D", "B"),
        ({}, {"StpName": " Q "}, "D", "Q"),
        ({}, {}, "D", "D"),
        ({"sendParameters": []}, {}, "D", "D"),
        ({"sendParameters": {"stpName": 42}}, {}, "", "42"),
        ({"sendParameters": {"stpName": " Größe (neu) & 'alt' "}}, {}, "", "Größe (neu) & 'alt'"),
    ],
)
def test_the_first_name_that_is_not_blank_wins(
    places: dict[str, Any], query: dict[str, str], default: str, expected: str
) -> None:
    document = {**payload("bulk_no_send_parameters.json"), **places}
    assert read(document, query=query, default_stp=default).stp_name == expected


def test_a_payload_without_a_name_says_where_it_was_looked_for() -> None:
    with pytest.raises(Unprocessable) as caught:
        read(payload("bulk_no_send_parameters.json"))
    assert "outboundProperties.properties" in caught.value.details[0].issue


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "a\\b", "..", ".", "a..b", "A?b=1", "A#b", "a%2e%2e", "%2e%2e", "a\0b", "a\nb",
     "a\tb", "x" * 129, "x" * 10_240, "a;b", "a:b", "a|b", "a<b", 'a"b', "a*b", "a`b", "a\u2028b",
     "a\u202eb", "a\ud800b", ". .", "a. .b", "."],
)  # fmt: skip
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        read({**payload(), "sendParameters": {"stpName": name}})
    detail = caught.value.details[0]
    assert detail.field == "sendParameters.stpName"
    assert len(detail.issue) < 100


@pytest.mark.parametrize("value", [["A"], {"a": "A"}, True, False, []])
def test_a_name_that_is_not_text_is_refused_or_harmless(value: Any) -> None:
    document = {**payload(), "sendParameters": {"stpName": value}}
    if isinstance(value, bool):
        assert read(document).stp_name == str(value)
    else:
        with pytest.raises(Unprocessable, match="cannot be used"):
            read(document)


def test_only_listed_names_are_allowed_without_regard_to_case() -> None:
    assert read(payload(), allowed_stps=["download file", "Other"]).stp_name == "Download File"
    with pytest.raises(Unprocessable, match="not allowed here"):
        read(payload(), allowed_stps=["Other"])


def test_a_path_is_printable_and_short_whatever_the_key() -> None:
    assert shown_path(("a", 0, "b\n\0\x7fü")) == "a[0].b\\x0a\\x00\\x7f\\xfc"
    assert len(shown_path(("a", "k" * 1_000_000))) == 120
    assert len(shown_path(("\0" * 200,))) == 120
