"""Who may call: what the settings of it mean, alone and together, and which door stands open."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from connector_proxy import secrethash, values
from connector_proxy.values import Secret

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NEEDED: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "basic": ("basicuser", "basicpassword"),
    "bearer": ("bearertoken",),
    "header": ("headername", "headervalue"),
}
"""The values of ``auth``, each with the settings that it needs."""

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,100}")
_OTHERS_HEADERS = re.compile(
    r"host|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|via|forwarded|x-forwarded-.*"
    r"|x-real-ip|x-request-id|x-ci360-.*",
    re.IGNORECASE,
)
_SHORTEST_PREFIX = {4: 8, 6: 16}


def secrets(text: str, home: Path) -> Secret:
    """Secrets of which each may be presented, separated by commas, plain or hashed."""
    if text and not secrethash.split(text):
        raise ValueError("there is no secret in it; write one, or leave it empty")
    for one in secrethash.split(text):
        if not one.isprintable():
            raise ValueError("a secret holds a character that cannot be printed")
    return values.secret(text, home)


def user(text: str, home: Path) -> Secret:
    """The user of Basic authentication (RFC 7617: without a colon)."""
    if ":" in text:
        raise ValueError("the name of a user holds no colon")
    return values.secret(text, home)


def header_name(text: str, home: Path) -> str:
    """The name of the header that holds the secret; empty: none."""
    if text and not _HEADER.fullmatch(text):
        raise ValueError("write the name of a header, such as X-Api-Key")
    if _OTHERS_HEADERS.fullmatch(text):
        raise ValueError("this header has another meaning; write one such as X-Api-Key")
    return text


def networks(text: str, home: Path) -> tuple[Network, ...]:
    """Addresses and networks, separated by commas."""
    return tuple(_network(one.strip()) for one in text.split(",") if one.strip())


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(
            f"'{text}' is no address and no network; write 10.1.2.3 or 10.1.2.0/24"
        ) from None
    if network.prefixlen < _SHORTEST_PREFIX[network.version]:
        raise ValueError(f"'{text}' would trust everybody; name the addresses of your front end")
    return network


def disagreement(auth: str, given: Mapping[str, object]) -> tuple[str, str] | None:
    """Which setting does not fit ``auth``, and why; None where all do.

    A secret that nobody looks at is as wrong as one that is missing: somebody believed in it.
    """
    for key in NEEDED[auth]:
        if not given[key]:
            return key, f"auth = {auth} needs {' and '.join(NEEDED[auth])}, and {key} is empty"
    for mode, keys in NEEDED.items():
        for key in keys:
            if given[key] and key not in NEEDED[auth]:
                return key, f"{key} is set, but auth = {auth} does not look at it; write " + (
                    f"auth = {mode}, or take it away"
                )
    return None


def open_door(host: str, auth: str, allowopen: bool, trustedproxy: tuple[Network, ...]) -> str:
    """Why everybody could send webhooks and nobody said so, in words; empty where it is not so."""
    if auth != "none" or allowopen:
        return ""
    if trustedproxy:
        return "auth is none, and trustedproxy says that a front end passes requests of others on"
    if _leads_elsewhere(host):
        return f"auth is none, and {host} can be reached from other machines"
    return ""


def _leads_elsewhere(host: str) -> bool:
    """Whether others can reach a service that listens at ``host``, an address or a name."""
    if host in ("", "*"):  # waitress takes both for every address
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # nothing can listen there
        return False
    return not all(is_loopback(str(one[4][0])) for one in found)


def have_loopback(trusted: tuple[Network, ...]) -> bool:
    """Whether one of the networks has the address by which programs call their own machine."""
    return any(
        ipaddress.ip_address(one) in each for one in ("127.0.0.1", "::1") for each in trusted
    )


def is_loopback(address: str) -> bool:
    """Whether ``address`` is this machine alone: 127.0.0.0/8 or ::1."""
    try:
        return plain(ipaddress.ip_address(address)).is_loopback
    except ValueError:
        return False


def plain(address: Address) -> Address:
    """An IPv4 address that is written as one of IPv6, as itself."""
    return getattr(address, "ipv4_mapped", None) or address
