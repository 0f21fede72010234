"""One POST to a stored process: what came back, or at which stage it failed.

The stage decides what may happen next. Before the first byte of the request was sent, nothing
was carried out (``Unavailable``). After it, a failure leaves open what SAS did
(``OutcomeUnknown``): the call is synchronous and must not be repeated on its own.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError, SSLError

from connector_proxy.errors import OutcomeUnknown, Unavailable
from connector_proxy.records import Request

MAX_REPLY = 8 * 1024 * 1024
"""Bytes of a reply that are read; the replies of stored processes are some hundred."""


@dataclass(frozen=True)
class Reply:
    """What a server answered; ``complete`` is false when it was longer than ``MAX_REPLY``."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool


class Caller:
    """Calls stored processes through one pooled session, shared by all threads.

    A request goes straight to the session's adapter, as it is: no redirect is followed, no
    cookie kept (it would carry the logon of one user into the call of another), and proxies,
    netrc and certificate paths of the environment are not looked at.
    """

    def __init__(self, pool_size: int) -> None:
        self._session = requests.Session()
        adapter = _Adapter(pool_connections=16, pool_maxsize=pool_size, max_retries=0)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)

    def post(
        self,
        request: Request,
        *,
        connect_timeout: float,
        read_timeout: float,
        ca_bundle: Path | None = None,
    ) -> Reply:
        """Send ``request`` once and read the reply; redirects are not followed.

        ``connect_timeout`` bounds connecting, ``read_timeout`` everything after the request
        was sent, to the last byte of the reply; both in seconds. Raises ``Unavailable`` when
        nothing was sent, ``OutcomeUnknown`` when it was and no whole reply came.
        """
        _stage.sent = False
        try:
            response = self._session.get_adapter(request.url).send(
                _prepared(request),
                stream=True,
                timeout=(connect_timeout, read_timeout),
                verify=str(ca_bundle) if ca_bundle else True,
            )
            with response:
                return _read(response)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _translated(error, connect_timeout, read_timeout) from None

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()


def _prepared(request: Request) -> requests.PreparedRequest:
    """The request as it is: quoted already, and nothing of it to be guessed or written anew."""
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url, prepared.body = "POST", request.url, request.body
    length = str(len(request.body))
    prepared.headers = CaseInsensitiveDict(
        {**request.headers, "Accept-Encoding": "identity", "Content-Length": length}
    )
    return prepared


def _read(response: requests.Response) -> Reply:
    body = bytearray()
    for chunk in response.raw.stream(65536, decode_content=True):
        body += chunk
        if len(body) > MAX_REPLY:
            response.raw.close()
            break
    complete = len(body) <= MAX_REPLY
    return Reply(response.status_code, response.headers, bytes(body[:MAX_REPLY]), complete)


def _translated(
    error: Exception, connect_timeout: float, read_timeout: float
) -> Unavailable | OutcomeUnknown:
    if not _stage.sent:
        return Unavailable(
            f"The SAS server cannot be reached: {_before_sending(error, connect_timeout)}.",
            code="sas_unreachable",
            advice="Nothing was sent. Check stpurl, that the web server of SAS is running, and "
            "the firewall between; 'connector-proxy check' tries the connection.",
        )
    timed_out = isinstance(error, TimeoutError | requests.Timeout) or "timed out" in str(error)
    why = f"no whole answer in {read_timeout:g} s" if timed_out else "the connection was cut"
    return OutcomeUnknown(f"The request was sent, but {why}.")


def _before_sending(error: Exception, connect_timeout: float) -> str:
    chain = list(_causes(error))
    if any(isinstance(cause, SSLError | requests.exceptions.SSLError) for cause in chain):
        return "no TLS connection that can be trusted (see cabundle)"
    if any(isinstance(cause, NameResolutionError) for cause in chain):
        return "its host name is not known"
    if any(isinstance(cause, requests.ConnectTimeout | TimeoutError) for cause in chain):
        return f"no connection within {connect_timeout:g} s"
    os_errors = (cause.strerror for cause in chain if isinstance(cause, OSError) and cause.errno)
    return next((words for words in os_errors if words), "no connection")


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        reason = getattr(error, "reason", None) or next(iter(error.args), None)
        inner = reason if isinstance(reason, BaseException) else None
        error = inner or error.__cause__ or error.__context__


_stage = threading.local()
"""Whether the current thread's POST has put its first byte into a connection."""


class _Stages:
    """Marks the moment from which a request may have been carried out."""

    sock: socket.socket | None

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        finally:
            _stage.sent = False  # a CONNECT to a proxy is not the request

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _stage.sent = True
        super().send(data)  # type: ignore[misc]


class _TimedReader(io.RawIOBase):
    """Reads a socket until one moment, however slowly the bytes drip: the time-out of a socket
    alone begins anew with each byte."""

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        timeout = sock.gettimeout()
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        """Close the pooled connections."""
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock), 65536)


class _HTTPConnection(_Stages, HTTPConnection):
    response_class = _TimedResponse


class _HTTPSConnection(_Stages, HTTPSConnection):
    response_class = _TimedResponse


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
