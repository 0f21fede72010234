"""Staged files for a SAS server without internet: ``GET /files/<delivery id>.<token>/<name>``.

Whoever knows the token may read, whole or in parts (RFC 9110, ``Range``), until the delivery has
ended and ``keepfilesminutes`` have passed. For everybody else there is nothing here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask, Response, request, send_file
from werkzeug.exceptions import PreconditionFailed

from connector_proxy import logs
from connector_proxy.deliveries import Deliveries
from connector_proxy.errors import NoSuchDelivery, NoSuchFile, QueueUnavailable
from connector_proxy.records import NOT_ENDED
from connector_proxy.settings import Settings
from connector_proxy.staging import Staging
from connector_proxy.web.access import Caller, may_call

_log = logging.getLogger(__name__)


def install(app: Flask, settings: Settings, deliveries: Deliveries) -> None:
    """Add the door to ``app``."""
    staging = Staging(settings.downloadfolder)
    readers = threading.BoundedSemaphore(max(1, settings.threads // 2))

    @app.route("/files/<delivery_id>.<token>/<name>", methods=["GET", "HEAD"])
    @may_call(Caller.EVERYBODY)
    def staged_file(delivery_id: str, token: str, name: str) -> Response:
        path = staging.staged(delivery_id, token, name)
        if path is None or not _wanted(deliveries, delivery_id, settings.keepfilesminutes):
            raise NoSuchFile("There is no such file, or it is not there any more.")
        logs.delivery_id.set(delivery_id)
        if not readers.acquire(blocking=False):
            raise QueueUnavailable(
                "Too many staged files are being read.",
                code="too_many_readers",
                advice="Raise threads, or lower concurrency: half of the threads may read files.",
            )
        with ExitStack() as reading:
            reading.callback(readers.release)
            response = _sent(path, readers.release)
            reading.pop_all()
        return response


def _wanted(deliveries: Deliveries, delivery_id: str, minutes: int) -> bool:
    """Whether the delivery is still to be carried out, or ended a moment ago."""
    try:
        delivery = deliveries.show(delivery_id)
    except NoSuchDelivery:
        return False
    if delivery.state in NOT_ENDED:
        return True
    return datetime.now(UTC) < delivery.changed_at + timedelta(minutes=minutes)


def _sent(path: Path, ended: Callable[[], None]) -> Response:
    """The file, or the part of it that is asked for, in pieces; ``ended`` is called when it has
    been read."""
    response = send_file(path, mimetype="application/octet-stream", conditional=True, etag=True)
    if response.status_code == PreconditionFailed.code:  # its body would be the file
        response.close()
        raise PreconditionFailed
    told = f"{request.method} {path.name} status={response.status_code}"
    if request.range:
        told += f" range={request.range.to_header()}"
    response.direct_passthrough = False
    response.response = _Reading(response.response, told, ended)
    return response


class _Reading:
    """The pieces of a file while somebody reads them; one line of log when that ends."""

    def __init__(self, pieces: Any, told: str, ended: Callable[[], None]) -> None:
        self._pieces, self._told, self._ended = pieces, told, ended
        self._started, self._count = time.monotonic(), 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._count += len(piece)
            yield piece

    def close(self) -> None:
        """Called once, also where the reader went away."""
        self._pieces.close()
        self._ended()
        ms = round((time.monotonic() - self._started) * 1000)
        _log.info("staged file read: %s bytes=%d ms=%d", self._told, self._count, ms)
