"""The service under the hands of others: a service manager, another WSGI server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from connector_proxy.emulator import Emulator
from tests.conftest import PAYLOADS

EVENT = (PAYLOADS / "triggered.json").read_bytes()
GUNICORN = ["-m", "gunicorn", "--workers=1", "--threads=8", "--graceful-timeout=30"]
ONCE = {"Connection": "close"}  # gunicorn waits at its end for connections that are kept
WAITRESS = ["-m", "waitress", "--threads=8"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: list[str], conf: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process; what it starts ends with it."""
    with (conf.parent / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, "CONNECTOR_PROXY_CONF": str(conf), **environment},
            stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
    try:
        yield process
    finally:
        left = (
            psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        )
        process.kill()
        process.wait(10)
        psutil.wait_procs(left, 40)


def answering(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(400):
        assert process.poll() is None
        try:
            requests.get(url, headers=ONCE, timeout=60)
            return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("it does not answer")


def log(conf: Path) -> str:
    return (conf.parent / "logs" / "connector-proxy.log").read_text(encoding="utf-8")


def working(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that carry out, of a server and its children."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize("server", ["gunicorn", "waitress"])
def test_another_server_starts_the_working_process_once_and_ends_it(
    server: str, conf: Path, emulator: Emulator
) -> None:
    place = f"127.0.0.1:{free_port()}"
    options = [f"--bind={place}", *GUNICORN[2:]] if server == "gunicorn" else [f"--listen={place}"]
    command = [*(GUNICORN[:2] if server == "gunicorn" else WAITRESS), *options, "connector_proxy.wsgi:application"]  # fmt: skip
    with running(command, conf, CONNECTOR_PROXY_STPURL=emulator.stpurl) as process:
        answering(f"http://{place}/", process)
        answer = requests.post(f"http://{place}/ExecuteSTP", data=EVENT, headers=ONCE, timeout=30)
        assert (answer.status_code, answer.json()["status"]) == (200, "done")
        assert len(working(process)) == 1
        process.send_signal(signal.SIGTERM if server == "gunicorn" else signal.SIGINT)
        assert process.wait(40) == 0
    assert len(emulator.requests) == 1
    assert log(conf).splitlines()[-1].endswith("ended")


def test_a_second_process_of_a_server_is_refused_in_words(
    conf: Path, embedded_service: Any
) -> None:
    """``embedded_service`` has the database and the name already."""
    with running(["-c", "import connector_proxy.wsgi"], conf, CONNECTOR_PROXY_DATAFOLDER=str(embedded_service.settings.datafolder)) as process:  # fmt: skip
        assert process.wait(30) == 1
    assert "Another service of the name" in log(conf)
    assert "needs a datafolder of its own" in log(conf)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_when_it_listens_and_when_it_ends(
    abstract: bool, conf: Path, tmp_path: Path
) -> None:
    place = f"@connector-proxy-{tmp_path.name}-{os.getpid()}" if abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place.replace("@", "\0", 1))
        manager.settimeout(30)
        command = ["-m", "connector_proxy", "serve", "--host=127.0.0.1", "--port=0"]
        with running(command, conf, NOTIFY_SOCKET=place) as process:
            told = manager.recv(4096).decode().splitlines()
            assert told[0] == "READY=1"
            url = told[1].removeprefix("STATUS=listens at ")
            assert requests.get(url, timeout=5).status_code == 405
            process.send_signal(signal.SIGTERM)
            assert manager.recv(4096) == b"STOPPING=1"
            assert process.wait(40) == 0


def test_without_a_console_nothing_is_missed(conf: Path) -> None:
    """A service of Windows has none: Python's streams are None then."""
    program = (
        "import sys; sys.stdout = sys.stderr = None\n"
        "from pathlib import Path; from connector_proxy.loading import load\n"
        "from connector_proxy.service import opened\n"
        "import threading\n"
        "from dataclasses import replace\n"
        "service = opened(replace(load(), host='127.0.0.1', port=0))\n"
        "threading.Timer(1, service.stop).start(); service.run()\n"
    )
    with running(["-c", program], conf) as process:
        assert process.wait(60) == 0
    assert "attempts in hand" in log(conf)
    assert "Traceback" not in log(conf) + (conf.parent / "errors").read_text()
