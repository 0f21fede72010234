"""What the text of one setting means: each function takes the text and the folder that relative
paths count from, and gives a value or raises ``ValueError`` with what to write instead."""

from __future__ import annotations

import difflib
import platform
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from connector_proxy import platforms, schedule
from connector_proxy.addresses import STP, address
from connector_proxy.intake import stp_name_issue
from connector_proxy.stream import PLACEHOLDER

EMBEDDED = "embedded"
"""The word for ``stpurl`` that selects the embedded stored process."""


class Secret:
    """A text that prints as ``<secret>``; ``reveal()`` gives it to the one place that sends it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "<secret>" if self._text else "<none>"


class QueueUrl(Secret):
    """The address of a database; it prints without the password in it."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self:
            return ""
        parts = urlsplit(self.reveal())
        place = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://<secret>@{place}{parts.path}"


@dataclass(frozen=True)
class HostPattern:
    """Which addresses may be downloaded from: ``scheme``, a host with or without a leading
    ``*.``, and a port (None: the scheme's own; 0: any)."""

    scheme: str
    host: str
    port: int | None

    def allows(self, scheme: str, host: str, port: int | None) -> bool:
        """Whether a URL of these parts (host in lower case) matches."""
        if scheme != self.scheme or (self.port != 0 and port != self.port):
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and len(host) > len(self.host[1:])
        return host == self.host

    def __str__(self) -> str:
        port = {None: "", 0: ":*"}.get(self.port, f":{self.port}")
        scheme = "" if self.scheme == "https" else f"{self.scheme}://"
        return f"{scheme}{self.host}{port}"


_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0", ""), False),
}


def _bool(text: str) -> bool:
    if text.lower() not in _WORDS:
        raise ValueError("write True or False")
    return _WORDS[text.lower()]


def flag(text: str, home: Path) -> bool:
    """True or False, in the words people use."""
    return _bool(text)


def proglog(text: str, home: Path) -> str:
    """The name of the log file; empty: none is written."""
    try:
        return "connector-proxy.log" if _bool(text) else ""
    except ValueError:
        mistyped = difflib.get_close_matches(text.lower(), _WORDS, 1)
        legal = re.fullmatch(r"\w([\w .-]{0,99}\w)?", text) and not platforms.is_device(text)
        if mistyped or not legal:
            raise ValueError("write True, False, or the name of the log file") from None
        return text if "." in text else text + ".log"


def level(text: str, home: Path) -> str:
    """A level of ``logging``, by its name."""
    word = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(text.upper(), text.upper())
    if word not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        raise ValueError("write DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return word


def folder(text: str, home: Path) -> Path:
    """Either slash works everywhere; relative to the folder that holds the configuration."""
    if not text:
        raise ValueError("write the path of a folder")
    return Path(platforms.placed(text, home)).resolve()


def pem_file(text: str, home: Path) -> Path | None:
    """A file that exists, or None for an empty text."""
    if not text:
        return None
    path = folder(text, home)
    if not path.is_file():
        raise ValueError("there is no such file; write the path of a PEM file, or nothing")
    try:
        ssl.create_default_context(cafile=str(path))
    except (ssl.SSLError, OSError):
        raise ValueError("the file holds no certificate in PEM form") from None
    return path


def number(least: float, most: float) -> Callable[[str, Path], float]:
    """A parser for a number from ``least`` to ``most``."""

    def parse(text: str, home: Path) -> float:
        if not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text) or not least <= float(text) <= most:
            raise ValueError(f"write a number from {least:g} to {most:g}")
        return float(text)

    return parse


def whole(least: int, most: int) -> Callable[[str, Path], int]:
    """A parser for a whole number from ``least`` to ``most``."""

    def parse(text: str, home: Path) -> int:
        if not re.fullmatch(r"\d{1,12}", text) or not least <= int(text) <= most:
            raise ValueError(f"write a whole number from {least} to {most}")
        return int(text)

    return parse


