"""Which connections stay open: a request gets its time to arrive, an answer gets read, and where
there is no more room those that have waited longest make way.

Waitress looks at the last byte alone: who sends one now and then keeps a connection for ever, and
at its limit it takes no further ones. Who reads no more of a long answer keeps a thread for ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.utilities import Error

HEADER_SECONDS = 20.0
BODY_SECONDS = 60.0
BODY_RATE = 100_000
"""Bytes in a second that lengthen the time of a body by one."""

STALLED_SECONDS = 120.0
"""How long nothing of an answer may be taken."""

_LOOK_SECONDS = 1.0
_TELL_SECONDS = 60.0
_log = logging.getLogger(__name__)


class TooSlow(Error):  # type: ignore[misc]
    """The request did not arrive in its time."""

    code = 408
    reason = "Request Timeout"


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows since when it waits for the rest of a request."""

    begun = 0.0
    request: HTTPRequestParser | None

    def received(self, data: bytes) -> bool:
        """See waitress."""
        if self.request is None:
            self.begun = self.last_activity
        return bool(super().received(data))

    @property
    def waits_since(self) -> float:
        """When the request began of which a part has come, else when it was last used."""
        return float(self.begun if self.request else self.last_activity)

    @property
    def late_at(self) -> float:
        """Until when the rest of a request may come."""
        if self.request is None or self.requests:
            return float("inf")
        if not self.request.headers_finished:
            return self.begun + HEADER_SECONDS
        return self.begun + BODY_SECONDS + float(self.request.body_bytes_received) / BODY_RATE

    @property
    def stalled_at(self) -> float:
        """Until when the caller may take nothing of the answer that lies ready."""
        if not (self.requests and self.total_outbufs_len):
            return float("inf")
        return float(self.last_activity + STALLED_SECONDS)

    def give_up(self) -> None:
        """Answer the part of a request that has come with 408, and close."""
        with self.requests_lock:
            request, self.request = self.request, None
            assert request is not None
            request.error = TooSlow("")
            request.completed = True
            self.requests.append(request)
        self.server.add_task(self)


class Connections:
    """Looks after the connections in ``sockets``; called in each turn of the server's loop, in its
    thread. Where there are ``limit`` of them, a twentieth is closed."""

    def __init__(
        self, sockets: dict[int, Any], limit: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._sockets = sockets
        self._limit = limit
        self._clock = clock
        self._next_look = self._next_word = 0.0
        self._late = self._stalled = self._made_way = 0

    def tend(self) -> None:
        """Make room where there is none; once a second look for requests that are late, and for
        answers that nobody reads."""
        if len(self._sockets) >= self._limit:
            self._make_room()
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            for channel in self._channels():
                if channel.late_at <= now:
                    channel.give_up()
                    self._late += 1
                elif channel.stalled_at <= now:
                    channel.handle_close()
                    self._stalled += 1
        if now >= self._next_word and (self._late or self._stalled or self._made_way):
            self._next_word = now + _TELL_SECONDS
            self._tell()

    def _channels(self) -> list[Channel]:
        return [one for one in self._sockets.values() if isinstance(one, Channel)]

    def _make_room(self) -> None:
        """Close those that have waited longest for a request or the rest of one. Where all are
        being answered nothing is closed, and waitress takes no further ones for a while."""
        idle = [one for one in self._channels() if not one.requests]
        idle.sort(key=lambda one: one.waits_since)
        for channel in idle[: max(1, self._limit // 20)]:
            channel.handle_close()
            self._made_way += 1

    def _tell(self) -> None:
        if self._late:
            _log.warning(
                "%d requests did not arrive in time and were answered with 408", self._late
            )
        if self._stalled:
            _log.warning(
                "%d answers were not read for %d s, and were ended", self._stalled, STALLED_SECONDS
            )
        if self._made_way:
            _log.warning(
                "%d connections are open, as many as may be: %d that waited longest made way",
                len(self._channels()),
                self._made_way,
            )
        self._late = self._stalled = self._made_way = 0
