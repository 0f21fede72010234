"""Named checks of an installation, each with an advice. Credentials are never sent."""

from __future__ import annotations

import datetime
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from connector_proxy.settings import Settings

RELEASED = datetime.date(2026, 11, 21)
"""No clock can be right that shows an earlier day than the release of this version."""


class Condition(StrEnum):
    """How a check came out; only ``fail`` keeps the service from its work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One check: what was looked at, how it is, and what to do when it is not well."""

    name: str
    condition: Condition
    message: str
    advice: str = ""


def run_checks(settings: Settings) -> Iterator[Check]:
    """Every check of ``connector-proxy check``, in the order in which to mend."""
    for note in settings.notes:
        yield Check("configuration", Condition.WARN, note)
    if settings.proglog:
        yield _writable("log folder", settings.logfilepath, "logfilepath")
    effective = [settings, *(settings.for_stp(name) for name in settings.overrides)]
    for folder in dict.fromkeys(one.outputfolder for one in effective if one.embedded):
        yield _writable("output folder", folder, "outputfolder")
    for one in {_address(one.stpurl): one for one in effective if not one.embedded}.values():
        yield _reachable(one)
    yield _credentials(settings)
    yield _clock(datetime.datetime.now(datetime.UTC).date())


def _writable(name: str, folder: Path, key: str) -> Check:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        advice = f"Let the service account write there, or name another folder in {key}."
        return Check(name, Condition.FAIL, f"{folder}: {error.strerror}", advice)
    return Check(name, Condition.OK, f"{folder} can be written")


def _address(stpurl: str) -> tuple[str, str, int]:
    parts = urlsplit(stpurl)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, parts.hostname or "", parts.port or default


def _reachable(settings: Settings) -> Check:
    scheme, host, port = _address(settings.stpurl)
    name = f"stored process host {host}:{port}"
    try:
        with socket.create_connection((host, port), settings.connecttimeout) as plain:
            if scheme == "https":
                _handshake(plain, host, settings.cabundle)
    except ssl.SSLError as error:
        advice = "Name the PEM file of your certificate authority in cabundle."
        return Check(name, Condition.FAIL, f"no trusted TLS connection: {error.reason}", advice)
    except OSError as error:
        advice = "Check stpurl, the web server of SAS and the firewall between."
        why = error.strerror or str(error)
        return Check(name, Condition.FAIL, f"no connection: {why}", advice)
    how = "TCP and TLS" if scheme == "https" else "TCP"
    return Check(name, Condition.OK, f"answers ({how}; nothing was sent)")


def _handshake(plain: socket.socket, host: str, bundle: Path | None) -> None:
    context = ssl.create_default_context(cafile=str(bundle) if bundle else None)
    with context.wrap_socket(plain, server_hostname=host):
        pass


def _credentials(settings: Settings) -> Check:
    has_user, has_password = bool(settings.stpusername), bool(settings.stppassword)
    if has_user != has_password:
        advice = "Set both, or neither for the anonymous web user."
        return Check("credentials", Condition.FAIL, "only one of user and password", advice)
    if has_user and settings.stpurl.startswith("http://"):
        advice = "Use https, unless the network between is closed."
        return Check("credentials", Condition.WARN, "would be sent over plain http", advice)
    message = "user and password are set" if has_user else "none: the anonymous web user"
    return Check("credentials", Condition.OK, "not needed" if settings.embedded else message)


def _clock(today: datetime.date) -> Check:
    if today < RELEASED:
        advice = "Set the clock: presigned URLs and certificates depend on it."
        return Check("clock", Condition.FAIL, f"shows {today}, before this release", advice)
    return Check("clock", Condition.OK, f"shows {today} (UTC)")