def host(text: str, home: Path) -> str:
    """An address to listen on."""
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", text):
        raise ValueError("write an address to listen on, such as 127.0.0.10")
    return text


def stpurl(text: str, home: Path) -> str:
    """``embedded``, or an http or https URL with ``{{stpName}}`` in it once. ``%%`` is a ``%``, as
    it is to the reader of INI files that older installations use."""
    text = text.replace("%%", "%")
    if text.lower() == EMBEDDED:
        return EMBEDDED
    example = "http://server:7980/SASBIWS/rest/storedProcesses/Shared Data/{{stpName}}"
    check_url(text, ("http", "https"), f"write 'embedded' or a URL such as {example}")
    if len(PLACEHOLDER.findall(text)) != 1:
        raise ValueError(
            "it must hold {{stpName}} once, where the name of the stored process goes, "
            f"such as {example}"
        )
    if not PLACEHOLDER.search(urlsplit(text).path):
        raise ValueError("{{stpName}} must stand in the path, not in the host or behind a '?'")
    scheme, rest = text.split("://", 1)
    return f"{scheme.lower()}://{rest}"


def proxy(text: str, home: Path) -> str:
    """The URL of a proxy, or an empty text."""
    if text:
        check_url(text, ("http", "https"), "write http://host:port, or nothing")
    return text


def needed_url(text: str, home: Path) -> str:
    """An http or https URL, which must be there."""
    check_url(text, ("http", "https"), "write a URL such as https://host/path")
    return text


def public_url(text: str, home: Path) -> str:
    """An address of this service without a slash at its end, or an empty text."""
    text = text.rstrip("/")
    if text:
        advice = "write http://host:port as the SAS server sees it, or nothing"
        check_url(text, ("http", "https"), advice)
        if urlsplit(text).query or "#" in text or not set(text).isdisjoint(" \"'<>&%"):
            raise ValueError(advice)
    return text


def public_path(text: str, home: Path) -> str:
    """A folder in the words of the SAS server, without a slash at its end, or an empty text."""
    if text and not re.match(r"/|\\\\|[A-Za-z]:[\\/]", text):
        raise ValueError("write a whole path: \\\\server\\share\\folder, D:\\folder or /folder")
    return text.rstrip("/\\")


def check_url(text: str, schemes: tuple[str, ...], advice: str) -> None:
    """Refuse what is no address of these schemes, with ``advice``."""
    try:
        parts = urlsplit(text)
        (parts.hostname or "").encode("idna")
        good = bool(parts.scheme in schemes and parts.hostname and parts.port != 0)
    except ValueError:
        good = False
    if not good or re.search(r"[\x00-\x1f\x7f\\]", text):
        raise ValueError(advice)
    if parts.username is not None or parts.fragment:
        raise ValueError("leave user, password and #fragment out of the address")


def listed(text: str) -> list[str]:
    """What stands between commas."""
    return [item.strip() for item in text.split(",") if item.strip()]


def stp(text: str, home: Path) -> str:
    """The name of a stored process, or an empty text."""
    issue = stp_name_issue(text) if text else ""
    if issue:
        raise ValueError(f"the name of the stored process {issue}")
    return text


def stps(text: str, home: Path) -> tuple[str, ...]:
    """Names of stored processes, separated by commas."""
    if ";" in text:
        raise ValueError("separate the names by commas")
    return tuple(stp(name, home) for name in listed(text))


def hosts(text: str, home: Path) -> tuple[HostPattern, ...]:
    """Host patterns, separated by commas."""
    return tuple(_host_pattern(item) for item in listed(text))


def _host_pattern(text: str) -> HostPattern:
    found = re.fullmatch(
        r"(?:(https?)://)?((?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:]+\])"
        r"(?::(\*|\d{1,5}))?/?",
        text,
    )
    if not found:
        raise ValueError(
            f"'{text}' is not a host pattern; write a host name such as *.amazonaws.com or, "
            "for a test, http://127.0.0.1:*"
        )
    scheme, host, port = found.groups()
    scheme = scheme or "https"
    return HostPattern(scheme, host.strip("[]").lower(), _pattern_port(scheme, port))


