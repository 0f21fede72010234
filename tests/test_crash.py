"""The service dies in every way that a process can die, and nothing is lost or done twice."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.emulator import Emulator
from connector_proxy.intake import read_webhook
from connector_proxy.ledger import Arrival, Ledger
from connector_proxy.records import ReportState, State
from tests.conftest import PAYLOADS
from tests.crashing import (
    PATIENCE,
    Gate,
    ServiceProcess,
    arrived,
    ended,
    known,
    storm,
    triggered,
    wait_until,
)
from tests.filestore import Dripping, FileStore, asked, s3
from tests.gateway import as_texts, faults_of_reports, pretend

KILLS = 25

Starter = Callable[..., ServiceProcess]


@pytest.fixture
def started(tmp_path: Path, sas: Emulator) -> Iterator[Starter]:
    """Starts a service process that calls ``sas``; it ends with the test."""
    running: list[ServiceProcess] = []

    def starter(**settings: object) -> ServiceProcess:
        service = ServiceProcess(tmp_path, stpurl=sas.stpurl, **settings)
        running.append(service)
        service.start()
        return service

    yield starter
    for service in running:
        service.end()


def has_arrived(sas: Emulator, count: int = 1) -> None:
    wait_until("the stored process is called", lambda: arrived(sas).total() == count)


def test_nothing_is_lost_or_done_twice_when_processes_die_at_any_moment(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # pytest shows it when the test fails
    figures = storm(tmp_path, kills=KILLS, seed=seed)
    print(figures)
    figures.check()
    assert figures.kills.total() == KILLS
    assert figures.states[State.DONE] > KILLS


def test_a_download_goes_on_where_killed_processes_left_it(
    started: Starter, sas: Emulator, gate: Gate, store: FileStore
) -> None:
    """Both processes are killed twice in the middle of it; that is no attempt, and nothing that
    is surely on the disk comes again."""
    gate.open()
    body = random.Random(360).randbytes(96 << 20)
    document = json.loads((PAYLOADS / "bulk_stp.json").read_text("utf-8"))
    document["presignedUrls"] = store.urls(b"a,b", body)
    slow = Dripping(body)
    store.answers["data"] = slow
    service = started(downloadhosts=store.address, stage="True", publicurl="http://127.0.0.1:1")
    part = service.settings.downloadfolder
    delivery_id = service.accept(json.dumps(document).encode())
    for least in (32 << 20, 64 << 20):
        wait_until("so much is there", lambda some=least: noted(part / delivery_id) >= some)
        service.kill_both()
        service.start()
    store.answers["data"] = s3(body)
    slow.stop.set()
    record = service.ends_as(delivery_id, State.DONE)
    assert [one["verdict"] for one in record["attempts"]] == ["done"]
    begun = [asked(one) for one in store.seen if "/data" in one.path]
    assert begun[0] == 0
    assert begun[1] >= 32 << 20
    assert begun[2] >= 64 << 20
    assert arrived(sas).total() == 1


def noted(folder: Path) -> int:
    """Bytes of a download that are surely on the disk."""
    with suppress(OSError, ValueError):
        return int(json.loads((folder / "data.part.json").read_text("utf-8"))["length"])
    return 0


def test_it_holds_the_delivery_whose_attempt_was_in_hand(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    service = started()
    delivery_id = service.accept(triggered())
    has_arrived(sas)
    service.kill_both()
    service.start()
    record = service.ends_as(delivery_id, State.HELD)
    gate.open()
    assert (record["verdict"], record["code"]) == ("unknown", "outcome_unknown")
    [attempt] = record["attempts"]
    assert (attempt["number"], attempt["instance"]) == (1, "one")
    assert (attempt["verdict"], attempt["code"]) == ("unknown", "outcome_unknown")
    assert arrived(sas).total() == 1


def test_it_carries_out_again_what_was_in_hand_where_the_administrator_says_so(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    service = started(onunknown="repeat")
    delivery_id = service.accept(triggered())
    has_arrived(sas)
    service.kill_both()
    gate.open()
    service.start()
    record = service.ends_as(delivery_id, State.DONE)
    assert [one["code"] for one in record["attempts"]] == ["outcome_unknown", "done"]
    assert arrived(sas).total() == 2


def test_an_interrupted_attempt_that_meets_the_end_of_the_service_is_held_by_the_next_one(
    tmp_path: Path,
) -> None:
    settings = ServiceProcess(tmp_path).settings
    database = Database(settings)
    database.set_up()
    queue = Queue(database.engine, settings)
    ledger = Ledger(settings, queue)
    body, now = triggered(), datetime.now(UTC)
    with database.write() as connection:
        arrival = Arrival("d1", "identity", "r1", read_webhook(body), body, now)
        ledger.accept(connection, [arrival])
        ledger.begin(connection, "d1", 1, "one/first", now)  # and this process dies
        ledger.put_back(connection, "d1", 1, now)  # the next one is told to end as it starts
        assert ledger.begin(connection, "d1", 1, "one/second", now) is None
        begun = ledger.begin(connection, "d1", 2, "one/third", now)
    assert begun is not None
    assert begun.interrupted
    queue.close()
    database.close()


def test_its_own_death_does_not_pause_a_stored_process(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    service = started(concurrency=8)
    in_hand = [service.accept(triggered()) for _ in range(8)]
    has_arrived(sas, 8)
    service.kill_both()
    gate.open()
    service.start()
    for delivery_id in in_hand:
        service.ends_as(delivery_id, State.HELD)
    service.ends_as(service.accept(triggered()), State.DONE)


def test_what_waits_is_carried_out_after_both_have_died(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    service = started(concurrency=1)
    first, *others = [service.accept(triggered()) for _ in range(5)]
    has_arrived(sas)
    service.kill_both()
    gate.open()
    service.start()
    service.ends_as(first, State.HELD)
    for delivery_id in others:
        service.ends_as(delivery_id, State.DONE)
    assert set(arrived(sas).values()) == {1}


def test_the_working_process_finishes_what_it_has_in_hand_when_the_other_one_dies(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    service = started(drainseconds=PATIENCE)
    delivery_id = service.accept(triggered())
    has_arrived(sas)
    left_behind = service.kill_answering()
    assert left_behind is not None
    service.start()
    gate.open()
    wait_until("the working process ends by itself", lambda: ended(left_behind))
    assert len(service.ends_as(delivery_id, State.DONE)["attempts"]) == 1
    service.ends_as(service.accept(triggered()), State.DONE)
    assert arrived(sas).total() == 2


def test_the_working_process_does_not_outlive_its_time_when_the_other_one_dies(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    service = started(drainseconds=1)
    delivery_id = service.accept(triggered())
    has_arrived(sas)
    left_behind = service.kill_answering()
    assert left_behind is not None
    wait_until("the working process ends by itself", lambda: ended(left_behind))
    service.start()
    service.ends_as(delivery_id, State.HELD)
    assert arrived(sas).total() == 1


def test_the_working_process_is_started_again_when_it_dies(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    service = started(concurrency=1)
    in_hand, waiting = service.accept(triggered()), service.accept(triggered())
    has_arrived(sas)
    first = service.working()
    assert first is not None
    assert service.kill_working()
    gate.open()
    accepted_meanwhile = service.accept(triggered())
    service.ends_as(in_hand, State.HELD)
    service.ends_as(waiting, State.DONE)
    service.ends_as(accepted_meanwhile, State.DONE)
    second = service.working()
    assert second is not None
    assert second.pid != first.pid
    assert "it is started again" in service.said()


def test_a_second_service_of_the_same_name_does_not_start(started: Starter) -> None:
    service = started()
    second = service.command("serve", "--host", "127.0.0.1", "--port", "0")
    assert second.returncode == 1
    assert "Another service of the name 'one' runs with" in second.stderr
    assert "needs a datafolder of its own" in second.stderr
    assert "Traceback" not in second.stderr
    assert service.answers()


def test_it_ends_what_is_in_hand_and_accepts_nothing_new_when_it_is_told_to_end(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    service = started(drainseconds=PATIENCE, concurrency=1)
    in_hand, waiting = service.accept(triggered()), service.accept(triggered())
    has_arrived(sas)
    working = service.working()
    assert working is not None
    service.tell_to_end()
    refused = wait_until("it refuses webhooks", lambda: _refusal(service))
    assert refused["error"]["code"] == "stopping"
    assert service.record(in_hand)["state"] == State.RUNNING
    gate.open()
    assert service.wait() == 0
    assert ended(working)
    assert re.search(r"\bended$", service.said().strip())
    service.start()
    assert service.record(in_hand)["state"] == State.DONE
    service.ends_as(waiting, State.DONE)
    assert set(arrived(sas).values()) == {1}


def _refusal(service: ServiceProcess) -> dict[str, dict[str, str]] | None:
    answer = service.post(triggered())
    return answer.json() if answer.status_code == 503 else None


def test_it_ends_within_its_time_though_an_attempt_does_not(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    service = started(drainseconds=1)
    delivery_id = service.accept(triggered())
    has_arrived(sas)
    service.tell_to_end()
    assert service.wait(15) == 0
    assert "ended with 1 attempts unfinished" in service.said()
    service.start()
    service.ends_as(delivery_id, State.HELD)
    assert arrived(sas).total() == 1


def test_a_report_that_was_being_sent_is_listed_and_never_sent_again(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    gate.open()
    with pretend(delay=2.0) as gateway:
        service = started(**as_texts(gateway.url))
        delivery_id = service.accept(triggered())
        wait_until("the event arrives", lambda: gateway.received.events)
        service.kill_both()
        service.start()
        with known(service.settings) as deliveries:
            wait_until("it is listed", lambda: deliveries.reports(ReportState.UNREPORTED))
            (report,) = deliveries.show(delivery_id).reports
    assert report.code == "report_unknown"
    assert len(gateway.received.events) == 1


def test_a_report_that_waits_is_sent_by_the_next_process(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    gate.open()
    with pretend(fail="busy") as gateway:
        service = started(**as_texts(gateway.url) | {"reportschedule": "3s 3s 3s"})
        delivery_id = service.accept(triggered())
        wait_until("the gateway is asked", lambda: _tries(service))
        service.kill_both()
        gateway.fail = ""
        service.start()
        wait_until("the event arrives", lambda: gateway.received.events)
        with known(service.settings) as deliveries:
            wait_until("it is sent", lambda: deliveries.reports(ReportState.SENT))
            assert not list(faults_of_reports([deliveries.show(delivery_id)], gateway))


def _tries(service: ServiceProcess) -> int:
    with known(service.settings) as deliveries:
        return sum(report.tries for report in deliveries.reports(ReportState.WAITING))


def test_reports_in_hand_get_their_time_when_the_service_is_told_to_end(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    gate.open()
    with pretend(delay=2.0) as gateway:
        service = started(drainseconds=PATIENCE, **as_texts(gateway.url))
        service.accept(triggered())
        wait_until("the event arrives", lambda: gateway.received.events)
        service.tell_to_end()
        assert service.wait() == 0
        with known(service.settings) as deliveries:
            assert len(deliveries.reports(ReportState.SENT)) == 1
