"""Real servers on loopback: a file store, the pretend SAS, the service itself."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from connector_proxy import outcomes, service
from connector_proxy.carrier import Carried, Carrier
from connector_proxy.emulator import Emulator, embedded_stored_process
from connector_proxy.engine import Engine
from connector_proxy.loading import load
from connector_proxy.records import Decision, Delivery, Outcome
from connector_proxy.settings import CREDENTIALS_INI, SERVICE_INI, SERVICE_PY, Settings
from connector_proxy.staging import Staging
from connector_proxy.values import HostPattern
from tests.crashing import Gate
from tests.filestore import FileStore
from tests.postgres import Postgres
from tests.sassite import MakeSite, Site

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(__file__).resolve().parent / "data"
PAYLOADS = DATA / "payloads"
AGENT_HEADERS = json.loads((PAYLOADS / "agent_headers.json").read_text(encoding="utf-8"))


def payload(name: str = "bulk_stp.json") -> dict[str, Any]:
    document: dict[str, Any] = json.loads((PAYLOADS / name).read_text(encoding="utf-8"))
    return document


def another(document: dict[str, Any]) -> dict[str, Any]:
    """The same task or event, run once more."""
    if "task" in document:
        return {**document, "task": {**document["task"], "occurrenceId": str(uuid.uuid4())}}
    return {**document, "guid": str(uuid.uuid4())}


def decided(note: str = "") -> Decision:
    """What somebody decides now."""
    return Decision("cli", "jo", datetime.now(UTC), note)


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell in whose background this runs
    signal.signal(signal.SIGINT, signal.default_int_handler)  # processes of tests are to hear it


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A configuration folder of its own where everything has its default.

    Not a copy of conf/: an administrator may run the tests in a configured installation, and
    they must not call that SAS server.
    """
    folder = tmp_path / "installation" / "conf"
    folder.mkdir(parents=True)
    for name in (SERVICE_INI, CREDENTIALS_INI):
        (folder / name).write_text("[DEFAULT]\n", encoding="utf-8")
    (folder / SERVICE_PY).write_text("class svcConfig:\n    pass\n", encoding="utf-8")
    return folder


@pytest.fixture
def settings(conf: Path) -> Settings:
    """The shipped configuration, on loopback, with downloads allowed from loopback."""
    return replace(
        load(conf, {}),
        host="127.0.0.1",
        port=0,
        downloadhosts=(HostPattern("http", "127.0.0.1", 0),),
        connecttimeout=2.0,
        readtimeout=5.0,
        threads=16,
        concurrency=8,
        getpause=0.01,
    )


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """The log as it was, when a test that started another one has ended."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def store() -> Iterator[FileStore]:
    """A loopback store of presigned files."""
    with FileStore() as running:
        yield running


@pytest.fixture
def emulator(settings: Settings) -> Iterator[Emulator]:
    """The pretend SAS BI Web Services; its stored process is the embedded one."""
    with Emulator(embedded_stored_process(settings)) as running:
        yield running


class Service:
    """The whole service in threads of this process. In production what carries out is a process
    of its own (tests/test_crash.py)."""

    def __init__(self, settings: Settings, carrier: Carrier | None = None) -> None:
        self.settings = settings
        self.parts = service.Service(settings, Engine(settings, carrier))
        self.thread = threading.Thread(target=self.parts.run, daemon=True)
        self.thread.start()
        self.port = self.parts.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.deliveries = self.parts.deliveries

    def post(self, body: bytes | dict[str, Any], path: str = "/ExecuteSTP") -> requests.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(self.url + path, data=raw, headers=AGENT_HEADERS, timeout=30)

    def record(self, answer: requests.Response) -> dict[str, Any]:
        """The record of the delivery that ``answer`` speaks of."""
        found = requests.get(f"{self.url}/deliveries/{answer.json()['deliveryId']}", timeout=30)
        assert found.status_code == 200, found.text
        record: dict[str, Any] = found.json()
        return record

    def ended(self, answer: requests.Response, *, attempts: int = 1) -> dict[str, Any]:
        """That record, when there have been so many attempts and none is at hand or planned."""
        for _ in range(600):
            record = self.record(answer)
            over = record["state"] not in ("waiting", "running")
            if over and len(record["attempts"]) >= attempts:
                return record
            time.sleep(0.05)
        raise AssertionError(record)

    def stop(self) -> None:
        self.parts.stop()
        self.thread.join(15)
        assert not self.thread.is_alive(), "the service did not end"


class StubCarrier(Carrier):
    """Carries out what a test says: ``deed`` gets the stored process and the body."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, Staging(settings.downloadfolder))
        self.deed: Callable[[str, bytes], Outcome] = lambda stp_name, body: outcomes.done(200)
        self.seen: list[tuple[str, bytes]] = []

    def fetch(self, *_: object) -> None:
        """The files are there."""

    def has_files(self, delivery_id: str) -> bool:
        return True

    def carry_out(self, delivery: Delivery, body: bytes) -> Carried:
        self.seen.append((delivery.stp_name, body))
        return Carried(self.deed(delivery.stp_name, body), "stub", 1)


@pytest.fixture
def carrier(settings: Settings) -> StubCarrier:
    return StubCarrier(replace(settings, stpurl="http://127.0.0.1:1/{{stpName}}"))


@pytest.fixture
def start() -> Iterator[Callable[..., Service]]:
    """Starts services; all of them end with the test."""
    running: list[Service] = []

    def starter(settings: Settings, carrier: Carrier | None = None) -> Service:
        while running:  # the durable queue is there once a process
            running.pop().stop()
        running.append(Service(settings, carrier))
        return running[-1]

    yield starter
    for one in running:
        one.stop()


@pytest.fixture
def embedded_service(start: Callable[[Settings], Service], settings: Settings) -> Service:
    return start(replace(settings, waitseconds=60.0))  # for a machine that is busy


@pytest.fixture
def sas_service(
    start: Callable[[Settings], Service], settings: Settings, emulator: Emulator
) -> Service:
    return start(replace(settings, stpurl=emulator.stpurl))


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A stored process that stands still until it is let through."""
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def sas(gate: Gate) -> Iterator[Emulator]:
    """The pretend SAS BI Web Services with ``gate`` behind it."""
    with Emulator(gate) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL."""
    with Postgres() as running:
        yield running


@pytest.fixture
def queueurl(postgres: Postgres) -> Iterator[str]:
    """A database of its own for each test."""
    address = postgres.fresh_database()
    yield address
    postgres.drop(address)


@pytest.fixture
def make_site(tmp_path: Path, store: FileStore) -> MakeSite:
    """Installs the SAS code: its platform, the encoding of its sessions, its settings."""

    def make(platform: str = "unix", encoding: str = "utf-8", **settings: object) -> Site:
        home = tmp_path / f"{platform}-{encoding}"
        home.mkdir()
        site = Site(home, store, platform, encoding)
        site.configure(**settings)
        return site

    return make


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """The SAS code as shipped, on Unix."""
    return make_site()
