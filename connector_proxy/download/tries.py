"""How often a download is tried within one attempt, and the pauses between."""

from __future__ import annotations

import logging
import random
import time
from datetime import UTC, datetime, timedelta

from connector_proxy.download.answers import Passing

GAIN = 1024 * 1024
"""A try that brings at least so many bytes that were never there before has not failed: the
line is bad, but the file comes. Counting begins anew."""

SLOWEST = 64 * 1024
"""Bytes that must come within the time-out of reading: a store that drips keeps its place from
other downloads."""

LONGEST_PAUSE = 30.0
_LOG = logging.getLogger(__name__)


class Tries:
    """Counts the tries that bring nothing, and waits between them.

    ``most`` of them in a row are made; the first pause takes about ``pause`` seconds, each
    further one twice as long. None begins after ``deadline``, when the URL stops working.
    """

    def __init__(self, most: int, pause: float, deadline: datetime | None, what: str) -> None:
        self._most, self._pause, self._deadline, self._what = most, pause, deadline, what
        self._furthest = self._failed = 0
        self.made = 0

    def failed(self, why: Passing, length: int) -> None:
        """A try ended with ``length`` bytes there. Returns when it is time for the next one;
        raises ``Unavailable`` when there is none."""
        if length >= self._furthest + GAIN:
            self._failed = 0
        self._furthest = max(self._furthest, length)
        self._failed += 1
        pause = self._wait(why)
        if self._failed >= self._most or pause > LONGEST_PAUSE or self._too_late(pause):
            raise why.unavailable() from None
        shown = why.cause or str(why)
        _LOG.info("%s: try %d failed (%s); %d bytes are there, the next one in %.1f s",
                  self._what, self.made, shown, length, pause)  # fmt: skip
        time.sleep(pause)

    def _wait(self, why: Passing) -> float:
        """Longer each time, by chance up to a half shorter or longer; never less than the store
        asks for."""
        pause = min(self._pause * 2.0 ** (self._failed - 1), LONGEST_PAUSE / 1.5)
        return max(pause * random.uniform(0.5, 1.5), why.retry_after or 0)  # noqa: S311 - no secret

    def _too_late(self, pause: float) -> bool:
        return (
            self._deadline is not None
            and datetime.now(UTC) + timedelta(seconds=pause) >= self._deadline
        )


class Pace:
    """Sees that bytes keep coming: ``SLOWEST`` of them in each ``patience`` seconds."""

    def __init__(self, patience: float, what: str) -> None:
        self._patience, self._what = patience, what
        self._since, self._count = time.monotonic(), 0

    def came(self, count: int) -> None:
        """So many bytes have come; raises ``Passing`` where that is too slow."""
        self._count += count
        now = time.monotonic()
        if now - self._since < self._patience:
            return
        if self._count < SLOWEST:
            raise Passing(
                f"The {self._what} could not be downloaded to its end: it comes too slowly, "
                f"{self._count} bytes in {now - self._since:.0f} s."
            )
        self._since, self._count = now, 0
