"""Object stores: which one a target is, and uploads that nobody will end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from connector_proxy.addresses import UPLOAD
from connector_proxy.errors import ConnectorProxyError
from connector_proxy.objectstore.cloud import Cloud
from connector_proxy.objectstore.folder import Folder
from connector_proxy.objectstore.notes import Note, Notes, left
from connector_proxy.objectstore.parcel import Parcel
from connector_proxy.objectstore.s3 import S3
from connector_proxy.objectstore.target import Target
from connector_proxy.settings import Settings

_log = logging.getLogger(__name__)


class Store(Protocol):
    """One bucket, container or folder. Each function raises ``Refused`` and ``Unavailable``."""

    def look(self) -> None:
        """See that it is there and lets us in; nothing is written."""

    def facts(self, key: str) -> Mapping[str, str] | None:
        """What an object says of itself; None where there is none."""

    def put(self, parcel: Parcel, notes: Notes) -> None:
        """Put a file there, whole or not at all; raises ``faults.Exists``, too."""

    def abandon(self, note: Note) -> None:
        """End an upload that will not be completed."""

    def close(self) -> None:
        """Let go of connections."""


_KINDS: dict[str, Callable[[Target], Store]] = {
    "s3": S3,
    "az": Cloud,
    "gs": Cloud,
    "file": Folder,
}


def opened(target: Target) -> Store:
    """The store of a target; raises ``Refused`` for credentials that cannot be had."""
    return _KINDS[target.scheme](target)


class Stores:
    """The stores of all targets, each opened once; safe to use from many threads."""

    def __init__(self) -> None:
        self._open: dict[Target, Store] = {}
        self._opening = threading.Lock()

    def of(self, target: Target) -> Store:
        """The store of a target."""
        with self._opening:
            if target not in self._open:
                self._open[target] = opened(target)
            return self._open[target]

    def close(self) -> None:
        """Close them."""
        for store in self._open.values():
            store.close()


def has_unfinished(folder: Path) -> bool:
    """Whether uploads of the delivery whose files lie in ``folder`` began and did not end."""
    return next(left(folder), None) is not None


def abandon(folder: Path, settings: Settings) -> bool:
    """End the uploads that began for a delivery which has ended and whose files lie in ``folder``;
    whether nothing is left to do. It is tried again as long as the store cannot be reached."""
    for note in left(folder):
        own = settings.for_stp(note.begun.target)
        if own.kind != UPLOAD:
            _log.warning(
                "an upload to %s of %s cannot be ended, since that target is not configured any "
                "more; a lifecycle rule of the bucket can end it",
                note.begun.bucket,
                note.begun.target,
            )
            continue
        try:
            opened(Target.of(own)).abandon(note)
        except ConnectorProxyError as error:
            _log.warning("an upload cannot be ended yet: %s %s", error, error.cause)
            return False
    return True
