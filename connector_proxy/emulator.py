"""A pretend SAS BI Web Services, for trying things out and for tests.

Documented by SAS and followed here: both URL families (``/rest/`` and ``/services/``), the
suffix ``/dataTargets/<name>`` for one stream without its envelope, a request of ``streams``,
``instream`` and ``Value``, a reply of ``<name>Response`` and ``<name>Result``, an empty result
where nothing was written, the fault codes 1000 to 5000 and the layout of a SOAP fault, a fault
for any SYSCC that is not acceptable (0 alone by default), a fault hiding the streams, a stored
process that hangs on an empty ``instream``.

Observed with real servers by others: the root name is ignored where the call goes by path, ``+``
in a path is a blank, the stored process sees a document whose root is ``Table``, the base name
of a reply begins in lower case.

Inferred, and to be confirmed on a real server: that tags are case-sensitive, the body and the
HTTP status of a fault at ``/rest/`` (500, and 401 for fault 1000), the names in the reply for a
stored process with odd characters, and everything about non-XML output inside the envelope.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from connector_proxy.destinations import embedded
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.settings import Settings

FAILURES: Mapping[str, str] = {
    "fault-1000": "user name or password wrong",
    "fault-2000": "missing prompt, or no permission on the stored process",
    "fault-3000": "SAS error: the stored process ended with SYSCC 1012",
    "fault-4000": "the stored process server cannot be reached",
    "fault-5000": "the stored process ran out of its time",
    "warning": "the stored process ends with SYSCC 4, a warning",
    "own-error": "the stored process reports an error of its own",
    "nothing-written": "the stored process writes nothing",
    "text": "the stored process writes text that is not XML",
    "cdata": "its answer comes as CDATA",
    "base64": "its answer comes as Base64",
    "html-502": "front end: bad gateway",
    "html-503": "front end: not ready, with Retry-After 7",
    "html-504": "front end: gave up waiting",
    "logon-page": "an HTML logon page with status 200",
    "logon-redirect": "a redirect to the logon page",
    "not-sasbiws": "XML of something else",
    "entities": "a reply that expands to gigabytes",
    "endless": "a reply of 64 MB",
    "refuse": "the port refuses connections",
    "slow-headers": "one byte of the headers a second",
    "slow-body": "one byte of the body a second",
    "cut-headers": "the connection is cut before an answer",
    "cut-body": "the connection is cut inside the answer",
}


@dataclass(frozen=True)
class Behaviour:
    """How the emulator behaves. ``delay`` and ``hang`` are in seconds; ``user`` empty means
    that no credentials are asked for; ``lrecl`` cuts the stream as ``infile lrecl=`` would."""

    fail: str = ""
    fault_status: int = 500
    acceptable_syscc: tuple[int, ...] = (0,)
    user: str = ""
    password: str = ""
    one_line: bool = False
    lrecl: int = 0
    delay: float = 0.0
    hang: float = 30.0
    fault_on_empty_instream: bool = False


@dataclass(frozen=True)
class Ran:
    """What a fake stored process left behind: its ``_WEBOUT``, SYSCC and SYSMSG."""

    webout: bytes
    syscc: int = 0
    message: str = ""
    content_type: str = "text/xml;charset=utf-8"


StoredProcess = Callable[[bytes], Ran]
"""Takes the bytes of ``instream``."""


@dataclass
class Recorded:
    """One request as it came; ``ran`` turns true when the stored process ran to its end."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.time)
    stp_name: str = ""
    instream: bytes = b""
    ran: bool = False


def embedded_stored_process(settings: Settings) -> StoredProcess:
    """The embedded stored process in the place of the bundled SAS code."""

    def run(instream: bytes) -> Ran:
        try:
            return Ran(embedded.run(instream, settings))
        except (Refused, Unavailable) as error:
            return Ran(embedded.result_document("error", code=error.code, message=str(error)))

    return run


