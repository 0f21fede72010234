"""Logging to the console and, as ``proglog`` says, to one file that this process owns.

Each line carries the request id and the delivery id of the work at hand. Query strings of URLs,
credentials and whatever else was registered as secret are masked in every line, tracebacks
included; a line break inside a message is written as ``\\n``, so that nobody can forge a line.
"""

from __future__ import annotations

import base64
import contextvars
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from html import escape
from logging.handlers import RotatingFileHandler
from multiprocessing.connection import Connection
from urllib.parse import quote, unquote, urlsplit

from connector_proxy.settings import Settings

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")
delivery_id: contextvars.ContextVar[str] = contextvars.ContextVar("delivery_id", default="-")

MASK = "<masked>"
_BYTES, _FILES = 10 * 1024 * 1024, 10
_BATCH_SECONDS = 0.1
_SELDOM_SECONDS = 10.0
_FORMAT = "%(asctime)s %(levelname)s [%(request)s %(delivery)s] %(message)s"
_MASKS = (
    ("http", re.compile(r"(\bhttps?:(?:\\?/){2})[^\s/@<>\\]+@", re.IGNORECASE), rf"\1{MASK}@"),
    ("http", re.compile(r"(\bhttps?:\\?/[^\s?<>]*\?)[^\s<>]+", re.IGNORECASE), rf"\1{MASK}"),
    ("x-amz-", re.compile(r"(\bX-Amz-[\w-]+(?:=|%3D))[^&\s<>]+", re.IGNORECASE), rf"\1{MASK}"),
    ("sig", re.compile(r"(\b(?:sig|signature)=)[^&\s<>]+", re.IGNORECASE), rf"\1{MASK}"),
    ("token", re.compile(r"(\btoken=)[^&\s<>]+", re.IGNORECASE), rf"\1{MASK}"),
    ("basic", re.compile(r"\b(Basic\s+)[\w.~+/=-]{4,}", re.IGNORECASE), rf"\1{MASK}"),
    ("bearer", re.compile(r"\b(Bearer\s+)[\w.~+/=-]{4,}", re.IGNORECASE), rf"\1{MASK}"),
)
"""What a line must hold for a look, the secret, and what is shown instead."""

_QUERY = re.compile(r"(\?|%3F)[^\s]*(=|%3D)|X-Amz-|\b(sig|signature|token)=", re.IGNORECASE)


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without the query strings of URLs, without credentials and ``secrets``."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    lower = text.lower()
    for sign, pattern, shown in _MASKS:
        if sign in lower:
            text = pattern.sub(shown, text)
    return text


def foreign(text: str, secrets: Iterable[str]) -> str:
    """What another program said, on one line of at most 2,000 characters.

    It may hold our request in any shape, wrapped or encoded: whatever stands behind the
    beginning of a query string is left out altogether.
    """
    found = _QUERY.search(text)
    if found:
        text = f"{text[: found.start()]}?{MASK} (the rest is left out)"
    return shorten(" ".join(mask(text, secrets).split()), 2000)


