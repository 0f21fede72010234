"""Who is logged in at the page: kept in memory alone, and gone when the service ends."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

IDLE_SECONDS = 30 * 60
"""Without a request of a person, those of a page that refreshes itself not counted."""
LONGEST_SECONDS = 12 * 3600
_MOST = 100


@dataclass
class Session:
    """Somebody who is logged in. ``token`` stands in the cookie, ``form_token`` in each form of
    the page: a page of somebody else cannot know it. ``notice`` is what the next page shows."""

    token: str
    form_token: str
    opened: float
    used: float
    notice: str = ""
    failed: bool = False

    def say(self, notice: str, *, failed: bool = False) -> None:
        """Let the next page show what became of a request."""
        self.notice, self.failed = notice, failed

    def said(self) -> tuple[str, bool]:
        """What there is to show, once."""
        notice, self.notice = self.notice, ""
        return notice, self.failed


class Sessions:
    """Opened by a login, closed by a logout, by half an hour without a request, after 12 hours,
    or by the end of the process. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, Session] = {}
        self._changing = threading.Lock()

    def open(self) -> Session:
        """A new one; when there are a hundred, the one that was used least lately is closed."""
        now = self._clock()
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32), now, now)
        with self._changing:
            self._drop_old(now)
            if len(self._open) >= _MOST:
                del self._open[min(self._open.values(), key=lambda one: one.used).token]
            self._open[session.token] = session
        return session

    def of(self, token: str, *, by_person: bool = True) -> Session | None:
        """The open session of a token, or None; ``by_person`` starts its half hour anew."""
        now = self._clock()
        with self._changing:
            self._drop_old(now)
            session = self._open.get(token)
            if session is not None and by_person:
                session.used = now
        return session

    def close(self, session: Session) -> None:
        """Log out."""
        with self._changing:
            self._open.pop(session.token, None)

    def _drop_old(self, now: float) -> None:
        self._open = {
            token: one
            for token, one in self._open.items()
            if now - one.used < IDLE_SECONDS and now - one.opened < LONGEST_SECONDS
        }
