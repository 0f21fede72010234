"""A loopback store that answers presigned GETs, and misbehaves on demand."""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SIGNATURE = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Security-Token=to%2Fken%3D&X-Amz-Signature=5ec7e7"
)

Answer = Callable[[BaseHTTPRequestHandler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class FileStore:
    """``files`` by name; ``answers`` replaces the answer for one name; ``tls`` to speak TLS."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        self.seen: list[BaseHTTPRequestHandler] = []
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.port = int(self._server.server_address[1])
        self.address = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        if tls:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

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
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
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


def etag_of(body: bytes) -> str:
    """What S3 tells of a file that was put in one piece."""
    return f'"{hashlib.md5(body).hexdigest()}"'


def s3(body: bytes, etag: str = "", *, cut: int | None = None, **headers: str) -> Answer:
    """Answer as S3 does: the whole, or with ``Range`` and a fitting ``If-Range`` the rest, or
    416. ``cut``: so many bytes of the body, then the connection ends."""
    etag = etag or etag_of(body)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        start = asked(handler) if handler.headers["If-Range"] in (None, etag) else 0
        if start and start >= len(body):
            s3_error(416, "InvalidRange")(handler)
            return
        handler.send_response(206 if start else 200)
        told = {"Content-Length": str(len(body) - start), "ETag": etag, **headers}
        if start:
            told["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        for name, value in told.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body[start:][:cut])

    return answer


class Dripping:
    """Answer as ``s3`` does, but ``at_once`` bytes, then a pause of so many seconds, until
    ``stop`` is set; by default 40 MB a second."""

    def __init__(self, body: bytes, at_once: int = 1 << 20, pause: float = 0.025) -> None:
        self._body, self.stop = body, threading.Event()
        self._at_once, self._pause = at_once, pause

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        s3(self._body, cut=0)(handler)
        start = asked(handler)
        for place in range(start, len(self._body), self._at_once):
            handler.wfile.write(self._body[place : place + self._at_once])
            if self.stop.wait(self._pause):
                break


def asked(handler: BaseHTTPRequestHandler) -> int:
    """The first byte that a request asks for."""
    found = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "")
    return int(found[1]) if found else 0


def in_turn(*answers: Answer) -> Answer:
    """One answer after the other; the last one stays."""
    left = list(answers)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return answer


def chunked(body: bytes, etag: str = "", *, whole: bool = True) -> Answer:
    """Tell no length, but mark the end, unless not ``whole``."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        if etag:
            handler.send_header("ETag", etag)
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        handler.wfile.write(b"0\r\n\r\n" if whole else b"")
        handler.close_connection = True

    return answer


class Unreliable:
    """A store on a bad day, by chance but the same each time for one ``seed``: it cuts every
    connection at a random byte of at most ``most``, answers 500 and 503 SlowDown at times,
    ignores ``Range`` at times, and changes the file once, after ``changes_at`` requests."""

    def __init__(self, before: bytes, after: bytes, most: int, changes_at: int, seed: int) -> None:
        self._body, self._after, self._changes_at = before, after, changes_at
        self._most, self._chance = most, random.Random(seed)
        self.seen: list[str] = []
        self.asked: list[int] = []
        self._tags = {id(one): etag_of(one) for one in (before, after)}

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        if len(self.seen) == self._changes_at:
            self._body = self._after
            self.seen.append("changed")
        kind = self._chance.choices(("cut", "500", "503", "ignored"), (12, 1, 1, 2))[0]
        self.seen.append(kind)
        self.asked.append(asked(handler))
        if kind in ("500", "503"):
            s3_error(int(kind), {"500": "InternalError", "503": "SlowDown"}[kind])(handler)
            return
        if kind == "ignored":
            del handler.headers["Range"]
        cut = self._chance.randrange(self._most)
        s3(self._body, self._tags[id(self._body)], cut=cut)(handler)
