"""An object store: the data file of a bulk task becomes an object, others may stand beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from connector_proxy import objectname
from connector_proxy.destinations.contents import contents, manifest
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.objectstore import Store, Stores, faults
from connector_proxy.objectstore.notes import Notes
from connector_proxy.objectstore.parcel import Parcel, sha256_of
from connector_proxy.objectstore.target import Target
from connector_proxy.records import Delivery, Outcome, Payload, Verdict
from connector_proxy.settings import Settings
from connector_proxy.staging import Files

_MOST_VERSIONS = 1000
_WORK = "upload"


class Upload:
    """Puts objects into the store of a target; safe to use from many threads."""

    name = "upload"
    repeatable = True

    def __init__(self) -> None:
        self._stores = Stores()

    def deliver(
        self, delivery: Delivery, payload: Payload, settings: Settings, files: Files | None
    ) -> Outcome:
        """Put the data file there, and what is wanted beside it; see ``Destination``."""
        assert files is not None, "only bulk tasks are accepted for uploads"
        work = files.data.parent / _WORK
        try:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(mode=0o700)
            return self._deliver(delivery, payload, settings, files, work)
        except OSError as error:
            raise Unavailable(
                f"The file to upload cannot be made: {error.strerror or type(error).__name__}.",
                code="download_folder",
                advice="It is tried again. See that downloadfolder has room and may be written.",
                cause=str(error),
            ) from None
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _deliver(
        self, delivery: Delivery, payload: Payload, settings: Settings, files: Files, work: Path
    ) -> Outcome:
        target = Target.of(settings)
        named = objectname.named(payload, settings.own, delivery.accepted_at)
        sending = _Sending(
            self._stores.of(target),
            Notes(files.data.parent, delivery.stp_name, target.bucket),
            delivery.delivery_id,
            named.tags,
        )
        made = contents(delivery, files, settings, work)
        key = sending.put_named(
            made.path, made.sha256, target.prefix + named.name, settings.own["onexisting"]
        )
        beside = list(made.beside)
        if "manifest" in settings.own["beside"]:  # the last one: who waits for it finds the others
            beside.append(("manifest.json", manifest(delivery, key, files, made, work)))
        for ending, path in beside:
            sending.put(path, sha256_of(path), f"{key}.{ending}")
        size = made.path.stat().st_size
        what = {"bucket": target.bucket, "key": key, "sha256": made.sha256}
        return Outcome(Verdict.DONE, "done", result={**what, "bytes": size, **made.facts})

    def close(self) -> None:
        """Close the connections."""
        self._stores.close()


@dataclass(frozen=True)
class _Sending:
    """The objects of one delivery on their way."""

    store: Store
    notes: Notes
    delivery_id: str
    tags: dict[str, str]

    def put_named(self, path: Path, sha256: str, key: str, on_existing: str) -> str:
        """Put a file there as ``on_existing`` says; returns the key that it got. One that an
        earlier attempt put there is not sent again."""
        if on_existing == "replace":
            with suppress(Refused):  # who may only write must not look
                if self._is_ours(self.store.facts(key) or {}, sha256):
                    return key
            self.put(path, sha256, key)
            return key
        for one in _versions(key) if on_existing == "version" else (key,):
            facts = self.store.facts(one)
            if facts is not None and self._is_ours(facts, sha256):
                return one
            with suppress(faults.Exists):  # somebody may be quicker
                if facts is None:
                    self.put(path, sha256, one, only_new=True)
                    return one
        raise faults.exists()

    def put(self, path: Path, sha256: str, key: str, *, only_new: bool = False) -> None:
        """Put a file there, over what is there unless ``only_new``."""
        size = path.stat().st_size
        parcel = Parcel(path, key, size, sha256, self.delivery_id, self.tags, only_new)
        self.store.put(parcel, self.notes)

    def _is_ours(self, facts: Mapping[str, str], sha256: str) -> bool:
        """Whether an object is this very file, put there by this delivery (a folder tells of the
        file alone)."""
        by = facts.get("delivery", self.delivery_id)
        return facts.get("sha256") == sha256 and by == self.delivery_id


def _versions(key: str) -> Iterator[str]:
    """``audience.csv``, ``audience_2.csv`` …"""
    stem, dot, ending = key.rpartition("/")[2].partition(".")
    start = key[: len(key) - len(stem + dot + ending)]
    yield key
    for number in range(2, _MOST_VERSIONS):
        yield f"{start}{stem}_{number}{dot}{ending}"
