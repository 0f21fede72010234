"""The HTTP side of the pretend gateway, with its failures."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

_HANG_SECONDS = 120.0
_ANSWERS = {
    "unauthorized": (401, {}),
    "forbidden": (403, {}),
    "failed": (500, {}),
    "busy": (503, {"Retry-After": "1"}),
    "timeout": (504, {}),
    "moved": (302, {"Location": "http://127.0.0.1:1/elsewhere"}),
}


class Refused(Exception):
    """A request is not taken: its HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Host(Protocol):
    """What the handler needs of the gateway."""

    fail: str
    delay: float

    def answer(self, method: str, path: str, token: str, raw: bytes) -> tuple[int, Any]: ...


class Handler(BaseHTTPRequestHandler):
    """Answers one connection of ``gateway``."""

    gateway: Host
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Quiet: ``received`` tells more."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fail = self.gateway.fail
        if fail == "hang":
            time.sleep(_HANG_SECONDS)
        if fail in _ANSWERS:
            status, headers = _ANSWERS[fail]
            self._send(status, {"message": fail}, headers)
            return
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        try:
            status, said = self.gateway.answer(self.command, self.path, token, raw)
        except Refused as refused:
            status, said = refused.status, {"message": str(refused)}
        time.sleep(self.gateway.delay)
        if fail == "silent":
            self._cut()
            return
        self._send(status, said, {})

    def _send(self, status: int, said: Any, headers: dict[str, str]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
