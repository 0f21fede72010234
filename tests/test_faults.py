"""The disk, the file, the folder and the clock fail: nothing is answered with 2xx that was not
kept, what was kept is carried out afterwards, and somebody is told why."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, namedtuple
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from sqlalchemy.pool import Pool

from connector_proxy import database, engine, minutes, outcomes
from connector_proxy.database import FILE, Database, advice, why
from connector_proxy.dbosqueue import Queue
from connector_proxy.emulator import Emulator
from connector_proxy.errors import ConfigurationError, QueueUnavailable
from connector_proxy.health.check import Condition
from connector_proxy.health.start import run_checks
from connector_proxy.ledger import Arrival, Ledger
from connector_proxy.records import Kind, Outcome, State, Webhook
from connector_proxy.schedule import Pauses
from connector_proxy.settings import Settings
from tests.conftest import Service, StubCarrier
from tests.crashing import Gate, ServiceProcess, arrived, triggered, wait_until

Start = Callable[..., Service]

LONG = b" " * 200_000
"""Blanks behind a body: it needs new pages of the file."""


class Held:
    """A deed of the stub that ends when it is let through."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def __call__(self, stp_name: str, body: bytes) -> Outcome:
        assert self.gate.wait(60)
        return outcomes.done(200)


@pytest.fixture
def held(carrier: StubCarrier) -> Iterator[Held]:
    held = Held()
    carrier.deed = held
    yield held
    held.gate.set()


