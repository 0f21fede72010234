"""One request to the external gateway of CI 360, or to the agent on this machine, and the stage
at which it failed: before its body was sent (``Unavailable``), or after (``OutcomeUnknown``)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    ProxyError,
    SSLError,
)

from connector_proxy import trust
from connector_proxy.ci360.letter import Letter
from connector_proxy.ci360.token import token
from connector_proxy.errors import OutcomeUnknown, Unavailable
from connector_proxy.settings import Settings

CONFIGURATION = "/marketingGateway/configuration"
AGENT = "http://localhost:8080"
"""Where the agent takes events once that is switched on; it asks for no token."""
_ANSWER_SECONDS = 30.0
_MAX_ANSWER = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """What the gateway said. ``retry_after`` is in seconds; ``body`` may quote what was sent, so
    it goes to no log."""

    status: int
    retry_after: int | None
    body: bytes


class _Body:
    """A body in pieces, which knows whether any of it was asked for."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.begun = False

    def __iter__(self) -> Iterator[bytes]:
        self.begun = True
        yield from self._pieces


class Gateway:
    """Calls the gateway that the settings name; safe to use from many threads."""

    def __init__(self, settings: Settings) -> None:
        by_agent = settings.reportvia == "agent"
        self.url = settings.gatewayurl or AGENT
        self._headers = {} if by_agent else _authorization(settings)
        self._connect_seconds = settings.connecttimeout
        self._proxy = "" if by_agent else settings.outboundproxy
        self._trusted = trust.context(settings.cabundle)

    def post(self, letter: Letter) -> Answer:
        """Post a letter; raises ``Unavailable`` or ``OutcomeUnknown``."""
        raw = json.dumps(letter.body).encode()
        return self._call("POST", letter.path, [raw], len(raw))

    def configuration(self) -> Answer:
        """Ask for the configuration of the access point, which changes nothing."""
        return self._call("GET", CONFIGURATION, [], 0)

    def _call(self, method: str, path: str, pieces: Iterable[bytes], length: int) -> Answer:
        headers = {**self._headers, "Content-Type": "application/json"}
        return self.send(method, self.url + path, pieces, length, headers)

    def send(
        self,
        method: str,
        url: str,
        pieces: Iterable[bytes],
        length: int,
        headers: Mapping[str, str],
    ) -> Answer:
        """One request whose body of ``length`` bytes comes in ``pieces``. Each has a connection
        of its own: on a kept one nobody could tell whether it was cut before or after."""
        body = _Body(pieces)
        own = {**headers, "Content-Length": str(length)} if length else headers
        try:
            with trust.pool(self._trusted, self._proxy) as pool:
                response = pool.request(
                    method,
                    url,
                    body=body if length else None,
                    headers=own,
                    timeout=urllib3.Timeout(connect=self._connect_seconds, read=_ANSWER_SECONDS),
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                )
                said = _beginning(response)
                response.close()
        except (HTTPError, OSError) as error:
            if body.begun:
                raise OutcomeUnknown("It was sent, but no answer came.") from None
            raise Unavailable(_why(error), code="gateway_unreachable") from None
        return Answer(response.status, _seconds(response.headers.get("Retry-After")), said)


def _beginning(response: urllib3.BaseHTTPResponse) -> bytes:
    """The beginning of an answer; what comes too slowly is cut off, since the status has told."""
    said, give_up = b"", time.monotonic() + _ANSWER_SECONDS
    while len(said) < _MAX_ANSWER and time.monotonic() < give_up:
        piece = response.read1(_MAX_ANSWER)
        if not piece:
            break
        said += piece
    return said


def _authorization(settings: Settings) -> dict[str, str]:
    made = token(settings.tenantid.reveal(), settings.gatewaysecret.reveal())
    return {"Authorization": f"Bearer {made}"}


def _why(error: Exception) -> str:
    if isinstance(error, SSLError):
        return "no TLS connection that can be trusted (see cabundle)"
    if isinstance(error, NameResolutionError):
        return "its host name is not known"
    if isinstance(error, ProxyError):
        return "outboundproxy does not let it through"
    if isinstance(error, ConnectTimeoutError):
        return "no connection in time"
    return "no connection"


def _seconds(text: str | None) -> int | None:
    """``Retry-After`` as seconds up to a day; a date is not understood."""
    return min(int(text), 86400) if text and text.isascii() and text.isdecimal() else None
