"""Who sends slowly, or not at all, keeps nobody else from the door."""

from __future__ import annotations

import json
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from connector_proxy import platforms
from connector_proxy.settings import Settings
from connector_proxy.web import connections
from tests.conftest import PAYLOADS, Service, StubCarrier, another, payload
from tests.test_server import serving

HEADER = b"POST /ExecuteSTP HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"x" * 2000
BODY = b"POST /ExecuteSTP HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n" + b"x" * 2000


class Crowd:
    """Connections to ``port`` that send one byte a second each, until the end."""

    def __init__(self, port: int, count: int, beginning: bytes) -> None:
        self.answers: list[bytes] = []
        self.closed = 0
        self.opened = 0
        self._port, self._count = port, count
        self._rest = beginning
        self._open: dict[socket.socket, int] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            while not self._ending.is_set():
                began = time.monotonic()
                while len(self._open) < self._count and not self._ending.is_set():
                    self._connect(selector)
                for connection in list(self._open):
                    self._send(connection, selector)
                for key, _ in selector.select(max(0, began + 1 - time.monotonic())):
                    self._receive(key.fileobj, selector)  # type: ignore[arg-type]
        for connection in self._open:
            connection.close()

    def _connect(self, selector: selectors.BaseSelector) -> None:
        connection = socket.create_connection(("127.0.0.1", self._port), 10)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
        self._open[connection] = 0
        self.opened += 1

    def _send(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        sent = self._open[connection]
        try:
            connection.send(self._rest[sent : sent + 1])
            self._open[connection] = sent + 1
        except OSError:
            self._lose(connection, selector)

    def _receive(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        try:
            said = connection.recv(65536)
        except OSError:
            said = b""
        if said:
            self.answers.append(said)
        else:
            self._lose(connection, selector)

    def _lose(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        selector.unregister(connection)
        connection.close()
        del self._open[connection]
        self.closed += 1

    def end(self) -> None:
        self._ending.set()
        self._thread.join()


@contextmanager
def crowd(port: int, count: int, beginning: bytes) -> Iterator[Crowd]:
    one = Crowd(port, count, beginning)
    try:
        while one.opened < count:
            time.sleep(0.05)
        yield one
    finally:
        one.end()


def answered(url: str, seconds: float) -> list[float]:
    """How long each of the webhooks took that were sent one by one for so many seconds."""
    took = []
    over = time.monotonic() + seconds
    event = payload("triggered.json")
    while time.monotonic() < over:
        started = time.monotonic()
        answer = requests.post(url + "/ExecuteSTP", data=json.dumps(another(event)), timeout=30)
        took.append(time.monotonic() - started)
        assert answer.status_code in (200, 202), answer.text
        time.sleep(0.1)
    return took


@pytest.mark.timeout(180)
def test_500_connections_that_send_a_byte_now_and_then_keep_nobody_from_the_door(
    conf: Path,
) -> None:
    with serving(conf, "serve") as (_, url):
        port = int(url.rpartition(":")[2])
        with crowd(port, 500, HEADER) as slow:
            took = answered(url, connections.HEADER_SECONDS + 15)
        assert len(took) > 20
        assert sorted(took)[len(took) * 9 // 10] < 3, took
    assert slow.opened > 900, "each of them was ended, and came again"
    assert any(b" 408 " in one[:20] for one in slow.answers)
    log = (conf.parent / "logs" / "connector-proxy.log").read_text(encoding="utf-8")
    assert "requests did not arrive in time and were answered with 408" in log
    assert len(log.splitlines()) < 50 + 3 * len(took), "a crowd fills no log"


@pytest.fixture
def cramped(
    start: Callable[..., Service],
    settings: Settings,
    carrier: StubCarrier,
    monkeypatch: pytest.MonkeyPatch,
) -> Service:
    """A service with room for 100 connections."""
    monkeypatch.setattr(platforms, "connection_limit", lambda threads: 100)
    return start(replace(settings, waitseconds=5), carrier)


@pytest.mark.parametrize("beginning", [HEADER, BODY, b""], ids=["header", "body", "nothing"])
def test_more_connections_than_there_is_room_for_make_way(
    beginning: bytes, cramped: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with crowd(cramped.port, 200, beginning) as slow:
        took = answered(cramped.url, 3)
    assert max(took) < 3, took
    assert slow.closed > 100
    told = [one for one in caplog.messages if "that waited longest made way" in one]
    assert len(told) == 1, "told once a minute"


def test_a_connection_that_is_being_answered_does_not_make_way(
    cramped: Service, carrier: StubCarrier
) -> None:
    ready = threading.Event()
    done = carrier.deed
    carrier.deed = lambda stp_name, body: (ready.wait(20), done(stp_name, body))[1]
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(cramped.post(another(payload())).status_code))  # fmt: skip
    thread.start()
    while not carrier.seen:
        time.sleep(0.01)
    with crowd(cramped.port, 200, HEADER):
        time.sleep(1)
        ready.set()
        thread.join(20)
    assert answers == [200]


@pytest.mark.parametrize("beginning", [HEADER, BODY], ids=["header", "body"])
def test_a_request_that_does_not_arrive_in_time_is_answered_and_closed(
    beginning: bytes, embedded_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 1.0)
    monkeypatch.setattr(connections, "BODY_SECONDS", 1.0)
    with socket.create_connection(("127.0.0.1", embedded_service.port), 10) as connection:
        connection.sendall(beginning)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 408 Request Timeout" in head and b"Connection: close" in head
    assert json.loads(body)["error"]["code"] == "too_slow"


def test_a_large_body_that_keeps_coming_gets_more_time(
    embedded_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.5)
    body = b"{}".ljust(400_000)
    with socket.create_connection(("127.0.0.1", embedded_service.port), 10) as connection:
        connection.sendall(
            b"POST /ExecuteSTP HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n"
        )
        for first in range(0, 400_000, 40_000):
            connection.sendall(body[first : first + 40_000])
            time.sleep(0.25)
        assert connection.recv(100).startswith(b"HTTP/1.1 422")


def test_an_idle_connection_that_is_used_again_is_not_late(
    embedded_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.5)
    with requests.Session() as session:
        for _ in range(3):
            assert session.post(embedded_service.url + "/ExecuteSTP", data=b"{}").status_code == 422
            time.sleep(1.2)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(embedded_service: Service) -> None:
    raw = (PAYLOADS / "bulk_stp.json").read_bytes()
    with crowd(embedded_service.port, 20, b""):
        with socket.create_connection(("127.0.0.1", embedded_service.port), 10) as connection:
            connection.sendall(
                b"POST /ExecuteSTP HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
            )
            assert connection.recv(100).startswith(b"HTTP/1.1 413")
        assert embedded_service.post(raw).status_code in (200, 202, 502)
