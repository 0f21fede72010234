"""What is put into an object store: the data file as it came, or converted and packed, and what
stands beside it."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from connector_proxy import __version__, dataset
from connector_proxy.dataset import Made, Origin, Wanted
from connector_proxy.dataset.packed import CHUNK, unpacked
from connector_proxy.dataset.room import need_room
from connector_proxy.objectstore.parcel import sha256_of
from connector_proxy.records import Delivery
from connector_proxy.settings import Settings
from connector_proxy.staging import Files


@dataclass(frozen=True)
class Contents:
    """The file that becomes the object, its SHA-256, and what is known of its rows (nothing where
    it was not read). ``beside`` are further files, by what their names end in."""

    path: Path
    sha256: str
    facts: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[Mapping[str, str], ...] = ()
    beside: tuple[tuple[str, Path], ...] = ()


def contents(delivery: Delivery, files: Files, settings: Settings, work: Path) -> Contents:
    """Make what the settings want in the empty folder ``work``. Raises ``Refused`` for files that
    cannot be used, ``Unavailable`` and ``OSError`` for what may pass."""
    own, reserve = settings.own, settings.diskreservemb << 20
    path, made = files.data, None
    if own["content"] != "file":
        made = _converted(delivery, files, settings, work)
        path = work / made.main
    if own["compress"] != "none":
        path = _packed(unpacked(path, work, reserve), own["compress"], work, reserve)
    beside = [("metadata.json", files.metadata)] if "metadata" in own["beside"] else []
    if made and made.rejected:
        beside.append(("rejects.csv", work / f"{made.name}_rejects.csv"))
    return Contents(
        path,
        files.sha256 if path == files.data else sha256_of(path),
        {"rows": made.rows, "rejectedRows": made.rejected} if made else {},
        tuple(made.manifest["columns"]) if made else (),
        tuple(beside),
    )


def _converted(delivery: Delivery, files: Files, settings: Settings, work: Path) -> Made:
    part = work / "part"
    part.mkdir()
    columns = dataset.read_metadata(files.metadata.read_bytes())
    wanted = Wanted(
        (settings.own["content"],),
        settings.csvbom,
        settings.onbadrow,
        reserve=settings.diskreservemb << 20,
    )
    # The moment is the same for each attempt, so that an object is known again by its bytes.
    origin = Origin(
        delivery.task_name,
        delivery.delivery_id,
        delivery.tracking_code,
        at=delivery.accepted_at,
    )
    return dataset.make(columns, files.data, work, part, origin, wanted)


def _packed(path: Path, how: str, work: Path, reserve: int) -> Path:
    """``path`` packed; the same bytes each time, so that an upload may go on where it was cut."""
    need_room(work, path.stat().st_size + reserve, "to pack the data file")
    target = work / "packed"
    with path.open("rb") as source, target.open("wb") as out:
        if how == "zstd":
            zstandard.ZstdCompressor().copy_stream(source, out, size=path.stat().st_size)
        else:
            _gzip(source, out)
    return target


def _gzip(source: BinaryIO, out: BinaryIO) -> None:
    with gzip.GzipFile("", "wb", 6, out, mtime=0) as packed:
        shutil.copyfileobj(source, packed, CHUNK)


def manifest(delivery: Delivery, key: str, files: Files, made: Contents, work: Path) -> Path:
    """A file that tells what became of a task, in JSON."""
    told: dict[str, Any] = {
        "object": key,
        "bytes": made.path.stat().st_size,
        "sha256": made.sha256,
        "sourceSha256": files.sha256,
        "deliveryId": delivery.delivery_id,
        "task": delivery.task_name,
        "occurrence": delivery.occurrence_id,
        "responseTrackingCode": delivery.tracking_code,
        **made.facts,
        "columns": list(made.columns),
        "madeBy": f"connector-proxy {__version__}",
    }
    told = {name: value for name, value in told.items() if value not in ("", [])}
    path = work / "manifest"
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
