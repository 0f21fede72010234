"""Azure Blob Storage and Google Cloud Storage through obstore.

Nothing is visible before the last request. obstore keeps its uploads to itself: an attempt begins
from the first byte, and what a killed one sent is dropped by the provider (Azure: after a week; a
bucket of Google wants a lifecycle rule for that).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from weakref import WeakValueDictionary

import obstore
from obstore.exceptions import (
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore

from connector_proxy.objectstore import faults
from connector_proxy.objectstore.notes import Note, Notes
from connector_proxy.objectstore.parcel import Parcel
from connector_proxy.objectstore.target import Target

_AT_ONCE = 4
_TRIES = 4
_LONGEST_REQUEST = timedelta(hours=1)
_LONGEST_RETRY = timedelta(minutes=3)
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_NO_BUCKET = re.compile(r"<Code>(ContainerNotFound|NoSuchBucket|ResourceNotFound)</Code>")
_NO_CREDENTIALS = re.compile("credential|token|metadata server", re.IGNORECASE)


class Cloud:
    """One container or bucket; safe to use from many threads."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._claims: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._claiming = threading.Lock()
        with _translated():
            self._store = _azure(target) if target.scheme == "az" else _google(target)

    def look(self) -> None:
        """See that the container lets us in; nothing is written."""
        with _translated():
            next(iter(obstore.list(self._store, self._target.prefix or None, chunk_size=1)), None)

    def facts(self, key: str) -> Mapping[str, str] | None:
        """What an object says of itself; None where there is none."""
        with _translated():
            try:
                found = obstore.get(self._store, key, options={"head": True})
            except FileNotFoundError as error:
                if _NO_BUCKET.search(str(error)):
                    raise
                return None
        return {str(name): str(value) for name, value in found.attributes.items()}

    def put(self, parcel: Parcel, notes: Notes) -> None:
        """Put a file there; when this returns the store has it whole. Raises ``Exists``,
        ``Refused`` and ``Unavailable``."""
        if not parcel.only_new:
            self._put(parcel)
            return
        with self._claiming:
            claim = self._claims.setdefault(parcel.key, threading.Lock())
        with claim:  # no store of these looks and puts in one step; other instances are not seen
            if self.facts(parcel.key) is not None:
                raise faults.Exists
            self._put(parcel)

    def _put(self, parcel: Parcel) -> None:
        attributes: dict[str, Any] = {"Content-Type": parcel.media_type, **parcel.facts}
        if self._target.storage_class:
            attributes["Storage-Class"] = self._target.storage_class
        with _translated():
            obstore.put(
                self._store,
                parcel.key,
                parcel.path,
                attributes=attributes,
                tags=dict(parcel.tags) or None,
                chunk_size=parcel.part_bytes,
                max_concurrency=_AT_ONCE,
            )
            if obstore.head(self._store, parcel.key)["size"] != parcel.size:
                raise faults.damaged("another length")

    def abandon(self, note: Note) -> None:
        """There are no notes of these stores."""
        note.forget()

    def close(self) -> None:
        """Nothing stays open that its owner would not close."""


def _azure(target: Target) -> AzureStore:
    config: dict[str, Any] = {"account_name": target.account}
    if target.endpoint:
        config["endpoint"] = target.endpoint
    if target.sas_token:  # a key may be that of [upload], for another store
        config["sas_key"] = target.sas_token.reveal()
    elif target.secret_key:
        config["account_key"] = target.secret_key.reveal()
    return AzureStore(target.bucket, config=config, **_network(target))  # type: ignore[arg-type]


def _google(target: Target) -> GCSStore:
    return GCSStore(target.bucket, **_network(target))


def _network(target: Target) -> dict[str, Any]:
    options: dict[str, Any] = {
        "allow_http": target.endpoint.startswith("http:"),
        "connect_timeout": timedelta(seconds=target.connect_timeout),
        "read_timeout": timedelta(seconds=target.read_timeout),
        "timeout": _LONGEST_REQUEST,
    }
    if target.proxy:
        options["proxy_url"] = target.proxy
    if target.ca_bundle:
        options["root_certificate"] = target.ca_bundle.read_bytes()
    retry = {"max_retries": _TRIES - 1, "retry_timeout": _LONGEST_RETRY}
    return {"client_options": options, "retry_config": retry}


@contextmanager
def _translated() -> Iterator[None]:
    """What obstore raises, in the words of this project."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise faults.denied(_said(error)) from None
    except FileNotFoundError as error:
        raise faults.no_bucket(_said(error)) from None
    except (BaseError, ValueError, OSError) as error:
        raise _of_answer(_said(error)) from None


def _of_answer(said: str) -> Exception:
    status = _STATUS.search(said)
    code = int(status[1]) if status else 0
    if _NO_BUCKET.search(said):
        return faults.no_bucket(said)
    if code in (401, 403):
        return faults.denied(said)
    if code in (408, 429) or code >= 500:
        return faults.busy(said)
    if code:
        return faults.refused(said)
    if _NO_CREDENTIALS.search(said):
        return faults.denied(said, "There are no credentials for the store.")
    return faults.unreachable(said)


def _said(error: Exception) -> str:
    """Its words without what is there for those who mend obstore."""
    return str(error).partition("\n\nDebug source:")[0]
