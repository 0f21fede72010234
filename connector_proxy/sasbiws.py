"""One POST to a stored process: what came back, or at which stage it failed.

The stage decides what may happen next. Before a byte of the request was sent, nothing was
carried out (``Unavailable``). After it, a failure leaves open what SAS did
(``OutcomeUnknown``): the call is synchronous and must not be repeated on its own.

On ``http.client``, which sends a request as it is: no address written anew, no redirect
followed, no cookie kept (it would carry the logon of one user into the call of another), no
proxy or netrc of the environment. docs/decisions/002-one-post.md tells why.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urllib3.util.wait import wait_for_read

from connector_proxy import tally, trust
from connector_proxy.errors import OutcomeUnknown, Unavailable
from connector_proxy.records import Request

KEPT_SECONDS = 30
"""How long a connection that nobody uses may serve again."""

MAX_REPLY = 8 * 1024 * 1024
"""Bytes of a reply that are read; the replies of stored processes are some hundred."""


@dataclass(frozen=True)
class Reply:
    """What a server answered. The names of ``headers`` are in title case (``Retry-After``);
    ``complete`` is false when the body was longer than ``MAX_REPLY``, ``delimited`` when nothing
    but the end of the connection told where it ends."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool
    delimited: bool


_Origin = tuple[str, str, Path | None]
"""Scheme, ``host:port``, certificates to trust."""


class Caller:
    """Calls stored processes through kept connections; safe to use from many threads."""

    def __init__(self, pool_size: int) -> None:
        self._pool_size = pool_size
        self._idle: dict[_Origin, deque[_Connection]] = {}

    def post(
        self,
        request: Request,
        *,
        connect_timeout: float,
        read_timeout: float,
        ca_bundle: Path | None = None,
    ) -> Reply:
        """Send ``request`` once and read the reply.

        ``connect_timeout`` bounds connecting, ``read_timeout`` everything after the request
        was sent, to the last byte of the reply; both in seconds. ``ca_bundle`` replaces the
        certificates that this machine trusts. Raises ``Unavailable`` when nothing was sent,
        ``OutcomeUnknown`` when it was and no whole reply came.
        """
        scheme, rest = request.url.split("://", 1)
        host, slash, path = rest.partition("/")
        origin = (scheme, host, ca_bundle)
        connection = self._kept(origin) or _connect(origin, connect_timeout)
        try:
            reply, reusable = _exchange(connection, slash + path, request, read_timeout)
        except (http.client.HTTPException, OSError, ValueError) as error:
            connection.close()  # http.client tells some bad answers by a ValueError
            raise _unknown(error, read_timeout) from None
        self._keep(origin, connection, reusable)
        return reply

    def _kept(self, origin: _Origin) -> _Connection | None:
        idle = self._idle.setdefault(origin, deque())
        while True:
            try:
                connection = idle.pop()
            except IndexError:
                return None
            # Readable while nothing was asked: the server has closed it. After a while a
            # firewall between may have forgotten it, which nobody would tell.
            young = time.monotonic() - connection.kept_at < KEPT_SECONDS
            if young and connection.sock and not wait_for_read(connection.sock, 0):
                return connection
            connection.close()

    def _keep(self, origin: _Origin, connection: _Connection, reusable: bool) -> None:
        idle = self._idle[origin]
        if reusable and len(idle) < self._pool_size:
            connection.kept_at = time.monotonic()
            idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the kept connections."""
        for idle in self._idle.values():
            while idle:
                idle.pop().close()


def _connect(origin: _Origin, timeout: float) -> _Connection:
    scheme, host, ca_bundle = origin
    try:
        if scheme == "https":
            tls = trust.context(ca_bundle)
            connection: _Connection = _TlsConnection(host, timeout=timeout, context=tls)
        else:
            connection = _Connection(host, timeout=timeout)
        connection.connect()
    except (OSError, UnicodeError) as error:
        raise Unavailable(
            f"The SAS server cannot be reached: {_why(error, timeout)}.",
            code="sas_unreachable",
            advice="Nothing was sent. Check stpurl, that the web server of SAS is running, and "
            "the firewall between; 'connector-proxy check' tries the connection.",
            cause=getattr(error, "verify_message", "") or str(error),
        ) from None
    return connection


def _why(error: OSError | UnicodeError, timeout: float) -> str:
    if isinstance(error, ssl.SSLError):
        return "no TLS connection that can be trusted (see cabundle)"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "its host name is not known"
    if isinstance(error, TimeoutError):
        return f"no connection within {timeout:g} s"
    return error.strerror or "no connection"


def _exchange(
    connection: _Connection, target: str, request: Request, timeout: float
) -> tuple[Reply, bool]:
    """The reply, and whether the connection may serve again."""
    assert connection.sock is not None
    if connection.sock.gettimeout() != timeout:
        connection.sock.settimeout(timeout)
    connection.request("POST", target, request.body, dict(request.headers))
    connection.flush()
    with connection.getresponse() as response:
        if response.status < 200:  # the real answer would be taken for that of the next call
            raise http.client.HTTPException("an interim answer")
        tally.heard(response.getheader("Date"))
        delimited = response.chunked or response.length is not None
        body = response.read(MAX_REPLY + 1)
        complete = len(body) <= MAX_REPLY
        if complete and response.length:
            raise http.client.IncompleteRead(b"", response.length)
        headers = {name.title(): value for name, value in response.getheaders()}
        reply = Reply(response.status, headers, body[:MAX_REPLY], complete, delimited)
        return reply, complete and not response.will_close


def _unknown(error: Exception, timeout: float) -> OutcomeUnknown:
    timed_out = isinstance(error, TimeoutError)
    if timed_out:
        why = f"no whole answer in {timeout:g} s"
    elif isinstance(error, OSError | http.client.IncompleteRead | http.client.RemoteDisconnected):
        why = "the connection was cut"
    else:
        why = "its answer is not understandable HTTP"
    cause = f"{type(error).__name__}: {error}"
    return OutcomeUnknown(f"The request was sent, but {why}.", cause=cause)


class _TimedReader(io.RawIOBase):
    """Reads a socket until one moment, however slowly the bytes drip: the time-out of a socket
    alone begins anew with each byte."""

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._deadline = time.monotonic() + (sock.gettimeout() or 0)
        self._first = True
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not self._first:  # the first wait has the whole time, as the socket is set
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
        self._first = False
        count: int | None = self._raw.readinto(buffer)
        self._count += count or 0
        if self._count > 2 * MAX_REPLY:  # chunk sizes may lie
            raise http.client.HTTPException("an answer without an end")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock), 65536)


class _Connection(http.client.HTTPConnection):
    """Holds head and body of a request back and sends them with one call."""

    response_class = _TimedResponse

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held: list[bytes] = []
        self.kept_at = 0.0

    def send(self, data: Any) -> None:
        self._held.append(data)

    def flush(self) -> None:
        """Send what is held."""
        held, self._held = self._held, []
        super().send(b"".join(held))


class _TlsConnection(_Connection, http.client.HTTPSConnection):
    pass
