"""Carrying out in a process of its own, started and watched by the one that answers webhooks.

Answering must not wait for the interpreter that carries out, nor end with it. The two share the
database and a pipe: log lines and reports come one way, the word to end goes the other, and a
pipe that breaks tells each that the other is gone.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import sqlalchemy as sa

from connector_proxy import logs
from connector_proxy.database import Database, advice, why
from connector_proxy.engine import Engine
from connector_proxy.errors import ConnectorProxyError
from connector_proxy.instance import WORKING, InstanceLock
from connector_proxy.reports import Report, Reporting
from connector_proxy.settings import Settings

_log = logging.getLogger(__name__)
_SPAWN = multiprocessing.get_context("spawn")
_STOP = "stop"
_MARGIN_SECONDS = 10.0
_RESTART_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_SECONDS = 60.0
_LOOK_SECONDS = 2.0


class Worker:
    """The process that carries out, as the one that answers sees it: it is started again
    whenever it ends without having been told to."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._pipe: Any = None  # a Connection, on Windows a PipeConnection
        self._report: Reporting = _to_nobody
        self._process: Any = None
        self._watcher = threading.Thread(target=self._watch, name="worker", daemon=True)

    def start(self, report: Reporting) -> None:
        """Start it, and watch it; ``report`` is told what it tells."""
        self._report = report
        self._launch()
        self._watcher.start()

    def stop(self) -> None:
        """Tell it to end; waits until its attempts in hand have ended or ``drainseconds`` and a
        margin have passed."""
        self._stopping.set()
        self._tell_to_end()
        self._watcher.join(self._settings.drainseconds + _MARGIN_SECONDS)
        if self._process.is_alive():
            _log.error("the working process did not end and is killed")
            self._process.kill()
            self._process.join()

    def _tell_to_end(self) -> None:
        with suppress(OSError):
            self._pipe.send(_STOP)

    def _launch(self) -> None:
        ours, theirs = _SPAWN.Pipe()
        self._pipe = ours
        self._process = _SPAWN.Process(
            target=run, args=(self._settings, theirs), name="connector-proxy worker", daemon=True
        )
        self._process.start()
        theirs.close()

    def _watch(self) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            self._pass_on()
            self._process.join()
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - started > _STEADY_SECONDS else failures + 1
            pause = _RESTART_SECONDS[min(failures, len(_RESTART_SECONDS)) - 1]
            _log.error(
                "the working process ended (exit code %s); it is started again in %.0f s and "
                "goes on where it was",
                self._process.exitcode,
                pause,
            )
            if self._stopping.wait(pause):
                return
            try:
                self._launch()
            except OSError as error:  # no memory, no process, no file: perhaps later
                _log.error("the working process cannot be started: %s", error)
                continue
            if self._stopping.is_set():  # the word to end may have gone to the one before it
                self._tell_to_end()

    def _pass_on(self) -> None:
        """Write the log lines of the process and hand its reports on, until its end of the pipe
        is closed."""
        with suppress(EOFError, OSError):
            while True:
                told: str | Report = self._pipe.recv()
                if isinstance(told, Report):
                    self._report(told)
                else:
                    logs.pass_on(told)


def _to_nobody(report: Report) -> None:
    """Before the start there is nobody to tell."""


class _Uplink:
    """The pipe to the process that answers; safe to use from many threads."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()

    def send(self, told: str | Report) -> None:
        with self._sending, suppress(OSError):  # nobody reads any more: that process is gone
            self._pipe.send(told)


def run(settings: Settings, pipe: Connection) -> None:
    """The process itself: carry out until told to end, or until the other process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the other one decides
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    uplink = _Uplink(pipe)
    logs.start_remote(settings, uplink)
    threading.Thread(target=_listen, args=(pipe, ending), daemon=True).start()
    code = 1
    try:
        _work(settings, ending, uplink.send)
        code = 0
    except ConnectorProxyError as error:
        _log.error("the working process cannot go on: %s %s", error, error.advice)
    except sa.exc.OperationalError as error:
        _log.error("the working process cannot go on: %s. %s", why(error), advice(error))
    except Exception:
        _log.exception("the working process cannot go on")
    logging.shutdown()
    os._exit(code)  # threads that outlast the drain must not hold the process


def _work(settings: Settings, ending: threading.Event, report: Reporting) -> None:
    database = Database(settings)
    lock = InstanceLock(database, settings.instance, WORKING)
    # The one before it may still drain: its webhooks' process was killed, not it.
    while not lock.take(patience=1.0):
        _log.warning("another process of the instance %s still works", settings.instance)
        if ending.wait(1.0):
            return
    engine = Engine(settings)
    engine.start(report)
    _log.info("carrying out as instance=%s in %s", settings.instance, database.shown())
    while not ending.wait(_LOOK_SECONDS):
        if not lock.still_held():
            _log.error("another process took the name %s; this one ends", settings.instance)
            break
    if engine.stop():
        lock.free()


def _listen(pipe: Connection, ending: threading.Event) -> None:
    with suppress(EOFError, OSError):
        pipe.recv()
    ending.set()
