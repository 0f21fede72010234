"""The HTTP side of the pretend SAS BI Web Services, with its failures."""

from __future__ import annotations

import base64
import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from connector_proxy.emulator import wire
from connector_proxy.emulator.behaviour import FAILURES, Behaviour, Recorded


class Host(Protocol):
    """What the handler needs of the emulator."""

    behaviour: Behaviour
    stored_process: wire.StoredProcess
    names: frozenset[str]

    @property
    def url(self) -> str: ...

    def note(self, request: Recorded) -> None: ...

    def write_record(self, request: Recorded) -> None: ...


class Handler(BaseHTTPRequestHandler):
    """Answers one connection as ``host`` is told to."""

    host: Host
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args: Any) -> None:
        """Quiet: ``requests`` and ``record`` tell more."""

    def do_GET(self) -> None:
        self._send(405, "text/plain", b"POST only: this stored process takes a stream")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Recorded("POST", self.path, dict(self.headers.items()), body)
        self.host.note(request)
        call = wire.call_of(self.path)
        try:
            if call is None:
                raise wire.Fault(2000, "there is no service at this path")
            request.stp_name = call.stp_name
            self._answer(call, request)
        except wire.Fault as fault:
            soap = call.soap if call else False
            self._send_fault(fault, soap, 404 if call is None else 0)
        finally:
            self.host.write_record(request)

    def _answer(self, call: wire.Call, request: Recorded) -> None:
        behaviour = self.host.behaviour
        if behaviour.fail in _FRONT_END:
            _FRONT_END[behaviour.fail](self)
            return
        self._check_credentials(behaviour)
        request.instream = self._instream(call, request.body, behaviour)
        if behaviour.fail.startswith("fault-") and behaviour.fail != "fault-3000":
            code = int(behaviour.fail[-4:])
            raise wire.Fault(code, FAILURES[behaviour.fail])
        ran = self.host.stored_process(request.instream)
        time.sleep(behaviour.delay)
        request.ran = True
        ran = wire.as_told(ran, behaviour.fail)
        if ran.syscc not in behaviour.acceptable_syscc:
            raise wire.Fault(3000, ran.message, ran.syscc)
        self._send_result(call, ran, behaviour.fail)

    def _check_credentials(self, behaviour: Behaviour) -> None:
        if not behaviour.user:
            return
        pair = base64.b64encode(f"{behaviour.user}:{behaviour.password}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {pair}":
            raise wire.Fault(1000, FAILURES["fault-1000"])

    def _instream(self, call: wire.Call, body: bytes, behaviour: Behaviour) -> bytes:
        names = self.host.names
        if names and call.stp_name not in names | {name.replace(" ", "") for name in names}:
            raise wire.Fault(2000, "there is no such stored process")
        inner = wire.instream(body, call)
        if not inner.strip():
            if behaviour.fault_on_empty_instream:
                raise wire.Fault(2000, "the stream instream is missing or empty")
            time.sleep(behaviour.hang)
            raise wire.Fault(5000, "the stored process waits for its stream")
        if behaviour.one_line:
            inner = b"".join(line.strip() for line in inner.splitlines())
        if behaviour.lrecl:
            inner = b"\n".join(line[: behaviour.lrecl] for line in inner.splitlines())
        return inner

    def _send_result(self, call: wire.Call, ran: wire.Ran, form: str) -> None:
        if call.target:
            self._send(200, ran.content_type, ran.webout)
            return
        body = wire.result_document(call, ran, form)
        kind = "text/xml" if call.soap else "application/xml"
        self._send(200, f"{kind};charset=UTF-8", body.encode())

    def _send_fault(self, fault: wire.Fault, soap: bool, status: int) -> None:
        behaviour = self.host.behaviour
        document = wire.fault_document(fault, soap)
        status = status or (401 if fault.code == 1000 else behaviour.fault_status)
        self._send(status, "text/xml;charset=UTF-8", document.encode())

    def _send(
        self, status: int, content_type: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        fail = self.host.behaviour.fail
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
        place = self.host.url + "/SASLogon/login"
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


_FRONT_END: Mapping[str, Callable[[Handler], None]] = {
    "html-502": lambda handler: handler._html(502, "Bad Gateway"),
    "html-503": lambda handler: handler._html(503, "Service Unavailable", {"Retry-After": "7"}),
    "html-504": lambda handler: handler._html(504, "Gateway Timeout"),
    "logon-page": lambda handler: handler._logon_page(),
    "logon-redirect": lambda handler: handler._logon_redirect(),
    "not-sasbiws": lambda handler: handler._send(200, "application/xml", b"<weather/>"),
    "entities": lambda handler: handler._entities(),
    "endless": lambda handler: handler._endless(),
}
