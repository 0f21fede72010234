"""Which addresses may be downloaded from: the URL by its text, and what its name resolves to.

The URL comes out of a request body, so it is checked before a name is resolved: https (http only
where a pattern says so), a host on the list, no user-info, nothing that two parsers could read
in two ways. It is a bearer secret for personal data: its query string is in no message. Then
each address of the name is checked, since a name on the list may lead into the network at home.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from urllib.parse import urlsplit

from connector_proxy.errors import Refused
from connector_proxy.values import HostPattern

RUN_AGAIN = "Run the task again in CI 360: its URLs are made anew."
_URL = re.compile(r"https?://[A-Za-z0-9._~:\[\]-]+((?:[/?][A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%|-]*)?)")
_PORTS = {"https": 443, "http": 80}
_METADATA = frozenset(
    ipaddress.ip_address(one)
    for one in ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200",
                "168.63.129.16", "192.0.0.192")
)  # fmt: skip
"""Where the clouds tell a machine its credentials, or rule it (AWS, Google, Alibaba, Azure,
Oracle)."""

_NAT64 = IPv6Network("64:ff9b::/96")
_WITH_IPV4_INSIDE = (IPv6Network("2002::/16"), IPv6Network("2001::/32"), IPv6Network("::/96"))
_PUBLIC_IPV6 = IPv6Network("2000::/3")
_LOOPBACK = IPv6Address("::1")


@dataclass(frozen=True)
class Place:
    """A URL that may be called, taken apart. ``target`` is path and query as they were signed;
    ``patterns`` are those that allow it."""

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)
    patterns: tuple[HostPattern, ...]

    @property
    def authority(self) -> str:
        """Host and port for the ``Host`` header: the port only where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, patterns: Iterable[HostPattern], what: str) -> Place:
    """``url`` taken apart; raises ``Refused`` unless it may be called. ``what`` names the file."""
    if not url:
        raise refused(what, "its URL is empty", "url_missing", RUN_AGAIN)
    found = _URL.fullmatch(url)
    if not found:
        raise refused(what, "its URL is not a plain http or https URL", "url_not_allowed")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refused(what, "its URL has a bad port", "url_not_allowed") from None
    default = _PORTS[parts.scheme]
    host = (parts.hostname or "").lower()
    named = None if port in (None, default) else port
    allowing = tuple(one for one in patterns if one.allows(parts.scheme, host, named))
    target = found[1] if found[1].startswith("/") else "/" + found[1]
    place = Place(parts.scheme, host, port or default, target, allowing)
    if not allowing:
        raise _off_the_list(what, place)
    return place


def _off_the_list(what: str, place: Place) -> Refused:
    return refused(
        what,
        f"{place.scheme} from its host is not allowed",
        "url_not_allowed",
        "The log names the host. If it is right, add it to downloadhosts; plain http is "
        "allowed only where a pattern says http://.",
        f"{place.scheme}://{place.host}:{place.port} is not among downloadhosts",
    )


def may_connect(address: str, patterns: Iterable[HostPattern], allow_private: bool) -> bool:
    """Whether ``address`` (an IP) may be connected to for a host that ``patterns`` allow.

    A public one may. One of a closed network or of this machine may where a pattern names that
    very address (or ``localhost``), or names the host without ``*.`` and ``allow_private`` says
    so. Link-local, multicast and reserved ones and those of the clouds' metadata never may.
    """
    ip = _inner(ipaddress.ip_address(address))
    if _never(ip):
        return False
    if ip.is_global and (ip.version == 4 or ip in _PUBLIC_IPV6):
        return True
    return any(_permits(pattern, ip, allow_private) for pattern in patterns)


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, where a gateway would call that one."""
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            return ip.ipv4_mapped
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def _never(ip: IPv4Address | IPv6Address) -> bool:
    if ip in _METADATA or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return True
    if isinstance(ip, IPv6Address):
        return ip != _LOOPBACK and any(ip in network for network in _WITH_IPV4_INSIDE)
    return ip.is_reserved or ip.packed[0] == 0


def _permits(pattern: HostPattern, ip: IPv4Address | IPv6Address, allow_private: bool) -> bool:
    if pattern.host == "localhost" and ip.is_loopback:
        return True
    try:
        return ipaddress.ip_address(pattern.host) == ip
    except ValueError:
        return allow_private and not pattern.host.startswith("*.")


def refused(what: str, why: str, code: str, advice: str = "", cause: str = "") -> Refused:
    """The error that ``what`` cannot be downloaded, for good."""
    advice = advice or "Look at the payload that CI 360 sent; such a URL does not come from S3."
    message = f"The {what} cannot be downloaded: {why}."
    return Refused(message, code=code, advice=advice, cause=cause)
