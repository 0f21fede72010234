"""Every sample payload through ``preview`` and through the running service."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from connector_proxy.cli import cli
from connector_proxy.emulator import Emulator, Ran
from connector_proxy.settings import Settings
from tests.conftest import PAYLOADS, Service

REST = "http://sas:7980/SASBIWS/rest/storedProcesses/Shared Data/{{stpName}}"
PLAIN = (200, [], [])
EXPECTED = {
    "bulk_stp.json": (200, [], ["<DownloadFile><streams>", "sendParameters.taskName -> sendParameters_taskName"]),
    "bulk_odd_values.json": (200, [], ["sendParameters.1st -> _1st", "now blanks: 2"]),
    "triggered.json": (200, [], ["<OneCustomer><streams>", "tracePoints_1_tracePointName"]),
    "bulk_no_send_parameters.json": (422, ["sendParameters.stpName"], []),
    "bulk_s3_trailing_blank.json": (422, ["sendParameters.stpName"], []),
    "bulk_missing_and_unknown.json": (422, ["presignedUrls.metadataFile"], []),
    "custom_body_form_encoded.txt": (400, [], []),
    "not_json_leading_zero.txt": (400, [], []),
    "duplicate_keys.json": (400, ["task.occurrenceId"], []),
    "agent_headers.json": (422, ["presignedUrls", "guid", "eventType"], []),
    "metadata_array.json": (400, [], []),
    "metadata_header_line.csv": (400, [], []),
    "data_hard.csv": (400, [], []),
    "data_bad_rows.csv": (400, [], []),
}  # fmt: skip
DEFAULTED = ["bulk_no_send_parameters.json", "bulk_s3_trailing_blank.json"]


def test_every_sample_is_expected() -> None:
    assert {path.name for path in PAYLOADS.iterdir()} == set(EXPECTED)


@pytest.fixture
def service(
    settings: Settings, start: Callable[[Settings], Service], emulator: Emulator
) -> Service:
    """In front of a stored process that says nothing: the samples' own files do not exist."""
    emulator.stored_process = lambda instream: Ran(b"")
    return start(replace(settings, stpurl=emulator.stpurl))


@pytest.mark.parametrize("name", EXPECTED)
def test_the_service_answers_as_specified(name: str, service: Service, emulator: Emulator) -> None:
    status, fields, _ = EXPECTED[name]
    raw = (PAYLOADS / name).read_bytes()
    response = service.post(raw)
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert len(response.content) < 4096
    assert response.headers["X-Request-ID"].startswith("inv-ev-p2-")
    assert "X-Amz" not in response.text
    if status == 200:
        assert response.json()["status"] == "done"
        assert len(emulator.requests) == 1
    else:
        error = response.json()["error"]
        assert [detail["field"] for detail in error["details"]] == fields
        assert error["requestId"] == response.headers["X-Request-ID"]
        assert emulator.requests == [], "no side effect"


@pytest.mark.parametrize("name", EXPECTED)
def test_preview_shows_what_would_be_sent(name: str, conf: Path) -> None:
    status, fields, words = EXPECTED[name]
    (conf / "serviceConfig.ini").write_text(f"[DEFAULT]\nstpurl = {REST}\n")
    result = CliRunner().invoke(cli, ["preview", "--conf", str(conf), str(PAYLOADS / name)])
    assert result.exit_code == (0 if status == 200 else 1), result.output
    shown = result.output.replace(">\n<", "><")
    for word in [*words, *fields]:
        assert word in shown
    assert "X-Amz-Signature=" not in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("name", DEFAULTED)
def test_a_default_stored_process_takes_what_names_none(
    name: str, settings: Settings, start: Callable[[Settings], Service], emulator: Emulator
) -> None:
    emulator.stored_process = lambda instream: Ran(b"")
    service = start(replace(settings, stpurl=emulator.stpurl, defaultstp="Catch All"))
    response = service.post((PAYLOADS / name).read_bytes())
    assert (response.status_code, response.json()["stpName"]) == (200, "Catch All")
    assert b"<stpName>Catch All</stpName>" in emulator.requests[0].instream


def test_the_name_may_come_in_the_query_string(service: Service, emulator: Emulator) -> None:
    raw = (PAYLOADS / "bulk_no_send_parameters.json").read_bytes()
    response = service.post(raw, "/ExecuteSTP?stpname=Download%20File")
    assert response.json()["stpName"] == "Download File"


def test_a_trailing_blank_in_a_key_is_trimmed_in_the_stream(
    settings: Settings, service: Service, emulator: Emulator
) -> None:
    document = json.loads((PAYLOADS / "bulk_s3_trailing_blank.json").read_text())
    document["sendParameters"]["stpName "] = "A"
    assert service.post(document).status_code == 200
    assert b"<s3_filename>my_audience.csv</s3_filename>" in emulator.requests[0].instream
