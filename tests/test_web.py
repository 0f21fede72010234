"""The door: JSON for every path, small answers, an id for every request."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from connector_proxy import service as whole
from connector_proxy.intake import stp_name_issue
from connector_proxy.records import Outcome, Verdict
from connector_proxy.settings import Settings
from tests.conftest import PAYLOADS, Service, StubCarrier, payload
from tests.test_stream import json_objects, json_values


@pytest.fixture
def service(start: Callable[..., Service], settings: Settings, carrier: StubCarrier) -> Service:
    carrier.deed = lambda stp_name, body: Outcome(Verdict.DONE, "done", result={"rows": 3})
    return start(settings, carrier)


@pytest.fixture
def client(service: Service) -> FlaskClient:
    return service.parts.app.test_client()


class Nobody:
    """Carries nothing out: what is accepted waits."""

    def start(self, tell: object) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.fixture
def accepting(settings: Settings) -> Iterator[FlaskClient]:
    parts = whole.Service(replace(settings, waitseconds=0), Nobody())
    yield parts.app.test_client()
    parts.stop()
    parts.run()


RAW = (PAYLOADS / "bulk_stp.json").read_bytes()


def test_a_delivery_that_is_done_is_answered_with_its_ids(client: FlaskClient) -> None:
    response = client.post("/ExecuteSTP", data=RAW, headers={"X-Request-ID": "r-1"})
    assert response.status_code == 200
    answer = response.get_json()
    assert set(answer) == {"status", "deliveryId", "requestId", "stpName", "result"}
    assert (answer["status"], answer["requestId"], answer["result"]) == ("done", "r-1", {"rows": 3})
    assert uuid.UUID(answer["deliveryId"])


@pytest.mark.parametrize(
    ("verdict", "status", "state"),
    [
        (Verdict.REFUSED, 502, "refused"),
        (Verdict.RETRY, 202, "waiting"),
        (Verdict.UNKNOWN, 504, "held"),
    ],
)
def test_a_first_verdict_becomes_a_status(
    verdict: Verdict, status: int, state: str, client: FlaskClient, carrier: StubCarrier
) -> None:
    carrier.deed = lambda stp_name, body: Outcome(
        verdict, "c", "what", "advice", cause="secret words"
    )
    response = client.post("/ExecuteSTP", data=RAW)
    assert response.status_code == status
    answer = response.get_json()
    if status > 202:
        assert answer["error"]["advice"] == "advice"
    record = client.get(f"/deliveries/{answer['deliveryId']}")
    assert record.get_json()["state"] == state
    assert b"secret words" not in response.data + record.data
    if status == 202:
        assert (answer["status"], answer["statusUrl"]) == (
            "accepted",
            f"/deliveries/{answer['deliveryId']}",
        )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/favicon.ico", 404),
        ("POST", "/executestp", 404),
        ("POST", "/ExecuteSTP/", 404),
        ("POST", "/ExecuteSTP/../x", 404),
        ("POST", "/%00", 404),
        ("GET", "/ExecuteSTP", 405),
        ("PUT", "/ExecuteSTP", 405),
        ("DELETE", "/ExecuteSTP", 405),
        ("OPTIONS", "/ExecuteSTP", 405),
        ("TRACE", "/ExecuteSTP", 405),
        ("BREW", "/ExecuteSTP", 405),
        ("OPTIONS", "/", 404),
    ],
)
def test_every_other_request_is_answered_in_json(
    method: str, path: str, status: int, client: FlaskClient
) -> None:
    response = client.open(path, method=method)
    assert response.status_code == status
    error = response.get_json()["error"]
    assert set(error) == {"code", "message", "advice", "timestamp", "requestId", "details"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", error["timestamp"])
    assert response.headers.get("Allow") == ("POST" if status == 405 else None)


def test_a_fault_of_ours_is_answered_without_its_words(
    client: FlaskClient, service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("the words of the fault")

    monkeypatch.setattr(service.parts._acceptor, "accept", fails)
    response = client.post("/ExecuteSTP", data=RAW)
    assert response.status_code == 500
    assert response.get_json()["error"]["code"] == "internal_error"
    assert b"words of the fault" not in response.data
    assert "words of the fault" in caplog.text


def test_a_body_beyond_the_limit_is_refused(client: FlaskClient, settings: Settings) -> None:
    response = client.post("/ExecuteSTP", data=b" " * (settings.maxrequestbytes + 1))
    assert (response.status_code, response.get_json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "given_id",
    ["", "a b", "x" * 201, "<script>", "a;b", "a%0d%0ab", "a b: c", 'a"b', "ü"],
    ids=repr,
)
def test_a_request_id_that_could_do_harm_is_replaced(given_id: str, client: FlaskClient) -> None:
    response = client.post("/ExecuteSTP", data=b"{}", headers={"X-Request-ID": given_id})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])


def test_a_fault_of_ours_while_it_is_carried_out_holds_the_delivery(
    client: FlaskClient, carrier: StubCarrier, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(stp_name: str, body: bytes) -> Outcome:
        raise RuntimeError("the words of the fault")

    carrier.deed = fails
    response = client.post("/ExecuteSTP", data=RAW)
    assert (response.status_code, response.get_json()["error"]["code"]) == (504, "internal_error")
    assert b"words of the fault" not in response.data
    assert "words of the fault" in caplog.text


def test_the_trace_id_of_ci_360_is_the_request_id(client: FlaskClient) -> None:
    headers = {"x-ci360-con-inv-trace-id": "inv-1", "X-Request-ID": "r-1"}
    assert client.post("/ExecuteSTP", data=RAW, headers=headers).get_json()["requestId"] == "inv-1"


def test_the_content_type_does_not_matter(client: FlaskClient) -> None:
    for kind in ("text/plain;charset=UTF-8", "application/json", "multipart/form-data", "application/x-www-form-urlencoded", ""):  # fmt: skip
        assert client.post("/ExecuteSTP", data=RAW, content_type=kind).status_code == 200


def test_the_longest_names_still_give_a_small_answer(
    client: FlaskClient, carrier: StubCarrier
) -> None:
    name = "\U0001d400" * 128  # a letter that JSON escapes with twelve characters
    assert stp_name_issue(name) == ""
    result: dict[str, str | int] = {"dataSet": "\U0001d400" * 128, "rows": 10**14}
    carrier.deed = lambda stp_name, body: Outcome(Verdict.DONE, "done", result=result)
    document = {**payload(), "sendParameters": {"stpName": name}}
    response = client.post(
        "/ExecuteSTP", data=json.dumps(document), headers={"X-Request-ID": "x" * 200}
    )
    assert response.status_code == 200
    assert len(response.data) < 4096


@hypothesis_settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    document=st.fixed_dictionaries(
        {},
        optional={
            "presignedUrls": st.fixed_dictionaries({"dataFile": json_values, "metadataFile": json_values})
            | json_values,
            "guid": json_values,
            "eventType": json_values,
            "task": json_objects | json_values,
            "sendParameters": st.fixed_dictionaries({"stpName": json_values}) | json_values,
            "properties": json_values,
        },
    )
    | json_objects
)  # fmt: skip
@example(
    document={
        "presignedUrls": {"dataFile": "d", "metadataFile": "m"},
        "sendParameters": {"stpName": "A"},
    }
)
def test_any_object_is_accepted_or_gets_a_client_error_with_a_path(
    document: dict[str, Any], accepting: FlaskClient
) -> None:
    response = accepting.post("/ExecuteSTP", data=json.dumps(document))
    assert response.status_code in (200, 202, 422), response.data
    assert len(response.data) < 4096
    if response.status_code == 422:
        assert all(detail["field"] for detail in response.get_json()["error"]["details"])
        assert response.get_json()["error"]["details"]


@pytest.mark.parametrize("part", ["abcd", "%20" * 28 + "abcd", "%00" * 32, "A" * 32, "0" * 32])
def test_a_record_is_shown_for_a_whole_id_alone(part: str, client: FlaskClient) -> None:
    response = client.get(f"/deliveries/{part}")
    assert (response.status_code, response.get_json()["error"]["code"]) == (404, "no_such_delivery")


def test_half_a_letter_in_an_id_harms_nobody(accepting: FlaskClient) -> None:
    raw = (PAYLOADS / "triggered.json").read_bytes()
    broken = json.dumps({**json.loads(raw), "guid": "\ud800"})
    assert accepting.post("/ExecuteSTP", data=broken).status_code == 202


def test_no_template_or_static_folder_is_served(client: FlaskClient, conf: Path) -> None:
    assert client.get("/static/x").status_code == 404


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_in_a_browser_cannot_send_webhooks(site: str, service: Service) -> None:
    client = service.parts.app.test_client()
    for path in ("/ExecuteSTP", "/UploadFile"):
        answer = client.post(path, data=json.dumps(payload()), headers={"Sec-Fetch-Site": site})
        assert (answer.status_code, answer.json["error"]["code"]) == (403, "from_a_page")
    assert service.deliveries.search() == []
