"""Logging to the console and, as ``proglog`` says, to one file that this process owns.

Each line carries the request id and the delivery id of the work at hand. Query strings of URLs,
credentials and whatever else was registered as secret are masked in every line, tracebacks
included; a line break inside a message is written as ``\\n``, so that nobody can forge a line.
"""

from __future__ import annotations

import contextvars
import logging
import re
import sys
from collections.abc import Iterable
from logging.handlers import RotatingFileHandler

from connector_proxy.settings import Settings

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")
delivery_id: contextvars.ContextVar[str] = contextvars.ContextVar("delivery_id", default="-")

MASK = "<masked>"
_BYTES, _FILES = 10 * 1024 * 1024, 10
_FORMAT = "%(asctime)s %(levelname)s [%(request)s %(delivery)s] %(message)s"
_MASKS = (
    (re.compile(r"(\bhttps?://[^\s?\"'<>]*\?)[^\s\"'<>]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\bX-Amz-[A-Za-z-]+=)[^&\s\"'<>]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b((?:Basic|Bearer)\s+)[\w.~+/=-]{4,}", re.IGNORECASE), rf"\1{MASK}"),
)


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without the query strings of URLs, without credentials and ``secrets``."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    for pattern, shown in _MASKS:
        text = pattern.sub(shown, text)
    return text


class Formatter(logging.Formatter):
    """One masked line a record, with the ids of the work at hand."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(_FORMAT)
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        # Console, file and the test for rotation ask for the same line.
        masked: str | None = record.__dict__.get("masked")
        if masked is None:
            record.request, record.delivery = request_id.get(), delivery_id.get()
            masked = record.masked = mask(super().format(record), self._secrets)
        return masked

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = record.message.translate(_CONTROLS)
        return super().formatMessage(record)


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127)} | {10: "\\n", 13: "\\r", 9: " "}


def start(settings: Settings) -> None:
    """Send the log of this process to the console and to the file that ``settings`` name.

    Raises ``OSError`` when the folder or the file cannot be written.
    """
    formatter = Formatter(secrets_of(settings))
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if settings.proglog:
        settings.logfilepath.mkdir(parents=True, exist_ok=True)
        path = settings.logfilepath / settings.proglog
        handlers.append(
            RotatingFileHandler(path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8")
        )
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=settings.loglevel, handlers=handlers, force=True)
    # Their debug lines hold whole addresses, and nothing that the attempt's own line does not.
    for chatty in ("urllib3", "requests", "werkzeug"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def secrets_of(settings: Settings) -> list[str]:
    """Every secret text of the configuration, those of single stored processes included."""
    own = [values.get("stppassword") for values in settings.overrides.values()]
    return [secret.reveal() for secret in (settings.stppassword, *own) if secret]


def shorten(text: str, length: int = 80) -> str:
    """``text`` for a log line: at most ``length`` characters."""
    return text if len(text) <= length else text[: length - 3] + "..."
