"""The whole service tells the pretend gateway how deliveries ended, whatever that answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connector_proxy import outcomes
from connector_proxy.ci360.token import key, token
from connector_proxy.emulator.gateway import PretendGateway
from connector_proxy.records import Report, ReportState
from connector_proxy.settings import Settings
from tests.conftest import Service, StubCarrier, another, payload
from tests.gateway import SECRET, TENANT, pretend, reporting

Starter = Callable[..., Service]
CUSTOMER = payload("triggered.json")["identityId"]


@pytest.fixture
def gateway() -> Iterator[PretendGateway]:
    with pretend() as running:
        yield running


@pytest.fixture
def service(
    start: Starter, settings: Settings, gateway: PretendGateway, carrier: StubCarrier
) -> Service:
    return start(reporting(settings, gateway.url), carrier)


def reported(service: Service, delivery_id: str, *, count: int = 1) -> Report:
    """The last report of a delivery, once there are ``count`` and none waits."""
    for _ in range(300):
        reports = service.deliveries.show(delivery_id).reports
        if len(reports) == count and all(one.state != ReportState.WAITING for one in reports):
            return reports[-1]
        time.sleep(0.05)
    raise AssertionError(service.deliveries.show(delivery_id))


def deliver(service: Service, document: dict[str, Any] | None = None) -> str:
    answer = service.post(another(document or payload("triggered.json")))
    return str(answer.json()["deliveryId"])


def test_a_customers_event_is_told_with_its_identity(
    service: Service, gateway: PretendGateway
) -> None:
    report = reported(service, deliver(service))
    assert report.state is ReportState.SENT
    (event,) = gateway.received.events
    assert event["eventName"] == "stp_done"
    assert event["datahub_id"] == CUSTOMER
    assert event["state"] == "done"
    assert "response_tracking_code" not in event, "it is empty in this payload"


def test_a_task_is_told_with_the_technical_identity_and_its_tracking_code(
    service: Service, gateway: PretendGateway
) -> None:
    document = payload()
    document["contactResponse"] = {"responseTrackingCode": "the-code-of-the-task"}
    reported(service, deliver(service, document))
    (event,) = gateway.received.events
    assert event["subject_id"] == "1"
    assert event["response_tracking_code"] == "the-code-of-the-task"


def test_a_duplicate_is_not_told_again(service: Service, gateway: PretendGateway) -> None:
    document = another(payload("triggered.json"))
    first = service.post(document).json()["deliveryId"]
    assert service.post(document).json()["deliveryId"] == first
    reported(service, first)
    assert len(gateway.received.events) == 1


def test_a_refusal_and_an_unknown_outcome_have_events_of_their_own(
    service: Service, gateway: PretendGateway, carrier: StubCarrier
) -> None:
    carrier.deed = lambda stp_name, body: outcomes.unknown(0, "no answer")
    reported(service, deliver(service))
    assert [one["eventName"] for one in gateway.received.events] == ["stp_held"]


@pytest.mark.parametrize("fail", ["busy", "failed"])
def test_a_gateway_that_is_not_ready_is_asked_again(
    service: Service, gateway: PretendGateway, fail: str
) -> None:
    gateway.fail = fail
    delivery_id = deliver(service)
    for _ in range(300):
        reports = service.deliveries.show(delivery_id).reports
        if reports and reports[0].tries:
            break
        time.sleep(0.05)
    gateway.fail = ""
    report = reported(service, delivery_id)
    assert (report.state, len(gateway.received.events)) == ("sent", 1)
    assert report.tries >= 2


@pytest.mark.parametrize(
    ("fail", "code"),
    [
        ("unauthorized", "gateway_credentials"),
        ("moved", "gateway_address"),
        ("timeout", "report_unknown"),
        ("failed", "gateway_failed"),
    ],
)
def test_what_cannot_be_sent_is_listed_as_unreported(
    service: Service, gateway: PretendGateway, fail: str, code: str
) -> None:
    gateway.fail = fail
    delivery_id = deliver(service)
    report = reported(service, delivery_id)
    assert (report.state, report.code) == ("unreported", code)
    assert report.advice
    assert service.deliveries.show(delivery_id).state == "done"
    assert gateway.received.events == []


def test_an_event_that_may_have_arrived_is_not_sent_again(
    service: Service, gateway: PretendGateway
) -> None:
    gateway.fail = "silent"
    report = reported(service, deliver(service))
    assert (report.state, report.code, report.tries) == ("unreported", "report_unknown", 1)
    assert len(gateway.received.events) == 1


def test_an_event_that_does_not_exist_is_refused(
    start: Starter, settings: Settings, gateway: PretendGateway, carrier: StubCarrier
) -> None:
    service = start(reporting(settings, gateway.url, doneevent="no such event"), carrier)
    report = reported(service, deliver(service))
    assert (report.state, report.code, report.status) == ("unreported", "report_refused", 400)


def test_a_payload_that_names_nobody_cannot_be_told(
    service: Service, gateway: PretendGateway
) -> None:
    document = payload("triggered.json")
    del document["identityId"]
    report = reported(service, deliver(service, document))
    assert (report.state, report.code) == ("unreported", "no_identity")
    assert gateway.received.requests == 0


def test_a_gateway_that_cannot_be_reached_is_tried_again(
    start: Starter, settings: Settings, carrier: StubCarrier
) -> None:
    service = start(reporting(settings, "http://127.0.0.1:1"), carrier)
    report = reported(service, deliver(service))
    assert (report.state, report.code, report.tries) == ("unreported", "gateway_unreachable", 3)


def test_reports_that_were_switched_off_meanwhile_are_listed(
    start: Starter, settings: Settings, gateway: PretendGateway, carrier: StubCarrier
) -> None:
    gateway.fail = "busy"
    own = reporting(settings, gateway.url)
    service = start(own, carrier)
    delivery_id = deliver(service)
    again = start(replace(own, reportvia="off"), carrier)
    report = reported(again, delivery_id)
    assert (report.state, report.code) == ("unreported", "reports_off")


def test_neither_secret_nor_customer_reaches_log_record_or_answer(
    service: Service, gateway: PretendGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ids = [deliver(service)]
    reported(service, ids[0])
    for fail in ("unauthorized", "silent", "failed"):
        gateway.fail = fail
        ids.append(deliver(service))
        reported(service, ids[-1])
    shown = [str(service.deliveries.show(one)) for one in ids]
    texts = [caplog.text, *shown, *(service.post(b"").text for _ in range(1))]
    hidden = (SECRET, key(SECRET).decode(), token(TENANT, SECRET), CUSTOMER)
    assert "told CI 360" in caplog.text
    assert not [one for one in hidden for text in texts if one in text]


def test_a_task_that_expired_is_run_again_and_told(
    start: Starter, settings: Settings, gateway: PretendGateway, carrier: StubCarrier
) -> None:
    carrier.deed = lambda stp_name, body: outcomes.unreachable(0, "refused")
    own = replace(settings, stpurl="http://127.0.0.1:1/{{stpName}}")
    service = start(reporting(own, gateway.url, rerun=True), carrier)
    document = payload()
    signed = f"X-Amz-Date={datetime.now(UTC):%Y%m%dT%H%M%SZ}&X-Amz-Expires=63&X-Amz-Signature=0"
    url = f"https://bucket.s3.amazonaws.com/file?{signed}"
    document["presignedUrls"] = {"dataFile": url, "metadataFile": url}
    delivery_id = deliver(service, document)
    reported(service, delivery_id, count=2)
    assert service.deliveries.show(delivery_id).state == "expired"
    assert gateway.received.jobs == [document["task"]["taskId"]]
    assert [one["state"] for one in gateway.received.events] == ["expired"]


def test_a_fault_of_ours_is_listed_and_not_repeated(
    service: Service, gateway: PretendGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("connector_proxy.ci360.sending.written_letter", fail)
    report = reported(service, deliver(service))
    assert (report.state, report.code, report.tries) == ("unreported", "internal_error", 1)
    assert gateway.received.requests == 0


def test_the_record_of_a_delivery_tells_what_was_reported(
    service: Service, gateway: PretendGateway
) -> None:
    answer = service.post(another(payload("triggered.json")))
    reported(service, answer.json()["deliveryId"])
    (report,) = service.record(answer)["reports"]
    assert (report["event"], report["state"], report["status"]) == ("stp_done", "sent", 200)
    assert CUSTOMER not in str(report)
