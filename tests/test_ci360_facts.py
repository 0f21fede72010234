"""What CI 360 is told, as plain values: the token, attributes, identities, answers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_proxy.ci360 import answer, attributes, letter, texts
from connector_proxy.ci360.answer import Course
from connector_proxy.ci360.letter import Identity, Letter
from connector_proxy.ci360.token import token
from connector_proxy.records import Delivery, Kind, State
from connector_proxy.schedule import Pauses
from tests.conftest import payload

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SECRET = "c2VjcmV0LW9mLXRoZS1hY2Nlc3MtcG9pbnQ-0123456789"


def delivery(**changes: object) -> Delivery:
    known: dict[str, object] = {
        "delivery_id": "d1", "request_id": "r1", "kind": Kind.BULK, "stp_name": "Download File",
        "task_name": "Spring, audience", "occurrence_id": "o1", "tracking_code": "rtc",
        "state": State.DONE, "round": 1, "accepted_at": NOON,
        "changed_at": NOON + timedelta(seconds=83), "attempt_count": 2, "code": "done",
        "result": {"rows": 1000, "rejectedRows": 3, "dataSet": "Spring.parquet"},
    }  # fmt: skip
    return Delivery(**{**known, **changes})  # type: ignore[arg-type]


def test_a_token_is_the_tenant_signed_with_the_base64_text_of_the_secret() -> None:
    head, claims, signature = token("tenant", SECRET).split(".")

    def read(part: str) -> bytes:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    assert json.loads(read(head)) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(read(claims)) == {"clientID": "tenant"}
    key = base64.b64encode(SECRET.encode())
    assert read(signature) == hmac.digest(key, f"{head}.{claims}".encode(), hashlib.sha256)


def test_attributes_are_filled_with_facts_and_left_out_where_they_are_empty() -> None:
    wanted = attributes.parse(
        "state={state}, rows={rows}, of={taskName}, took={seconds} s, sum={sha256},fix=1,"
    )
    filled = attributes.fill(wanted, attributes.facts(delivery()))
    assert filled == {
        "state": "done",
        "rows": "1000",
        "of": "Spring, audience",
        "took": "83 s",
        "fix": "1",
    }


def test_a_long_value_is_shortened() -> None:
    known = attributes.facts(delivery(message="x" * 500))
    filled = attributes.fill(attributes.parse("m={message}"), known)
    assert filled["m"] == "x" * 197 + "..."


def test_every_fact_that_a_template_may_name_is_known_of_some_delivery() -> None:
    result = dict.fromkeys(("columns", "unreadableValues", "sha256"), "1")
    one = delivery(message="m", result={**delivery().result, **result})
    assert set(attributes.facts(one)) == set(attributes.FACTS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rows={row}", "did you mean rows?"),
        ("rows={zzz}", "known are deliveryId"),
        ("rows", "write name={fact}"),
        ("rows={rows}, rows={state}", "each name once"),
        ("eventName={state}", "a meaning of its own"),
        ("datahub_id={rows}", "a meaning of its own"),
        ("a b={rows}", "no name of an attribute"),
        ("rows={rows", "braces stand around"),
    ],
)
def test_what_is_wrong_with_attributes_is_told(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        attributes.parse(text)


def test_attributes_print_as_one_writes_them() -> None:
    text = "rows={rows}, what={state} {code}"
    assert str(attributes.parse(text)) == text


def test_an_event_of_a_customer_is_about_the_identity_of_its_payload() -> None:
    about = letter.identity(Kind.TRIGGERED, payload("triggered.json"), None)
    assert about == Identity("datahub_id", "621aba3e-2225-3552-90a1-d9a9a6484238")


@pytest.mark.parametrize("members", [{}, {"identityId": None}, {"identityId": " "}])
def test_an_event_without_an_identity_is_about_nobody(members: dict[str, object]) -> None:
    technical = Identity("subject_id", "1")
    assert letter.identity(Kind.TRIGGERED, dict(members), technical) is None


def test_a_task_is_about_the_technical_identity() -> None:
    technical = Identity("subject_id", "1")
    assert letter.identity(Kind.BULK, payload(), technical) == technical
    assert letter.identity(Kind.BULK, payload(), None) is None


@pytest.mark.parametrize(
    ("rtc", "told"),
    [
        (("response_tracking_code", "abc"), {"response_tracking_code": "abc"}),
        (("", "abc"), {}),
        (("response_tracking_code", ""), {}),
    ],
)
def test_an_event_has_name_identity_attributes_and_tracking_code(
    rtc: tuple[str, str], told: dict[str, str]
) -> None:
    made = letter.event("stp_done", Identity("subject_id", "1"), {"rows": "5"}, rtc)
    body = {"eventName": "stp_done", "subject_id": "1", "rows": "5", **told}
    assert made == Letter("/marketingGateway/events", body)


def test_a_task_is_run_again_whatever_its_schedule_says() -> None:
    document = payload()
    made = letter.rerun(document)
    assert made is not None
    assert made.path == "/marketingExecution/taskJobs"
    task_id = document["task"]["taskId"]
    assert made.body == {"version": 1, "taskId": task_id, "overrideSchedule": True}
    assert letter.rerun({"task": {}}) is None
    assert letter.rerun({}) is None


@pytest.mark.parametrize("text", ["subject_id", "subject_id:", "phone:1", ":1"])
def test_an_identity_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write one of datahub_id"):
        letter.parse_identity(text)


@pytest.mark.parametrize(
    ("status", "before", "course", "code"),
    [
        (200, "", Course.SENT, ""),
        (201, "", Course.SENT, ""),
        (202, "", Course.SENT, ""),
        (301, "", Course.OVER, "gateway_address"),
        (400, "", Course.OVER, "report_refused"),
        (401, "", Course.OVER, "gateway_credentials"),
        (403, "", Course.AGAIN, "gateway_limit"),
        (403, "gateway_failed", Course.AGAIN, "gateway_limit"),
        (403, "gateway_limit", Course.OVER, "gateway_credentials"),
        (404, "", Course.OVER, "report_refused"),
        (429, "", Course.AGAIN, "gateway_failed"),
        (500, "", Course.AGAIN, "gateway_failed"),
        (503, "", Course.AGAIN, "gateway_failed"),
        (504, "", Course.OVER, "report_unknown"),
    ],
)
def test_each_status_has_its_course(status: int, before: str, course: Course, code: str) -> None:
    told = answer.read(status, None, before)
    assert (told.course, told.code, told.status) == (course, code, status)
    assert course is Course.SENT or (told.message and told.advice)


@given(st.integers(100, 599), st.sampled_from(["", "gateway_limit"]))
def test_nothing_but_2xx_counts_as_sent(status: int, before: str) -> None:
    sent = answer.read(status, None, before).course is Course.SENT
    assert sent == (200 <= status < 300)


def test_pauses_follow_the_schedule_and_never_undercut_what_the_gateway_asks() -> None:
    pauses = Pauses((10, 60))
    busy, limit = answer.read(503, 30, ""), answer.read(403, None, "")
    assert answer.pause(busy, 1, pauses, 0.0) == 30
    assert answer.pause(busy, 2, pauses, 0.5) == 63
    assert answer.pause(limit, 1, pauses, 0.0) == answer.LIMIT_SECONDS
    assert answer.pause(busy, 3, pauses, 0.0) is None


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://gateway.example.com", "https://gateway.example.com"),
        ("https://gateway.example.com/marketingGateway/", "https://gateway.example.com"),
        ("https://gateway.example.com:8443/", "https://gateway.example.com:8443"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("", ""),
    ],
)
def test_the_address_of_the_gateway_is_taken_as_ci_360_shows_it(text: str, url: str) -> None:
    assert texts.gateway_url(text, Path()) == url


@pytest.mark.parametrize(
    "text",
    [
        "http://gateway.example.com", "gateway.example.com", "https://user@gateway.example.com",
        "https://gateway.example.com/other", "https://gateway.example.com?a=1", "https://",
        "ftp://gateway.example.com", "https://gateway.example.com/#a",
    ],
)  # fmt: skip
def test_no_other_address_gets_a_token(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        texts.gateway_url(text, Path())