class _Line(logging.Formatter):
    """One masked line a record, with the ids of the work at hand."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(_FORMAT)
        self._secrets = tuple(secrets)
        self._second, self._time, self._zone = -1, "", ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        second = int(record.created)
        if second != self._second:
            moment = time.localtime(second)
            self._second, self._zone = second, time.strftime("%z", moment)
            self._time = time.strftime("%Y-%m-%d %H:%M:%S", moment)
        return f"{self._time}.{int(record.msecs):03}{self._zone}"

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record), self._secrets)

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record)


_CONTROLS = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))},
    **{ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): " ", 0x2028: "\\u2028", 0x2029: "\\u2029"},
}


class _Batches(logging.Handler):
    """Hands lines on to ``targets`` from a thread of its own, a tenth of a second's at once.

    Writing in the thread of a request costs a fifth of the service's rate (docs/benchmarks.md):
    each write gives the interpreter away. A warning is written before ``emit`` returns.
    """

    def __init__(self, targets: Iterable[logging.Handler]) -> None:
        super().__init__()
        self._targets = tuple(targets)
        self._records: list[logging.LogRecord] = []
        self._waiting = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        record.request, record.delivery = request_id.get(), delivery_id.get()
        self._records.append(record)
        if record.levelno >= logging.WARNING:
            self.flush()
        elif not self._waiting.is_set():
            self._waiting.set()

    def _run(self) -> None:
        while self._waiting.wait():
            time.sleep(_BATCH_SECONDS)
            self._waiting.clear()
            self.flush()

    def flush(self) -> None:
        """Write what has come so far."""
        with self._writing:
            count = len(self._records)
            records, self._records[:count] = self._records[:count], []
            lines = [line for line in map(self._line, records) if line]
            if lines:
                self._hand_on("\n".join(lines))

    def write(self, lines: str) -> None:
        """Write lines that were formatted elsewhere."""
        with self._writing:
            self._hand_on(lines)

    def _hand_on(self, lines: str) -> None:
        batch = logging.makeLogRecord({"msg": lines})
        for target in self._targets:
            target.handle(batch)

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except (TypeError, ValueError):  # a message that does not fit its arguments
            self.handleError(record)
            return ""

    def close(self) -> None:
        self.flush()
        for target in self._targets:
            target.close()
        super().close()


def start(settings: Settings) -> None:
    """Send the log of this process to the console and to the file that ``settings`` name.

    Raises ``OSError`` when the folder or the file cannot be written.
    """
    targets: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if settings.proglog:
        settings.logfilepath.mkdir(parents=True, exist_ok=True)
        path = settings.logfilepath / settings.proglog
        targets.append(
            RotatingFileHandler(
                path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8", errors="replace"
            )
        )
    _install(settings, targets)


def start_remote(settings: Settings, pipe: Connection) -> None:
    """Send the log of this process through ``pipe`` to the one that owns the file, which hands
    what it receives to ``pass_on``."""
    _install(settings, [_Pipe(pipe)])


def pass_on(lines: str) -> None:
    """Write lines that another process formatted and masked."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Batches):
            handler.write(lines)


class Seldom(logging.Filter):
    """Lets the same message through once in ten seconds, and of each only the first line: what
    looks at a database fifty times a second says as often that it cannot be written, with the
    whole statement."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage().partition("\n")[0]
        now = time.monotonic()
        self._said = {key: at for key, at in self._said.items() if now - at < _SELDOM_SECONDS}
        if line in self._said:
            return False
        self._said[line] = now
        record.msg, record.args = line, ()
        return True


class _Pipe(logging.Handler):
    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # nobody reads any more: the other process is gone
            self._pipe.send(record.getMessage())


def _install(settings: Settings, targets: Iterable[logging.Handler]) -> None:
    # Facts that no line shows; the logging how-to names these switches for speed.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = _Batches(targets)
    handler.setFormatter(_Line(secrets_of(settings)))
    logging.basicConfig(level=settings.loglevel, handlers=[handler], force=True)
    # Their debug lines hold whole addresses, and nothing that the attempt's own line does not.
    for chatty in ("urllib3", "requests", "werkzeug", "dbos", "sqlalchemy", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def secrets_of(settings: Settings) -> list[str]:
    """Every secret text of the configuration, in the shapes in which it may come back."""
    shapes: dict[str, None] = {}
    for name in ("", *settings.overrides):
        own = settings.for_stp(name)
        password = own.stppassword.reveal()
        if password:
            pair = f"{own.stpusername.reveal()}:{password}"
            shapes[base64.b64encode(pair.encode()).decode()] = None
            for shape in _shapes(password):
                shapes |= {shape: None, " ".join(shape.split()): None}
        for url in filter(None, (own.queueurl, own.datasettable)):
            shapes[url.reveal()] = None
            password = unquote(urlsplit(url.reveal()).password or "")
            shapes |= dict.fromkeys(_shapes(password) if password else ())
    return sorted(shapes, key=len, reverse=True)


def _shapes(text: str) -> tuple[str, ...]:
    """``text`` as it may stand in HTML, in our own SOAP request, in a URL, in JSON."""
    xml = escape(text, quote=False).encode("ascii", "xmlcharrefreplace").decode()
    return (
        text,
        escape(text),
        escape(text, quote=False),
        xml,
        quote(text, safe=""),
        json.dumps(text)[1:-1],
    )


def printable(text: str) -> str:
    """``text`` on one line, whatever it holds."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def shorten(text: str, length: int = 80) -> str:
    """``text`` for a log line: at most ``length`` characters."""
    return text if len(text) <= length else text[: length - 3] + "..."
