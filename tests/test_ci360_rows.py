"""Rejected rows become events of their customers, in one file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from connector_proxy.ci360 import rowevents
from connector_proxy.ci360.byhand import ByHand
from connector_proxy.ci360.letter import Letter
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.emulator.gateway import PretendGateway
from connector_proxy.records import Report, ReportKind
from connector_proxy.settings import Settings
from tests.conftest import Service, decided, payload
from tests.filestore import FileStore
from tests.gateway import pretend, reporting
from tests.test_ci360_service import reported

Starter = Callable[..., Service]
METADATA = (
    b'[{"columnName":"identity_id","dataType":"character"},{"columnName":"n","dataType":"numeric"}]'
)
DATA = b'a1,1\na2,two\n"a,3",3,3\na4,4\n,five\n'
"""The second row has no number, the third a value too many, the last one no customer."""


@pytest.fixture
def gateway() -> Iterator[PretendGateway]:
    with pretend() as running:
        yield running


@pytest.fixture
def service(start: Starter, settings: Settings, gateway: PretendGateway) -> Service:
    own = reporting(settings, gateway.url, rowevent="row_rejected", doneevent="")
    return start(replace(own, onbadrow="reject"))


def delivered(service: Service, store: FileStore, metadata: bytes, data: bytes) -> str:
    document = payload()
    document["presignedUrls"] = store.urls(metadata, data)
    document["contactResponse"] = {"responseTrackingCode": "code-1"}
    answer = service.post(document)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["deliveryId"])


def told(service: Service, delivery_id: str) -> Report:
    report = reported(service, delivery_id)
    assert report.kind is ReportKind.ROWS
    return report


def test_each_rejected_row_is_told_about_its_customer(
    service: Service, gateway: PretendGateway, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    report = told(service, delivered(service, store, METADATA, DATA))
    assert report.state == "sent"
    first, second = gateway.received.events
    assert first == {
        "eventName": "row_rejected",
        "datahub_id": "a2",
        "line": "2",
        "reason": "The row has a value in column 'n' that is not a number.",
        "response_tracking_code": "code-1",
    }
    assert (second["datahub_id"], second["line"]) == ("a,3", "3")
    ours = " ".join(one.getMessage() for one in caplog.records if "connector_proxy" in one.name)
    assert "told CI 360" in ours
    assert "a,3" not in ours
    assert "X-Amz-Signature" not in ours


def test_a_dry_run_says_that_rows_go_as_a_file(
    service: Service, gateway: PretendGateway, store: FileStore, settings: Settings
) -> None:
    gateway.fail = "unauthorized"
    delivery_id = delivered(service, store, METADATA, DATA)
    told(service, delivery_id)
    database = Database(service.settings)
    by_hand = ByHand(service.settings, database, Queue(database.engine, service.settings))
    (letter,) = by_hand.preview(delivery_id, decided())
    database.close()
    assert isinstance(letter, Letter)
    assert letter.path == "/marketingGateway/bulkEventsFileLocation"
    assert "row_rejected" in letter.body["then"]


def test_a_dataset_without_rejected_rows_has_nothing_to_tell(
    service: Service, gateway: PretendGateway, store: FileStore
) -> None:
    delivery_id = delivered(service, store, METADATA, b"a1,1\n")
    assert service.deliveries.show(delivery_id).reports == ()


def test_rows_that_do_not_begin_with_their_customer_are_not_told(
    service: Service, gateway: PretendGateway, store: FileStore
) -> None:
    metadata = METADATA.replace(b"identity_id", b"other")
    report = told(service, delivered(service, store, metadata, DATA))
    assert (report.state, report.code) == ("unreported", "no_rows")
    assert gateway.received.requests == 0


@pytest.mark.parametrize(
    ("fail", "code"), [("unauthorized", "gateway_credentials"), ("failed", "gateway_failed")]
)
def test_without_a_place_for_the_file_it_is_unreported(
    service: Service, gateway: PretendGateway, store: FileStore, fail: str, code: str
) -> None:
    gateway.fail = fail
    report = told(service, delivered(service, store, METADATA, DATA))
    assert (report.state, report.code) == ("unreported", code)
    assert not gateway.received.events


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"links": [{"rel": "self", "href": "https://s3/x?sig=1"}]}', "https://s3/x?sig=1"),
        (b'{"links": [{"rel": "up", "href": "https://s3/x"}]}', ""),
        (b'{"links": [{"rel": "self", "href": "http://s3/x"}]}', ""),
        (b'{"links": [{"rel": "self", "href": "file:///etc/passwd"}]}', ""),
        (b'{"links": 1}', ""),
        (b"<html/>", ""),
    ],
)
def test_a_file_goes_to_https_only(body: bytes, place: str) -> None:
    assert rowevents._place(body, "https://gateway.example.com") == place


def test_the_rejects_of_another_occurrence_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / "Spring_o1.json").write_text(
        '{"dataset": "Spring_o1", "madeBy": "connector-proxy 1", "occurrence": "o1", "columns": [{"name": "identity_id"}], '
        '"files": [{"name": "Spring_o1_rejects.csv", "format": "rejects"}]}',
        encoding="utf-8",
    )
    assert rowevents.find(tmp_path, "o1") is None, "the file is gone"
    (tmp_path / "Spring_o1_rejects.csv").write_text("line,reason,row\n", encoding="utf-8")
    assert rowevents.find(tmp_path, "o1") == tmp_path / "Spring_o1_rejects.csv"
    assert rowevents.find(tmp_path, "o") is None
