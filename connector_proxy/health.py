"""Named checks of an installation, each with an advice. Credentials are never sent."""

from __future__ import annotations

import datetime
import errno
import os
import re
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from socket import SOCK_STREAM
from urllib.parse import urlsplit

from connector_proxy.settings import CREDENTIALS_INI, Settings

RELEASED = datetime.date(2026, 11, 21)
"""No clock can be right that shows an earlier day than the release of this version."""


_HOST_ADVICE = "Write an address of this machine into serviceConfig.py."


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
    yield _listening(settings.host, settings.port)
    if settings.proglog:
        yield _writable("log folder", settings.logfilepath, "logfilepath")
    every = [settings, *(settings.for_stp(name) for name in settings.overrides)]
    for folder in dict.fromkeys(one.outputfolder for one in every if one.embedded):
        yield _writable("output folder", folder, "outputfolder")
    on_sas = [one for one in every if not one.embedded]
    for one in {(_address(one.stpurl), one.cabundle): one for one in on_sas}.values():
        yield _reachable(one)
    yield _credentials(on_sas)
    yield from _readable_by_others(settings.conf / CREDENTIALS_INI)
    yield _clock(datetime.datetime.now(datetime.UTC).date())


def _listening(host: str, port: int) -> Check:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name != "nt":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except UnicodeError:
        return Check("address", Condition.FAIL, f"{host}: no host name", _HOST_ADVICE)
    except PermissionError:
        advice = "Take a port above 1023, or let the service account use this one."
        return Check("address", Condition.FAIL, f"{host}:{port} is not permitted", advice)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"{host}:{port} is in use, perhaps by this service"
            return Check("address", Condition.WARN, message, "Change port in serviceConfig.py.")
        return Check("address", Condition.FAIL, f"{host}: {error.strerror}", _HOST_ADVICE)
    return Check("address", Condition.OK, f"{host}:{port} is free to listen on")


def _writable(name: str, folder: Path, key: str) -> Check:
    """Whether files can be made in ``folder``, or the folder itself; nothing stays behind."""
    existing = folder
    try:
        existing = next((one for one in (folder, *folder.parents) if one.exists()), folder)
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        advice = f"Let the service account write there, or name another folder in {key}."
        return Check(name, Condition.FAIL, f"{existing}: {error.strerror}", advice)
    how = "can be written" if existing == folder else "can be made"
    return Check(name, Condition.OK, f"{folder} {how}")


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
    except ssl.SSLCertVerificationError as error:
        advice = "Name the PEM file of your certificate authority in cabundle."
        return Check(name, Condition.FAIL, f"no trusted TLS: {error.verify_message}", advice)
    except ssl.SSLError as error:
        advice = "Does this port speak TLS? Write http:// for one that does not."
        return Check(name, Condition.FAIL, f"no TLS connection: {error.reason}", advice)
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


def _credentials(on_sas: list[Settings]) -> Check:
    if not on_sas:
        return Check("credentials", Condition.OK, "not needed for the embedded stored process")
    with_user = [one for one in on_sas if one.stpusername]
    if any(one.stpurl.startswith("http://") for one in with_user):
        advice = "Use https, unless the network between is closed."
        return Check("credentials", Condition.WARN, "are sent over plain http", advice)
    message = "user and password are set" if with_user else "none: the anonymous web user"
    return Check("credentials", Condition.OK, message)


def _readable_by_others(path: Path) -> Iterator[Check]:
    """Access of others, where the file system tells it so and there is something to hide."""
    if os.name == "nt" or not path.exists() or not path.stat().st_mode & 0o077:
        return
    if re.search(r"(?im)^[ \t]*stppassword[ \t]*[=:][ \t]*\S", path.read_text("utf-8-sig")):
        advice = f"chmod 600 {path}"
        yield Check("credentials.ini", Condition.WARN, "others may read the password", advice)


def _clock(today: datetime.date) -> Check:
    if today < RELEASED:
        advice = "Set the clock: presigned URLs and certificates depend on it."
        return Check("clock", Condition.FAIL, f"shows {today}, before this release", advice)
    return Check("clock", Condition.OK, f"shows {today} (UTC)")
