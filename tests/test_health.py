"""The health of a running service: what it tells, how soon, and to whom."""

from __future__ import annotations

import base64
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from connector_proxy import secrethash
from connector_proxy.database import Database
from connector_proxy.emulator import Emulator
from connector_proxy.health import hosts, looks, running
from connector_proxy.health.check import Check, Condition, worst
from connector_proxy.health.running import Health
from connector_proxy.health.start import run_checks
from connector_proxy.reports import Report, Sent
from connector_proxy.settings import Settings
from connector_proxy.standing import Lookout, Standing
from connector_proxy.values import Secret
from tests.conftest import Service
from tests.crashing import Gate, ServiceProcess, triggered, wait_until
from tests.monitoring import health
from tests.postgres import Postgres

Start = Callable[..., Service]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow each other within moments."""
    monkeypatch.setattr(running, "_ROUND_SECONDS", 0.1)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings)
    database.set_up()
    yield database
    database.close()


@pytest.fixture
def watch(settings: Settings, database: Database) -> Iterator[Callable[..., Health]]:
    """Makes the health of a service with changed settings, and looks once."""
    made: list[Health] = []

    def maker(**changed: object) -> Health:
        own = Health(replace(settings, **changed), database, Lookout(database))
        made.append(own)
        own.start()
        wait_until("the first round", lambda: "clock" in found(own))
        return own

    yield maker
    for own in made:
        own.stop()


def found(own: Health) -> dict[str, Check]:
    return {one.name: one for one in own.checks()}


def test_a_service_that_fares_well_says_so_with_every_check(embedded_service: Service) -> None:
    wait_until("the first round", lambda: "clock" in health(embedded_service))
    checks = health(embedded_service)
    assert set(checks) == {
        "worker", "database", "oldest waiting", "deadlines", "paused", "last webhook",
        "room in datafolder", "room in downloadfolder", "room in outputfolder", "clock", "checks",
        "version",
    }  # fmt: skip
    assert {one["condition"] for one in checks.values()} == {"ok"}
    assert checks["oldest waiting"]["message"] == "nothing waits"
    assert checks["last webhook"]["message"] == "none yet"
    for one in checks.values():
        assert one["message"]
        since = datetime.fromisoformat(one["since"])
        assert timedelta(0) <= datetime.now(UTC) - since < timedelta(minutes=2)


def test_to_be_alive_is_told_at_once(embedded_service: Service) -> None:
    answer = requests.get(f"{embedded_service.url}/health/live", timeout=30)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_file_that_another_program_holds_is_told_with_an_advice(
    watch: Callable[..., Health], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "_PATIENCE_SECONDS", 0.2)
    own = watch()
    since = found(own)["database"].since
    with closing(sqlite3.connect(settings.datafolder / "deliveries.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        wait_until("it is told", lambda: found(own)["database"].condition is Condition.FAIL)
        bad = found(own)["database"]
        assert bad.message == "another program holds the file"
        assert "Close the program" in bad.advice
        assert worst(own.checks()) is Condition.FAIL
    wait_until("it is well again", lambda: found(own)["database"].condition is Condition.OK)
    assert since and bad.since
    assert found(own)["database"].since > bad.since > since


def test_too_little_room_is_told_as_bad_as_it_is(
    watch: Callable[..., Health], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = watch()
    for free, data, output in ((2**30 - 1, "warn", "warn"), (200 * 2**20 - 1, "fail", "warn")):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        wait_until("it is told", lambda data=data: found(own)["room in datafolder"].condition == data)  # fmt: skip
        assert "Make room" in found(own)["room in datafolder"].advice
        assert found(own)["room in outputfolder"].condition == output


def test_a_slow_host_holds_up_nobody_who_asks(
    watch: Callable[..., Health], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = [], threading.Event()

    def slow(*_: object) -> Iterator[Check]:
        asked.append(1)
        answer.wait(30)
        yield Check("stored process host slow:1", Condition.FAIL, "no connection", "Look.")

    monkeypatch.setattr(hosts, "stored_process_hosts", slow)
    own = watch()
    wait_until("the host is tried", lambda: asked)
    started = time.monotonic()
    assert "stored process host slow:1" not in found(own)
    assert time.monotonic() - started < 0.5
    answer.set()
    name = "stored process host slow:1"
    wait_until("its answer is told", lambda: name in found(own))
    assert found(own)[name].condition is Condition.WARN, "deliveries are kept meanwhile"
    assert worst(own.checks()) is Condition.WARN


def test_each_host_of_a_stored_process_is_tried(
    watch: Callable[..., Health], emulator: Emulator
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        away = f"http://127.0.0.1:{port}/SASBIWS/rest/storedProcesses/{{{{stpName}}}}"
        own = watch(stpurl=emulator.stpurl, overrides={"b": {"stpurl": away}})
        there = f"stored process host 127.0.0.1:{emulator.port}"
        wait_until("both are tried", lambda: f"stored process host 127.0.0.1:{port}" in found(own))
    assert found(own)[there].condition is Condition.OK
    bad = found(own)[f"stored process host 127.0.0.1:{port}"]
    assert (bad.condition, bad.message) == (Condition.WARN, "no connection: Connection refused")
    assert emulator.requests == [], "nothing was sent"


def test_a_look_that_does_not_come_to_an_end_is_told(
    watch: Callable[..., Health], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = watch()
    monkeypatch.setattr(running, "_LATE_SECONDS", 0.3)
    never = threading.Event()
    monkeypatch.setattr(looks, "database", lambda *_: never.wait(30))
    wait_until("it is told", lambda: found(own)["checks"].condition is Condition.FAIL)
    never.set()


def test_a_fault_of_a_look_does_not_end_the_looking(
    watch: Callable[..., Health], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = watch()
    with monkeypatch.context() as patched:
        calls: list[int] = []
        patched.setattr(looks, "database", lambda *_: calls.append(1) or 1 / 0)
        wait_until("two faults", lambda: len(calls) > 1)
    wait_until("it looks again", lambda: own.checks() and found(own)["database"].condition == "ok")


def test_the_working_process_is_missed_when_it_is_silent(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Health(settings, database, Lookout(database))
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    own.heard(Report(started=True))
    own.heard(Report(in_hand=3))
    assert found(own)["worker"].message == "lives, 3 attempts in hand"
    clock.now += 46
    assert found(own)["worker"].condition is Condition.FAIL
    own.heard(Report(started=True))
    assert found(own)["worker"].condition is Condition.WARN
    assert "started again once" in found(own)["worker"].message
    clock.now += 601
    own.heard(Report(in_hand=0))
    assert found(own)["worker"].condition is Condition.OK
    own.heard(Report(started=True))
    assert "started again once" in found(own)["worker"].message, "also long after the first start"
    clock.now += 601
    own.heard(Report())
    assert found(own)["worker"].condition is Condition.OK
    own.ending()
    assert found(own)["worker"].message == "the service is ending"
    assert worst(own.checks()) is Condition.FAIL


def test_alerts_that_cannot_be_sent_are_told_where_alerts_are_wanted(
    settings: Settings, database: Database
) -> None:
    assert "alerts" not in found(Health(settings, database, Lookout(database)))
    own = Health(replace(settings, smtphost="mail:25"), database, Lookout(database))
    assert found(own)["alerts"].message == "none yet"
    own.heard(Report(sent=(Sent("mail", "no connection"), Sent("webhook"))))
    assert found(own)["alerts"].condition is Condition.WARN
    assert found(own)["alerts"].message == "mail: no connection"
    own.heard(Report(sent=(Sent("mail"),)))
    assert found(own)["alerts"].message == "the last went out by mail and webhook"


@pytest.mark.parametrize(
    ("standing", "name", "condition", "words"),
    [
        (Standing(waiting=2, oldest=NOON - timedelta(minutes=30)), "oldest waiting", "ok", "2 wait, the oldest for 30 minutes"),
        (Standing(waiting=2, oldest=NOON - timedelta(hours=3)), "oldest waiting", "warn", "2 wait, the oldest for 3 hours"),
        (Standing(near=4), "deadlines", "warn", "URLs of 4 waiting deliveries"),
        (Standing(paused=(("A", "failures"), ("B", "administrator"))), "paused", "warn", "A (after failures), B (by an administrator)"),
        (Standing(paused=(("B", "administrator"),)), "paused", "ok", "B (by an administrator)"),
        (Standing(last=NOON - timedelta(seconds=90)), "last webhook", "ok", "accepted 90 seconds ago"),
        (Standing(last=NOON - timedelta(days=9)), "last webhook", "ok", "accepted 9 days ago"),
    ],
)  # fmt: skip
def test_the_numbers_of_the_deliveries_become_checks(
    settings: Settings, standing: Standing, name: str, condition: str, words: str
) -> None:
    [check] = [one for one in looks.of_standing(standing, settings, NOON) if one.name == name]
    assert check.condition == condition
    assert check.message.startswith(words)
    assert bool(check.advice) is (condition == "warn")


def test_the_clock_is_compared_with_those_that_answer(database: Database) -> None:
    assert "nothing to compare" in looks.clock(database, None).message
    assert looks.clock(database, 59.0).condition is Condition.OK
    wrong = looks.clock(database, -3600.0)
    assert wrong.condition is Condition.WARN
    assert wrong.message == "is 3600 s behind that of the last server that answered"


def test_the_clock_of_postgresql_is_looked_at(settings: Settings, queueurl: str) -> None:
    database = Database(replace(settings, queueurl=Secret(queueurl)))
    database.set_up()
    assert looks.clock(database, None).message == "agrees with PostgreSQL"
    assert looks.database(database, "one", NOON).condition is Condition.OK
    assert looks.database(database, "one", NOON).condition is Condition.OK, "its row is there"
    database.close()


def test_a_server_with_another_clock_is_noticed_by_the_way(
    sas_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = "Tue, 01 Jan 2030 00:00:00 GMT"
    monkeypatch.setattr("http.server.BaseHTTPRequestHandler.date_time_string", lambda *_: ahead)
    assert sas_service.post(triggered()).status_code == 200
    wait_until(
        "it is told", lambda: health(sas_service).get("clock", {}).get("condition") == "warn"
    )
    assert "behind that of the last server" in health(sas_service)["clock"]["message"]


def asked(service: Service, path: str, address: str, **headers: str) -> int:
    """The status for somebody at ``address``."""
    client = service.parts.app.test_client()
    answer = client.get(path, headers=headers, environ_base={"REMOTE_ADDR": address})
    return answer.status_code


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("path", ["/health", "/metrics"])
@pytest.mark.parametrize("presented", ["plain", "hashed"])
def test_others_need_the_ops_secret(
    start: Start, settings: Settings, path: str, presented: str
) -> None:
    secret = "corréct" if presented == "plain" else secrethash.hashed("corréct")
    service = start(replace(settings, opssecret=Secret(secret)))
    for address in ("127.0.0.1", "127.0.0.10", "::1", "::ffff:127.0.0.1"):
        assert asked(service, path, address) == 200
    for good in ("Bearer corréct".encode().decode("latin-1"), basic("prometheus", "corréct"), basic("", "corréct")):  # fmt: skip
        assert asked(service, path, "10.1.2.3", Authorization=good) == 200
    for bad in ("Bearer wrong", basic("corréct", "wrong"), "Basic ?", "Digest x", ""):
        assert asked(service, path, "10.1.2.3", Authorization=bad) == 401
    # Whoever is behind a front end of this machine is somebody else.
    assert asked(service, path, "127.0.0.1", **{"X-Forwarded-For": "203.0.113.9"}) == 401


def test_everybody_may_ask_whether_it_lives(embedded_service: Service) -> None:
    assert asked(embedded_service, "/health/live", "10.1.2.3") == 200


def test_without_a_secret_only_this_machine_may_look(embedded_service: Service) -> None:
    client = embedded_service.parts.app.test_client()
    answer = client.get("/metrics", environ_base={"REMOTE_ADDR": "10.1.2.3"})
    assert answer.status_code == 403
    assert answer.json["error"]["code"] == "not_from_here"
    assert "opssecret" in answer.json["error"]["advice"]


def test_whoever_guesses_the_secret_is_not_listened_to_any_more(
    start: Start, settings: Settings
) -> None:
    service = start(replace(settings, opssecret=Secret("right")))
    tries = [asked(service, "/health", "10.1.2.3", Authorization=f"Bearer {n}") for n in range(12)]
    assert tries == [401] * 10 + [429] * 2
    assert asked(service, "/health", "10.1.2.3", Authorization="Bearer right") == 429
    assert asked(service, "/health", "10.1.2.4", Authorization="Bearer right") == 200


def test_check_tries_the_database_of_datasets(settings: Settings, postgres: Postgres) -> None:
    address = postgres.fresh_database().replace("+psycopg", "")
    own = replace(settings, datasettable=Secret(address))
    [good] = [one for one in run_checks(own) if one.name.startswith("dataset database")]
    assert good.condition is Condition.OK
    away = replace(settings, datasettable=Secret("postgresql://jo:hunter2@127.0.0.1:1/x"))
    [bad] = [one for one in run_checks(away) if one.name == "dataset database 127.0.0.1:1"]
    assert bad.condition is Condition.FAIL
    assert "hunter2" not in str(bad)


def test_a_killed_working_process_is_told_and_forgiven(
    tmp_path: Path, sas: Emulator, gate: Gate
) -> None:
    service = ServiceProcess(tmp_path, stpurl=sas.stpurl)
    service.start()
    try:

        def worker() -> dict[str, str]:
            answer = requests.get(f"{service.url}/health", timeout=30)
            return next(one for one in answer.json()["checks"] if one["name"] == "worker")

        wait_until("it lives", lambda: worker()["message"].startswith("lives"))
        wait_until("it is killed", service.kill_working)
        wait_until("it is told", lambda: "started again" in worker()["message"])
        assert worker()["condition"] == "warn"
    finally:
        service.end()


@pytest.mark.parametrize(("count", "condition"), [(0, "ok"), (2, "warn")])
def test_ends_that_ci_360_was_not_told_of_are_a_warning_where_it_is_told(
    settings: Settings, count: int, condition: str
) -> None:
    standing = Standing(unreported=count)
    assert "reports" not in [one.name for one in looks.of_standing(standing, settings, NOON)]
    telling = replace(settings, reportvia="agent")
    (check,) = [one for one in looks.of_standing(standing, telling, NOON) if one.name == "reports"]
    assert check.condition == condition
