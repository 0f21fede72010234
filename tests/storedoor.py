"""A door before an object store on loopback: it passes requests on, keeps what came, checks what
moto leaves out (the SHA-256 of what is put there, as S3 does), and misbehaves on demand."""

from __future__ import annotations

import base64
import hashlib
import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Rule = Callable[["Request"], "Answer | bytes | None"]


class Answer:
    """What the door says itself, as S3 would."""

    def __init__(self, status: int, code: str, message: str = "no") -> None:
        self.status = status
        self.body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


class Request:
    """One request as it came."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.method, self.headers, self.body = handler.command, dict(handler.headers.items()), body
        parts = urlsplit(handler.path)
        self.path, self.query = parts.path, parse_qs(parts.query, keep_blank_values=True)

    @property
    def part(self) -> int:
        """The number of the part that it brings; 0: none."""
        return int(self.query["partNumber"][0]) if "partNumber" in self.query else 0


class StoreDoor:
    """``rule`` may answer a request, change its body, or let it pass (None)."""

    def __init__(self, port: int) -> None:
        self.seen: list[Request] = []
        self.rule: Rule = lambda request: None
        self._behind = port
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def parts(self) -> list[int]:
        """The numbers of the parts that came, in order of their numbers."""
        return sorted(one.part for one in self.seen if one.part and one.method == "PUT")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                length = int(self.headers["Content-Length"] or 0)
                request = Request(self, self.rfile.read(length))
                door.seen.append(request)
                ruled = door.rule(request)
                if isinstance(ruled, bytes):
                    request.body = ruled
                answer = ruled if isinstance(ruled, Answer) else _fault(request)
                if answer:
                    self._say(answer.status, {"Content-Type": "application/xml"}, answer.body)
                else:
                    self._say(*door.passed_on(self.command, self.path, request))

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any

            def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

            def log_message(self, *args: Any) -> None:
                pass

        return Handler

    def passed_on(
        self, method: str, path: str, request: Request
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._behind, timeout=60)
        headers = {
            k: v
            for k, v in request.headers.items()
            if k.lower() not in ("expect", "content-length")
        }
        connection.request(method, path, request.body, headers)
        answer = connection.getresponse()
        body = answer.read()
        kept = {
            k: v
            for k, v in answer.headers.items()
            if k.lower() not in ("connection", "date", "server", "transfer-encoding")
        }
        connection.close()
        return answer.status, kept, body

    def __enter__(self) -> StoreDoor:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _fault(request: Request) -> Answer | None:
    told = {name.lower(): value for name, value in request.headers.items()}.get(
        "x-amz-checksum-sha256"
    )
    if request.method != "PUT" or not told:
        return None
    found = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
    return None if found == told else Answer(400, "BadDigest")
