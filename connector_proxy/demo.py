"""The main job on one machine: a file server, the service, a webhook, and the dataset read back.

The service is a process of its own with the shipped configuration; the environment lets it
download from the loopback file server and keep its datasets and its log apart.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from connector_proxy.circle import circle
from connector_proxy.conffiles import ENVIRONMENT_PREFIX
from connector_proxy.dataset.place import MANIFEST, read_manifest
from connector_proxy.dataset.shelf import first_rows
from connector_proxy.emulator import Emulator, agent, embedded_stored_process
from connector_proxy.errors import ConnectorProxyError
from connector_proxy.intake import read_webhook
from connector_proxy.masking import mask
from connector_proxy.progress import Progress
from connector_proxy.settings import KEYS, Settings
from connector_proxy.stream import encode
from connector_proxy.values import EMBEDDED, HostPattern

_COLUMNS = {
    "identity_id": "character",
    "customer_id": "character",
    "full name": "character",
    "balance_amt": "numeric",
    "birth_dt": "date",
    "last_seen_dttm": "timestamp",
}
_GIVEN = ("Ada", "Björn", "Chloé", "Dmitri", "Elif", "Łukasz")
_FAMILY = ("Example", "Muster", "Sample", "Voorbeeld", 'Quoted ""Q""', "Comma, Jr.")
_SHOWN_ROWS = 5

Say = Callable[[str], None]


class DemoFailed(ConnectorProxyError):
    """The demonstration did not come to its end; the message says where."""


def run(settings: Settings, rows: int, emulated: bool, loop: bool, say: Say) -> None:
    """Show the main job with ``rows`` customers, and with ``loop`` that CI 360 is told how it
    ended; raises ``DemoFailed`` or ``CircleBroken`` when it does not work."""
    folder = settings.home / "output" / "demo"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoFailed(f"{folder} cannot be written ({error.strerror})") from None
    say(f"making {rows:,} customers")
    with (
        _FileServer(rows) as files,
        _emulator(settings, files, folder, emulated, say) as stpurl,
        circle(say) if loop else nullcontext() as told,
    ):
        changed = {
            "stpurl": stpurl,
            "downloadhosts": files.pattern,
            "outputfolder": str(folder),
            "logfilepath": str(folder),
            "datafolder": str(folder / "data"),
            "downloadfolder": str(folder / "data" / "files"),
            **(told.settings if told else {}),
        }
        with _service(settings.conf, changed, say) as url:
            payload = _payload(files)
            _show(url, payload, files, folder, rows, say)
            if told:
                told.show(payload, url)


def _show(
    url: str, payload: dict[str, Any], files: _FileServer, folder: Path, rows: int, say: Say
) -> None:
    raw = json.dumps(payload).encode()
    webhook = read_webhook(raw)
    document = mask(encode(webhook.payload, webhook.stp_name).document.decode())
    say("the webhook, as the agent of CI 360 sends it:")
    say(f"  POST {url}/ExecuteSTP  ({len(raw)} bytes, {agent.HEADERS['content-type']})")
    say("the stream for the stored process (query strings masked):")
    say(_shortened(document.replace("><", ">\n<")))
    answer = _send(url, raw, files, say)
    say(f"the answer: {answer.status_code}")
    say(json.dumps(answer.json(), indent=2, ensure_ascii=False))
    if answer.status_code != 200:
        raise DemoFailed("the webhook was not answered with 200")
    result = answer.json()["result"]
    if result.get("rows") != rows:
        raise DemoFailed(f"{result.get('rows')} rows arrived instead of {rows}")
    dataset = folder / str(result["dataSet"])
    manifest = read_manifest(dataset.with_suffix(MANIFEST))
    say(f"the first rows of the dataset, read back from disk ({dataset.stat().st_size:,} bytes):")
    for row in first_rows(folder, manifest, _SHOWN_ROWS):
        say("  " + " | ".join(row))
    kinds = ", ".join(f"{one['name']} {one['type']}" for one in manifest["columns"])
    say(f"its columns: {kinds}")
    say(f"the dataset lies at {dataset}")


def _payload(files: _FileServer) -> dict[str, Any]:
    return {
        "task": {
            "occurrenceId": str(uuid.uuid4()),
            "taskId": str(uuid.uuid4()),
            "taskVersionId": uuid.uuid4().hex,
            "taskName": "Spring audience",
            "outboundEventName": "BulkOut1",
        },
        "tenant": {"externalTenantId": "0123456789abcdef01234567", "tenantMoniker": "demo"},
        "contactResponse": {"responseTrackingCode": str(uuid.uuid4())},
        "presignedUrls": {
            "metadataFile": files.url("metadata"),
            "dataFile": files.url("data"),
        },
        "sendParameters": {
            "taskCode": "TSK_1",
            "taskName": "Spring audience",
            "stpName": "Download File",
        },
    }


def _shortened(text: str, lines: int = 24) -> str:
    shown = ["  " + line[:100] for line in text.splitlines()]
    return "\n".join(shown[:lines] + (["  ..."] if len(shown) > lines else []))


def _send(url: str, raw: bytes, files: _FileServer, say: Say) -> requests.Response:
    """POST the webhook while the progress of the download is shown."""
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(files, ended, say))
    watcher.start()
    try:
        return requests.post(
            f"{url}/ExecuteSTP",
            data=raw,
            headers={**agent.HEADERS, "x-ci360-con-inv-trace-id": f"demo-{uuid.uuid4()}"},
            timeout=3600,
        )
    finally:
        ended.set()
        watcher.join()


def _watch(files: _FileServer, ended: threading.Event, say: Say) -> None:
    """How far the download is, then that the dataset is being made."""
    started, progress = time.monotonic(), Progress()
    progress.tell("download", 0, files.total)
    while not ended.wait(0.5):
        if files.sent < files.total:
            say(f"  {progress.line(files.sent, files.total)}")
        else:
            say(f"  working: all is downloaded, {time.monotonic() - started:.1f} s")
    seconds = time.monotonic() - started
    say(f"  answered after {seconds:.2f} s: {files.sent:,} of {files.total:,} bytes downloaded")


@contextmanager
def _emulator(
    settings: Settings, files: _FileServer, folder: Path, wanted: bool, say: Say
) -> Iterator[str]:
    """The setting ``stpurl`` for the demonstration."""
    if not wanted:
        yield EMBEDDED
        return
    own = replace(
        settings,
        downloadhosts=files.patterns,
        outputfolder=folder,
        outboundproxy="",
        cabundle=None,
        connecttimeout=5.0,
        readtimeout=300.0,
    )
    with Emulator(embedded_stored_process(own)) as emulator:
        say(f"the pretend SAS BI Web Services listens at {emulator.url}")
        yield emulator.stpurl


@contextmanager
def _service(conf: Path, changed: dict[str, str], say: Say) -> Iterator[str]:
    """The service as a process of its own, on a free port; its address.

    Every setting is what is shipped, or ``changed``: whatever ``conf`` has been told since, the
    demonstration calls nobody's SAS server.
    """
    values = {key.name: key.default for key in KEYS} | changed
    environment = {ENVIRONMENT_PREFIX + name.upper(): text for name, text in values.items()}
    command = [sys.executable, "-m", "connector_proxy", "serve", "--conf", str(conf)]
    process = subprocess.Popen(  # noqa: S603 - this very program
        [*command, "--host", "127.0.0.1", "--port", "0"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "http://" not in line:
            where = changed["logfilepath"]
            raise DemoFailed(f"the service did not start; look at its log in {where}")
        url = "http://" + line.split("http://", 1)[1].split("/", 1)[0]
        say(f"the service listens at {url} (configuration: {conf})")
        yield url
    finally:
        process.terminate()
        process.wait(40)


class _FileServer:
    """Serves a metadata and a data file on loopback, as presigned URLs do: GET only, and with
    the right query string only."""

    def __init__(self, rows: int) -> None:
        self._folder = Path(os.path.realpath(_made(rows)))
        self._signature = uuid.uuid4().hex
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._port = int(self._server.server_address[1])
        self.sent = 0
        self.total = sum(path.stat().st_size for path in self._folder.iterdir())
        self.pattern = f"http://127.0.0.1:{self._port}"
        self.patterns = (HostPattern("http", "127.0.0.1", self._port),)

    def url(self, name: str) -> str:
        signature = f"X-Amz-Expires=900&X-Amz-Signature={self._signature}"
        return f"{self.pattern}/exports/{name}?X-Amz-Algorithm=AWS4-HMAC-SHA256&{signature}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        files = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = files._folder / self.path.split("?")[0].rsplit("/", 1)[1]
                if not self.path.endswith(files._signature) or not path.is_file():
                    self.send_error(403)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(path.stat().st_size))
                self.end_headers()
                with path.open("rb") as file:
                    while chunk := file.read(1 << 18):
                        self.wfile.write(chunk)
                        files.sent += len(chunk)

            def log_message(self, *args: Any) -> None:
                """Quiet: the demonstration tells its own story."""

        return Handler

    def __enter__(self) -> _FileServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _made(rows: int) -> str:
    """A folder with the two files for ``rows`` invented customers, the same each time."""
    folder = Path(tempfile.mkdtemp(prefix="connector-proxy-demo-"))
    metadata = [{"columnName": name, "dataType": kind} for name, kind in _COLUMNS.items()]
    (folder / "metadata").write_text(json.dumps(metadata), encoding="utf-8")
    chance = random.Random(360)  # noqa: S311 - invented customers, nothing secret
    with (folder / "data").open("w", encoding="utf-8", newline="") as file:
        for number in range(rows):
            file.write(_customer(number, chance))
    return str(folder)


def _customer(number: int, chance: random.Random) -> str:
    identity = uuid.UUID(int=chance.getrandbits(128), version=4)
    name = f"{chance.choice(_GIVEN)} {chance.choice(_FAMILY)}"
    balance = "" if number % 10 == 9 else f"{chance.uniform(-100, 5000):.2f}"
    birth = f"{chance.randint(1930, 2008)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    seen = f"2026-11-{chance.randint(1, 20):02}T{chance.randint(0, 23):02}:30:00Z"
    return f'{identity},{number:07},"{name}",{balance},{birth},{seen}\n'