class Emulator:
    """A server on ``host:port`` (0: a free one) that runs ``stored_process`` for each name of
    ``names`` (empty: every name). A context manager; ``behaviour`` may be changed while it runs,
    ``requests`` holds what came, ``record`` names a file that gets a line of JSON each."""

    def __init__(
        self,
        stored_process: StoredProcess,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        behaviour: Behaviour | None = None,
        names: frozenset[str] = frozenset(),
        record: Path | None = None,
    ) -> None:
        self.stored_process = stored_process
        self.behaviour = behaviour or Behaviour()
        self.names = names
        self.requests: list[Recorded] = []
        self._record = record
        self._writing = threading.Lock()
        self._server = _Server((host, port), self)
        self.port = int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://{self._server.server_address[0]!s}:{self.port}"

    @property
    def stpurl(self) -> str:
        """A setting ``stpurl`` that leads here."""
        return self.url + "/SASBIWS/rest/storedProcesses/Shared Data/CI360/{{stpName}}"

    def behave(self, **changes: Any) -> None:
        """Change single items of ``behaviour``."""
        self.behaviour = replace(self.behaviour, **changes)

    def serve_forever(self) -> None:
        """Serve in this thread, until a KeyboardInterrupt."""
        self._server.serve_forever()

    def __enter__(self) -> Emulator:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def note(self, request: Recorded) -> None:
        """Keep a request in ``requests``."""
        self.requests.append(request)

    def write_record(self, request: Recorded) -> None:
        """Append the request to the file named by ``record``, when it has ended."""
        if self._record is None:
            return
        line = json.dumps(
            {
                "at": request.at,
                "stpName": request.stp_name,
                "occurrenceId": _element_text(request.instream, "occurrenceId"),
                "bytes": len(request.body),
                "ran": request.ran,
            }
        )
        with self._writing, self._record.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], emulator: Emulator) -> None:
        self.emulator = emulator
        super().__init__(address, _Handler)

    def server_activate(self) -> None:
        if self.emulator.behaviour.fail != "refuse":
            super().server_activate()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no fault of the emulator."""


@dataclass(frozen=True)
class _Call:
    """One call taken apart: family, name, the one stream asked for, deployed service or not."""

    soap: bool
    stp_name: str
    target: str
    by_path: bool


def _call_of(path: str) -> _Call | None:
    parts = [unquote_plus(part) for part in urlsplit(path).path.split("/") if part]
    if len(parts) < 3 or parts[0] != "SASBIWS" or parts[1] not in ("rest", "services"):
        return None
    target = ""
    if len(parts) > 4 and parts[-2] in ("dataTargets", "streams"):
        target = parts[-1]
        parts = parts[:-2]
    by_path = parts[2] == "storedProcesses"
    return _Call(parts[1] == "services", parts[-1], target, by_path)


class _Fault(Exception):
    def __init__(self, code: int, message: str, syscc: int = 0) -> None:
        super().__init__(message)
        self.code, self.syscc = code, syscc


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *args: Any) -> None:
        """Quiet: ``requests`` and ``record`` tell more."""

    def do_GET(self) -> None:
        self._send(405, "text/plain", b"POST only: this stored process takes a stream")

    def do_POST(self) -> None:
        emulator = self.server.emulator
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Recorded("POST", self.path, dict(self.headers.items()), body)
        emulator.note(request)
        call = _call_of(self.path)
        try:
            if call is None:
                raise _Fault(2000, "there is no service at this path")
            request.stp_name = call.stp_name
            self._answer(call, request)
        except _Fault as fault:
            soap = call.soap if call else False
            self._send_fault(fault, soap, 404 if call is None else 0)
        finally:
            emulator.write_record(request)

    def _answer(self, call: _Call, request: Recorded) -> None:
        behaviour = self.server.emulator.behaviour
        if behaviour.fail in _FRONT_END:
            _FRONT_END[behaviour.fail](self)
            return
        self._check_credentials(behaviour)
        request.instream = self._instream(call, request.body, behaviour)
        if behaviour.fail.startswith("fault-") and behaviour.fail != "fault-3000":
            code = int(behaviour.fail[-4:])
            raise _Fault(code, FAILURES[behaviour.fail])
        ran = self.server.emulator.stored_process(request.instream)
        time.sleep(behaviour.delay)
        request.ran = True
        ran = _as_told(ran, behaviour.fail)
        if ran.syscc not in behaviour.acceptable_syscc:
            raise _Fault(3000, ran.message, ran.syscc)
        self._send_result(call, ran, behaviour.fail)

    def _check_credentials(self, behaviour: Behaviour) -> None:
        if not behaviour.user:
            return
        pair = base64.b64encode(f"{behaviour.user}:{behaviour.password}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {pair}":
            raise _Fault(1000, FAILURES["fault-1000"])

    def _instream(self, call: _Call, body: bytes, behaviour: Behaviour) -> bytes:
        names = self.server.emulator.names
        if names and call.stp_name not in names | {name.replace(" ", "") for name in names}:
            raise _Fault(2000, "there is no such stored process")
        content = _content(body, call)
        value = _child(_child(_child(content, "streams"), "instream"), "Value")
        inner = _inner_bytes(value)
        if not inner.strip():
            if behaviour.fault_on_empty_instream:
                raise _Fault(2000, "the stream instream is missing or empty")
            time.sleep(behaviour.hang)
            raise _Fault(5000, "the stored process waits for its stream")
        if behaviour.one_line:
            inner = b"".join(line.strip() for line in inner.splitlines())
        if behaviour.lrecl:
            inner = b"\n".join(line[: behaviour.lrecl] for line in inner.splitlines())
        return inner

    def _send_result(self, call: _Call, ran: Ran, form: str) -> None:
        if call.target:
            self._send(200, ran.content_type, ran.webout)
            return
        base = _base_name(call.stp_name)
        result = (
            f"<{base}Response><{base}Result>{_streams(ran, form)}</{base}Result></{base}Response>"
        )
        body = _soap(result) if call.soap else result
        kind = "text/xml" if call.soap else "application/xml"
        self._send(200, f"{kind};charset=UTF-8", body.encode())

    def _send_fault(self, fault: _Fault, soap: bool, status: int) -> None:
        behaviour = self.server.emulator.behaviour
        words = quoteattr(str(fault))
        inner = f'<Fault code="{fault.code}"><Exception message={words}>'
        if fault.syscc:
            inner += f"<SYSCC>{fault.syscc}</SYSCC><SYSMSG>{escape(str(fault))}</SYSMSG>"
        inner += "</Exception></Fault>"
        if soap:
            inner = _soap(
                "<soapenv:Fault><faultcode>soapenv:Server</faultcode>"
                f"<faultstring>{escape(str(fault))}</faultstring>"
                f"<detail>{inner}</detail></soapenv:Fault>"
            )
        status = status or (401 if fault.code == 1000 else behaviour.fault_status)
        self._send(status, "text/xml;charset=UTF-8", inner.encode())

    def _send(
        self, status: int, content_type: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        fail = self.server.emulator.behaviour.fail
        if fail == "cut-headers":
            self._cut()
            return
        if fail == "slow-headers":
            self._drip(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n\r\n")
            return
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if fail == "cut-body":
            self.wfile.write(body[: len(body) // 2])
            self._cut()
        elif fail == "slow-body":
            self._drip(body)
        else:
            self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _drip(self, data: bytes) -> None:
        self.close_connection = True
        for start in range(len(data)):
            self.wfile.write(data[start : start + 1])
            self.wfile.flush()
            time.sleep(1)

    def _html(self, status: int, title: str, headers: Mapping[str, str] | None = None) -> None:
        body = f"<!DOCTYPE html><html><head><title>{title}</title></head><body/></html>"
        self._send(status, "text/html", body.encode(), headers)

    def _logon_page(self) -> None:
        form = '<form action="/SASLogon/login"><input type="password" name="password"/></form>'
        body = f"<!DOCTYPE html><html><body>{form}</body></html>"
        self._send(200, "text/html", body.encode())

    def _logon_redirect(self) -> None:
        place = self.server.emulator.url + "/SASLogon/login"
        self._send(302, "text/html", b"", {"Location": place})

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(64 << 20))
        self.end_headers()
        self.close_connection = True
        for _ in range(64):
            self.wfile.write(b" " * (1 << 20))

    def _entities(self) -> None:
        laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
        body = f'<!DOCTYPE r [<!ENTITY l0 "laugh">{laughs}]><rResponse>&l9;</rResponse>'
        self._send(200, "application/xml", body.encode())


_FRONT_END: Mapping[str, Callable[[_Handler], None]] = {
    "html-502": lambda handler: handler._html(502, "Bad Gateway"),
    "html-503": lambda handler: handler._html(503, "Service Unavailable", {"Retry-After": "7"}),
    "html-504": lambda handler: handler._html(504, "Gateway Timeout"),
    "logon-page": lambda handler: handler._logon_page(),
    "logon-redirect": lambda handler: handler._logon_redirect(),
    "not-sasbiws": lambda handler: handler._send(200, "application/xml", b"<weather/>"),
    "entities": lambda handler: handler._entities(),
    "endless": lambda handler: handler._endless(),
}


def _as_told(ran: Ran, fail: str) -> Ran:
    """What the stored process left, changed as the switch says."""
    match fail:
        case "fault-3000":
            return Ran(b"", 1012, "File WORK.INDATA.DATA does not exist.")
        case "warning":
            return replace(ran, syscc=4, message="The variable name was truncated.")
        case "own-error":
            return Ran(embedded.result_document("error", code="9", message="No such library."))
        case "nothing-written":
            return replace(ran, webout=b"", content_type="text/plain")
        case "text":
            return Ran(b"12 rows & 3 columns", content_type="text/plain")
    return ran


def _base_name(stp_name: str) -> str:
    """What a reply is named after: no blanks, the first letter in lower case (observed), and
    what no XML name may hold replaced (inferred)."""
    name = re.sub(r"[^\w.-]", "_", stp_name.replace(" ", ""))
    return name[:1].lower() + name[1:] if name[:1].isalpha() else "_" + name


def _streams(ran: Ran, form: str) -> str:
    if not ran.webout:
        return ""
    text = ran.webout.decode()
    kind = ran.content_type
    if form == "base64":
        kind, value = "application/octet-stream", base64.b64encode(ran.webout).decode()
    elif form == "cdata":
        value = f"<![CDATA[{text}]]>"
    elif "xml" in kind:
        value = text[text.find("?>") + 2 :] if text.startswith("<?xml") else text
    else:
        value = escape(text)
    stream = f"<_WEBOUT contentType={quoteattr(kind)}><Value>{value}</Value></_WEBOUT>"
    return f"<Streams>{stream}</Streams>"


def _soap(content: str) -> str:
    namespace = "http://schemas.xmlsoap.org/soap/envelope/"
    return (
        f'<soapenv:Envelope xmlns:soapenv="{namespace}"><soapenv:Body>{content}'
        "</soapenv:Body></soapenv:Envelope>"
    )


def _content(body: bytes, call: _Call) -> etree._Element:
    """The element that holds ``streams``; its name must fit where a service is called."""
    try:
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        raise _Fault(2000, "the request is not well-formed XML") from None
    content: etree._Element | None = root
    if call.soap:
        inside = _child(root, "Body")
        content = next(_elements(inside), None) if inside is not None else None
    if content is None:
        raise _Fault(2000, "the request has no content")
    if not call.by_path and etree.QName(content).localname != call.stp_name.replace(" ", ""):
        raise _Fault(2000, "the request is not named after the stored process")
    return content


def _child(element: etree._Element | None, name: str) -> etree._Element | None:
    if element is None:
        return None
    return next((e for e in element.iterchildren(f"{{*}}{name}")), None)


def _inner_bytes(value: etree._Element | None) -> bytes:
    if value is None:
        return b""
    children = [deepcopy(child) for child in _elements(value)]
    for child in children:
        etree.cleanup_namespaces(child)  # those of the envelope are not the stream's
    return (
        b"".join(etree.tostring(child, with_tail=False) for child in children)
        or (value.text or "").encode()
    )


def _elements(value: etree._Element) -> Iterator[etree._Element]:
    return (child for child in value if isinstance(child.tag, str))


def _element_text(document: bytes, name: str) -> str:
    try:
        return etree.fromstring(document).findtext(f".//{name}") or ""
    except (etree.XMLSyntaxError, ValueError):
        return ""
