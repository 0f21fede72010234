"""Waitress in front of the application, with JSON for what waitress itself refuses, and an end
that lets the requests in flight finish."""

from __future__ import annotations

import json
import logging
import queue
import select
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from socket import AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, SOCK_STREAM, getaddrinfo
from typing import Any

from flask import Flask
from waitress import create_server, wasyncore
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask

from connector_proxy import logs, platforms
from connector_proxy.settings import Settings
from connector_proxy.web import connections
from connector_proxy.web.answers import http_error

_FLUSH_SECONDS = 5
_LOOP_SECONDS = 0.5
_HEADER_BYTES = 64 * 1024
_SPARE = 20
"""Connections below waitress's limit where ours makes room, so that it never stops taking them."""

_log = logging.getLogger(__name__)
logging.getLogger("waitress").addFilter(logs.Seldom())


class _JsonErrorTask(ErrorTask):  # type: ignore[misc]
    """A request that never reaches the application gets the same shape of error."""

    def execute(self) -> None:
        error = self.request.error
        request_id = uuid.uuid4().hex
        logs.work_on(request=request_id)
        if not isinstance(error, connections.TooSlow):  # those are counted
            _log.info("rejected status=%d by the server", error.code)
        body = json.dumps(http_error(error.code, request_id)).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("X-Request-ID", request_id),
            ("Cache-Control", "no-store"),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Threads:
    """Hands requests to threads in the order in which they came.

    Takes the place of waitress's own dispatcher, whose condition wakes the thread that idled
    longest: with 50 connections the slowest hundredth waits half as long here
    (docs/benchmarks.md).
    """

    def __init__(self, count: int) -> None:
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"request-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def add_task(self, task: Any) -> None:
        """Called by waitress for each channel that has a request to serve."""
        self._tasks.put(task)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task.service()
            except Exception:  # a thread that died here would never serve again
                _log.exception("a request could not be served")

    def shutdown(self, timeout: float) -> None:
        """End the threads that are idle; one that is still busy ends with the process."""
        for _ in self._threads:
            self._tasks.put(None)
        give_up = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0, give_up - time.monotonic()))


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError:  # an address or a number that Python cannot read
            raise ParsingError("Bad header") from None


def _bound(host: str, port: int) -> list[socket.socket]:
    """The addresses of ``host``, taken for this process alone. Raises ``OSError``, or
    ``ValueError`` for what cannot be a name."""
    with ExitStack() as opened:
        sockets = []
        for family, kind, protocol, _, address in getaddrinfo(host, port, type=SOCK_STREAM):
            listener = opened.enter_context(socket.socket(family, kind, protocol))
            if family is AF_INET6:
                listener.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
            platforms.claim(listener)
            listener.bind(address)
            sockets.append(listener)
        opened.pop_all()
    return sockets


class _Channel(connections.Channel):
    error_task_class = _JsonErrorTask
    parser_class = _Parser


class Server:
    """Serves ``app`` from a bound port until ``stop`` is called and ``wind_up``, which is then
    called once, has returned."""

    def __init__(self, app: Flask, settings: Settings, wind_up: Callable[[], None]) -> None:
        self._wind_up = wind_up
        self._map: dict[int, Any] = {}
        self._stopping = threading.Event()
        self._threads = _Threads(settings.threads)
        limit = platforms.connection_limit(settings.threads)
        self._connections = connections.Connections(self._map, limit - _SPARE)
        self._server = create_server(
            app,
            _dispatcher=self._threads,
            map=self._map,
            sockets=_bound(settings.host, settings.port),
            ident=None,
            max_request_body_size=settings.maxrequestbytes + 1,  # refused from here on
            max_request_header_size=_HEADER_BYTES,
            connection_limit=limit,
            channel_timeout=60,
            asyncore_use_poll=hasattr(select, "poll"),
            clear_untrusted_proxy_headers=False,  # web/proxies.py does
        )
        self._listeners = [one for one in self._map.values() if isinstance(one, BaseWSGIServer)]
        for listener in self._listeners:
            listener.channel_class = _Channel

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self._listeners[0].effective_port)

    def run(self) -> None:
        """Serve; returns after ``stop``. Requests are still answered while things are wound up:
        the application says 503 then."""
        while not self._stopping.is_set():
            self._loop()
        winding_up = threading.Thread(target=self._wind_up_and_wake, name="winding up")
        winding_up.start()
        while winding_up.is_alive():
            self._loop()
        for listener in self._listeners:
            listener.accepting = False
            listener.del_channel()
            listener.socket.close()
        give_up = time.monotonic() + _FLUSH_SECONDS
        while self._busy() and time.monotonic() < give_up:
            self._loop()
        self._threads.shutdown(timeout=1)
        for listener in self._listeners:
            listener.trigger.close()
        wasyncore.close_all(self._map)

    def _wind_up_and_wake(self) -> None:
        self._wind_up()
        self._wake()

    def stop(self) -> None:
        """Let ``run`` wind up and return; may be called by a signal handler."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._wake()

    def _wake(self) -> None:
        for listener in self._listeners:
            listener.pull_trigger()

    def _loop(self) -> None:
        self._connections.tend()
        use_poll = self._server.adj.asyncore_use_poll
        wasyncore.loop(timeout=_LOOP_SECONDS, use_poll=use_poll, map=self._map, count=1)

    def _busy(self) -> bool:
        channels = [one for one in self._map.values() if isinstance(one, connections.Channel)]
        return any(channel.requests or channel.total_outbufs_len for channel in channels)
