"""A real service process that can be killed, a stream of webhooks that outlives it, and the
reckoning between what was answered, what is recorded, and what the pretend SAS saw."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.deliveries import Deliveries
from connector_proxy.destinations import embedded
from connector_proxy.emulator import Emulator, Ran, wire
from connector_proxy.loading import load
from connector_proxy.lookup import Criteria
from connector_proxy.records import OPEN, Delivery, ReportState, State
from connector_proxy.settings import Settings
from tests.gateway import as_texts, faults_of_reports, pretend

ROOT = Path(__file__).resolve().parents[1]
TRIGGERED = json.loads((ROOT / "tests/data/payloads/triggered.json").read_text(encoding="utf-8"))
PATIENCE = 30.0
"""Seconds that anything awaited may take on a slow machine."""
_POLL_SECONDS = 0.02
_REST_SECONDS = 90.0
"""Seconds in which at least one more delivery must come to its end, while any is open."""
_ENVIRONMENT = "CONNECTOR_PROXY_"


def wait_until(what: str, happened: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true value of ``happened``; an AssertionError that says ``what`` did not."""
    give_up = time.monotonic() + seconds
    while not (value := happened()):
        assert time.monotonic() < give_up, f"not within {seconds:.0f} s: {what}"
        time.sleep(_POLL_SECONDS)
    return value


def ended(process: psutil.Process) -> bool:
    """Whether a process has ended, collected by its parent or not."""
    try:
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def triggered(stp_name: str = "OneCustomer", guid: str = "") -> bytes:
    """The body of a webhook for one customer, with a fresh ``guid`` where none is given."""
    payload = {
        **TRIGGERED,
        "guid": guid or str(uuid.uuid4()),
        "outboundProperties": {"properties": {"stpName": stp_name}},
    }
    return json.dumps(payload).encode()


def guid_of(instream: bytes) -> str:
    """The ``guid`` of the webhook behind a stream."""
    return wire.element_text(instream, "guid")


