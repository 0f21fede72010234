"""What a delivery holds, for those who look into it: its payload and stream, masked, and the
dataset that the embedded stored process made of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector_proxy.dataset import shelf
from connector_proxy.dataset.place import MANIFEST, dataset_name, read_manifest
from connector_proxy.deliveries import Deliveries
from connector_proxy.errors import NotJson
from connector_proxy.intake import parse
from connector_proxy.masking import masked, shown_payload
from connector_proxy.preview import pretty
from connector_proxy.records import Delivery, Kind, Number, Renaming
from connector_proxy.settings import Settings
from connector_proxy.stream import encode

_ROWS = 10
_LONGEST_NUMBER = 15
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Content:
    """The payload of a delivery and the stream that it becomes, both masked; ``hidden`` tells
    that data of a customer was, too."""

    payload: dict[str, Any]
    stream: str
    renamings: Sequence[Renaming]
    hidden: bool


@dataclass(frozen=True)
class Dataset:
    """The manifest of a dataset, and its first rows as texts, the names of the columns first;
    None where they may not be shown or lie in no file."""

    manifest: dict[str, Any]
    first_rows: list[list[str]] | None


class Contents:
    """Looks into deliveries; data of customers is seen where ``showdata`` says so."""

    def __init__(self, settings: Settings, deliveries: Deliveries) -> None:
        self._settings = settings
        self._deliveries = deliveries

    def of(self, one: Delivery) -> Content | None:
        """The content of a delivery; None where its payload is not kept any more."""
        try:
            payload = parse(self._deliveries.payload(one.delivery_id))
        except NotJson:
            return None
        personal = self._settings.showdata
        seen = masked(payload) if personal else shown_payload(payload)
        stream = encode(seen, one.stp_name)
        hidden = not personal and one.kind is Kind.TRIGGERED
        return Content(_plain(seen), pretty(stream.document), stream.renamings, hidden)

    def dataset(self, one: Delivery) -> Dataset | None:
        """The dataset of a delivery; None where none of the embedded stored process is there."""
        own = self._settings.for_stp(one.stp_name)
        if not own.embedded:
            return None
        told = str(one.result.get("dataSet", "")).partition(".")[0]
        names = (told, dataset_name(one.task_name, one.occurrence_id))
        found = (_manifest(own.outputfolder, name, one.occurrence_id) for name in names)
        manifest = next(filter(None, found), None)
        if manifest is None:
            return None
        return Dataset(manifest, self._first_rows(own.outputfolder, manifest))

    def _first_rows(self, folder: Path, manifest: dict[str, Any]) -> list[list[str]] | None:
        if not self._settings.showdata:
            return None
        try:
            return list(shelf.first_rows(folder, manifest, _ROWS)) or None
        except OSError as error:
            _log.info("the first rows of a dataset cannot be read: %s", error.strerror or error)
            return None


def _manifest(folder: Path, name: str, occurrence: str) -> dict[str, Any] | None:
    """The manifest of that name, if it is one of this occurrence: later ones may replace it."""
    if name != Path(name).name:  # it may come from another server
        return None
    manifest = read_manifest(folder / f"{name}{MANIFEST}")
    return manifest if manifest.get("occurrence") == occurrence else None


def _plain(value: Any) -> Any:
    """A payload for ``json.dumps``: numbers as numbers where they lose nothing by it."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Number):
        whole = value.lstrip("-").isdigit() and len(value) <= _LONGEST_NUMBER
        return int(value) if whole else str(value)
    return value
