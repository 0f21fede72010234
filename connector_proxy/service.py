"""The service as a whole: accepting side, the process that carries out, and the door."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from connector_proxy import kinds, logs
from connector_proxy.acceptor import Acceptor
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.deliveries import Deliveries
from connector_proxy.desk import CONNECTIONS, Desk
from connector_proxy.errors import ConfigurationError
from connector_proxy.health.running import Health
from connector_proxy.instance import ANSWERING, InstanceLock
from connector_proxy.ledger import Ledger
from connector_proxy.metrics import Metrics
from connector_proxy.reports import Report, Reporting
from connector_proxy.settings import Settings
from connector_proxy.standing import Lookout
from connector_proxy.web import create_app
from connector_proxy.web.server import Server
from connector_proxy.worker import Worker

_READERS = 4
_LOOK_SECONDS = 2.0
_log = logging.getLogger(__name__)


class Working(Protocol):
    """What carries deliveries out, and reports what it did: ``stop`` returns when what was in hand
    has ended or ``drainseconds`` have passed."""

    def start(self, report: Reporting) -> None: ...

    def stop(self) -> object: ...


class Core:
    """Everything behind the door, from ``start`` to ``close``: accepts webhooks through ``app``,
    the WSGI application, and carries them out. ``deliveries`` is what an administrator can do,
    ``health`` tells how it fares."""

    def __init__(self, settings: Settings, working: Working | None = None) -> None:
        """Open the database, and take the name of the instance.

        ``working`` carries out; without it a process of its own does.
        Raises ``ConfigurationError`` where one of them cannot be had, or where everybody could
        send webhooks and nobody said so.
        """
        _refuse_open_door(settings)
        kinds.try_out()
        self._writing = Database(settings)
        self._writing.set_up(examine=True)
        self._lock = InstanceLock(self._writing, settings.instance, ANSWERING)
        if not self._lock.take(patience=1.0):
            raise ConfigurationError(
                f"Another service of the name '{settings.instance}' runs with "
                f"{self._writing.shown()}.",
                advice="Stop it. A service of its own beside it needs a datafolder of its own; "
                "several that share their deliveries on purpose need names (instance in "
                "serviceConfig.ini).",
            )
        self._reading = Database(settings, pool=_READERS)
        ledger = Ledger(settings, Queue(self._writing.engine, settings))
        self._acceptor = Acceptor(settings, self._writing, self._reading, ledger)
        queue = Queue(self._reading.engine, settings)
        self.deliveries = Deliveries(settings, self._reading, queue)
        self._looking = Database(settings, pool=CONNECTIONS)
        lookout = Lookout(self._looking)
        self.health = Health(settings, self._looking, lookout)
        self._metrics = Metrics(settings)
        self._metrics.ask(lookout.standing, self.health.checks)
        desk = Desk(settings, self._looking, self.health.checks)
        self.app = create_app(
            settings, self._acceptor, self.deliveries, desk, self.health, self._metrics
        )
        self._working = working or Worker(settings)
        self._instance = settings.instance
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._watch_name, name="name", daemon=True)

    def start(self) -> None:
        """Carry out what waits and what comes."""
        self._working.start(self._heard)
        self.health.start()
        self._watch.start()

    def _heard(self, report: Report) -> None:
        self._metrics.count(report)
        self.health.heard(report)

    def _watch_name(self) -> None:
        """PostgreSQL frees the name when its connection is lost: take it again, or make way."""
        while not self._ended.wait(_LOOK_SECONDS):
            if not self._lock.still_held():
                _log.error("another service took the name %s; this one ends", self._instance)
                self.stop()
                return

    def stop(self) -> None:
        """Accept nothing more; returns when what was in hand has ended."""
        _log.info("ending: nothing more is accepted, attempts in hand get drainseconds")
        self._acceptor.stop()
        self.health.ending()
        self._working.stop()
        self._acceptor.close()

    def close(self) -> None:
        """Let go of database and name; after ``stop``."""
        self._ended.set()
        self._watch.join()
        self.health.stop()
        for database in (self._looking, self._reading, self._writing):
            database.close()
        self._lock.free()


class Service(Core):
    """All of that behind a server of its own, from ``run`` until ``stop``."""

    def __init__(self, settings: Settings, working: Working | None = None) -> None:
        """Bind the port, too. Raises what ``Core`` does, and what ``Server`` raises for an
        address."""
        super().__init__(settings, working)
        try:
            self._server = Server(self.app, settings, super().stop)
        except (OSError, ValueError):
            self._lock.free()
            raise

    @property
    def port(self) -> int:
        """The port that was bound."""
        return self._server.port

    def run(self) -> None:
        """Serve; returns when ``stop`` was called and what was in hand has ended."""
        self.start()
        self._server.run()
        self.close()

    def stop(self) -> None:
        """Accept nothing more and let ``run`` return; may be called by a signal handler."""
        self._server.stop()


def _refuse_open_door(settings: Settings) -> None:
    if settings.open_door:
        raise ConfigurationError(
            f"Everybody could send webhooks: {settings.open_door}.",
            advice="Write auth = basic, bearer or header into serviceConfig.ini and its secret "
            "into credentials.ini; or allowopen = True where a firewall keeps all others away.",
        )


def opened(settings: Settings) -> Service:
    """The service and its log, ready to run. Raises ``ConfigurationError``."""
    logs.be_quick()
    open_log(settings)
    try:
        return Service(settings)
    except (OSError, ValueError) as error:
        raise unusable_address(settings.host, settings.port, error) from None


def open_log(settings: Settings) -> None:
    """Begin the log, with what is to be said of the configuration."""
    try:
        logs.start(settings)
    except OSError as error:
        raise ConfigurationError(
            f"The log file cannot be written in {settings.logfilepath} ({error.strerror}).",
            advice="Let the service account write there, or name another folder in logfilepath.",
        ) from None
    for note in settings.notes:
        _log.warning("configuration: %s", note)


def url(host: str, port: int) -> str:
    """Where a server listens."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def unusable_address(host: str, port: int, error: Exception) -> ConfigurationError:
    """The error that nothing can listen there."""
    why = getattr(error, "strerror", None) or "no such address"
    return ConfigurationError(
        f"Cannot listen at {url(host, port)} ({why}).",
        advice="Another program may use this port, or the address is not one of this machine; "
        "name another (host and port in serviceConfig.py, or --host and --port).",
    )


@contextmanager
def administration(settings: Settings) -> Iterator[Deliveries]:
    """The operations of an administrator, beside a service that runs or without one."""
    database = Database(settings)
    database.set_up()
    queue = Queue(database.engine, settings)
    try:
        yield Deliveries(settings, database, queue)
    finally:
        database.close()
