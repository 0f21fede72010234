"""The service in front of the pretend SAS BI Web Services: every failure gives its verdict,
status and advice, and no thread stays behind."""

from __future__ import annotations

import csv
import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from connector_proxy.destinations.embedded import result_document
from connector_proxy.emulator import FAILURES, Emulator, Ran
from connector_proxy.health.check import Condition
from connector_proxy.health.start import run_checks
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from tests.conftest import Service, another, payload
from tests.filestore import FileStore

META = b"identity_id,customer_id"
ROWS = b"a,1\nb,2\nc,3\n"
TEMPLATES = {
    "rest by path": "/SASBIWS/rest/storedProcesses/Shared Data/CI360/{{stpName}}",
    "rest by path, raw": "/SASBIWS/rest/storedProcesses/Shared Data/CI360/{{stpName}}/dataTargets/_WEBOUT",
    "rest by path, raw in 9.3": "/SASBIWS/rest/storedProcesses/CI360/{{stpName}}/streams/_WEBOUT",
    "rest, deployed": "/SASBIWS/rest/ci360/{{stpName}}",
    "soap": "/SASBIWS/services/{{stpName}}",
    "soap by path": "/SASBIWS/services/storedProcesses/CI360/{{stpName}}",
}
STATES = {200: "done", 202: "waiting", 502: "refused", 504: "held"}
EXPECTED = {
    "fault-1000": (502, "credentials"),
    "fault-2000": (502, "not_callable"),
    "fault-3000": (502, "sas_error"),
    "fault-4000": (202, "sas_unreachable"),
    "fault-5000": (504, "outcome_unknown"),
    "warning": (502, "sas_error"),
    "own-error": (502, "stored_process_error"),
    "nothing-written": (200, None),
    "text": (200, None),
    "cdata": (200, None),
    "base64": (200, None),
    "html-502": (202, "sas_unreachable"),
    "html-503": (202, "busy"),
    "html-504": (504, "outcome_unknown"),
    "logon-page": (502, "logon_page"),
    "logon-redirect": (502, "logon_page"),
    "not-sasbiws": (502, "not_sasbiws"),
    "entities": (502, "not_sasbiws"),
    "endless": (502, "not_sasbiws"),
    "slow-headers": (504, "outcome_unknown"),
    "slow-body": (504, "outcome_unknown"),
    "cut-headers": (504, "outcome_unknown"),
    "cut-body": (504, "outcome_unknown"),
    "refuse": (202, "sas_unreachable"),
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Datasets as text, to be read here."""
    return replace(settings, datasetformat=("csv",))


def bulk(store: FileStore, **more: Any) -> dict[str, Any]:
    return {**another(payload()), "presignedUrls": store.urls(META, ROWS), **more}


def dataset(settings: Settings, answer: dict[str, Any]) -> list[list[str]]:
    path = settings.outputfolder / str(answer["result"]["dataSet"])
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_webhook_becomes_a_dataset_in_both_families(
    template: str,
    settings: Settings,
    emulator: Emulator,
    store: FileStore,
    start: Callable[[Settings], Service],
) -> None:
    response = start(replace(settings, stpurl=emulator.url + template)).post(bulk(store))
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["status"], answer["stpName"]) == ("done", "Download File")
    assert answer["result"]["rows"] == 3
    assert dataset(settings, answer) == [["identity_id", "customer_id"], ["a", "1"], ["b", "2"], ["c", "3"]]  # fmt: skip


def test_every_switch_has_its_expected_end() -> None:
    assert set(EXPECTED) == set(FAILURES)


@pytest.mark.parametrize("fail", [one for one in EXPECTED if one != "refuse"])
def test_a_failure_gives_its_status_and_advice(
    fail: str,
    settings: Settings,
    emulator: Emulator,
    store: FileStore,
    start: Callable[[Settings], Service],
) -> None:
    service = start(replace(settings, stpurl=emulator.stpurl, readtimeout=1.0))
    emulator.behave(fail=fail)
    response = service.post(bulk(store))
    status, code = EXPECTED[fail]
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    record = service.record(response)
    assert record["state"] == STATES[status]
    (attempt,) = record["attempts"]
    if status != 200:
        assert (record["code"], attempt["code"]) == (code, code)
        assert record["message"] and record["advice"]
    if status > 202:
        error = response.json()["error"]
        assert (error["code"], error["message"]) == (code, record["message"])
        assert response.json()["deliveryId"] == record["deliveryId"]
    assert ("nextAttemptAt" in record) == (status == 202)
    emulator.behave(fail="")
    assert service.post(bulk(store)).status_code == 200, "the next one is not harmed"


def test_an_error_of_the_stored_process_is_shown_in_its_own_words(
    sas_service: Service, store: FileStore
) -> None:
    """Both files are there, and the second row of the data is too short."""
    urls = store.urls(META, b"a,1\nb\n")
    response = sas_service.post({**another(payload()), "presignedUrls": urls})
    words = "(code bad_data): Line 2 of the data file has 1 values, the metadata names 2 columns."
    assert response.status_code == 502
    assert response.json()["error"]["message"].endswith(words)
    assert sas_service.record(response)["attempts"][0]["message"].endswith(words)


def test_a_password_in_the_words_of_the_stored_process_is_shown_nowhere(
    settings: Settings, emulator: Emulator, start: Callable[[Settings], Service]
) -> None:
    own = {"stpusername": Secret("sasdemo"), "stppassword": Secret("Geheim42")}
    service = start(replace(settings, stpurl=emulator.stpurl, **own))
    said = result_document("error", code="9", message="The password Geheim42 is not right.")
    emulator.stored_process = lambda instream: Ran(said)
    response = service.post(another(payload("triggered.json")))
    assert response.status_code == 502
    assert response.json()["error"]["message"].endswith("The password <masked> is not right.")
    assert "Geheim42" not in json.dumps(service.record(response))


def test_the_wait_that_a_front_end_asks_for_is_kept(
    sas_service: Service, emulator: Emulator, store: FileStore
) -> None:
    """It asks for seven seconds, where the schedule would take five."""
    emulator.behave(fail="html-503")
    record = sas_service.record(sas_service.post(bulk(store)))
    ended = datetime.fromisoformat(record["attempts"][0]["endedAt"])
    planned = datetime.fromisoformat(record["nextAttemptAt"])
    assert (planned - ended).total_seconds() == pytest.approx(7, abs=0.01)


def test_no_attempt_hangs_past_its_time_out(
    settings: Settings, emulator: Emulator, store: FileStore, start: Callable[[Settings], Service]
) -> None:
    """Two attempts at a time, six requests whose replies drip for minutes: all are answered in
    time."""
    service = start(replace(settings, stpurl=emulator.stpurl, readtimeout=0.5, concurrency=2))
    emulator.behave(fail="slow-headers")
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(service.post(bulk(store)).status_code))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert statuses == [504] * 6


def test_a_server_that_refuses_connections_may_be_tried_again(
    settings: Settings, store: FileStore, start: Callable[[Settings], Service]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/SASBIWS/rest/storedProcesses/{{{{stpName}}}}"
        service = start(replace(settings, stpurl=url))
        response = service.post(bulk(store))
        record = service.record(response)
    assert (response.status_code, record["state"]) == (202, "waiting")
    assert "onnection refused" in record["message"]


def test_the_emulator_can_refuse_connections(
    settings: Settings, start: Any, store: FileStore
) -> None:
    from connector_proxy.emulator import Behaviour, embedded_stored_process

    with Emulator(
        embedded_stored_process(settings), behaviour=Behaviour(fail="refuse")
    ) as refusing:
        service = start(replace(settings, stpurl=refusing.stpurl))
        response = service.post(bulk(store))
        code = service.record(response)["code"]
    assert (response.status_code, code) == EXPECTED["refuse"]


def test_an_unknown_host_may_be_tried_again(
    settings: Settings, start: Any, store: FileStore
) -> None:
    url = "http://no-such-host.invalid/SASBIWS/rest/storedProcesses/{{stpName}}"
    service = start(replace(settings, stpurl=url))
    response = service.post(bulk(store))
    assert response.status_code == 202
    assert "host name is not known" in service.record(response)["message"]


def test_a_server_without_trusted_tls_gets_nothing(settings: Settings, emulator: Emulator, start: Any, store: FileStore) -> None:  # fmt: skip
    url = emulator.stpurl.replace("http://", "https://")
    service = start(replace(settings, stpurl=url))
    response = service.post(bulk(store))
    assert response.status_code == 202
    assert "TLS" in service.record(response)["message"]
    assert emulator.requests == []


@pytest.fixture
def tls_emulator(emulator: Emulator, tmp_path: Path) -> Path:
    """The emulator behind TLS; gives the PEM file of the authority that vouches for it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    emulator._server.socket = context.wrap_socket(emulator._server.socket, server_side=True)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def test_tls_is_trusted_by_the_certificates_of_cabundle_alone(
    settings: Settings, emulator: Emulator, tls_emulator: Path, store: FileStore, start: Any
) -> None:
    known = Secret("user"), Secret("password")
    own = replace(
        settings,
        stpurl=emulator.stpurl.replace("http:", "https:"),
        stpusername=known[0],
        stppassword=known[1],
    )
    untrusting = start(own)
    refused = untrusting.post(bulk(store))
    assert (refused.status_code, emulator.requests) == (202, [])
    assert "TLS" in untrusting.record(refused)["message"]
    service = start(replace(own, cabundle=tls_emulator))
    assert [service.post(bulk(store)).status_code for _ in range(3)] == [200] * 3


def test_check_tries_tls_with_the_certificates_of_cabundle(
    settings: Settings, emulator: Emulator, tls_emulator: Path
) -> None:
    own = replace(settings, stpurl=emulator.stpurl.replace("http:", "https:"))
    found = {one.name: one for one in run_checks(own)}[
        f"stored process host 127.0.0.1:{emulator.port}"
    ]
    assert (found.condition, "no trusted TLS" in found.message) == (Condition.FAIL, True)
    trusted = run_checks(replace(own, cabundle=tls_emulator))
    assert all(one.condition is not Condition.FAIL for one in trusted)


def test_a_late_job_runs_on_and_its_outcome_is_unknown(
    settings: Settings, emulator: Emulator, store: FileStore, start: Callable[[Settings], Service]
) -> None:
    service = start(replace(settings, stpurl=emulator.stpurl, readtimeout=0.5))
    emulator.behave(delay=1.5)
    response = service.post(bulk(store))
    assert response.status_code == 504
    assert "may have run" in response.json()["error"]["advice"]
    emulator_ran = threading.Event()
    for _ in range(100):
        if emulator.requests[0].ran:
            break
        emulator_ran.wait(0.1)
    assert emulator.requests[0].ran
    assert len(emulator.requests) == 1, "it must not be sent again"


def test_a_connection_that_the_server_dropped_meanwhile_is_replaced(
    sas_service: Service, emulator: Emulator, store: FileStore
) -> None:
    for _ in range(3):
        assert sas_service.post(bulk(store)).status_code == 200
        emulator.behave(fail="cut-headers")
        assert sas_service.post(bulk(store)).status_code == 504
        emulator.behave(fail="")


def test_credentials_are_sent_when_there_are_some(
    settings: Settings, emulator: Emulator, store: FileStore, start: Callable[[Settings], Service]
) -> None:
    emulator.behave(user="sasdemo", password="s3cr-et")
    own = replace(settings, stpurl=emulator.stpurl)
    assert start(own).post(bulk(store)).json()["error"]["code"] == "credentials"
    known = replace(own, stpusername=Secret("sasdemo"), stppassword=Secret("s3cr-et"))
    assert start(known).post(bulk(store)).status_code == 200


def test_a_redirect_is_not_followed_and_credentials_go_nowhere_else(
    settings: Settings, emulator: Emulator, store: FileStore, start: Callable[[Settings], Service]
) -> None:
    emulator.behave(fail="logon-redirect")
    known = replace(
        settings, stpurl=emulator.stpurl, stpusername=Secret("u"), stppassword=Secret("p")
    )
    assert start(known).post(bulk(store)).status_code == 502
    assert [request.method for request in emulator.requests] == ["POST"]


def test_the_stream_arrives_byte_for_byte(
    sas_service: Service, emulator: Emulator, store: FileStore
) -> None:
    document = bulk(store, sendParameters={"stpName": "A+B & 'C'", "note": "Ünï😀\r\n<x>&amp;"})
    assert sas_service.post(document).status_code == 200
    request = emulator.requests[0]
    assert request.stp_name == "A+B & 'C'"
    assert request.instream.startswith(b"<Table><InData><occurrenceId>")
    assert b"<note>&#220;n&#239;&#128512;&#13;&#10;&lt;x&gt;&amp;amp;</note>" in request.body


@pytest.mark.parametrize("name", ["a-b", "1 + 1", "Größe", "x" * 128, "a@b", "(a)"])
def test_any_legal_name_reaches_its_stored_process(name: str, sas_service: Service, emulator: Emulator, store: FileStore) -> None:  # fmt: skip
    assert sas_service.post(bulk(store, sendParameters={"stpName": name})).status_code == 200
    assert emulator.requests[-1].stp_name == name


def test_an_unknown_stored_process_is_refused(
    sas_service: Service, emulator: Emulator, store: FileStore
) -> None:
    emulator.names = frozenset({"Other"})
    assert sas_service.post(bulk(store)).json()["error"]["code"] == "not_callable"


def test_the_settings_of_one_stored_process_lead_elsewhere(
    settings: Settings,
    emulator: Emulator,
    store: FileStore,
    start: Callable[[Settings], Service],
    tmp_path: Path,
) -> None:
    own = {"download file": {"stpurl": emulator.stpurl}}
    service = start(replace(settings, overrides=own))
    assert service.post(bulk(store)).status_code == 200
    assert len(emulator.requests) == 1
    assert service.post(bulk(store, sendParameters={"stpName": "Other"})).status_code == 200
    assert len(emulator.requests) == 1, "the other one is the embedded stored process"


def test_a_proxy_of_the_environment_is_not_used(
    sas_service: Service, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert sas_service.post(bulk(store)).status_code == 200
