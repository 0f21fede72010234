"""A loopback store that answers presigned GETs, and misbehaves on demand."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SIGNATURE = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Security-Token=to%2Fken%3D&X-Amz-Signature=5ec7e7"
)

Answer = Callable[[BaseHTTPRequestHandler], None]


class FileStore:
    """``files`` by name; ``answers`` replaces the answer for one name."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        self.seen: list[BaseHTTPRequestHandler] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def put(self, name: str, content: bytes) -> str:
        """Store a file; returns its presigned URL."""
        self.files[name] = content
        return self.url(name)

    def put_file(self, path: Path) -> str:
        return self.put(path.name, path.read_bytes())

    def url(self, name: str) -> str:
        return f"{self.address}/exports/{name}?{SIGNATURE}"

    def urls(self, metadata: bytes, data: bytes) -> dict[str, str]:
        """The presignedUrls of a payload."""
        return {"metadataFile": self.put("metadata", metadata), "dataFile": self.put("data", data)}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                store.seen.append(self)
                path, _, query = self.path.partition("?")
                name = path.rsplit("/", 1)[-1]
                if name in store.answers:
                    store.answers[name](self)
                elif query != SIGNATURE:
                    s3_error(403, "SignatureDoesNotMatch")(self)
                elif name not in store.files:
                    s3_error(404, "NoSuchKey")(self)
                else:
                    send(200, store.files[name])(self)

            def log_message(self, *args: Any) -> None:
                pass

        return Handler

    def __enter__(self) -> FileStore:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def send(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def s3_error(status: int, code: str, message: str = "no") -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return send(status, body.encode(), Content_Type="application/xml")


def short(body: bytes) -> Answer:
    """Promise more than is sent, then cut the connection."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) * 2))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Tell no length and end somewhere."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"1,2\n")


def zipped(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)  # the same bytes each time: they are in names of tests
