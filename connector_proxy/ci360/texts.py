"""What the texts of the settings for reports mean; each function is as those of ``values.py``."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from connector_proxy.ci360 import attributes
from connector_proxy.ci360.attributes import Attributes
from connector_proxy.ci360.letter import Identity, parse_identity

_HERE = frozenset(("localhost", "127.0.0.1", "::1"))
_SERVICE = "/marketingGateway"


def gateway_url(text: str, home: Path) -> str:
    """The address of the gateway without a path, or an empty text. A token travels to it, so
    plain http is for this machine alone."""
    if not text:
        return ""
    text = text.rstrip("/").removesuffix(_SERVICE)
    try:
        parts = urlsplit(text)
        good = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good or parts.path or parts.query or "#" in text or re.search(r"[\s\\]", text):
        raise ValueError("write the external gateway address of CI 360, https://host")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _HERE):
        raise ValueError("write https://host; http is for a gateway on this machine alone")
    return text


def event_name(text: str, home: Path) -> str:
    """The name of an external event, or an empty text."""
    if not re.fullmatch(r"[\w .:-]{0,128}", text):
        raise ValueError("write the name of an external event, or nothing")
    return text


def attribute(text: str, home: Path) -> str:
    """The name of an attribute, or an empty text."""
    return attributes.name(text) if text else ""


def templates(text: str, home: Path) -> Attributes:
    """Attributes with their templates."""
    return attributes.parse(text)


def identity(text: str, home: Path) -> Identity | None:
    """Whom the reports of tasks are about, or None."""
    return parse_identity(text)
