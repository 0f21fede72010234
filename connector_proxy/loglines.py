"""A record of the log as one line, of text or of JSON, without secrets.

A line break inside a message is written as ``\\n``, so that nobody can forge a line.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from typing import Any

from connector_proxy.masking import mask, masked, printable

_TEXT = "%(asctime)s %(levelname)s [%(request)s %(delivery)s] %(message)s"


class Facts(dict[str, object]):
    """What a line has to tell by name; the one argument of a message that ends with ``%s``."""

    def __str__(self) -> str:
        return json.dumps(self)


class _Line(logging.Formatter):
    """Moments are in local time with the offset from UTC."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(_TEXT)
        self._secrets = tuple(secrets)
        self._second, self._time, self._zone = -1, "", ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        second = int(record.created)
        if second != self._second:
            moment = time.localtime(second)
            self._second, self._zone = second, time.strftime("%z", moment)
            self._time = time.strftime("%Y-%m-%d %H:%M:%S", moment)
        return f"{self._time}.{int(record.msecs):03}{self._zone}"


class TextLine(_Line):
    """``time level [request delivery] message``; a traceback stands on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging``."""
        return mask(super().format(record), self._secrets)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """See ``logging``."""
        record.message = printable(record.message)
        return super().formatMessage(record)


class JsonLine(_Line):
    """One object a line: ``time``, ``level``, ``requestId``, ``deliveryId``, ``message``, and where
    there are some ``facts`` and a ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging``."""
        facts = record.args if isinstance(record.args, Facts) else None
        line: dict[str, Any] = {
            "time": self.formatTime(record).replace(" ", "T"),
            "level": record.levelname,
            "requestId": getattr(record, "request", "-"),
            "deliveryId": getattr(record, "delivery", "-"),
            "message": record.msg.removesuffix(" %s") if facts else record.getMessage(),
        }
        if facts:
            line["facts"] = facts
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(masked(line, self._secrets))
