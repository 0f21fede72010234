"""Other machines: whether they answer. Nothing is sent to a stored process, nothing is made in a
database."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from connector_proxy import masking, trust
from connector_proxy.health.check import Check, Condition
from connector_proxy.settings import Settings


def stored_process_hosts(settings: Settings, longest: float = 300.0) -> Iterable[Check]:
    """Whether a connection to each host of stored processes comes about, with TLS where it is to;
    each within ``connecttimeout``, or ``longest`` seconds where that is less."""
    on_sas = [one for one in settings.each() if one.on_sas]
    for one in {(_address(each.stpurl), each.cabundle): each for each in on_sas}.values():
        yield _reachable(one, min(one.connecttimeout, longest))


def table_databases(settings: Settings, longest: float = 300.0) -> Iterable[Check]:
    """The same for each database that takes datasets as tables; it is logged in to."""
    with_table = [one for one in settings.each() if one.datasettable]
    for one in {each.datasettable: each for each in with_table}.values():
        yield _takes_tables(one, min(one.connecttimeout, longest))


def _address(stpurl: str) -> tuple[str, str, int]:
    parts = urlsplit(stpurl)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, parts.hostname or "", parts.port or default


def _reachable(settings: Settings, timeout: float) -> Check:
    scheme, host, port = _address(settings.stpurl)
    name = f"stored process host {host}:{port}"
    try:
        with socket.create_connection((host, port), timeout) as plain:
            if scheme == "https":
                _handshake(plain, host, settings.cabundle)
    except ssl.SSLCertVerificationError as error:
        advice = "Name the PEM file of your certificate authority in cabundle."
        return Check(name, Condition.FAIL, f"no trusted TLS: {error.verify_message}", advice)
    except ssl.SSLError as error:
        advice = "Does this port speak TLS? Write http:// for one that does not."
        return Check(name, Condition.FAIL, f"no TLS connection: {error.reason}", advice)
    except (OSError, UnicodeError) as error:
        advice = "Check stpurl, the web server of SAS and the firewall between."
        why = getattr(error, "strerror", None) or str(error)
        return Check(name, Condition.FAIL, f"no connection: {why}", advice)
    how = "TCP and TLS" if scheme == "https" else "TCP"
    return Check(name, Condition.OK, f"answers ({how}; nothing was sent)")


def _handshake(plain: socket.socket, host: str, bundle: Path | None) -> None:
    with trust.context(bundle).wrap_socket(plain, server_hostname=host):
        pass


def _takes_tables(settings: Settings, timeout: float) -> Check:
    url = settings.datasettable.reveal()
    parts = urlsplit(url)
    name = f"dataset database {parts.hostname}:{parts.port or 5432}"
    try:
        with psycopg.connect(url, connect_timeout=max(2, round(timeout))):
            pass
    except psycopg.Error as error:
        said = str(error).strip().partition("\n")[0]
        shown = masking.foreign(said, masking.secrets_of(settings))
        advice = "Check datasettable in credentials.ini, the database server and the firewall."
        return Check(name, Condition.FAIL, f"does not let us in: {shown}", advice)
    return Check(name, Condition.OK, "answers and lets us in (nothing was made)")