class Gate:
    """A stored process that ends when it is let through, with what reached it and ended."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def __call__(self, instream: bytes) -> Ran:
        self._open.wait(PATIENCE)
        return Ran(embedded.result_document("ok"))

    def open(self) -> None:
        """Let everything through that waits and that comes."""
        self._open.set()


class Hasty:
    """A stored process that takes between ``least`` and ``most`` seconds, by chance."""

    def __init__(self, chance: random.Random, least: float, most: float) -> None:
        self._chance, self._least, self._most = chance, least, most

    def __call__(self, instream: bytes) -> Ran:
        time.sleep(self._chance.uniform(self._least, self._most))
        return Ran(embedded.result_document("ok"))


def arrived(emulator: Emulator) -> Counter[str]:
    """How often each webhook reached the pretend SAS server, by ``guid``."""
    return Counter(guid_of(one.instream) for one in list(emulator.requests) if one.instream)


def ran(emulator: Emulator) -> Counter[str]:
    """How often the stored process ran to its end for each webhook, by ``guid``."""
    return Counter(guid_of(one.instream) for one in list(emulator.requests) if one.ran)


class ServiceProcess:
    """``connector-proxy serve`` as a process of its own: it can be killed and started again."""

    def __init__(self, folder: Path, **settings: object) -> None:
        """``folder`` gets its configuration, its data and its log; ``settings`` are those of the
        service, by name."""
        self.folder = folder
        self.conf = folder / "conf"
        self.conf.mkdir(parents=True, exist_ok=True)
        (self.conf / "serviceConfig.ini").write_text("[DEFAULT]\n", encoding="utf-8")
        (self.conf / "credentials.ini").write_text("[DEFAULT]\n", encoding="utf-8")
        (self.conf / "serviceConfig.py").write_text("class svcConfig:\n    pass\n", "utf-8")
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = folder / "output.txt"
        own: dict[str, object] = {
            "instance": "one",
            "datafolder": folder / "data",
            "logfilepath": folder / "logs",
            "waitseconds": 0,
            "retryschedule": "1s 1s 2s 5s",
            "readtimeout": PATIENCE,
            "drainseconds": 5,
            "threads": 16,
        }
        self.environment = _environment(own | settings)
        self._started: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        """What the process reads."""
        return load(self.conf, self.environment)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command of connector-proxy with the same settings."""
        return subprocess.run(
            [sys.executable, "-m", "connector_proxy", *words, "--conf", str(self.conf)],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def launch(self) -> None:
        """Start it without waiting for anything."""
        words = ("serve", "--conf", str(self.conf), "--host", "127.0.0.1", "--port", str(self.port))
        with self.output.open("ab") as output:
            self._started = subprocess.Popen(
                [sys.executable, "-m", "connector_proxy", *words],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch()
        wait_until("the service answers", self.answers)

    def answers(self) -> bool:
        """Whether something answers at its port; an AssertionError when it ended by itself."""
        assert self.alive(), f"the service ended by itself:\n{self.said()}"
        try:
            return requests.get(f"{self.url}/deliveries/none", timeout=5).status_code == 404
        except requests.RequestException:
            return False

    def alive(self) -> bool:
        """Whether the answering process runs."""
        return self._started is not None and self._started.poll() is None

    def working(self) -> psutil.Process | None:
        """The process that carries out, if there is one."""
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.pid).children():
                with suppress(psutil.NoSuchProcess):
                    if "spawn_main" in " ".join(child.cmdline()) and not ended(child):
                        return child
        return None

    @property
    def pid(self) -> int:
        """That of the answering process."""
        assert self._started is not None
        return self._started.pid

    def kill_answering(self) -> psutil.Process | None:
        """Kill the answering process alone; returns the one that it leaves behind."""
        assert self._started is not None
        working = self.working()
        self._started.kill()
        self._started.wait()
        return working

    def kill_working(self) -> bool:
        """Kill the working process alone; returns whether there was one."""
        working = self.working()
        with suppress(psutil.NoSuchProcess):
            if working is not None:
                working.kill()
                return True
        return False

    def kill_both(self) -> None:
        """Kill both at the same moment, as a machine does that loses its power."""
        working = self.kill_answering()
        with suppress(psutil.NoSuchProcess):
            if working is not None:
                working.kill()
                wait_until("the working process is gone", lambda: ended(working))

    def tell_to_end(self) -> None:
        """Send it SIGTERM."""
        assert self._started is not None
        self._started.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code; waits for its end."""
        assert self._started is not None
        return self._started.wait(seconds)

    def end(self) -> None:
        """End it in order, or by force; the working process, too."""
        if not self.alive():
            return
        self.tell_to_end()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.kill_both()

    def said(self, length: int = 4000) -> str:
        """The end of what it wrote."""
        return self.output.read_text("utf-8", "replace")[-length:] if self.output.exists() else ""

    def post(self, body: bytes) -> requests.Response:
        """Send a webhook."""
        return requests.post(f"{self.url}/ExecuteSTP", data=body, timeout=10)

    def accept(self, body: bytes) -> str:
        """Send a webhook that must be accepted; returns the id of its delivery."""
        answer = self.post(body)
        assert answer.status_code in (200, 202), answer.text
        return str(answer.json()["deliveryId"])

    def record(self, delivery_id: str) -> dict[str, Any]:
        """The record of a delivery, as HTTP shows it."""
        answer = requests.get(f"{self.url}/deliveries/{delivery_id}", timeout=10)
        assert answer.status_code == 200, answer.text
        record: dict[str, Any] = answer.json()
        return record

    def ends_as(self, delivery_id: str, state: State) -> dict[str, Any]:
        """The record of a delivery as soon as its state is ``state``."""

        def reached() -> dict[str, Any] | None:
            record = self.record(delivery_id)
            return record if record["state"] == state else None

        record: dict[str, Any] = wait_until(f"{delivery_id} is {state}", reached)
        return record


@contextmanager
def known(settings: Settings) -> Iterator[Deliveries]:
    """What is recorded, read beside a service that runs."""
    database = Database(settings)
    queue = Queue(database.engine, settings)
    try:
        yield Deliveries(settings, database, queue)
    finally:
        queue.close()
        database.close()


def _environment(settings: Mapping[str, object]) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_ENVIRONMENT)}
    own = {_ENVIRONMENT + name.upper(): str(value) for name, value in settings.items()}
    return {**inherited, **own}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Agents:
    """Threads that send webhooks without end, each until it is answered.

    One that gets no answer, or is told to come again, sends the same body again: what was
    accepted unknown to it must not become two. ``answered`` maps each ``guid`` to the id of its
    delivery.
    """

    def __init__(self, url: str, chance: random.Random, *, count: int, pause: float) -> None:
        self.answered: dict[str, str] = {}
        self.mistakes: list[str] = []
        self._url = f"{url}/ExecuteSTP"
        self._pause = pause
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(chance.random()),), daemon=True)
            for _ in range(count)
        ]

    def __enter__(self) -> Agents:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.set()

    def finish(self) -> None:
        """Send nothing new; returns when everything that was sent is answered."""
        self._ending.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a webhook was never answered"

    def _run(self, chance: random.Random) -> None:
        with requests.Session() as session:
            while not self._ending.wait(chance.expovariate(1 / self._pause)):
                guid = str(uuid.UUID(int=chance.getrandbits(128)))
                body = triggered(chance.choice(("OneCustomer", "Another", "A third one")), guid)
                delivery_id = self._deliver(session, body)
                self.answered[guid] = delivery_id
                if chance.random() < 0.1 and self._deliver(session, body) != delivery_id:
                    self.mistakes.append(f"{guid} became two deliveries")

    def _deliver(self, session: requests.Session, body: bytes) -> str:
        while True:
            with suppress(requests.RequestException):
                answer = session.post(self._url, data=body, timeout=10)
                # A duplicate of a delivery that is held is answered with 504 and its id.
                if answer.status_code in (200, 202, 504):
                    return str(answer.json()["deliveryId"])
                if answer.status_code != 503:
                    self.mistakes.append(f"{answer.status_code} {answer.text}")
                    return ""
            time.sleep(0.05)


@dataclass
class Figures:
    """What came of a storm. ``lost``: answered, and without an end. ``doubles``: reached the
    stored process more than once. ``untrue``: CI 360 was told twice, or not as it is listed."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    states: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    reports: Counter[str] = field(default_factory=Counter)
    untrue: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        killed = ", ".join(f"{count} {what}" for what, count in sorted(self.kills.items()))
        return (
            f"seed {self.seed}: accepted {self.accepted}, done {self.states[State.DONE]}, "
            f"held {self.states[State.HELD]}, lost {len(self.lost)}, "
            f"doubles {len(self.doubles)}, reported {self.reports[ReportState.SENT]}, unreported "
            f"{self.reports[ReportState.UNREPORTED]}, untrue {len(self.untrue)}, kills {self.kills.total()} ({killed}), "
            f"{self.seconds:.0f} seconds"
        )

    def check(self) -> None:
        """An AssertionError for whatever must not be."""
        assert not self.mistakes, self.mistakes[:10]
        assert not self.lost, self.lost[:10]
        assert not self.doubles, self.doubles[:10]
        assert not self.untrue, self.untrue[:10]
        assert self.reports.total() == self.accepted, self.reports
        assert self.states.keys() <= {State.DONE, State.HELD}, self.states
        assert self.accepted == self.states.total()


def storm(
    folder: Path, *, kills: int, seed: int, longest: float = 2.8, queueurl: str = ""
) -> Figures:
    """Kill a service under load ``kills`` times at moments up to ``longest`` seconds apart, let
    it come to rest, and reckon up. ``queueurl`` names a database other than SQLite."""
    began = time.monotonic()
    chance = random.Random(seed)
    figures = Figures(seed)
    left_behind: list[psutil.Process] = []
    with Emulator(Hasty(chance, 0.01, 0.3)) as emulator, pretend(delay=0.3) as gateway:
        service = ServiceProcess(
            folder,
            stpurl=emulator.stpurl,
            queueurl=queueurl,
            concurrency=4,
            instanceconcurrency=8,
            drainseconds=1,
            **as_texts(gateway.url),
        )
        service.start()
        try:
            with Agents(service.url, chance, count=4, pause=0.1) as agents:
                for _ in range(kills):
                    time.sleep(chance.uniform(0.1, longest))
                    figures.kills[_kill(service, chance, left_behind)] += 1
                    if not service.alive():
                        service.launch()
                wait_until("the service answers", service.answers)
                agents.finish()
            with known(service.settings) as deliveries:
                _wait_for_rest(service, deliveries)
                found = [deliveries.show(one.delivery_id) for one in deliveries.search(limit=None)]
            records = {one: service.record(one) for one in agents.answered.values()}
        finally:
            service.end()
    assert all(map(ended, left_behind)), "a working process outlived its time"
    figures.mistakes += agents.mistakes
    _reckon(figures, agents.answered, found, records, emulator)
    figures.reports.update(str(report.state) for one in found for report in one.reports)
    figures.untrue += faults_of_reports(found, gateway)
    figures.seconds = time.monotonic() - began
    return figures


def _kill(service: ServiceProcess, chance: random.Random, left: list[psutil.Process]) -> str:
    what = chance.choice(("working", "working", "answering", "both"))
    if what == "working" and service.kill_working():
        return "working"
    if what == "both":
        service.kill_both()
        return "both"
    working = service.kill_answering()
    if working is not None:
        left.append(working)
    return "answering"


def _wait_for_rest(service: ServiceProcess, deliveries: Deliveries) -> None:
    """Returns when nothing waits or runs; an AssertionError tells what still does when nothing
    more comes to its end, and what the service complained of. Many kills leave a long queue."""
    open_states = tuple(OPEN)

    def left() -> int:
        counts = deliveries.counts()
        untold = deliveries.reports(ReportState.WAITING)
        return sum(counts[state] for state in open_states) + len(untold)

    try:
        while before := left():
            wait_until("one more has come to its end", lambda: left() < before, _REST_SECONDS)
    except AssertionError as error:
        stuck = [
            f"{one.delivery_id} {one.state} {one.stp_name} attempts={one.attempt_count} "
            f"paused={one.paused} changed={one.changed_at}"
            for one in deliveries.search(Criteria(open_states), limit=20)
        ]
        paused = [f"{one.stp_name} {one.failures}" for one in deliveries.stored_processes()]
        lines = [line for line in service.said(1_000_000).splitlines() if " INFO " not in line]
        raise AssertionError(
            "\n".join(
                [str(error), f"working process: {service.working()}", *stuck, *paused, *lines[-40:]]
            )
        ) from None


def _reckon(
    figures: Figures,
    answered: Mapping[str, str],
    found: list[Delivery],
    records: Mapping[str, Mapping[str, Any]],
    emulator: Emulator,
) -> None:
    figures.accepted = len(found)
    figures.states.update(str(one.state) for one in found)
    by_guid = {one.occurrence_id: one for one in found}
    if len(by_guid) != len(found):
        figures.mistakes.append("a webhook became two deliveries")
    came, ended_there = arrived(emulator), ran(emulator)
    figures.doubles += [guid for guid, count in came.items() if count > 1]
    for guid, delivery_id in answered.items():
        delivery = by_guid.get(guid)
        same = delivery is not None and delivery.delivery_id == delivery_id
        if delivery is None or not same or not _has_ended(delivery, ended_there[guid]):
            figures.lost.append(guid)
    for one in found:
        if one.occurrence_id not in answered:
            figures.mistakes.append(f"{one.delivery_id} was never sent to its end")
    for delivery_id, record in records.items():
        figures.mistakes += _faults_of(delivery_id, record)


def _has_ended(delivery: Delivery, runs: int) -> bool:
    """Whether it came to an end that is true: one that is done did run."""
    return delivery.state not in OPEN and (delivery.state is not State.DONE or runs > 0)


def _faults_of(delivery_id: str, record: Mapping[str, Any]) -> Iterator[str]:
    codes = [attempt["code"] for attempt in record["attempts"]]
    expected = "done" if record["state"] == State.DONE else "outcome_unknown"
    if codes != [expected]:
        yield f"{delivery_id} is {record['state']} after the attempts {codes}"
