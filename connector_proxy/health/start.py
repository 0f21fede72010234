"""Named checks of an installation, each with an advice. Credentials are never sent."""

from __future__ import annotations

import datetime
import errno
import os
import re
import shutil
import socket
import sqlite3
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import SOCK_STREAM
from urllib.parse import urlsplit

import sqlalchemy as sa

from connector_proxy import access, conffiles, masking, platforms, secrethash
from connector_proxy.acceptor import ROOM_BYTES
from connector_proxy.database import FILE, Database, advice, why
from connector_proxy.health.check import Check, Condition
from connector_proxy.settings import CREDENTIALS_INI, Settings

RELEASED = datetime.date(2026, 11, 21)
"""No clock can be right that shows an earlier day than the release of this version."""


_COMFORTABLE_BYTES = 1 << 30
_PASSWORD = re.compile(
    r"^[ \t]*((stppassword|basicpassword|bearertoken|headervalue)[ \t]*[=:][ \t]*\S"
    r"|(queueurl|datasettable)[ \t]*[=:][ \t]*\S+://\S*(:[^\s/]*@|[?&]password=))",
    re.IGNORECASE | re.MULTILINE,
)
_PRESENTED, _LONG_ENOUGH = ("basicpassword", "bearertoken", "headervalue"), 16
_HOST_ADVICE = "Write an address of this machine into serviceConfig.py."


def run_checks(settings: Settings) -> Iterator[Check]:
    """Every check of ``connector-proxy check``, in the order in which to mend."""
    for note in settings.notes:
        yield Check("configuration", Condition.WARN, note)
    yield _listening(settings.host, settings.port)
    yield _door(settings)
    if settings.proglog:
        yield _writable("log folder", settings.logfilepath, "logfilepath")
    every = [settings, *(settings.for_stp(name) for name in settings.overrides)]
    for folder in dict.fromkeys(one.outputfolder for one in every if one.embedded):
        yield _writable("output folder", folder, "outputfolder")
        yield from _long(folder)
    if settings.queueurl:
        yield _queue_database(settings)
    else:
        yield _data_folder(settings.datafolder)
        yield from _file_of_deliveries(settings)
        yield from _room(settings.datafolder)
        yield from _open_to_others(settings.datafolder)
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
            platforms.claim(probe)
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


def _door(settings: Settings) -> Check:
    """Who can send webhooks."""
    name, advice = "access", "Write auth = basic, bearer or header, and its secret."
    if settings.open_door:
        return Check(name, Condition.FAIL, settings.open_door, advice)
    if settings.auth == "none":
        if settings.allowopen:
            message = "everybody who reaches the port may send webhooks (allowopen)"
            return Check(name, Condition.WARN, message, advice)
        return Check(name, Condition.OK, "programs of this machine may send webhooks (auth = none)")
    for key in access.NEEDED[settings.auth]:
        if (
            key in _PRESENTED
            and secrethash.shortest(getattr(settings, key).reveal()) < _LONG_ENOUGH
        ):
            message = f"{key} holds a secret of less than {_LONG_ENOUGH} characters"
            return Check(name, Condition.WARN, message, "Take 32 random letters or more.")
    return Check(name, Condition.OK, f"who presents the secret may send webhooks ({settings.auth})")


def _writable(name: str, folder: Path, key: str) -> Check:
    """Whether files can be made in ``folder``, or the folder itself; nothing stays behind."""
    existing = folder
    try:
        existing = _existing(folder)
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        advice = f"Let the service account write there, or name another folder in {key}."
        return Check(name, Condition.FAIL, f"{existing}: {error.strerror}", advice)
    how = "can be written" if existing == folder else "can be made"
    return Check(name, Condition.OK, f"{folder} {how}")


def _existing(folder: Path) -> Path:
    """``folder``, or the nearest one above it that is there."""
    return next((one for one in (folder, *folder.parents) if one.exists()), folder)


def _data_folder(folder: Path) -> Check:
    """Whether the file of the deliveries can be made there, or the one that is there written."""
    name, file = "data folder", folder / FILE
    check = _writable(name, folder, "datafolder")
    if check.condition is Condition.OK and file.exists():
        if not file.is_file():
            return Check(name, Condition.FAIL, f"{file} is no file", "Move it away.")
        if not os.access(file, os.R_OK | os.W_OK):
            message = f"{file} may not be read and written"
            return Check(name, Condition.FAIL, message, "Let the service account do both.")
    return check


def _long(folder: Path) -> Iterator[Check]:
    """Whether the names of datasets fit below ``folder``."""
    if platforms.too_long(folder):
        message = f"{folder}: Windows may refuse the longest names of datasets below it"
        words = "Take a shorter folder, or set LongPathsEnabled (docs/install-windows.md)."
        yield Check("output folder", Condition.WARN, message, words)


def _room(folder: Path) -> Iterator[Check]:
    """Room for deliveries; nothing where the disk cannot be asked (another check tells that)."""
    with suppress(OSError):
        free = shutil.disk_usage(_existing(folder)).free
        condition, words = Condition.OK, ""
        if free < _COMFORTABLE_BYTES:
            condition = Condition.WARN if free >= ROOM_BYTES else Condition.FAIL
            words = (
                f"Make room: below {ROOM_BYTES >> 20} MB webhooks are answered with 503 (disk_low)."
            )
        message = f"{free >> 20:,} MB free for {folder}"
        yield Check("room on the disk", condition, message, words)


def _open_to_others(folder: Path) -> Iterator[Check]:
    """Access of others to payloads that are there already, where the file system tells it so."""
    file = folder / FILE
    with suppress(OSError):
        for path, mode in ((folder, 700), (file, 600)):
            if file.exists() and platforms.open_to_others(path):
                message = f"others may use {path}; payloads hold data of customers"
                words = f"chmod {mode} {path} (each start of the service does it, too)"
                yield Check("data folder", Condition.WARN, message, words)


def _file_of_deliveries(settings: Settings) -> Iterator[Check]:
    """Whether the file is sound, where it is there already; nothing is made."""
    if not (settings.datafolder / FILE).is_file():
        return
    database = Database(settings)
    try:
        database.examine()
    except sa.exc.SQLAlchemyError as error:
        yield Check(FILE, Condition.FAIL, why(error), advice(error))
    else:
        yield Check(FILE, Condition.OK, f"can be read (SQLite {sqlite3.sqlite_version})")
    finally:
        database.close()


def _queue_database(settings: Settings) -> Check:
    """Whether the database of the deliveries lets the service in; nothing is made in it."""
    database = Database(settings)
    name = f"queue database {database.shown().removeprefix('the database ')}"
    try:
        with database.engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
    except sa.exc.SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        shown = masking.foreign(said, masking.secrets_of(settings))
        return Check(name, Condition.FAIL, f"{why(error)}: {shown}", advice(error))
    finally:
        database.close()
    return Check(name, Condition.OK, "answers")


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
    if not path.exists() or not platforms.open_to_others(path):
        return
    if _PASSWORD.search(conffiles.read_text(path, [])):
        advice = f"chmod 600 {path}"
        yield Check("credentials.ini", Condition.WARN, "others may read the password", advice)


def _clock(today: datetime.date) -> Check:
    if today < RELEASED:
        advice = "Set the clock: presigned URLs and certificates depend on it."
        return Check("clock", Condition.FAIL, f"shows {today}, before this release", advice)
    return Check("clock", Condition.OK, f"shows {today} (UTC)")
