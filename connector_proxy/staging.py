"""The two files of a bulk task on this machine: fetched once, there for every attempt until their
delivery has ended. A SAS server without internet gets addresses of this service for them.

``downloadfolder/<delivery id>/`` holds ``data`` and ``metadata``, beside each what is known of it
(``.json``), and ``token``, without which the door ``/files/`` gives nothing out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from connector_proxy import dataset, platforms
from connector_proxy.download import Downloader, Fetched, Progress, disk_error
from connector_proxy.loglines import Facts
from connector_proxy.records import Payload
from connector_proxy.settings import Settings

DATA, METADATA = "data", "metadata"
_WHAT = {METADATA: "metadata file", DATA: "data file"}
_MOST = {METADATA: dataset.MAX_METADATA, DATA: None}
_ID = re.compile("[0-9a-f]{32}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Files:
    """Both files of a delivery; ``sha256`` is that of the data file in lower-case hex."""

    data: Path
    metadata: Path
    sha256: str


def fetch(
    urls: Mapping[str, str], folder: Path, settings: Settings, progress: Progress | None = None
) -> Files:
    """Download the files of a bulk task into ``folder``, or find them there; ``urls`` are those
    of ``data`` and ``metadata``, which comes first: it is small and tells much.

    Raises ``Refused`` and ``Unavailable``; what has arrived by then stays for the next call.
    """
    try:
        # A SAS server that shares the folder has an account of its own: its rights decide then.
        mode = 0o777 if settings.stage and settings.stageas == "path" else 0o700
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        downloader = Downloader.of(settings)
        digests = {
            name: _fetch_one(downloader, urls[name], folder / name, progress) for name in _WHAT
        }
    except OSError as error:
        raise disk_error(folder, error, "files of the task") from None
    return Files(folder / DATA, folder / METADATA, digests[DATA])


def _fetch_one(downloader: Downloader, url: str, target: Path, progress: Progress | None) -> str:
    """The SHA-256 of a file that is there when this returns."""
    note, source = target.with_suffix(".json"), hashlib.sha256(url.encode()).hexdigest()
    if known := _known(target, note, source):
        return known
    started = time.monotonic()
    fetched = downloader.fetch(
        url, target, _WHAT[target.name], progress=progress, most=_MOST[target.name]
    )
    _log.info("fetched %s", _facts(target.name, fetched, time.monotonic() - started))
    facts = {"source": source, "length": fetched.length, "sha256": fetched.sha256}
    platforms.write_whole(note, json.dumps(facts))
    return fetched.sha256


def _known(target: Path, note: Path, source: str) -> str:
    """The SHA-256 of a file that was fetched from this very URL before; empty: it was not."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(note.read_bytes())
        if known["source"] == source and known["length"] == target.stat().st_size:
            return str(known["sha256"])
    return ""


def _facts(name: str, fetched: Fetched, seconds: float) -> Facts:
    return Facts(
        file=name,
        bytes=fetched.length,
        ms=round(seconds * 1000),
        tries=fetched.tries,
        resumed=fetched.resumed,
        sha256=fetched.sha256,
    )


class Staging:
    """The files of all deliveries of this instance; safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._busy: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._guard = threading.Lock()

    def fetch(
        self,
        delivery_id: str,
        urls: Mapping[str, str],
        settings: Settings,
        progress: Progress | None = None,
    ) -> Files:
        """Fetch the files of a delivery, or find them; see ``fetch``. Whoever comes while they
        are being fetched waits for that."""
        with self._guard:
            busy = self._busy.setdefault(delivery_id, threading.Lock())
        with busy:
            return fetch(urls, self._folder / delivery_id, settings, progress)

    def handed_over(self, delivery_id: str, payload: Payload, settings: Settings) -> Payload:
        """The payload with the addresses that the SAS server reads the fetched files from."""
        if settings.stageas == "path":
            folder = settings.publicpath or str(self._folder)
            slash = "\\" if "\\" in folder else "/"
            start = f"{folder}{slash}{delivery_id}{slash}"
        else:
            start = f"{settings.publicurl}/files/{delivery_id}.{self._token(delivery_id)}/"
        known = payload["presignedUrls"]
        return {
            **payload,
            "presignedUrls": {**known, "dataFile": start + DATA, "metadataFile": start + METADATA},
        }

    def _token(self, delivery_id: str) -> str:
        """What only those know who were told the addresses; the same for each attempt."""
        path = self._folder / delivery_id / "token"
        try:
            with suppress(FileNotFoundError):
                return path.read_text(encoding="ascii")
            token = secrets.token_urlsafe(32)
            platforms.write_whole(path, token)
        except OSError as error:
            raise disk_error(path, error, "address of the files") from None
        return token

    def staged(self, delivery_id: str, token: str, name: str) -> Path | None:
        """The file ``name`` of a delivery, for somebody who knows its token."""
        if not _ID.fullmatch(delivery_id) or name not in _WHAT:
            return None
        folder = self._folder / delivery_id
        with suppress(OSError):
            known = (folder / "token").read_bytes()
            if hmac.compare_digest(known, token.encode()) and (folder / name).is_file():
                return folder / name
        return None

    def is_here(self, delivery_id: str) -> bool:
        """Whether both files of a delivery lie here, whole."""
        folder = self._folder / delivery_id
        return all(
            (folder / name).is_file() and (folder / f"{name}.json").is_file() for name in _WHAT
        )

    def kept(self) -> Iterator[str]:
        """The ids of the deliveries whose files, or parts of them, lie here."""
        with suppress(OSError):
            for path in self._folder.iterdir():
                if _ID.fullmatch(path.name):
                    yield path.name

    def folder_of(self, delivery_id: str) -> Path:
        """Where the files of a delivery lie."""
        return self._folder / delivery_id

    def changed_at(self, delivery_id: str) -> float:
        """When files of a delivery came or went, in seconds of the epoch; 0: they are not here."""
        with suppress(OSError):
            return (self._folder / delivery_id).stat().st_mtime
        return 0.0

    def remove(self, delivery_id: str) -> None:
        """Remove the files of a delivery; what somebody still reads on Windows stays for the next
        time."""
        shutil.rmtree(self._folder / delivery_id, ignore_errors=True)
