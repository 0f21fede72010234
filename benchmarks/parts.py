"""The parts of a measurement: the stub stored process, the candidates, the load."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
PAYLOAD = HERE.parent / "tests" / "data" / "payloads" / "bulk_stp.json"
REPLY = (
    "<downloadFileResponse><downloadFileResult><Streams>"
    '<_WEBOUT contentType="text/xml"><Value><stpResult><status>ok</status><code>0</code>'
    "<rows>3</rows><columns>8</columns></stpResult></Value></_WEBOUT>"
    "</Streams></downloadFileResult></downloadFileResponse>"
)
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port}; default_type application/xml;
    location / {{ return 200 '{reply}'; }}
  }}
}}
"""


@dataclass(frozen=True)
class Result:
    """Requests per second, and the 50th and 99th percentile in milliseconds."""

    rate: float
    p50: float
    p99: float


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


@contextmanager
def process(
    command: list[str], port: int, cores: str, **environment: str
) -> Iterator[psutil.Process]:
    pinned = ["taskset", "-c", cores, *command] if cores else command
    running = subprocess.Popen(
        pinned,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        wait_for(port)
        yield psutil.Process(running.pid)
    finally:
        running.terminate()
        running.wait(40)


@contextmanager
def stub(folder: Path) -> Iterator[str]:
    """nginx with a fixed reply; gives the ``stpurl`` that leads to it."""
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, reply=REPLY))
    with process(["nginx", "-c", str(folder / "nginx.conf")], port, "1"):
        yield f"http://127.0.0.1:{port}/SASBIWS/rest/storedProcesses/X/{{{{stpName}}}}"


@contextmanager
def slow_stub(seconds: float) -> Iterator[str]:
    """A stored process that takes so long; gives the ``stpurl`` that leads to it."""
    port = free_port()
    with process([sys.executable, str(HERE / "slow_stub.py"), str(port), str(seconds)], port, "1"):
        yield f"http://127.0.0.1:{port}/SASBIWS/rest/storedProcesses/X/{{{{stpName}}}}"


@contextmanager
def service(stpurl: str, folder: Path, name: str, **settings: str) -> Iterator[str]:
    """The service as shipped but for ``settings``: the process that answers has core 0, the one
    that carries out shares core 1 with load and stub. Gives the address of the webhook."""
    port = free_port()
    command = [sys.executable, "-m", "connector_proxy", "serve", "--host", "127.0.0.1"]
    environment = {
        "STPURL": stpurl,
        "LOGFILEPATH": str(folder / name),
        "DATAFOLDER": str(folder / name),
        "INSTANCE": name,
        **settings,
    }
    preload = {"LD_PRELOAD": environment.pop("PRELOAD")} if "PRELOAD" in environment else {}
    named = {f"CONNECTOR_PROXY_{key}": value for key, value in environment.items()}
    with process([*command, "--port", str(port)], port, "0", **named, **preload) as answering:
        time.sleep(1.5)  # until the other one has imported everything
        for working in answering.children(recursive=True):
            pin(working, 1)
        yield f"http://127.0.0.1:{port}/ExecuteSTP"


def pin(process: psutil.Process, core: int) -> None:
    """Let every thread of a process run on one core."""
    for thread in process.threads():
        os.sched_setaffinity(thread.id, {core})


@contextmanager
def naive(stpurl: str, cores: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, str(HERE / "naive.py"), str(port), stpurl]
    with process(command, port, cores):
        yield f"http://127.0.0.1:{port}/ExecuteSTP"


def load(url: str, connections: int, seconds: float, run: str = "") -> Result:
    """Webhooks for so many seconds, each of an occurrence of its own; ``run`` tells the runs
    apart."""
    out = subprocess.run(
        [
            *("taskset", "-c", "1", "wrk", "-t", "1", "-c", str(connections)),
            *("-d", f"{seconds:g}s", "--timeout", "30s", "-s", str(HERE / "post.lua"), url),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PAYLOAD": str(PAYLOAD), "RUN": run or uuid.uuid4().hex[:8]},
    ).stdout
    numbers = next(line for line in out.splitlines() if line.startswith("RESULT")).split()[1:]
    requests, microseconds, p50, p99, errors = map(int, numbers)
    if errors:
        raise SystemExit(f"{errors} of {requests} requests failed:\n{out}")
    return Result(requests / (microseconds / 1e6), p50 / 1000, p99 / 1000)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address at which another process serves the files in ``folder``."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--directory", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout
            port = server.stdout.readline().split("port ")[1].split()[0]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
