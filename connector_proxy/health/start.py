"""The checks of ``connector-proxy check``: what the service will need when it starts. Credentials
are never sent, but to databases and the gateway of CI 360."""

from __future__ import annotations

import datetime
import errno
import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from socket import SOCK_STREAM

import sqlalchemy as sa

from connector_proxy import access, conffiles, kinds, masking, platforms, secrethash
from connector_proxy.database import (
    FILE,
    SQLITE_ADVICE,
    Database,
    advice,
    sqlite_issue,
    why,
)
from connector_proxy.errors import ConfigurationError
from connector_proxy.health import folders, gateway, hosts, stores
from connector_proxy.health.check import Check, Condition
from connector_proxy.keys import CREDENTIALS_INI
from connector_proxy.settings import Settings

RELEASED = datetime.date(2026, 11, 21)
"""No clock can be right that shows an earlier day than the release of this version."""
_PASSWORD = re.compile(
    r"^[ \t]*((\w+password|bearertoken|headervalue|opssecret|alerturl|secretkey|sastoken"
    r"|gatewaysecret)"
    r"[ \t]*[=:][ \t]*\S"
    r"|(queueurl|datasettable)[ \t]*[=:][ \t]*\S+://\S*(:[^\s/]*@|[?&]password=))",
    re.IGNORECASE | re.MULTILINE,
)
_PRESENTED = ("basicpassword", "bearertoken", "headervalue")
_HOST_ADVICE = "Write an address of this machine into serviceConfig.py."


def run_checks(settings: Settings) -> Iterator[Check]:
    """Every check of ``connector-proxy check``, in the order in which to mend."""
    for note in settings.notes:
        yield Check("configuration", Condition.WARN, note)
    yield _listening(settings.host, settings.port)
    yield _door(settings)
    yield _page(settings)
    yield from _kinds()
    if settings.proglog:
        yield folders.writable("log folder", settings.logfilepath, "logfilepath")
    every = settings.each()
    if any(one.fetches for one in every):
        yield folders.writable("download folder", settings.downloadfolder, "downloadfolder")
    for folder in dict.fromkeys(one.outputfolder for one in every if one.embedded):
        yield folders.writable("output folder", folder, "outputfolder")
        yield from folders.long(folder)
    if settings.queueurl:
        yield _queue_database(settings)
    else:
        if issue := sqlite_issue():
            yield Check("SQLite", Condition.FAIL, issue, SQLITE_ADVICE)
        yield folders.data_folder(settings.datafolder)
        yield from _file_of_deliveries(settings)
        yield from folders.open_to_others(settings.datafolder)
    yield from folders.rooms(settings)
    yield from hosts.table_databases(settings)
    yield from hosts.stored_process_hosts(settings)
    yield from stores.object_stores(settings)
    yield from gateway.external_gateway(settings)
    yield _credentials([one for one in every if one.on_sas])
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
            and secrethash.shortest(getattr(settings, key).reveal()) < secrethash.LONG_ENOUGH
        ):
            message = f"{key} holds a secret of less than {secrethash.LONG_ENOUGH} characters"
            return Check(name, Condition.WARN, message, "Take 32 random letters or more.")
    return Check(name, Condition.OK, f"who presents the secret may send webhooks ({settings.auth})")


def _kinds() -> Iterator[Check]:
    """Whether destinations from outside can be made."""
    try:
        kinds.try_out()
    except ConfigurationError as error:
        yield Check("destinations", Condition.FAIL, str(error), error.advice)


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


def _page(settings: Settings) -> Check:
    """Who may open the page, or how it is switched on."""
    if not settings.ops:
        return Check("page", Condition.OK, "is switched off (ops)")
    if not settings.opssecret:
        advice = (
            "To switch it on write opssecret into credentials.ini; connector-proxy hash-secret "
            "makes one."
        )
        return Check("page", Condition.OK, "is off: opssecret is empty", advice)
    if secrethash.shortest(settings.opssecret.reveal()) < secrethash.LONG_ENOUGH:
        message = f"opssecret holds a secret of less than {secrethash.LONG_ENOUGH} characters"
        return Check("page", Condition.WARN, message, "Take a long one: it lets replay deliveries.")
    named = ", ".join(map(str, settings.opsnetworks))
    if not access.have_loopback(settings.trustedproxy):
        others = f" and {named}" if named else ""
        return Check("page", Condition.OK, f"/ops is shown to this machine{others}")
    if named:
        return Check("page", Condition.OK, f"/ops is shown to {named}")
    advice = (
        "trustedproxy names a front end on this machine, so requests from here count as its own. "
        "opsnetworks = 127.0.0.1 shows the page to this machine, also through the front end."
    )
    return Check("page", Condition.WARN, "/ops is shown to nobody", advice)


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
    if not path.exists() or not platforms.readable_by_all(path):
        return
    if _PASSWORD.search(conffiles.read_text(path, conffiles.Findings())):
        advice = f"chmod o= {path}; the account of the service must be able to read it."
        yield Check("credentials.ini", Condition.WARN, "others may read its secrets", advice)


def _clock(today: datetime.date) -> Check:
    if today < RELEASED:
        advice = "Set the clock: presigned URLs and certificates depend on it."
        return Check("clock", Condition.FAIL, f"shows {today}, before this release", advice)
    return Check("clock", Condition.OK, f"shows {today} (UTC)")