def _pattern_port(scheme: str, port: str | None) -> int | None:
    if port == "*":
        return 0
    if port is None or int(port) == {"https": 443, "http": 80}[scheme]:
        return None
    if not 1 <= int(port) <= 65535:
        raise ValueError(f"{port} is not a port; write one, or * for any")
    return int(port)


def secret(text: str, home: Path) -> Secret:
    """Any text but a ``{SAS00n}`` string of PROC PWENCODE, which no HTTP server understands,
    also as ``str((SAS00n)...)``."""
    if re.match(r"(str\()?[{(]sas\d{3}[)}]", text, re.IGNORECASE):
        raise ValueError(
            "a {SAS00n} string of PROC PWENCODE is not accepted over HTTP: SAS BI Web Services "
            "documents no use of it there. Write the plain value and protect this file, or set "
            "the environment variable instead"
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds bytes that are not UTF-8") from None
    return Secret(text)


def pauses(text: str, home: Path) -> schedule.Pauses:
    """The pauses of a retry schedule in seconds; empty: one attempt only."""
    return schedule.parse_pauses(text)


def rate(text: str, home: Path) -> schedule.Rate | None:
    """So many in so many seconds, or None."""
    return schedule.parse_rate(text)


def word(*words: str) -> Callable[[str, Path], str]:
    """A parser for one of ``words``."""

    def parse(text: str, home: Path) -> str:
        if text.lower() not in words:
            raise ValueError(f"write {' or '.join(words)}")
        return text.lower()

    return parse


def words(*known: str) -> Callable[[str, Path], tuple[str, ...]]:
    """A parser for one or several of ``known``, separated by commas or blanks."""

    def parse(text: str, home: Path) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(text.lower().replace(",", " ").split()))
        if not found or not set(found) <= set(known):
            raise ValueError(f"write one or several of {', '.join(known)}")
        return found

    return parse


def destinations(text: str, home: Path) -> tuple[str, ...]:
    """Names of destinations, separated by commas or blanks: ``stp``, or a kind and a name
    (``upload`` is ``upload:default``)."""
    found = tuple(dict.fromkeys(text.lower().replace(",", " ").split()))
    if not found or not all(re.fullmatch(r"[\w-]{1,40}(:[\w-]{1,40})?", one) for one in found):
        raise ValueError("write stp, upload or upload:NAME, one or several")
    return tuple(one if one == STP or ":" in one else address(one) for one in found)


def instance(text: str, home: Path) -> str:
    """The name of this instance; empty: that of the machine."""
    name = text or platform.node() or "localhost"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,63}", name):
        raise ValueError("write a name of letters, digits and . _ - (63 at most)")
    return name.lower()


def queue_url(text: str, home: Path) -> QueueUrl:
    """The address of a PostgreSQL database; empty: the SQLite file in ``datafolder``."""
    example = "postgresql+psycopg://user:password@host:5432/database"
    behind = text.partition("://")[2]
    if set("@/?#") & set(behind.rpartition("@")[0]):
        raise ValueError("write @ / ? # in user and password as %40 %2F %3F %23")
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("postgresql", "postgresql+psycopg")
        good = known and bool(parts.path.strip("/")) and parts.port != 0
    except ValueError:
        good = False
    if text and not good:
        raise ValueError(f"write {example}, or nothing for a file; %-escape odd characters")
    return QueueUrl(text and "postgresql+psycopg://" + text.split("://", 1)[1])


def database_url(text: str, home: Path) -> QueueUrl:
    """The address of a PostgreSQL database as its own programs take it; empty: none."""
    address = queue_url(text, home).reveal()
    return QueueUrl(address and "postgresql://" + address.split("://", 1)[1])
