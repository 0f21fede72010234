"""The log file: renamed when it is full or its day is over, removed when it is old."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import date
from logging.handlers import RotatingFileHandler
from pathlib import Path

_AGAIN_SECONDS = 60.0
_DAY_SECONDS = 86400
_log = logging.getLogger(__name__)


class LogFile(RotatingFileHandler):
    """``path``, and ``path.1`` (the latest) to ``path.<count>``.

    The file is renamed before a line that would make it larger than ``size`` bytes, and before the
    first line of a day; those last written more than ``days`` days ago are removed. On Windows a
    file that another program holds cannot be renamed: it is written on, and tried again a minute
    later.
    """

    def __init__(self, path: Path, size: int, count: int, days: int) -> None:
        self._day = date.today()
        with suppress(FileNotFoundError):
            self._day = date.fromtimestamp(path.stat().st_mtime)
        self._path, self._count, self._days = path, count, days
        self._not_before = 0.0
        super().__init__(path, maxBytes=size, backupCount=count, encoding="utf-8", errors="replace")
        self._remove_old()

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """See ``logging.handlers``."""
        if time.monotonic() < self._not_before:
            return False
        return self._day != date.today() or bool(super().shouldRollover(record))

    def doRollover(self) -> None:
        """See ``logging.handlers``."""
        try:
            super().doRollover()
        except OSError as error:
            self._not_before = time.monotonic() + _AGAIN_SECONDS
            _log.warning(
                "the log file cannot be renamed, perhaps since another program holds it (%s); it "
                "is written on, and tried again in a minute",
                error.strerror,
            )
            return
        self._day = date.today()
        self._remove_old()

    def _remove_old(self) -> None:
        oldest = time.time() - self._days * _DAY_SECONDS
        for path in self._path.parent.glob(f"{self._path.name}.*"):
            number = path.suffix[1:]
            with suppress(OSError):
                if number.isdecimal() and (
                    int(number) > self._count or path.stat().st_mtime < oldest
                ):
                    path.unlink()
