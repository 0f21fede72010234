"""Real servers on loopback: a file store, the pretend SAS, the service itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from connector_proxy.emulator import Emulator, embedded_stored_process
from connector_proxy.engine import Engine
from connector_proxy.settings import CREDENTIALS_INI, SERVICE_INI, SERVICE_PY, Settings, load
from connector_proxy.values import HostPattern
from connector_proxy.web import create_app
from connector_proxy.web.server import Server
from tests.filestore import FileStore

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(__file__).resolve().parent / "data"
PAYLOADS = DATA / "payloads"
AGENT_HEADERS = json.loads((PAYLOADS / "agent_headers.json").read_text(encoding="utf-8"))


def payload(name: str = "bulk_stp.json") -> dict[str, Any]:
    document: dict[str, Any] = json.loads((PAYLOADS / name).read_text(encoding="utf-8"))
    return document


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
    )


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
    """The service behind waitress, in threads of this process."""

    def __init__(self, settings: Settings) -> None:
        self.engine = Engine(settings)
        self.server = Server(create_app(settings, self.engine), settings)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        self.port = self.server.port
        self.url = f"http://127.0.0.1:{self.port}"

    def post(self, body: bytes | dict[str, Any], path: str = "/ExecuteSTP") -> requests.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(self.url + path, data=raw, headers=AGENT_HEADERS, timeout=30)

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(15)
        assert not self.thread.is_alive(), "the service did not end"
        self.engine.close()


@pytest.fixture
def start() -> Iterator[Callable[[Settings], Service]]:
    """Starts services; all of them end with the test."""
    running: list[Service] = []

    def starter(settings: Settings) -> Service:
        running.append(Service(settings))
        return running[-1]

    yield starter
    for service in running:
        service.stop()


@pytest.fixture
def embedded_service(start: Callable[[Settings], Service], settings: Settings) -> Service:
    return start(settings)


@pytest.fixture
def sas_service(
    start: Callable[[Settings], Service], settings: Settings, emulator: Emulator
) -> Service:
    return start(replace(settings, stpurl=emulator.stpurl))
