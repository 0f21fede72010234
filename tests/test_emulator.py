"""The pretend SAS BI Web Services keeps to what is known of the real one."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from lxml import etree

from connector_proxy.cli import cli
from connector_proxy.emulator import FAILURES, Behaviour, Emulator, Ran
from connector_proxy.records import Stream
from connector_proxy.stream import build_request
from tests.crashing import wait_until

TABLE = b"<Table><InData><occurrenceId>o-1</occurrenceId></InData></Table>"
OK = Ran(b"<stpResult><status>ok</status></stpResult>")


def post(emulator: Emulator, path: str, body: bytes, **headers: str) -> requests.Response:
    url = f"{emulator.url}/SASBIWS/{path}"
    return requests.post(
        url, data=body, headers={"Content-Type": "application/xml", **headers}, timeout=10
    )


def request(root: str = "any", stream: bytes = TABLE) -> bytes:
    return b"<%b><streams><instream><Value>%b</Value></instream></streams></%b>" % (
        root.encode(),
        stream,
        root.encode(),
    )


@pytest.fixture
def pretend() -> Any:
    with Emulator(lambda instream: OK) as running:
        yield running


@pytest.mark.parametrize("path", ["Download%20File", "Download+File"])
def test_a_call_by_path_ignores_the_root_and_answers_by_name(path: str, pretend: Emulator) -> None:
    response = post(pretend, f"rest/storedProcesses/Shared%20Data/{path}", request("contents"))
    root = etree.fromstring(response.content)
    assert (response.status_code, root.tag) == (200, "downloadFileResponse")
    assert root.findtext("downloadFileResult/Streams/_WEBOUT/Value/stpResult/status") == "ok"
    assert pretend.requests[0].instream == TABLE
    assert pretend.requests[0].stp_name == "Download File"


def test_a_deployed_service_wants_its_own_name_as_root(pretend: Emulator) -> None:
    assert post(pretend, "rest/svc/DownloadFile", request("DownloadFile")).status_code == 200
    refused = post(pretend, "rest/svc/DownloadFile", request("any"))
    assert (refused.status_code, etree.fromstring(refused.content).get("code")) == (500, "2000")


def test_one_stream_comes_without_its_envelope(pretend: Emulator) -> None:
    response = post(pretend, "rest/storedProcesses/A/dataTargets/_WEBOUT", request())
    assert response.content == OK.webout


@pytest.mark.parametrize(
    "body",
    [
        b"<a><Streams><instream><Value><Table/></Value></instream></Streams></a>",
        b"<a><streams><instream><value><Table/></value></instream></streams></a>",
        b"<a><streams><other><Value><Table/></Value></other></streams></a>",
        b"<a><streams><instream><Value></Value></instream></streams></a>",
        b"<a/>",
    ],
)
def test_tags_are_case_sensitive_and_an_empty_stream_hangs_up_to_a_limit(
    body: bytes, pretend: Emulator
) -> None:
    pretend.behave(hang=0.2)
    hung = post(pretend, "rest/storedProcesses/A", body)
    assert etree.fromstring(hung.content).get("code") == "5000"
    pretend.behave(fault_on_empty_instream=True)
    refused = post(pretend, "rest/storedProcesses/A", body)
    assert etree.fromstring(refused.content).get("code") == "2000"


def test_namespaces_cdata_and_a_declaration_are_understood(pretend: Emulator) -> None:
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?><n:a xmlns:n="urn:x"><n:streams><n:instream>'
        b"<n:Value><![CDATA[<Table/>]]></n:Value></n:instream></n:streams></n:a>"
    )
    assert post(pretend, "rest/storedProcesses/A", body).status_code == 200
    assert pretend.requests[0].instream == b"<Table/>"


def test_a_warning_is_a_fault_unless_it_is_acceptable(pretend: Emulator) -> None:
    pretend.behave(fail="warning")
    assert (
        etree.fromstring(post(pretend, "rest/storedProcesses/A", request()).content).get("code")
        == "3000"
    )
    pretend.behave(acceptable_syscc=(0, 4))
    assert post(pretend, "rest/storedProcesses/A", request()).status_code == 200


def test_a_soap_fault_has_the_documented_layout(pretend: Emulator) -> None:
    pretend.behave(fail="fault-3000", fault_status=200)
    body = b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>%b</e:Body></e:Envelope>'
    response = post(pretend, "services/A", body % request("A"))
    fault = etree.fromstring(response.content).find("{*}Body/{*}Fault")
    assert (response.status_code, fault is not None) == (200, True)
    assert fault is not None and fault.find("detail/Fault") is not None
    assert fault.findtext("detail/Fault/Exception/SYSCC") == "1012"


def test_credentials_are_asked_for_with_status_401(pretend: Emulator) -> None:
    pretend.behave(user="u", password="p")
    assert post(pretend, "rest/storedProcesses/A", request()).status_code == 401
    token = base64.b64encode(b"u:p").decode()
    assert (
        post(
            pretend, "rest/storedProcesses/A", request(), Authorization=f"Basic {token}"
        ).status_code
        == 200
    )


def test_a_stream_can_be_cut_as_a_short_lrecl_would(pretend: Emulator) -> None:
    pretend.behave(lrecl=20)
    assert post(pretend, "rest/storedProcesses/A", request()).status_code == 200
    assert pretend.requests[0].instream == TABLE[:20]
    pretend.behave(lrecl=0, one_line=True)
    post(pretend, "rest/storedProcesses/A", request(stream=b"<Table>\n  <InData/>\n</Table>"))
    assert pretend.requests[1].instream == b"<Table><InData/></Table>"


@pytest.mark.parametrize(("path", "status"), [("elsewhere", 404), ("rest", 404), ("../x", 404)])
def test_another_path_is_not_found(path: str, status: int, pretend: Emulator) -> None:
    assert post(pretend, path, request()).status_code == status


def test_get_is_not_for_stored_processes_with_input(pretend: Emulator) -> None:
    assert (
        requests.get(f"{pretend.url}/SASBIWS/rest/storedProcesses/A", timeout=5).status_code == 405
    )


def test_the_record_tells_what_ran_without_secrets(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    with Emulator(
        lambda instream: OK, record=record, behaviour=Behaviour(fail="cut-headers")
    ) as running:
        with pytest.raises(requests.ConnectionError):
            post(running, "rest/storedProcesses/A", request(), Authorization="Basic c2VjcmV0")
        wait_until("recorded", lambda: record.exists() and record.read_text())
        running.behave(fail="fault-4000")
        post(running, "rest/storedProcesses/A", request())
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(line["stpName"], line["occurrenceId"], line["ran"]) for line in lines] == [
        ("A", "o-1", True),
        ("A", "o-1", False),
    ]
    assert "c2VjcmV0" not in record.read_text()


def test_what_the_proxy_sends_is_understood_by_every_family(pretend: Emulator) -> None:
    for family in ("rest/storedProcesses/X", "rest/svc", "services", "services/storedProcesses/X"):
        sent = build_request(
            f"{pretend.url}/SASBIWS/{family}/{{{{stpName}}}}", "A B", Stream(TABLE), "u", "p"
        )
        assert (
            requests.post(
                sent.url, data=sent.body, headers=dict(sent.headers), timeout=5
            ).status_code
            == 200
        )
    assert all(one.instream == TABLE for one in pretend.requests)


def test_its_docstring_tells_documented_from_inferred() -> None:
    from connector_proxy import emulator

    for word in ("Documented", "Observed", "Inferred"):
        assert word in str(emulator.__doc__)


def test_the_command_listens_and_lists_its_switches(
    conf: Path, serving_command: Callable[..., Any]
) -> None:
    _, line = serving_command(
        "emulate-sas", "--conf", str(conf), "--port", "0", "--fail", "html-503"
    )
    url = line.removeprefix("stpurl = ").strip().replace("{{stpName}}", "A")
    assert requests.post(url, data=request(), timeout=5).headers["Retry-After"] == "7"
    help_text = subprocess.run(
        [sys.executable, "-m", "connector_proxy", "emulate-sas", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert all(name in help_text for name in FAILURES)


def test_the_command_runs_the_embedded_stored_process(
    conf: Path, serving_command: Callable[..., Any]
) -> None:
    _, line = serving_command("emulate-sas", "--conf", str(conf), "--port", "0")
    url = line.removeprefix("stpurl = ").strip().replace("{{stpName}}", "A")
    response = requests.post(url, data=request(), timeout=5)
    assert response.status_code == 200
    assert etree.fromstring(response.content).findtext(".//rows") == "1"
    assert len(list((conf.parent / "output").glob("*.parquet"))) == 1


def test_the_command_refuses_a_syscc_that_is_no_number(conf: Path) -> None:
    result = CliRunner().invoke(
        cli, ["emulate-sas", "--conf", str(conf), "--acceptable-syscc", "0,x"]
    )
    assert result.exit_code == 2
    assert "write numbers, separated by commas" in result.output


@pytest.fixture
def serving_command() -> Any:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "connector_proxy", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout
        return process, process.stdout.readline()

    yield start
    for process in started:
        process.kill()
        process.communicate()
