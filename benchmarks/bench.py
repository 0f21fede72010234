"""Side by side in one run: the service, the naive approach, and what each could reach at most.

Needs nginx (the stub stored process: a fixed reply) and wrk (the load), both from the
distribution, and two cores: the service under test has core 0 for itself, load and stub share
core 1. Rounds alternate between the candidates, so that a change of the machine's speed meets
all of them; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

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
def process(command: list[str], port: int, cores: str, **environment: str) -> Iterator[None]:
    pinned = ["taskset", "-c", cores, *command] if cores else command
    running = subprocess.Popen(
        pinned,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        wait_for(port)
        yield
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
def service(stpurl: str, cores: str, folder: Path, **settings: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "connector_proxy", "serve", "--host", "127.0.0.1"]
    environment = {"STPURL": stpurl, "LOGFILEPATH": str(folder), "LOGLEVEL": "INFO", **settings}
    named = {f"CONNECTOR_PROXY_{key}": value for key, value in environment.items()}
    with process([*command, "--port", str(port)], port, cores, **named):
        yield f"http://127.0.0.1:{port}/ExecuteSTP"


@contextmanager
def naive(stpurl: str, cores: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, str(HERE / "naive.py"), str(port), stpurl]
    with process(command, port, cores):
        yield f"http://127.0.0.1:{port}/ExecuteSTP"


def load(url: str, connections: int, seconds: float) -> Result:
    out = subprocess.run(
        [
            *("taskset", "-c", "1", "wrk", "-t", "1", "-c", str(connections)),
            *("-d", f"{seconds:g}s", "--timeout", "30s", "-s", str(HERE / "post.lua"), url),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PAYLOAD": str(PAYLOAD)},
    ).stdout
    numbers = next(line for line in out.splitlines() if line.startswith("RESULT")).split()[1:]
    requests, microseconds, p50, p99, errors = map(int, numbers)
    if errors:
        raise SystemExit(f"{errors} of {requests} requests failed:\n{out}")
    return Result(requests / (microseconds / 1e6), p50 / 1000, p99 / 1000)


def rounds(urls: dict[str, str], connections: int, count: int, seconds: float) -> dict[str, Result]:
    """The median of ``count`` alternating rounds for each candidate."""
    results: dict[str, list[Result]] = {name: [] for name in urls}
    for url in urls.values():
        load(url, connections, 1)
    for _ in range(count):
        for name, url in urls.items():
            results[name].append(load(url, connections, seconds))
    return {
        name: Result(
            statistics.median(one.rate for one in many),
            statistics.median(one.p50 for one in many),
            statistics.median(one.p99 for one in many),
        )
        for name, many in results.items()
    }


def show(title: str, results: dict[str, Result], base: str) -> None:
    print(f"\n{title}")
    print(f"  {'':<34}{'req/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8}")
    for name, result in results.items():
        ratio = result.rate / results[base].rate
        print(f"  {name:<34}{result.rate:>8.0f}{result.p50:>9.2f}{result.p99:>9.2f}{ratio:>8.2f}")


def encoding() -> None:
    """Milliseconds for one payload on one core, without HTTP."""
    from connector_proxy.intake import read_webhook
    from connector_proxy.reply import read_reply
    from connector_proxy.stream import encode

    print("\none payload, without HTTP (median of 2,000)")
    for name in ("bulk_stp.json", "bulk_odd_values.json", "triggered.json"):
        raw = (PAYLOAD.parent / name).read_bytes()
        webhook = read_webhook(raw)
        reading = milliseconds(lambda raw=raw: read_webhook(raw))
        writing = milliseconds(lambda w=webhook: encode(w.payload, w.stp_name))
        print(f"  {name:<28}{len(raw):>6} bytes  read {reading:.3f} ms  encode {writing:.3f} ms")
    body = REPLY.encode()
    judged = milliseconds(lambda: read_reply(200, {}, body, raw=False, complete=True))
    print(f"  {'a reply':<28}{len(body):>6} bytes  judge {judged:.3f} ms")


def milliseconds(deed: object) -> float:
    times = []
    for _ in range(2000):
        started = time.perf_counter()
        deed()  # type: ignore[operator]
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--sweep", action="store_true", help="threads and pinning, too")
    arguments = parser.parse_args()
    for tool in ("nginx", "wrk", "taskset"):
        if not shutil.which(tool):
            raise SystemExit(
                f"{tool} is missing; on Debian: apt-get install nginx-light wrk util-linux"
            )
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("two cores are needed: one for the service, one for load and stub")
    encoding()
    with tempfile.TemporaryDirectory() as name, stub(Path(name)) as stpurl:
        folder = Path(name)
        for connections in (1, 8, 50):
            with ExitStack() as stack:
                urls = {
                    "naive, pinned": stack.enter_context(naive(stpurl, "0")),
                    "connector-proxy, pinned": stack.enter_context(service(stpurl, "0", folder)),
                }
                results = rounds(urls, connections, arguments.rounds, arguments.seconds)
            show(f"POST /ExecuteSTP, {connections} connections", results, "naive, pinned")
        if arguments.sweep:
            sweep(stpurl, folder, arguments)


def sweep(stpurl: str, folder: Path, arguments: argparse.Namespace) -> None:
    """What threads and cores mean for the service itself."""
    for connections in (8, 50):
        with ExitStack() as stack:
            urls = {
                f"{threads} threads, {where}": stack.enter_context(
                    service(stpurl, cores, folder, THREADS=threads)
                )
                for threads in ("4", "16", "64", "200")
                for where, cores in (("pinned", "0"), ("both cores", ""))
            }
            results = rounds(urls, connections, arguments.rounds, arguments.seconds)
        show(f"threads and cores, {connections} connections", results, "64 threads, pinned")


if __name__ == "__main__":
    main()