@contextmanager
def pragma(bad: str, good: str) -> Iterator[threading.Event]:
    """While the event is set every connection of this process has the pragma ``bad``."""
    failing = threading.Event()

    def checked_out(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA {bad if failing.is_set() else good}").fetchall()

    sa.event.listen(Pool, "checkout", checked_out)
    try:
        yield failing
    finally:
        sa.event.remove(Pool, "checkout", checked_out)


def refused(answer: requests.Response) -> dict[str, Any]:
    """The error of an answer that says to come again."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["Retry-After"] == "30"
    assert "deliveryId" not in answer.json()
    error: dict[str, Any] = answer.json()["error"]
    return error


def kept(service: Service) -> set[str]:
    return {one.delivery_id for one in service.deliveries.search(limit=None)}


# -- the disk -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "good", "words"),
    [
        ("max_page_count = 1", "max_page_count = 4294967294", "the disk is full"),
        ("query_only = ON", "query_only = OFF", "it may not be written"),
    ],
    ids=["full", "read-only"],
)
def test_nothing_is_accepted_while_the_file_cannot_be_written_and_nothing_is_lost(
    bad: str,
    good: str,
    words: str,
    start: Start,
    settings: Settings,
    carrier: StubCarrier,
    held: Held,
) -> None:
    with pragma(bad, good) as failing:
        service = start(replace(settings, waitseconds=0, concurrency=1), carrier)
        before = [service.post(triggered()) for _ in range(3)]
        assert [answer.status_code for answer in before] == [202] * 3
        wait_until("the first is in hand", lambda: carrier.seen)
        failing.set()
        bodies = [triggered() + LONG for _ in range(5)]
        for body in bodies:
            error = refused(service.post(body))
            assert error["code"] == "queue_unavailable"
            assert words in error["message"]
            assert "datafolder" in error["advice"]
        assert kept(service) == {answer.json()["deliveryId"] for answer in before}
        held.gate.set()  # it ends while its end may not be recorded
        failing.clear()
        after = [service.post(body) for body in bodies]
        assert [answer.status_code for answer in after] == [202] * 5
        for answer in before + after:
            record = service.ended(answer)
            assert (record["state"], len(record["attempts"])) == ("done", 1)
        assert set(Counter(body for _, body in carrier.seen).values()) == {1}
        assert len(carrier.seen) == 8


def test_an_end_that_cannot_be_recorded_is_recorded_as_soon_as_it_can_be(
    start: Start,
    settings: Settings,
    carrier: StubCarrier,
    held: Held,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(engine, "_RECORD_RETRY_SECONDS", 0.1)
    with pragma("query_only = ON", "query_only = OFF") as failing:
        service = start(replace(settings, waitseconds=0, concurrency=1), carrier)
        first, second = service.post(triggered()), service.post(triggered())
        wait_until("the first is in hand", lambda: carrier.seen)
        failing.set()
        held.gate.set()
        wait_until("it says so", lambda: "does not take a record, trying on" in caplog.text)
        assert service.record(first)["state"] == "running"
        failing.clear()
        for answer in (first, second):
            record = service.ended(answer)
            assert (record["state"], len(record["attempts"])) == ("done", 1)
        assert len(carrier.seen) == 2


def test_the_log_does_not_fill_up_while_the_file_cannot_be_written(
    start: Start, settings: Settings, carrier: StubCarrier, caplog: pytest.LogCaptureFixture
) -> None:
    """The queue is looked at fifty times a second, and fails each time."""
    carrier.deed = lambda stp_name, body: outcomes.unreachable(0, "refused")
    with pragma("query_only = ON", "query_only = OFF") as failing:
        service = start(replace(settings, waitseconds=0, retryschedule=Pauses((1,))), carrier)
        answer = service.post(triggered())
        wait_until("an attempt is planned", lambda: service.record(answer).get("nextAttemptAt"))
        carrier.deed = lambda stp_name, body: outcomes.done(200)
        failing.set()
        wait_until("the queue fails", lambda: "readonly database" in caplog.text)
        began = time.monotonic()
        wait_until("it fails for two seconds", lambda: time.monotonic() - began > 2)
        failing.clear()
        assert service.ended(answer, attempts=2)["state"] == "done"
    lines = [one.getMessage() for one in caplog.records if one.name == "dbos"]
    assert 1 <= len(lines) <= 3, len(lines)
    assert not any("UPDATE" in line or "\n" in line for line in lines)


if sys.platform == "linux":  # elsewhere no process can set a limit of another one

    def test_a_process_whose_files_may_not_grow_loses_nothing(tmp_path: Path) -> None:
        import resource

        gate = Gate()
        with Emulator(gate) as sas:
            service = ServiceProcess(tmp_path, stpurl=sas.stpurl, concurrency=1)
            try:
                service.start()
                in_hand, waiting = service.accept(triggered()), service.accept(triggered())
                wait_until("the stored process is called", lambda: arrived(sas))
                working = service.working()
                assert working is not None
                limits = {
                    pid: resource.prlimit(pid, resource.RLIMIT_FSIZE)
                    for pid in (service.pid, working.pid)
                }
                for pid, (_, hard) in limits.items():
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
                bodies = [triggered() for _ in range(3)]
                for body in bodies:
                    error = refused(service.post(body))
                    assert error["code"] == "queue_unavailable"
                    assert "the disk reports an error" in error["message"]
                gate.open()
                wait_until("it has ended there", lambda: sas.requests[0].ran)
                for _ in range(10):
                    assert service.record(in_hand)["state"] == "running"
                for pid, before in limits.items():
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
                accepted = [service.accept(body) for body in bodies]
                for delivery_id in (in_hand, waiting, *accepted):
                    assert len(service.ends_as(delivery_id, State.DONE)["attempts"]) == 1
                assert set(arrived(sas).values()) == {1}
                assert arrived(sas).total() == 5
            finally:
                gate.open()
                service.end()


def test_less_than_200_mb_are_told_before_the_disk_is_full(
    start: Start,
    settings: Settings,
    carrier: StubCarrier,
    held: Held,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = start(replace(settings, waitseconds=0), carrier)
    before = service.post(triggered())
    usage = namedtuple("usage", "total used free")
    room = [200 * 2**20 - 1]
    monkeypatch.setattr(database.shutil, "disk_usage", lambda path: usage(10**12, 0, room[0]))
    body = triggered()
    wait_until("it notices", lambda: service.post(triggered()).status_code == 503)
    error = refused(service.post(triggered()))
    assert (error["code"], "less than 200 MB" in error["message"]) == ("disk_low", True)
    assert "Make room" in error["advice"]
    assert refused(service.post(body))["code"] == "disk_low"
    held.gate.set()
    assert service.ended(before)["state"] == "done", "what was accepted is carried out"
    room[0] = 200 * 2**20
    after = wait_until("it accepts again", lambda: service.post(body))  # true when it is a 2xx
    assert service.ended(after)["state"] == "done"


# -- the file in other hands --------------------------------------------------------------

_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.rollback()
"""


@contextmanager
def holder(path: Path) -> Iterator[None]:
    """Another process that has begun to write to the file, and does not end."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None and process.stdout.readline().strip() == b"held"
        yield
    finally:
        process.communicate(b"\n", timeout=10)


class Post(threading.Thread):
    """A webhook on its way; ``seconds`` is how long its answer took."""

    def __init__(self, service: Service, body: bytes) -> None:
        super().__init__(daemon=True)
        self._service, self.body = service, body
        self.answer: requests.Response | None = None
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        self.answer = self._service.post(self.body)
        self.seconds = time.monotonic() - began

    def answered(self) -> requests.Response:
        self.join(40)
        assert self.answer is not None
        return self.answer


def test_another_program_that_holds_the_file_for_20_seconds_costs_nothing_but_time(
    start: Start, settings: Settings, carrier: StubCarrier, held: Held
) -> None:
    service = start(replace(settings, waitseconds=0, concurrency=1), carrier)
    before = [service.post(triggered()) for _ in range(3)]
    wait_until("the first is in hand", lambda: carrier.seen)
    with holder(settings.datafolder / database.FILE):
        began = time.monotonic()
        held.gate.set()  # its end cannot be recorded yet
        posts = [Post(service, triggered())]
        for seconds in (2, 5, 9):
            wait_until("time passes", lambda at=seconds: time.monotonic() - began > at)
            posts += [Post(service, triggered()) for _ in range(3)]
            assert service.record(before[0])["state"] == "running", "it can be looked at"
        for post in posts:
            error = refused(post.answered())
            assert error["code"] == "queue_unavailable"
            assert "another program holds the file" in error["message"]
            assert "Close the program" in error["advice"]
        assert max(post.seconds for post in posts) < 11.5, "an agent may wait 15 seconds only"
        assert len(kept(service)) == 3
        wait_until("20 s are over", lambda: time.monotonic() - began > 20)
    after = [service.post(post.body) for post in posts]
    for answer in before + after:
        record = service.ended(answer)
        assert (record["state"], len(record["attempts"])) == ("done", 1)
    assert set(Counter(body for _, body in carrier.seen).values()) == {1}
    assert len(carrier.seen) == 3 + len(posts)


# -- the folder and the file at start -----------------------------------------------------


def books(settings: Settings, count: int = 0) -> Path:
    """A file with ``count`` deliveries that nobody has open; returns where it lies."""
    file = Database(settings)
    file.set_up()
    ledger = Ledger(settings, Queue(file.engine, settings))
    now = datetime.now(UTC)
    webhook = Webhook(Kind.BULK, "A", {})
    arrivals = [
        Arrival(f"{number:032x}", f"{number}", "r", webhook, b"{}" + b" " * 3000, now)
        for number in range(count)
    ]
    if arrivals:
        with file.write() as connection:
            ledger.accept(connection, arrivals)
    file.close()
    assert not Path(f"{file.path}-wal").exists()
    return file.path


def start_is_refused(tmp_path: Path, **more: object) -> str:
    """What a service says that must not start."""
    result = ServiceProcess(tmp_path / "refused", **more).command("serve", "--port", "0")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: "), result.stderr
    return result.stderr


def test_a_folder_below_a_file_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "blocker").write_text("a file")
    words = start_is_refused(tmp_path, datafolder=tmp_path / "blocker" / "data")
    assert "cannot be kept in" in words
    assert "Let the service account write to datafolder, or name another one" in words


def test_a_file_that_is_a_folder_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "data" / database.FILE).mkdir(parents=True)
    words = start_is_refused(tmp_path, datafolder=tmp_path / "data")
    assert "cannot be kept in" in words
    assert "Let the service account write to datafolder" in words


def test_a_file_that_may_only_be_read_is_told_in_words(settings: Settings) -> None:
    path = books(settings)
    with (
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError) as caught,
    ):
        connection.execute("DELETE FROM deliveries")
    assert caught.value.sqlite_errorname == "SQLITE_READONLY"
    assert why(caught.value) == "it may not be written"
    assert "Let the service account write" in advice(caught.value)


def garbage_at_the_beginning(content: bytes) -> bytes:
    return b"\xde\xad" * 50 + content[100:]


def garbage_in_the_middle(content: bytes) -> bytes:
    middle = len(content) // 2 // 4096 * 4096
    return content[:middle] + b"\xde\xad" * 2048 + content[middle + 4096 :]


def half_of_it(content: bytes) -> bytes:
    return content[: len(content) // 2 // 4096 * 4096]


@pytest.mark.parametrize(
    "damage",
    [garbage_at_the_beginning, garbage_in_the_middle, half_of_it],
    ids=lambda one: one.__name__,
)
def test_a_damaged_file_is_refused_and_left_as_it_is(
    damage: Callable[[bytes], bytes], settings: Settings, tmp_path: Path
) -> None:
    path = books(settings, 200)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    (looked,) = [
        one for one in run_checks(replace(settings, datafolder=path.parent)) if one.name == FILE
    ]
    assert (looked.condition, looked.message) == (Condition.FAIL, "the file is damaged")
    words = start_is_refused(tmp_path, datafolder=path.parent)
    assert "the file is damaged" in words
    assert "keep a copy of datafolder" in words
    assert "restore the file from a backup" in words
    assert path.read_bytes() == damaged
    assert {one.suffix for one in path.parent.iterdir()} <= {".sqlite", ".lock"}


def test_a_file_of_a_newer_release_is_refused_and_left_as_it_is(
    settings: Settings, tmp_path: Path
) -> None:
    path = books(settings, 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE ledger_version SET version = 99")
    with closing(sqlite3.connect(path)) as connection:
        before = list(connection.iterdump())
    words = start_is_refused(tmp_path, datafolder=path.parent)
    assert "were kept by a newer release of connector-proxy" in words
    assert "Start that release" in words
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before
    with pytest.raises(ConfigurationError, match="newer release"):
        Database(settings).set_up()


def test_a_fault_of_the_file_is_told_without_its_statement(settings: Settings) -> None:
    books(settings)
    file = Database(settings)
    with pytest.raises(QueueUnavailable) as caught, file.write() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("DELETE FROM deliveries")
    file.close()
    assert str(caught.value) == "The delivery cannot be kept: it may not be written."


# -- the clock ----------------------------------------------------------------------------


def test_a_retry_comes_in_seconds_when_the_clock_is_set_back_by_an_hour(
    start: Start, settings: Settings, carrier: StubCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock runs an hour ahead at first: then all clocks can be true, that of SQLite, too."""
    monkeypatch.setattr(minutes, "_MINUTE", 0.5)
    real, now = time.time, engine._now
    ahead = monkeypatch.context()
    carrier.deed = lambda stp_name, body: outcomes.unreachable(0, "refused")
    service = start(replace(settings, waitseconds=0, retryschedule=Pauses((30,))), carrier)
    with ahead as clock:
        clock.setattr(time, "time", lambda: real() + 3600)
        for module in (engine, minutes):
            clock.setattr(module, "_now", lambda: now() + timedelta(hours=1))
        answer = service.post(triggered())
        wait_until("an attempt is planned", lambda: service.record(answer).get("nextAttemptAt"))
        carrier.deed = lambda stp_name, body: outcomes.done(200)
    began = time.monotonic()
    planned = datetime.fromisoformat(service.record(answer)["nextAttemptAt"])
    assert planned - datetime.now(UTC) > timedelta(minutes=55)
    record = service.ended(answer, attempts=2)
    assert record["state"] == "done"
    assert time.monotonic() - began < 10
    assert len(carrier.seen) == 2
