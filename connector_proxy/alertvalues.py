"""What the texts of the settings for alerts mean; each function is as those of ``values.py``."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from connector_proxy.values import Secret, check_url, listed

_SUBMISSION = 587


class AlertUrl(Secret):
    """The address of a webhook; it prints without path and query, where its secret stands."""

    __slots__ = ()

    def __repr__(self) -> str:
        parts = urlsplit(self.reveal())
        return f"{parts.scheme}://{parts.netloc}/<secret>" if self else ""


def alert_url(text: str, home: Path) -> AlertUrl:
    """The http or https URL of a webhook, or an empty text."""
    if text:
        check_url(text, ("http", "https"), "write https://host/path, or nothing")
    return AlertUrl(text)


def mail_server(text: str, home: Path) -> str:
    """A mail server as ``host:port``, or an empty text."""
    found = re.fullmatch(r"([A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?", text)
    port = int(found[2] or _SUBMISSION) if found else 0
    if text and not 1 <= port <= 65535:
        raise ValueError("write the name of the mail server, or name:port, or nothing")
    return f"{found[1]}:{port}" if found else ""


def mail_address(text: str, home: Path) -> str:
    """An address of mail, or an empty text."""
    if text and not re.fullmatch(r"[\w.!#$%&'*+/=?^{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}", text, re.A):
        raise ValueError(f"'{text}' is not an address; write one such as sas-team@example.com")
    return text


def mail_addresses(text: str, home: Path) -> tuple[str, ...]:
    """Addresses of mail, separated by commas."""
    return tuple(mail_address(one, home) for one in listed(text))
