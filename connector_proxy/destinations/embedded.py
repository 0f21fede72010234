"""The embedded stored process: does in Python what the bundled SAS code does on a SAS server.

It takes the same bytes that SAS gets as ``instream`` and answers with the same document,
``<stpResult>``, so that neither the proxy nor the emulator can tell the difference.
"""

from __future__ import annotations

import csv
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from connector_proxy import dataset, staging
from connector_proxy.dataset import Column, Made, Origin, Wanted
from connector_proxy.dataset.place import UNFINISHED
from connector_proxy.destinations.streams import stream_of
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.records import Delivery, Outcome, Payload
from connector_proxy.reply import read_reply
from connector_proxy.settings import Settings
from connector_proxy.staging import Files


class Embedded:
    """Makes a dataset of the two files of a bulk task, or of the row of a triggered one."""

    name = "embedded"
    repeatable = True

    def deliver(
        self, delivery: Delivery, payload: Payload, settings: Settings, files: Files | None
    ) -> Outcome:
        """Run the embedded stored process; see ``Destination``."""
        stream = stream_of(payload, delivery.stp_name)
        result = run(stream.document, settings, files, delivery.delivery_id)
        return read_reply(200, {}, result, raw=True, complete=True)

    def close(self) -> None:
        """Nothing stays open between two deliveries."""


def run(
    document: bytes, settings: Settings, files: Files | None = None, delivery: str = ""
) -> bytes:
    """Turn a stream document into a dataset in ``settings.outputfolder``. ``files`` are those of
    a bulk task; without them they are downloaded, as SAS code does it. ``delivery`` is the id of
    the delivery, where there is one.

    Returns ``<stpResult>``. Raises ``Refused`` for a stream or files that cannot be used and
    ``Unavailable`` for a download or a disk that may work later; then nothing was written.
    """
    row = _row(document)
    origin = _origin(row, document, delivery)
    try:
        settings.outputfolder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=UNFINISHED, dir=settings.outputfolder, ignore_cleanup_errors=True
        ) as part:
            got = _got(row, Path(part), settings, files)
            made = _made(got, origin, Path(part), settings)
    except OSError as error:
        raise Unavailable(
            f"The dataset cannot be written: {error.strerror or type(error).__name__}.",
            code="output_folder",
            advice="Nothing was written. See that outputfolder exists, has room, and may be "
            "written by the service account.",
        ) from None
    return result_document(
        "ok",
        row,
        data_set=made.main,
        rows=made.rows,
        columns=made.columns,
        rejected_rows=made.rejected,
        sha256=got.sha256,
    )


def _row(document: bytes) -> dict[str, str]:
    """The one ``InData`` row of a stream, by element name."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        table = etree.fromstring(document, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise _bad_stream("is not well-formed XML") from None
    rows = table.findall("InData")
    if len(rows) != 1:
        raise _bad_stream(f"has {len(rows)} InData rows instead of one")
    children = rows[0].iterchildren("{*}*")
    return {etree.QName(child).localname: child.text or "" for child in children}


def _bad_stream(what: str) -> Refused:
    return Refused(f"The stream {what}.", code="bad_stream", advice="Report this as a fault.")


@dataclass(frozen=True)
class _Got:
    """A data file and its columns; ``sha256`` is that of the file as it was downloaded, empty for
    an event."""

    columns: tuple[Column, ...]
    data: Path
    sha256: str = ""


def _got(row: dict[str, str], part: Path, settings: Settings, files: Files | None) -> _Got:
    """The two files of a bulk stream, or the row of a triggered one as such a file."""
    if not {"dataFile", "metadataFile"} <= row.keys():
        with (part / "data").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row.values())
        return _Got(tuple(map(Column, row)), part / "data")
    if files is None:
        urls = {"data": row["dataFile"], "metadata": row["metadataFile"]}
        files = staging.fetch(urls, part / "files", settings)
    columns = dataset.read_metadata(files.metadata.read_bytes())
    return _Got(columns, files.data, files.sha256)


def _made(got: _Got, origin: Origin, part: Path, settings: Settings) -> Made:
    place = part / "dataset"
    place.mkdir()
    wanted = Wanted.of(settings)
    return dataset.make(got.columns, got.data, settings.outputfolder, place, origin, wanted)


def _origin(row: dict[str, str], document: bytes, delivery: str) -> Origin:
    """Named from the task and its occurrence, or the event and its id; the same run again gives
    the same dataset. Without an id the stream itself tells runs apart."""
    return Origin(
        row.get("taskName") or row.get("eventName") or "",
        row.get("occurrenceId") or row.get("guid") or hashlib.sha256(document).hexdigest(),
        row.get("responseTrackingCode", ""),
        delivery,
    )


def result_document(
    status: str,
    row: dict[str, str] | None = None,
    *,
    code: str = "0",
    message: str = "",
    data_set: str = "",
    rows: int = 0,
    columns: int = 0,
    rejected_rows: int = 0,
    unreadable_values: int = 0,
    sha256: str = "",
) -> bytes:
    """The answer of a stored process in ``_WEBOUT``: ``status`` is ``ok`` or ``error``,
    ``sha256`` that of the data file as it was downloaded, in lower-case hex."""
    root = etree.Element("stpResult")
    facts = {
        "status": status,
        "code": code,
        "message": message,
        "occurrenceId": (row or {}).get("occurrenceId", ""),
        "dataSet": data_set,
        "rows": str(rows),
        "columns": str(columns),
        "rejectedRows": str(rejected_rows),
        "unreadableValues": str(unreadable_values),
        "sha256": sha256,
    }
    for name, text in facts.items():
        etree.SubElement(root, name).text = text
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)
