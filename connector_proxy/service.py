"""The service as a whole: doors, accepting side, and the process that carries out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from connector_proxy.acceptor import Acceptor
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.deliveries import Deliveries
from connector_proxy.desk import CONNECTIONS, Desk
from connector_proxy.errors import ConfigurationError
from connector_proxy.instance import ANSWERING, InstanceLock
from connector_proxy.ledger import Ledger
from connector_proxy.settings import Settings
from connector_proxy.web import create_app
from connector_proxy.web.server import Server
from connector_proxy.worker import Worker

_READERS = 4
_LOOK_SECONDS = 2.0
_log = logging.getLogger(__name__)


class Working(Protocol):
    """What carries deliveries out: ``stop`` returns when what was in hand has ended or
    ``drainseconds`` have passed."""

    def start(self) -> None: ...

    def stop(self) -> object: ...


class Service:
    """Answers webhooks and carries them out, from ``run`` until ``stop``. ``app`` is the WSGI
    application, ``deliveries`` what an administrator can do."""

    def __init__(self, settings: Settings, working: Working | None = None) -> None:
        """Open the database, take the name of the instance, and bind the port.

        ``working`` carries out; without it a process of its own does.
        Raises ``ConfigurationError`` where one of them cannot be had or where everybody could
        send webhooks and nobody said so, and what ``Server`` raises for an address.
        """
        _refuse_open_door(settings)
        self._writing = Database(settings)
        self._writing.set_up(examine=True)
        self._lock = InstanceLock(self._writing, settings.instance, ANSWERING)
        if not self._lock.take(patience=1.0):
            raise ConfigurationError(
                f"Another service of the name '{settings.instance}' runs with "
                f"{self._writing.shown()}.",
                advice="Stop it, or give each instance a name of its own (instance in "
                "serviceConfig.ini).",
            )
        self._reading = Database(settings, pool=_READERS)
        ledger = Ledger(settings, Queue(self._writing.engine, settings))
        self._acceptor = Acceptor(settings, self._writing, self._reading, ledger)
        queue = Queue(self._reading.engine, settings)
        self.deliveries = Deliveries(settings, self._reading, queue)
        self._looking = Database(settings, pool=CONNECTIONS)
        desk = Desk(settings, self._looking, checks=tuple)
        self.app = create_app(settings, self._acceptor, self.deliveries, desk)
        try:
            self._server = Server(self.app, settings, self._wind_up)
        except (OSError, ValueError):
            self._lock.free()
            raise
        self._working = working or Worker(settings)
        self._instance = settings.instance
        self._ended = threading.Event()

    @property
    def port(self) -> int:
        """The port that was bound."""
        return self._server.port

    def run(self) -> None:
        """Serve; returns when ``stop`` was called and what was in hand has ended."""
        self._working.start()
        watch = threading.Thread(target=self._watch_name, name="name", daemon=True)
        watch.start()
        self._server.run()
        self._ended.set()
        watch.join()
        for database in (self._looking, self._reading, self._writing):
            database.close()
        self._lock.free()

    def _watch_name(self) -> None:
        """PostgreSQL frees the name when its connection is lost: take it again, or make way."""
        while not self._ended.wait(_LOOK_SECONDS):
            if not self._lock.still_held():
                _log.error("another service took the name %s; this one ends", self._instance)
                self.stop()
                return

    def _wind_up(self) -> None:
        _log.info("ending: nothing more is accepted, attempts in hand get drainseconds")
        self._acceptor.stop()
        self._working.stop()
        self._acceptor.close()

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
