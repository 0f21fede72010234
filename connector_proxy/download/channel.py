"""One GET to an address that was checked, or through the proxy.

A name is resolved once: the address that was checked is the one that is connected to, while TLS
and the ``Host`` header keep the name. The request target goes out byte for byte as signed.
Through a proxy it is the proxy that resolves, and nothing is checked here.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection, ProxyConfig
from urllib3.exceptions import HTTPError, IncompleteRead
from urllib3.exceptions import TimeoutError as Urllib3Timeout
from urllib3.util import Url, parse_url

from connector_proxy import tally, trust
from connector_proxy.download.address import Place, may_connect, refused
from connector_proxy.download.answers import Passing
from connector_proxy.errors import Unavailable

CHUNK = 256 * 1024
_MOST_ADDRESSES = 3


class Channel:
    """Opens connections; time-outs are in seconds and bound connecting and each wait for more
    bytes. ``proxy`` is a URL or empty; ``ca_bundle`` replaces the well-known certificates."""

    def __init__(
        self,
        *,
        connect_timeout: float,
        read_timeout: float,
        proxy: str,
        ca_bundle: Path | None,
        allow_private: bool,
    ) -> None:
        self._connect_timeout, self._read_timeout = connect_timeout, read_timeout
        self._proxy = parse_url(proxy) if proxy else None
        self._allow_private = allow_private
        self._tls = trust.context(ca_bundle)

    @contextmanager
    def get(
        self, place: Place, headers: Mapping[str, str], what: str
    ) -> Iterator[BaseHTTPResponse]:
        """GET ``place``; the response is closed at the end. Raises ``Passing`` for a connection
        that fails, ``Refused`` for an address that may not be called."""
        connection = self._proxied(place, what) if self._proxy else self._direct(place, what)
        try:
            forwarded = self._proxy and place.scheme == "http"
            target = f"http://{place.authority}{place.target}" if forwarded else place.target
            connection.timeout = self._read_timeout
            with _translated(place, what):
                connection.request(
                    "GET",
                    target,
                    headers={"Host": place.authority, "Accept-Encoding": "identity", **headers},
                    preload_content=False,
                    decode_content=False,
                )
                response = connection.getresponse()
                tally.heard(response.headers.get("Date"))
            with response:
                yield response
        finally:
            connection.close()

    def _direct(self, place: Place, what: str) -> HTTPConnection:
        with _translated(place, what):
            addresses = self._checked(place, what)[:_MOST_ADDRESSES]
            for number, address in enumerate(addresses, start=1):
                connection = self._connection(place, address)
                try:
                    connection.connect()
                    return connection
                except (OSError, HTTPError) as error:
                    connection.close()
                    if number == len(addresses) or isinstance(error, ssl.SSLError):
                        raise
        raise AssertionError("there is an address, or it was refused")

    def _checked(self, place: Place, what: str) -> list[str]:
        """The addresses of a host that may be connected to, in the system's order."""
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
        allowed = [
            one for one in addresses if may_connect(one, place.patterns, self._allow_private)
        ]
        if not allowed:
            raise refused(
                what,
                "its host leads to an address that is not allowed",
                "address_not_allowed",
                "The log names host and address. If they are right, write the host without *. "
                "into downloadhosts and set allowprivate = True.",
                f"{place.host} resolves to {', '.join(addresses)}",
            )
        return allowed

    def _connection(self, place: Place, address: str) -> HTTPConnection:
        if place.scheme == "http":
            return HTTPConnection(address, place.port, timeout=self._connect_timeout)
        return HTTPSConnection(
            address,
            place.port,
            timeout=self._connect_timeout,
            ssl_context=self._tls,
            server_hostname=place.host,
        )

    def _proxied(self, place: Place, what: str) -> HTTPConnection:
        proxy = self._proxy
        assert proxy is not None and proxy.host is not None
        connection = self._to_proxy(proxy, proxy.host, "https" in (place.scheme, proxy.scheme))
        if place.scheme == "https":
            connection.set_tunnel(place.host, place.port, scheme=proxy.scheme or "http")
        try:
            with _translated(place, what):
                connection.connect()
        except (Passing, Unavailable):
            connection.close()
            raise
        return connection

    def _to_proxy(self, proxy: Url, host: str, secure: bool) -> HTTPConnection:
        config = ProxyConfig(self._tls, False, None, None)
        port = proxy.port or {"https": 443}.get(proxy.scheme or "", 80)
        if not secure:
            return HTTPConnection(
                host, port, timeout=self._connect_timeout, proxy=proxy, proxy_config=config
            )
        return HTTPSConnection(
            host,
            port,
            timeout=self._connect_timeout,
            proxy=proxy,
            proxy_config=config,
            ssl_context=self._tls,
        )


def pieces(response: BaseHTTPResponse, place: Place, what: str) -> Iterator[bytes]:
    """The body as it comes, not unpacked: what has come is not lost with what has not. Raises
    ``Passing`` where the connection fails before the end."""
    while True:
        with _translated(place, what):
            piece = response.read1(CHUNK, decode_content=False)
        if not piece:
            return
        tally.downloaded(len(piece))
        yield piece


def beginning(response: BaseHTTPResponse, most: int) -> bytes:
    """At most ``most`` bytes of a body that says why there is no file; what fails is left out."""
    try:
        return response.read(most, decode_content=False)
    except (HTTPError, HTTPException, OSError):
        return b""


@contextmanager
def _translated(place: Place, what: str) -> Iterator[None]:
    """A foreign exception holds the whole URL; ours does not."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(
            f"The {what} could not be downloaded: the certificate of its store is not trusted.",
            code="download_failed",
            advice="It is tried again. The log says why: check cabundle, and whether a proxy "
            "on the way shows a certificate of its own.",
            cause=f"{place.host}: {error.verify_message}",
        ) from None
    except (HTTPError, HTTPException, OSError, UnicodeError) as error:  # the last: a host's name
        raise Passing(
            f"The {what} could not be downloaded to its end: the connection failed.",
            advice="It is tried again, from where it was. The log says what failed: check the "
            "way to that host (firewall, outboundproxy, cabundle).",
            cause=f"{place.host}: {_reason(error)}",
        ) from None


def _reason(error: BaseException | None) -> str:
    """What failed at the bottom, in the words of the system and without the address."""
    words = "no connection"
    while error is not None:
        if isinstance(error, OSError) and str(error).startswith("Tunnel connection failed: "):
            words = f"the proxy answered {str(error).split()[3][:3]}"
        elif isinstance(error, OSError) and error.strerror:
            words = error.strerror
        elif isinstance(error, TimeoutError | Urllib3Timeout):
            words = "timed out"
        elif isinstance(error, IncompleteRead):
            words = "cut before its end"
        inner = getattr(error, "reason", None) or next(iter(error.args), None)
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
    return words
