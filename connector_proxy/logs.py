"""Logging to the console and, as ``proglog`` says, to one file that this process owns.

Each line carries the request id and the delivery id of the work at hand (loglines.py). Lines of
the process that carries out come through a pipe.
"""

from __future__ import annotations

import contextvars
import logging
import sys
import threading
import time
from collections.abc import Iterable
from typing import Protocol

from connector_proxy.logfile import LogFile
from connector_proxy.loglines import JsonLine, TextLine
from connector_proxy.masking import secrets_of
from connector_proxy.settings import Settings

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")
delivery_id: contextvars.ContextVar[str] = contextvars.ContextVar("delivery_id", default="-")

_BATCH_SECONDS = 0.1
_SELDOM_SECONDS = 10.0


def work_on(*, request: str = "-", delivery: str = "-") -> None:
    """The lines of this thread speak of this request and this delivery from now on."""
    request_id.set(request)
    delivery_id.set(delivery)


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
        self._writing = threading.RLock()  # a file that cannot be renamed says so in a line
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
    """Send the log of this process to the console, where there is one, and to the file that
    ``settings`` name.

    Raises ``OSError`` when the folder or the file cannot be written.
    """
    targets: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if sys.stderr else []
    if settings.proglog:
        settings.logfilepath.mkdir(parents=True, exist_ok=True)
        path = settings.logfilepath / settings.proglog
        targets.append(LogFile(path, settings.logfilemb << 20, settings.logfiles, settings.logdays))
    _install(settings, targets)


class Pipe(Protocol):
    """The way to the process that owns the file; safe to use from many threads."""

    def send(self, lines: str) -> None: ...


def start_remote(settings: Settings, pipe: Pipe) -> None:
    """Send the log of this process through ``pipe`` to the one that owns the file, which hands
    what it receives to ``pass_on``."""
    be_quick()
    _install(settings, [_Pipe(pipe)])


def be_quick() -> None:
    """Leave out facts that no line of ours shows; the logging how-to names these switches. Not
    in a process that others have a log in."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None


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
    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        self._pipe.send(record.getMessage())


def _install(settings: Settings, targets: Iterable[logging.Handler]) -> None:
    handler = _Batches(targets)
    line = JsonLine if settings.logformat == "json" else TextLine
    handler.setFormatter(line(secrets_of(settings)))
    logging.basicConfig(level=settings.loglevel, handlers=[handler], force=True)
    # Their debug lines hold whole addresses and what authorizes us, and nothing that the attempt's
    # own line does not.
    others = ("urllib3", "requests", "werkzeug", "dbos", "sqlalchemy", "filelock")
    for chatty in (*others, "boto3", "botocore", "s3transfer"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
