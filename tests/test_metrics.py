"""Figures for Prometheus: what is counted, where it comes from, and that it stays bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from connector_proxy import metrics, outcomes
from connector_proxy.emulator import Emulator
from connector_proxy.metrics import Metrics
from connector_proxy.records import Verdict
from connector_proxy.reports import Attempted, Report, Sent
from connector_proxy.schedule import Pauses
from connector_proxy.settings import Settings
from connector_proxy.standing import Standing
from tests.conftest import PAYLOADS, Service, StubCarrier, another, decided, payload
from tests.crashing import Gate, ServiceProcess, triggered, wait_until
from tests.filestore import FileStore
from tests.monitoring import figures, read, value

Start = Callable[..., Service]


def has_counted(service: Service, name: str, count: float = 1, **labels: str) -> None:
    wait_until(name, lambda: value(figures(service), name, **labels) == count)


def test_prometheus_reads_them_in_both_of_its_forms(embedded_service: Service) -> None:
    embedded_service.post(b"no JSON")
    plain = requests.get(f"{embedded_service.url}/metrics", timeout=30)
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    names = {family.name for family in text_string_to_metric_families(plain.text)}
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    open_form = requests.get(f"{embedded_service.url}/metrics", headers=accept, timeout=30)
    assert open_form.headers["Content-Type"].startswith("application/openmetrics-text")
    families = openmetrics.text_string_to_metric_families(open_form.text)
    open_names = {family.name for family in families}
    assert open_names - {"connector_proxy"} == names - {"connector_proxy_info"}
    assert not any(name.endswith("_created") for name in read(plain.text))


def test_a_bulk_task_is_counted_from_the_door_to_the_rows(
    embedded_service: Service, store: FileStore
) -> None:
    metadata = (PAYLOADS / "metadata_array.json").read_bytes()
    data = (PAYLOADS / "data_hard.csv").read_bytes()
    task = {**payload(), "presignedUrls": store.urls(metadata, data)}
    answer = embedded_service.post(task)
    assert answer.status_code == 200
    stp = {"stored_process": answer.json()["stpName"]}
    has_counted(embedded_service, "deliveries_total", destination="embedded", verdict="done", **stp)
    found = figures(embedded_service)
    ended = {"destination": "embedded", "verdict": "done"}
    assert value(found, "attempts_total", **ended, **stp) == 1
    assert value(found, "attempt_seconds_count", destination="embedded", **stp) == 1
    assert value(found, "waiting_seconds_count", **stp) == 1
    assert value(found, "delivery_seconds_count", **stp) == 1
    assert 0 < value(found, "delivery_seconds_sum", **stp) < 30
    assert value(found, "dataset_rows_total", **stp) == answer.json()["result"]["rows"]
    assert value(found, "download_bytes_total") == len(metadata) + len(data)
    assert value(found, "request_seconds_count", route="/ExecuteSTP", status="200") == 1
    ago = datetime.now(UTC).timestamp() - 60
    last = "last_webhook_timestamp_seconds"
    wait_until(last, lambda: value(figures(embedded_service), last) > ago)


def test_attempts_and_the_end_of_a_delivery_are_counted_apart(
    start: Start, settings: Settings, carrier: StubCarrier
) -> None:
    ends = iter([outcomes.busy(503, None), outcomes.unknown(0, "cut")])
    carrier.deed = lambda stp_name, body: next(ends)
    service = start(replace(settings, retryschedule=Pauses([3]), waitseconds=0), carrier)
    service.ended(service.post(triggered("One")), attempts=2)
    labels = {"stored_process": "One", "destination": "stub"}
    has_counted(service, "deliveries_total", verdict="unknown", **labels)
    found = figures(service)
    assert value(found, "attempts_total", verdict="retry", **labels) == 1
    assert value(found, "attempts_total", verdict="unknown", **labels) == 1
    assert value(found, "deliveries_total", verdict="retry", **labels) == 0
    assert value(found, "held") == 1
    assert value(found, "delivery_seconds_sum", stored_process="One") > 2.5, "the pause counts"
    assert value(found, "waiting_seconds_sum", stored_process="One") < 2.5, "and is no waiting"


def test_the_database_tells_what_waits_and_what_is_paused(
    start: Start, settings: Settings, carrier: StubCarrier, gate: Gate
) -> None:
    def stand_still(stp_name: str, body: bytes) -> outcomes.Outcome:
        gate(b"")
        return outcomes.done(200)

    carrier.deed = stand_still
    service = start(replace(settings, concurrency=1, waitseconds=0), carrier)
    for _ in range(3):
        service.post(triggered("One"))
    has_counted(service, "running")
    has_counted(service, "waiting", 2)
    assert 0 <= value(figures(service), "oldest_waiting_seconds") < 60
    service.deliveries.pause("One", decided())
    has_counted(service, "put_off", 2)
    assert value(figures(service), "paused", stored_process="One", by="administrator") == 1
    gate.open()


def test_what_expires_without_an_attempt_is_counted(
    start: Start, settings: Settings, carrier: StubCarrier
) -> None:
    sas = "http://127.0.0.1:1/{{stpName}}"
    service = start(replace(settings, stpurl=sas, waitseconds=0), carrier)
    service.deliveries.pause("Download File", decided())
    soon = datetime.now(UTC) + timedelta(seconds=6)
    signed = f"X-Amz-Date={soon - timedelta(hours=1):%Y%m%dT%H%M%SZ}&X-Amz-Expires=3600"
    task = another(payload())
    task["presignedUrls"] = {
        name: f"https://b.s3.amazonaws.com/{name}?{signed}" for name in ("dataFile", "metadataFile")
    }
    answer = service.post(task)
    has_counted(service, "deadlines_near")
    wait_until("the deadline", lambda: datetime.now(UTC) > soon)
    service.deliveries.resume("Download File", decided())
    assert service.ended(answer, attempts=0)["state"] == "expired"
    stp = {"stored_process": "Download File"}
    has_counted(service, "deliveries_total", destination="none", verdict="expired", **stp)
    assert carrier.seen == []


def test_requests_are_counted_by_route_and_not_by_address(embedded_service: Service) -> None:
    for path in ("/nowhere/1", "/nowhere/2", f"/deliveries/{'0' * 32}", f"/deliveries/{'1' * 32}"):
        requests.get(embedded_service.url + path, timeout=30)
    requests.get(f"{embedded_service.url}/ExecuteSTP", timeout=30)
    found = figures(embedded_service)
    assert value(found, "request_seconds_count", route="other", status="404") == 2
    assert value(found, "request_seconds_count", route="other", status="405") == 1
    by_id = {"route": "/deliveries/<delivery_id>", "status": "404"}
    assert value(found, "request_seconds_count", **by_id) == 2


def attempted(stp_name: str) -> Attempted:
    return Attempted(stp_name, "sas", Verdict.DONE, Verdict.DONE, 1.0, 2.0, 3.0)


def written(own: Metrics) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    return read(own.written("")[0].decode())


def test_only_the_first_stored_processes_have_figures_of_their_own(settings: Settings) -> None:
    own = Metrics(replace(settings, allowedstps=("Configured",)))
    for number in range(metrics.NAMES + 50):
        own.count(Report(attempts=(attempted(f"stp {number}"),)))
    own.count(Report(attempts=(attempted("STP 0"), attempted("CONFIGURED"))))
    found = written(own)
    done = {"destination": "sas", "verdict": "done"}
    assert value(found, "attempts_total", stored_process="other", **done) == 51
    assert value(found, "attempts_total", stored_process="stp 0", **done) == 2
    assert value(found, "attempts_total", stored_process="Configured", **done) == 1
    labels = {dict(series)["stored_process"] for series in found["connector_proxy_attempts_total"]}
    assert len(labels) == metrics.NAMES + 1


def test_many_paused_stored_processes_share_a_series(settings: Settings) -> None:
    own = Metrics(settings)
    names = [f"stp {number}" for number in range(metrics.NAMES + 3)]
    paused = tuple((name, "failures") for name in names)
    own.ask(lambda: Standing(paused=paused), list)
    assert value(written(own), "paused", stored_process="other", by="failures") == 3


def test_a_database_that_does_not_answer_leaves_its_figures_out_and_keeps_the_others(
    settings: Settings,
) -> None:
    own = Metrics(settings)
    own.ask(lambda: None, list)
    own.count(Report(started=True, downloaded=5, sent=(Sent("mail"), Sent("mail", "refused"))))
    found = written(own)
    assert "connector_proxy_waiting" not in found
    assert value(found, "download_bytes_total") == 5
    assert value(found, "worker_starts_total") == 1
    assert value(found, "alerts_total", channel="mail", result="sent") == 1
    assert value(found, "alerts_total", channel="mail", result="failed") == 1


def test_a_name_with_quotes_and_markup_stays_one_label(settings: Settings) -> None:
    own = Metrics(settings)
    name = 'a"b\\c\nd{e="f"} <script>'
    own.count(Report(attempts=(attempted(name),)))
    done = {"destination": "sas", "verdict": "done"}
    assert value(written(own), "attempts_total", stored_process=name, **done) == 1


def test_counters_only_grow_while_the_working_process_dies_and_comes_back(
    tmp_path: Path, sas: Emulator, gate: Gate
) -> None:
    gate.open()
    service = ServiceProcess(tmp_path, stpurl=sas.stpurl)
    service.start()
    try:
        here = {"stored_process": "OneCustomer", "destination": "sas", "verdict": "done"}

        def done() -> float:
            text = requests.get(f"{service.url}/metrics", timeout=30).text
            return value(read(text), "deliveries_total", **here)

        service.accept(triggered())
        wait_until("the first is counted", lambda: done() == 1)
        wait_until("it is killed", service.kill_working)
        service.accept(triggered())
        wait_until("the second is counted, too", lambda: done() == 2)
        text = requests.get(f"{service.url}/metrics", timeout=30).text
        assert value(read(text), "worker_starts_total") == 2
    finally:
        service.end()


def test_an_odd_header_accept_gets_the_usual_form(settings: Settings) -> None:
    for accept in ("text/plain;version=abc", "application/openmetrics-text; version=foo", "*"):
        text, media_type = Metrics(settings).written(accept)
        assert b"connector_proxy_info" in text
        assert media_type.startswith("text/plain")
