"""Several instances share the work through a real PostgreSQL."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector_proxy.commits import Commits
from connector_proxy.database import Database
from connector_proxy.emulator import Emulator
from connector_proxy.errors import ConfigurationError
from connector_proxy.records import State
from connector_proxy.settings import Settings
from connector_proxy.tables import stored_processes
from connector_proxy.values import Secret
from tests.crashing import (
    PATIENCE,
    Gate,
    ServiceProcess,
    arrived,
    known,
    storm,
    triggered,
    wait_until,
)
from tests.postgres import PASSWORD, Postgres

KILLS = 6

Starter = Callable[..., ServiceProcess]


@pytest.fixture
def started(queueurl: str, tmp_path: Path, sas: Emulator) -> Iterator[Starter]:
    """Starts instances by their names; they end with the test."""
    running: list[ServiceProcess] = []

    def starter(instance: str, **settings: object) -> ServiceProcess:
        service = ServiceProcess(
            tmp_path / instance,
            **{"stpurl": sas.stpurl, "queueurl": queueurl, "instance": instance, **settings},
        )
        running.append(service)
        service.start()
        return service

    yield starter
    for service in running:
        service.end()


def has_arrived(sas: Emulator, count: int) -> None:
    wait_until("the stored process is called", lambda: arrived(sas).total() == count)


def instances_at_work(service: ServiceProcess, delivery_ids: list[str]) -> set[str]:
    records = [service.record(one) for one in delivery_ids]
    return {attempt["instance"] for record in records for attempt in record["attempts"]}


def test_a_delivery_is_accepted_carried_out_shown_and_replayed(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    gate.open()
    service = started("one")
    delivery_id = service.accept(triggered(guid="g-1"))
    service.ends_as(delivery_id, State.DONE)
    listed = service.command("deliveries", "list", "--json")
    assert [json.loads(line)["deliveryId"] for line in listed.stdout.splitlines()] == [delivery_id]
    shown = service.command("deliveries", "show", delivery_id[:8], "--json")
    assert json.loads(shown.stdout) == service.record(delivery_id)
    replayed = service.command("deliveries", "replay", delivery_id, "--yes")
    assert replayed.stdout == "1 delivery placed in the queue\n"
    wait_until("it ran again", lambda: len(service.record(delivery_id)["attempts"]) == 2)
    assert service.ends_as(delivery_id, State.DONE)["round"] == 2
    assert arrived(sas) == {"g-1": 2}


def test_the_password_of_the_database_is_shown_nowhere(started: Starter) -> None:
    service = started("one")
    shown = service.command("check")
    log = "".join(path.read_text("utf-8") for path in (service.folder / "logs").iterdir())
    assert PASSWORD not in service.said() + shown.stdout + shown.stderr + log


def test_the_same_webhook_at_two_instances_at_once_is_one_delivery(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    gate.open()
    instances = [started("one", threads=32), started("two", threads=32)]
    for guid in ("g-1", "g-2", "g-3", "g-4"):
        body = triggered(guid=guid)
        with ThreadPoolExecutor(50) as senders:
            answers = list(senders.map(lambda n: instances[n % 2].post(body), range(50)))  # noqa: B023
        assert {one.status_code for one in answers} <= {200, 202}, [one.text for one in answers]
        [delivery_id] = {one.json()["deliveryId"] for one in answers}
        assert len(instances[0].ends_as(delivery_id, State.DONE)["attempts"]) == 1
    with known(instances[0].settings) as deliveries:
        assert deliveries.counts()[State.DONE] == 4
    assert arrived(sas) == {"g-1": 1, "g-2": 1, "g-3": 1, "g-4": 1}


def test_the_first_failures_of_a_stored_process_at_two_instances_are_counted(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    sas.behave(fail="fault-2000")
    instances = [started("one"), started("two")]
    names = [f"Stp{number}" for number in range(10)]
    with ThreadPoolExecutor(20) as senders:
        ids = list(
            senders.map(lambda n: instances[n % 2].accept(triggered(names[n // 2])), range(20))
        )
    for delivery_id in ids:
        record = instances[0].ends_as(delivery_id, State.REFUSED)
        assert record["code"] == "not_callable", record
    with known(instances[0].settings) as deliveries:
        assert [one.failures for one in deliveries.stored_processes()] == [2] * len(names)


def test_two_instances_that_wait_for_each_other_both_come_to_write(
    tmp_path: Path, queueurl: str
) -> None:
    settings = ServiceProcess(tmp_path, queueurl=queueurl).settings
    databases = [Database(settings), Database(settings)]
    databases[0].set_up()
    with databases[0].write() as connection:
        rows = [
            {"stp_key": key, "stp_name": key, "failures": 0, "paused_by": "", "why": ""}
            for key in "ab"
        ]
        connection.execute(sa.insert(stored_processes), rows)
    both = threading.Barrier(2)
    met: list[str] = []

    def apply(connection: sa.Connection, orders: Sequence[str]) -> Sequence[str]:
        for order in orders:
            _count_failure(connection, order[0])
            if order not in met:
                met.append(order)
                both.wait(PATIENCE)  # now each holds what the other one needs
            _count_failure(connection, order[1])
        return orders

    commits = [Commits(database, apply) for database in databases]
    with ThreadPoolExecutor(2) as writers:
        written = list(writers.map(lambda one, order: one.run(order), commits, ("ab", "ba")))
    assert written == ["ab", "ba"]
    with known(settings) as deliveries:
        assert [one.failures for one in deliveries.stored_processes()] == [2, 2]
    for one, database in zip(commits, databases, strict=True):
        one.close()
        database.close()


def _count_failure(connection: sa.Connection, stp_key: str) -> None:
    connection.execute(
        sa.update(stored_processes)
        .where(stored_processes.c.stp_key == stp_key)
        .values(failures=stored_processes.c.failures + 1)
    )


def test_instances_that_start_at_the_same_moment_create_the_tables_once(
    tmp_path: Path, queueurl: str
) -> None:
    instances = [
        ServiceProcess(tmp_path / name, queueurl=queueurl, instance=name)
        for name in ("one", "two", "three")
    ]
    try:
        for service in instances:
            service.launch()
        for service in instances:
            wait_until("the service answers", service.answers)
    finally:
        for service in instances:
            service.end()


def test_two_instances_share_the_work(started: Starter, sas: Emulator, gate: Gate) -> None:
    one, two = started("one", concurrency=1), started("two", concurrency=1)
    ids = [one.accept(triggered()) for _ in range(4)]
    has_arrived(sas, 2)
    gate.open()
    for delivery_id in ids:
        one.ends_as(delivery_id, State.DONE)
    assert instances_at_work(two, ids) == {"one", "two"}
    assert set(arrived(sas).values()) == {1}


def test_another_instance_takes_over_what_a_dead_one_had_in_hand(
    started: Starter, sas: Emulator, gate: Gate
) -> None:
    dead = started("dead", concurrency=2)
    in_hand = [dead.accept(triggered()) for _ in range(2)]
    has_arrived(sas, 2)
    other = started("other", concurrency=2)
    others = [other.accept(triggered()) for _ in range(4)]
    has_arrived(sas, 4)
    refused = other.command("deliveries", "recover", "dead")
    assert refused.returncode == 1
    assert "The instance dead is alive." in refused.stderr
    dead.kill_both()
    gate.open()
    for delivery_id in others:
        other.ends_as(delivery_id, State.DONE)
    assert {other.record(one)["state"] for one in in_hand} == {State.RUNNING}

    taken = wait_until(
        "the database notices the end of the dead one",
        lambda: (done := other.command("deliveries", "recover", "DEAD")).returncode == 0 and done,
    )
    assert taken.stdout.lower().startswith("2 deliveries of dead placed in the queue; ")
    for delivery_id in in_hand:
        record = other.ends_as(delivery_id, State.HELD)
        assert record["code"] == "outcome_unknown"
        assert [attempt["instance"] for attempt in record["attempts"]] == ["dead"]
    assert set(arrived(sas).values()) == {1}
    dead.start()  # it comes back after all, and finds nothing of its own
    dead.ends_as(dead.accept(triggered()), State.DONE)
    assert set(arrived(sas).values()) == {1}


def test_a_second_service_of_the_same_name_does_not_start(
    started: Starter, tmp_path: Path, postgres: Postgres
) -> None:
    """Also after the database was restarted, which frees the name."""
    first = started("one")
    second = ServiceProcess(
        tmp_path / "second", queueurl=first.environment["CONNECTOR_PROXY_QUEUEURL"]
    )
    postgres.cut_connections(first.environment["CONNECTOR_PROXY_QUEUEURL"])
    time.sleep(5)  # the name is taken again
    refused = second.command("serve", "--host", "127.0.0.1", "--port", "0")
    assert refused.returncode == 1
    assert "Another service of the name 'one' runs with the database" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_work_goes_on_after_the_database_cut_every_connection(
    started: Starter, sas: Emulator, gate: Gate, postgres: Postgres, queueurl: str
) -> None:
    service = started("one", concurrency=1)
    in_hand, waiting = service.accept(triggered()), service.accept(triggered())
    has_arrived(sas, 1)
    assert postgres.cut_connections(queueurl) > 0
    gate.open()
    service.ends_as(in_hand, State.DONE)
    service.ends_as(waiting, State.DONE)
    service.ends_as(service.accept(triggered()), State.DONE)
    assert set(arrived(sas).values()) == {1}


def test_it_refuses_webhooks_while_the_database_is_away_and_goes_on_when_it_is_back(
    started: Starter, sas: Emulator, gate: Gate, postgres: Postgres
) -> None:
    service = started("one", concurrency=1)
    in_hand, waiting = service.accept(triggered()), service.accept(triggered())
    has_arrived(sas, 1)
    postgres.stop()
    try:
        refused = service.post(triggered())
        gate.open()
    finally:
        postgres.start()
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "queue_unavailable"
    service.ends_as(in_hand, State.DONE)
    service.ends_as(waiting, State.DONE)
    wait_until("it accepts again", lambda: service.post(triggered()).status_code == 202)
    has_arrived(sas, 3)
    assert set(arrived(sas).values()) == {1}


def test_a_working_process_that_dies_while_the_database_is_away_comes_back_with_it(
    started: Starter, sas: Emulator, gate: Gate, postgres: Postgres
) -> None:
    service = started("one", concurrency=1)
    in_hand, waiting = service.accept(triggered()), service.accept(triggered())
    has_arrived(sas, 1)
    postgres.stop()
    try:
        assert service.kill_working()
        gate.open()
        wait_until("the new one says what is wrong", lambda: "cannot go on" in service.said(20_000))
    finally:
        postgres.start()
    wait_until("it answers again", service.answers)
    service.ends_as(in_hand, State.HELD)
    service.ends_as(waiting, State.DONE)
    assert set(arrived(sas).values()) == {1}


def test_nothing_is_lost_or_done_twice_when_processes_die_at_any_moment(
    tmp_path: Path, queueurl: str
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # pytest shows it when the test fails
    figures = storm(tmp_path, kills=KILLS, seed=seed, queueurl=queueurl)
    print(figures)
    figures.check()
    assert figures.states[State.DONE] > KILLS


def test_a_database_that_lacks_letters_is_refused_at_the_start(
    postgres: Postgres, settings: Settings
) -> None:
    address = postgres.fresh_database("LATIN1")
    database = Database(replace(settings, queueurl=Secret(address)))
    with pytest.raises(ConfigurationError, match=r"keeps text as LATIN1") as refused:
        database.set_up()
    assert "UTF8" in refused.value.advice
    database.close()
    postgres.drop(address)


def test_check_tells_what_the_database_server_says(queueurl: str, tmp_path: Path) -> None:
    answering = ServiceProcess(tmp_path / "right", queueurl=queueurl, host="127.0.0.1", port=0)
    assert "answers" in _check_line(answering, 0)
    url = queueurl.replace("@127", "hunter2@127")
    wrong = ServiceProcess(tmp_path / "wrong", queueurl=url, host="127.0.0.1", port=0)
    line = _check_line(wrong, 1)
    assert "password authentication failed" in line
    assert "hunter2" not in line
    assert PASSWORD not in line


def _check_line(service: ServiceProcess, code: int) -> str:
    """What ``check`` says of the database."""
    result = service.command("check")
    assert result.returncode == code, result.stdout + result.stderr
    return next(line for line in result.stdout.splitlines() if "queue database" in line)
