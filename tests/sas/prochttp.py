"""PROC HTTP: a GET through a plain connection, to loopback addresses alone."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.sas.errors import Fault


@dataclass(frozen=True)
class Answer:
    """What came back. ``whole`` is False when the body ended too early."""

    status: int
    phrase: str
    headers: bytes
    body: bytes
    whole: bool


class NoAnswer(Exception):
    """Refused, timed out, or closed before a status line."""


@dataclass(frozen=True)
class Hosts:
    """Where names of hosts lead; any other name is an unknown host, so that no test reaches the
    outside. https is a plain connection to the mapped port."""

    mapped: dict[str, tuple[str, int]]

    def address(self, url: str) -> tuple[str, int]:
        """Address and port of a URL; NoAnswer when the host is not known."""
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        if host in self.mapped:
            return self.mapped[host]
        if host in ("127.0.0.1", "localhost") and parts.scheme == "http":
            return "127.0.0.1", parts.port or 80
        raise NoAnswer(f"host {host} unknown")


def get(url: str, hosts: Hosts, patience: float) -> Answer:
    """GET the URL exactly as it is written."""
    if not re.fullmatch(r"https?://[\x21-\x7e]+", url):
        raise Fault("PROC HTTP with a URL that is not http(s) in printable ASCII")
    address, port = hosts.address(url)
    parts = urlsplit(url)
    target = url.split("#", 1)[0].split("://", 1)[1].removeprefix(parts.netloc) or "/"
    connection = http.client.HTTPConnection(address, port, timeout=patience)
    try:
        connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", parts.netloc)
        connection.putheader("User-Agent", "SAS/9")
        connection.putheader("Accept", "*/*")
        connection.endheaders()
        response = connection.getresponse()
        return _answer(response)
    except (OSError, http.client.HTTPException) as fault:
        raise NoAnswer(str(fault) or type(fault).__name__) from None
    finally:
        connection.close()


def _answer(response: http.client.HTTPResponse) -> Answer:
    lines = [f"HTTP/1.1 {response.status} {response.reason}"]
    lines += [f"{name}: {value}" for name, value in response.getheaders()]
    headers = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    try:
        body, whole = response.read(), True
    except http.client.IncompleteRead as fault:
        body, whole = fault.partial, False
    except OSError:
        body, whole = b"", False
    return Answer(response.status, response.reason, headers, body, whole)
