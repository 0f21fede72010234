"""Waitress with our answers, and an end that loses nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from connector_proxy.emulator import Emulator
from tests.conftest import PAYLOADS, Service, another, payload
from tests.filestore import FileStore

RAW = (PAYLOADS / "bulk_stp.json").read_bytes()


def talk(service: Service, data: bytes) -> tuple[str, dict[str, Any]]:
    """Send raw bytes and read the answer until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", service.port), 10) as connection:
        connection.sendall(data)
        answer = b""
        connection.settimeout(5)
        while b"\r\n\r\n" not in answer or not _whole(answer):
            chunk = connection.recv(65536)
            if not chunk:
                break
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Server:" not in head
    assert b"application/json" in head
    assert b"Set-Cookie" not in head
    assert b"x-request-id" in head.lower()
    return head.split(b"\r\n")[0].decode(), json.loads(body)


def _whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [
        line.split(b":")[1]
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    return bool(lengths) and len(body) >= int(lengths[0])


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"POST /ExecuteSTP HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", "413", "too_large"),
        (b"POST /ExecuteSTP HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400", "bad_request"),
        (b"POST /ExecuteSTP HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400", "bad_request"),
        (b"POST /ExecuteSTP HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "501", "http_error"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\rSet-Cookie: x=1\r\n\r\n", "400", "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\nSet-Cookie: x=1\r\n\r\n", "400", "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\r\n Set-Cookie: x=1\r\n\r\n", "404", "not_found"),
        (b"GET /a%0d%0aSet-Cookie:%20x=1 HTTP/1.1\r\nHost: x\r\n\r\n", "404", "not_found"),
        (b"nonsense\r\n\r\n", "400", "bad_request"),
        (b"POST /ExecuteSTP HTTP/1.1\r\nX: " + b"x" * 300_000 + b"\r\n\r\n", "431", "headers_too_large"),
        (b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", "400", "bad_request"),
        (b"POST /ExecuteSTP HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "400", "bad_request"),
        (b"GET / HTTP/1.0\r\n\r\n", "404", "not_found"),
        (b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: y\r\n\r\n", "404", "not_found"),
    ],
)  # fmt: skip
def test_what_never_reaches_the_application_is_answered_in_json(
    data: bytes, status: str, code: str, embedded_service: Service
) -> None:
    line, body = talk(embedded_service, data)
    assert status in line
    assert body["error"]["code"] == code
    assert body["error"]["requestId"]


def test_a_chunked_body_beyond_the_limit_is_refused(embedded_service: Service) -> None:
    head = b"POST /ExecuteSTP HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    line, body = talk(embedded_service, head + chunk * 17)
    assert ("413" in line, body["error"]["code"]) == (True, "too_large")


def test_a_body_of_exactly_the_limit_is_read(embedded_service: Service) -> None:
    body = b"{}".ljust(1_048_576)
    assert requests.post(embedded_service.url + "/ExecuteSTP", data=body).status_code == 422
    assert requests.post(embedded_service.url + "/ExecuteSTP", data=body + b" ").status_code == 413


def test_a_chunked_body_is_read(embedded_service: Service) -> None:
    head = b"POST /ExecuteSTP HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    line, body = talk(embedded_service, head + b"2\r\n{}\r\n0\r\n\r\n")
    assert ("422" in line, body["error"]["code"]) == (True, "unprocessable")


def test_many_requests_go_over_one_connection(embedded_service: Service) -> None:
    with requests.Session() as session:
        for _ in range(20):
            assert session.post(embedded_service.url + "/ExecuteSTP", data=b"{}").status_code == 422


def test_requests_in_flight_are_finished_before_the_end(
    sas_service: Service, emulator: Emulator, store: FileStore
) -> None:
    emulator.behave(delay=1.0)
    document = {**payload(), "presignedUrls": store.urls(b"a,b", b"1,2\n")}
    answers: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(sas_service.post(another(document)).status_code)
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    while len(emulator.requests) < 3:
        time.sleep(0.01)
    sas_service.stop()
    for thread in threads:
        thread.join(10)
    assert answers == [200] * 3
    with pytest.raises(requests.ConnectionError):
        sas_service.post(document)


@contextmanager
def serving(conf: Path, *arguments: str, **environment: str) -> Iterator[tuple[Any, str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "connector_proxy", *arguments, "--conf", str(conf), "--host", "127.0.0.1", "--port", "0"],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stderr
    try:
        line = process.stdout.readline()
        assert "listens at" in line, process.stderr.read()
        yield process, line.split()[-1].removesuffix("/ExecuteSTP")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly_after_requests_in_flight(
    number: signal.Signals, conf: Path, emulator: Emulator, store: FileStore
) -> None:
    emulator.behave(delay=1.0)
    document = {**payload(), "presignedUrls": store.urls(b"a,b", b"1,2\n")}
    with serving(conf, "serve", CONNECTOR_PROXY_STPURL=emulator.stpurl) as (process, url):
        answers: list[int] = []
        body = json.dumps(document)
        thread = threading.Thread(
            target=lambda: answers.append(requests.post(url + "/ExecuteSTP", data=body).status_code)
        )
        thread.start()
        while not emulator.requests:
            time.sleep(0.01)
        process.send_signal(number)
        thread.join(10)
        assert process.wait(10) == 0
    assert answers == [200]
    log = (conf.parent / "logs" / "connector-proxy.log").read_text(encoding="utf-8")
    assert '"verdict": "done"' in log
    assert "ended" in log.splitlines()[-1]


def test_without_a_command_the_service_starts(conf: Path) -> None:
    with serving(conf) as (_, url):
        assert requests.get(url).status_code == 404


def test_a_port_in_use_is_said_in_words(conf: Path, embedded_service: Service) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "connector_proxy", "serve", "--conf", str(conf), "--host", "127.0.0.1",
         "--port", str(embedded_service.port)],
        env={**os.environ, "CONNECTOR_PROXY_DATAFOLDER": str(conf.parent / "elsewhere")},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "Cannot listen at http://127.0.0.1" in result.stderr
    assert "host and port in serviceConfig.py" in result.stderr
    assert "Traceback" not in result.stderr
