"""The commands about reports to CI 360, beside a service that runs or without one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from connector_proxy import outcomes
from connector_proxy.ci360.token import token
from connector_proxy.cli import cli
from connector_proxy.cli.ci360 import SECRET as EMULATED_SECRET
from connector_proxy.cli.ci360 import TENANT as EMULATED_TENANT
from connector_proxy.emulator.gateway import PretendGateway
from connector_proxy.records import ReportState
from connector_proxy.settings import Settings
from tests.conftest import PAYLOADS, Service, StubCarrier, another, payload
from tests.gateway import SECRET, TENANT, as_texts, pretend, reporting

CUSTOMER = payload("triggered.json")["identityId"]
Starter = Callable[..., Service]
Command = Callable[..., Result]


@pytest.fixture
def gateway() -> Iterator[PretendGateway]:
    with pretend() as running:
        yield running


@pytest.fixture
def command(conf: Path, gateway: PretendGateway) -> Command:
    """Runs ``connector-proxy …`` with settings that report to ``gateway``."""

    def run(*words: str, **settings: str) -> Result:
        texts = as_texts(gateway.url) | settings
        environment = {f"CONNECTOR_PROXY_{name.upper()}": text for name, text in texts.items()}
        return CliRunner().invoke(cli, [*words, "--conf", str(conf)], env=environment)

    return run


@pytest.fixture
def ended(
    start: Starter, settings: Settings, gateway: PretendGateway, carrier: StubCarrier
) -> Callable[..., str]:
    """Ends a delivery of a service that reports to ``gateway`` (or as ``reportvia`` says), whose
    report has come to an end; returns its id. The service has ended then, too."""

    def end(name: str = "triggered.json", **changes: object) -> str:
        service = start(reporting(settings, gateway.url, **changes), carrier)
        delivery_id = str(service.post(another(payload(name))).json()["deliveryId"])
        for _ in range(200):
            if not service.deliveries.reports(ReportState.WAITING):
                break
            time.sleep(0.05)
        service.stop()
        return delivery_id

    return end


def test_without_an_id_it_lists_what_is_not_reported(
    command: Command, ended: Callable[..., str], gateway: PretendGateway
) -> None:
    assert command("report").output == "0 waiting, 0 unreported\n"
    gateway.fail = "unauthorized"
    delivery_id = ended()
    told = command("report")
    assert told.exit_code == 0
    assert delivery_id in told.output
    assert "gateway_credentials: The gateway refuses the token." in told.output
    assert told.output.endswith("0 waiting, 1 unreported\n")


def test_it_sends_by_hand_what_is_unreported(
    command: Command, ended: Callable[..., str], gateway: PretendGateway
) -> None:
    gateway.fail = "unauthorized"
    delivery_id = ended()
    gateway.fail = ""
    sent = command("report", delivery_id[:8], "--note", "secret mended")
    assert sent.exit_code == 0, sent.output
    assert "sent" in sent.output
    assert [one["eventName"] for one in gateway.received.events] == ["stp_done"]
    again = command("report", delivery_id)
    assert again.exit_code == 1
    assert "CI 360 was told of the end of this delivery" in again.output
    assert len(gateway.received.events) == 1
    audit = command("deliveries", "audit", delivery_id)
    assert "secret mended" in audit.output
    shown = command("deliveries", "show", delivery_id)
    assert "report to CI 360 (event stp_done, done): sent" in shown.output


def test_a_wrong_name_of_an_event_can_be_mended(
    command: Command, ended: Callable[..., str], gateway: PretendGateway
) -> None:
    delivery_id = ended(doneevent="stp_dome")
    assert "report_refused" in command("report").output
    assert '"eventName": "stp_done"' in command("report", delivery_id, "--dry-run").output
    sent = command("report", delivery_id)
    assert sent.exit_code == 0, sent.output
    assert [one["eventName"] for one in gateway.received.events] == ["stp_done"]


def test_it_says_what_the_gateway_answers(
    command: Command, ended: Callable[..., str], gateway: PretendGateway
) -> None:
    gateway.fail = "unauthorized"
    told = command("report", ended())
    assert told.exit_code == 1
    assert "gateway_credentials" in told.output
    assert "tenantid and gatewaysecret" in told.output


def test_what_ended_while_reports_were_off_can_be_told_later(
    command: Command, ended: Callable[..., str], gateway: PretendGateway
) -> None:
    delivery_id = ended(reportvia="off")
    assert command("report", delivery_id).exit_code == 0
    assert len(gateway.received.events) == 1


def test_a_dry_run_shows_the_event_and_changes_nothing(
    command: Command, ended: Callable[..., str], gateway: PretendGateway
) -> None:
    delivery_id = ended(reportvia="off")
    shown = command("report", delivery_id, "--dry-run", reportattributes="state={state}")
    assert shown.exit_code == 0, shown.output
    first, _, body = shown.output.partition("\n")
    assert first == f"POST {gateway.url}/marketingGateway/events"
    assert json.loads(body) == {
        "eventName": "stp_done",
        "datahub_id": "<masked>",
        "state": "done",
    }
    assert gateway.received.requests == 0
    assert command("report").output == "0 waiting, 0 unreported\n"


def test_a_dry_run_of_a_task_shows_its_technical_identity(
    command: Command, ended: Callable[..., str]
) -> None:
    shown = command("report", ended("bulk_stp.json", reportvia="off"), "--dry-run")
    assert '"subject_id": "1"' in shown.output


def test_a_dry_run_says_why_nothing_would_be_sent(
    command: Command, ended: Callable[..., str], gateway: PretendGateway
) -> None:
    delivery_id = ended(reportvia="off")
    off = command("report", delivery_id, "--dry-run", reportvia="off")
    none = command("report", delivery_id, "--dry-run", doneevent="")
    assert (off.exit_code, none.exit_code) == (1, 1)
    assert "Reports are switched off" in off.output
    assert "The settings name nothing to report for this end" in none.output


def test_a_delivery_that_goes_on_is_not_told(
    command: Command,
    start: Starter,
    settings: Settings,
    gateway: PretendGateway,
    carrier: StubCarrier,
) -> None:
    carrier.deed = lambda stp_name, body: outcomes.unreachable(0, "refused")
    service = start(reporting(settings, gateway.url), carrier)
    delivery_id = service.post(payload("triggered.json")).json()["deliveryId"]
    told = command("report", delivery_id)
    assert told.exit_code == 1
    assert "The delivery is waiting; CI 360 is told of ends only." in told.output


def test_all_sends_again_what_surely_did_not_arrive(
    command: Command,
    ended: Callable[..., str],
    start: Starter,
    settings: Settings,
    gateway: PretendGateway,
    carrier: StubCarrier,
) -> None:
    gateway.fail = "silent"
    perhaps = ended()
    gateway.fail = "unauthorized"
    ended()
    gateway.fail = ""
    assert command("report", "--all").output == "1 reports wait to be sent again\n"
    service = start(reporting(settings, gateway.url), carrier)
    for _ in range(200):
        if not service.deliveries.reports(ReportState.WAITING):
            break
        time.sleep(0.05)
    assert len(gateway.received.events) == 2
    (left,) = service.deliveries.reports(ReportState.UNREPORTED)
    assert left.delivery_id == perhaps


@pytest.mark.parametrize("words", [["--dry-run"], ["abcd", "--all"], ["--all", "--dry-run"]])
def test_words_that_do_not_fit_are_refused(command: Command, words: list[str]) -> None:
    assert command("report", *words).exit_code == 2


@pytest.mark.parametrize(
    ("changes", "condition", "words"),
    [
        ({}, "OK", "answers"),
        ({"gatewaysecret": "y" * 44}, "FAIL", "The gateway refuses the token."),
        ({"gatewayurl": "http://127.0.0.1:1"}, "FAIL", "cannot be reached: no connection"),
    ],
)
def test_check_asks_the_gateway(
    command: Command, changes: dict[str, str], condition: str, words: str
) -> None:
    told = command("check", **changes)
    (line,) = (one for one in told.output.splitlines() if " gateway: " in one)
    assert line.startswith(condition)
    assert words in line
    for secret in (SECRET, token(TENANT, SECRET), "y" * 44):
        assert secret not in told.output


def test_check_takes_403_for_a_refusal(command: Command, gateway: PretendGateway) -> None:
    gateway.fail = "forbidden"
    assert "FAIL  gateway: The gateway refuses the token." in command("check").output


def test_check_asks_no_gateway_where_reports_are_off(command: Command) -> None:
    assert " gateway: " not in command("check", reportvia="off").output


def test_check_says_that_tasks_are_not_told_without_an_identity(command: Command) -> None:
    assert (
        "CI 360 is told of events only, and of no bulk task"
        in command("check", reportidentity="").output
    )


@pytest.mark.parametrize("missing", ["gatewayurl", "tenantid", "gatewaysecret"])
def test_a_gateway_without_its_credentials_is_a_fault(command: Command, missing: str) -> None:
    told = command("check", **{missing: ""})
    assert told.exit_code == 1
    assert f"reportvia is gateway, but {missing} is empty" in told.output


def test_emulate_ci360_takes_events_and_sends_webhooks(
    start: Starter, settings: Settings, carrier: StubCarrier
) -> None:
    """As a process: it tells its address, sends, shows what it is told, and ends on Ctrl-C."""
    service = start(settings, carrier)
    arguments = [
        "emulate-ci360", "--port", "0", "--event", "stp_done", "--to", f"{service.url}/ExecuteSTP",
        "--payload", str(PAYLOADS / "triggered.json"), "--times", "20", "--double", "5",
    ]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "connector_proxy", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        url = process.stdout.readline().strip().removeprefix("gatewayurl = ")
        sent = next(line for line in process.stdout if line.startswith("sent "))
        made = token(EMULATED_TENANT, EMULATED_SECRET)
        got = requests.post(
            url + "/marketingGateway/events",
            json={"eventName": "stp_done", "datahub_id": CUSTOMER, "rows": "5"},
            headers={"Authorization": f"Bearer {made}"},
            timeout=10,
        )
        event = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        watchdog.cancel()
    assert sent.startswith("sent 25 webhooks: ")
    assert "; 20 deliveries, the slowest answer after " in sent
    assert len(carrier.seen) == 20
    assert got.status_code == 200
    assert json.loads(event.removeprefix("event ")) == {
        "eventName": "stp_done",
        "datahub_id": "<masked>",
        "rows": "5",
    }
    assert rest.strip() == "ended; 1 events came"
