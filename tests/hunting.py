"""Secrets that are found again wherever they come to light: a service that is full of them, servers
that repeat all that they were told, and the search."""

from __future__ import annotations

import base64
import html
import json
import re
import textwrap
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import requests

from connector_proxy.secrethash import hashed
from tests.conftest import payload
from tests.crashing import ServiceProcess
from tests.filestore import SIGNATURE, FileStore, send

# Each has a core of letters and digits that no encoding of texts changes.
SAS_PASSWORD = 'Zq1stp pä"s<s&'
TABLE_PASSWORD = "Zq2table/p@ss"
OLD_PASSWORD, NEW_PASSWORD = "Zq3agent&old", "Zq4agent new"
TOKEN, KEY = "Zq5token/", "Zq6 key&"
OPS_SECRET = "ZqAops+secret"
TENANT, GATEWAY_SECRET = "ZqBtenant", "ZqCgateway+secret/of an access point"
MAIL_PASSWORD, ALERT_PATH = "ZqDmail pass", "ZqEalert/path?key=ZqEalert"
STORE_KEY, STORE_TOKEN = "ZqFstore/key+", "ZqGsas%2Btoken"
WRONG = "Zq7wrong"
SIGNED = "Zq8signed"
PERSON = "Zq9 Jané <O'Neil>"
ROW = "Zq0row"

CREDENTIALS = (
    "Zq1stp",
    "Zq2table",
    "Zq3agent",
    "Zq4agent",
    "Zq5token",
    "Zq6",
    "ZqAops",
    "ZqBtenant",
    "ZqCgateway",
    "ZqDmail",
    "ZqEalert",
    "ZqFstore",
    "ZqGsas",
)
SENT = (WRONG, SIGNED)
CUSTOMERS = ("Zq9", ROW)


def task(urls: Mapping[str, str], stp_name: str) -> bytes:
    """A bulk task."""
    document = {
        **payload(),
        "sendParameters": {"stpName": stp_name},
        "presignedUrls": {name: f"{url}&X-Amz-Credential={SIGNED}" for name, url in urls.items()},
    }
    document["task"] = {**document["task"], "occurrenceId": str(uuid.uuid4())}
    return json.dumps(document).encode()


def event(stp_name: str) -> bytes:
    """An event of a customer."""
    return json.dumps(
        {
            **payload("triggered.json"),
            "guid": str(uuid.uuid4()),
            "identityId": f"id {PERSON}",
            "properties": {"name": PERSON, "mail": "Zq9jane@example.com", "age": "Zq9 47"},
            "outboundProperties": {
                "properties": {"stpName": stp_name, "greeting": f"Dear {PERSON}"}
            },
            "impression": {"creativeContent": f"<p>\n{PERSON} owes\tnothing</p>"},
        }
    ).encode()


