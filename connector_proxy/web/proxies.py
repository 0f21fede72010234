"""What front ends say of those whose requests they pass on: believed of ``trustedproxy`` alone.

The headers ``X-Forwarded-*`` can be written by everybody. They are taken out of each request, and
looked at only where the other end of the connection is a proxy that the administrator named.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from connector_proxy.access import Address, Network, is_loopback, plain

_KEYS = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_FORWARDED_BY",
    "HTTP_X_FORWARDED_SERVER",
    "HTTP_FORWARDED",
    "HTTP_X_REAL_IP",
)
_DIRECT = "connector_proxy.direct"
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_BY_ADDRESS = re.compile(r"(localhost|[\d.]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.IGNORECASE)
_HOP = re.compile(r'"?(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+|([^"]+))"?')
_log = logging.getLogger(__name__)

Environ = dict[str, Any]


class Proxies:
    """WSGI middleware that makes a request look as the trusted proxies saw it.

    ``REMOTE_ADDR`` becomes the last address that no trusted proxy has.
    """

    def __init__(
        self, app: Callable[[Environ, Any], Iterable[bytes]], trusted: tuple[Network, ...]
    ) -> None:
        self._app = app
        self._trusted = trusted
        self._told = False

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Pass the request on; see PEP 3333."""
        said = {key: environ.pop(key) for key in _KEYS if key in environ}
        if self._trusted and self._trusts(_address(environ.get("REMOTE_ADDR", ""))):
            self._believe(said, environ)
        elif said:
            self._tell(environ)
        else:
            environ[_DIRECT] = True
        return self._app(environ, start_response)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in one for one in self._trusted)

    def _believe(self, said: dict[str, str], environ: Environ) -> None:
        for hop in reversed(said.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            address = _address(hop)
            if address is None:
                break
            environ["REMOTE_ADDR"] = str(address)
            if not self._trusts(address):
                break
        scheme = _last(said.get("HTTP_X_FORWARDED_PROTO", "")).lower()
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        host = _last(said.get("HTTP_X_FORWARDED_HOST", ""))
        if _HOST.fullmatch(host):
            environ["HTTP_HOST"] = host

    def _tell(self, environ: Environ) -> None:
        if not self._told:
            self._told = True
            _log.warning(
                "a request came through a front end at %s, which trustedproxy does not name: what "
                "it says of the caller is not believed (told once)",
                environ.get("REMOTE_ADDR"),
            )


def is_local(environ: Environ) -> bool:
    """Whether a request came from this machine, through no front end that says so, and by an
    address: a name could be that of a web site that leads here."""
    host = environ.get("HTTP_HOST", "127.0.0.1")
    here = _DIRECT in environ and is_loopback(environ.get("REMOTE_ADDR", ""))
    return here and bool(_BY_ADDRESS.fullmatch(host))


def _last(text: str) -> str:
    """Of several values the one of the nearest proxy."""
    return text.rpartition(",")[2].strip()


def _address(text: str) -> Address | None:
    """An address, also one with a port behind it, as IIS writes them; None for anything else."""
    found = _HOP.fullmatch(text.strip())
    try:
        return plain(ipaddress.ip_address(next(filter(None, found.groups())))) if found else None
    except ValueError:
        return None