class Hunted(ServiceProcess):
    """A service at DEBUG with a secret wherever one may stand; keeps what it answers."""

    auth: ClassVar[dict[str, str]] = {}

    def __init__(self, folder: Path, ini: str = "", **settings: object) -> None:
        own = {"waitseconds": 10, "retryschedule": "", "readtimeout": 2, "loglevel": "DEBUG"}
        super().__init__(folder, **{**own, **settings})
        for name in ("WAITSECONDS", "RETRYSCHEDULE", "READTIMEOUT"):
            self.environment.pop(f"CONNECTOR_PROXY_{name}")
        lines = [
            f"{name} = {own[name]}" for name in ("waitseconds", "retryschedule", "readtimeout")
        ]
        common = "\n".join(["[DEFAULT]", "downloadhosts = http://127.0.0.1:*", *lines])
        (self.conf / "serviceConfig.ini").write_text(f"{common}\n{ini}\n", "utf-8")
        (self.conf / "credentials.ini").write_text(
            f"[DEFAULT]\nstpusername = svc\nstppassword = '{SAS_PASSWORD}'\n"
            "[stp:Table]\n"
            f"datasettable = postgresql://u:{quote(TABLE_PASSWORD, safe='')}@127.0.0.1:1/x\n",
            "utf-8",
        )
        self.answered: list[str] = []

    def answers(self) -> bool:
        """Whether it answers; asks for nothing that needs a secret."""
        assert self.alive(), self.said()
        try:
            return requests.get(f"{self.url}/nothing", timeout=5).status_code == 404
        except requests.RequestException:
            return False

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send a request, and keep the answer."""
        answer = requests.request(method, self.url + path, timeout=30, **more)
        self.answered.append(f"{answer.headers}\n{answer.text}")
        return answer

    def post(self, body: bytes, path: str = "/ExecuteSTP") -> requests.Response:
        """Send a webhook; the record of its delivery is looked at, too."""
        answer = self.ask("POST", path, data=body, headers=self.auth)
        if delivery_id := answer.json().get("deliveryId"):
            self.ask("GET", f"/deliveries/{delivery_id}", headers=self.auth)
        return answer

    def told(self) -> str:
        """What stands in its log."""
        return (self.folder / "logs" / "connector-proxy.log").read_text("utf-8")


class WithPassword(Hunted):
    """One that asks for user and password; the second one is hashed."""

    auth: ClassVar = {
        "Authorization": "Basic " + base64.b64encode(f"agent:{NEW_PASSWORD}".encode()).decode()
    }

    def __init__(self, folder: Path, ini: str = "", **settings: object) -> None:
        own = {
            "auth": "basic",
            "basicuser": "agent",
            "basicpassword": f"{OLD_PASSWORD},{hashed(NEW_PASSWORD)}",
        }
        super().__init__(folder, ini, **own, **settings)


def found(marks: tuple[str, ...], text: str) -> set[str]:
    """Which of ``marks`` stand in ``text``: as they are, wrapped, or in base64."""
    squeezed = re.sub(r"\\[nrt]|\s", "", text)
    seen = {mark for mark in marks if mark in text or mark in squeezed}
    for word in re.findall(r"[A-Za-z0-9+/_-]{8,}={0,2}", squeezed):
        for start in range(4):
            raw = word[start:].replace("-", "+").replace("_", "/").rstrip("=")
            decoded = base64.b64decode(raw + "=" * (-len(raw) % 4) if len(raw) % 4 != 1 else b"")
            seen |= {mark for mark in marks if mark.encode() in decoded}
    return seen


def finds(
    service: Hunted, allowed: Mapping[str, tuple[str, ...]] | None = None
) -> dict[str, set[str]]:
    """Where secrets came to light: in files of the service but its configuration, in what it
    answered, wrote to its console. The database may hold payloads, a dataset its rows."""
    places = {"answers": ("\n".join(service.answered), CREDENTIALS + SENT + CUSTOMERS)}
    for path in service.folder.rglob("*"):
        name = path.relative_to(service.folder).as_posix()
        if path.is_file() and not name.startswith("conf/"):
            places[name] = (path.read_text("utf-8", "replace"), _forbidden(name))
    return {name: marks for name, (text, own) in places.items() if (marks := found(own, text))}


def _forbidden(name: str) -> tuple[str, ...]:
    if name.startswith("data/deliveries.sqlite"):
        return (*CREDENTIALS, WRONG)
    if re.match(r"output/[^/]+\.(csv|parquet|rejected\..*)$|data/files/\w+/(data|metadata)", name):
        return CREDENTIALS + SENT
    return CREDENTIALS + SENT + CUSTOMERS


# -- servers that repeat what they were told -------------------------------------------------

SHAPES: Mapping[str, Callable[[str], str]] = {
    "raw": str,
    "html": html.escape,
    "url": quote,
    "json": json.dumps,
    "wrapped": lambda text: "\n".join(textwrap.wrap(text, 70, break_on_hyphens=False)),
    "result": lambda text: (
        "<stpResult><status>error</status><code>x</code>"
        f"<message>{html.escape(text)}</message></stpResult>"
    ),
    "fault": lambda text: (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
        f"<faultcode>Server</faultcode><faultstring>{html.escape(text)}</faultstring>"
        "</s:Fault></s:Body></s:Envelope>"
    ),
}
STATUSES = (200, 302, 400, 401, 403, 404, 500, 502, 503, 504)


@dataclass
class Echo:
    """A server that answers each POST with the request itself, header for header, in a shape and
    with a status that the name of the stored process tells."""

    said: list[str] = field(default_factory=list)

    def __enter__(self) -> Echo:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        echo = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                said = f"{self.requestline}\n{self.headers}\n{body}"
                echo.said.append(said)
                told = re.findall(rf"({'|'.join(SHAPES)})(\d{{3}})", self.path + body)
                shape, status = told[0]
                answer = SHAPES[shape](said).encode()
                more = {"Location": "/logon?from=" + quote(said[:2000])} if status == "302" else {}
                send(int(status), answer, **more)(self)

            def log_message(self, *args: Any) -> None:
                pass

        return Handler


def echoes() -> Iterator[str]:
    """Names of stored processes, one for each shape and status."""
    for shape in SHAPES:
        for status in STATUSES:
            yield f"{shape}{status}"


def repeating(status: int, code: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer of a file store that quotes the request, as S3 does for a wrong signature."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        quoted = html.escape(f"GET\n{handler.path}\n{handler.headers}")
        body = f"<Error><Code>{code}</Code><CanonicalRequest>{quoted}</CanonicalRequest></Error>"
        send(status, body.encode(), Location=handler.path, Content_Type="application/xml")(handler)

    return answer


def signed(store: FileStore, metadata: bytes = b"name,note", data: bytes = b"") -> dict[str, str]:
    """The files of a task; the store takes its further secret for a part of the signature."""
    urls = store.urls(metadata, data or f"{ROW} Jane,x\n".encode())
    for name in ("metadata", "data"):
        store.answers.setdefault(name, send(200, store.files[name]))
    assert SIGNATURE in urls["dataFile"]
    return urls
