"""The embedded stored process: does in Python what the bundled SAS code does on a SAS server.

It takes the same bytes that SAS gets as ``instream`` and answers with the same document,
``<stpResult>``, so that neither the proxy nor the emulator can tell the difference.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from connector_proxy import dataset
from connector_proxy.dataset import Column
from connector_proxy.download import Downloader
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.records import Outcome, Stream
from connector_proxy.reply import read_reply
from connector_proxy.settings import Settings


class Embedded:
    """Downloads the two files of a bulk stream, or keeps the row of a triggered one."""

    name = "embedded"
    repeatable = True

    def deliver(self, stp_name: str, stream: Stream, settings: Settings) -> Outcome:
        """Run the embedded stored process; see ``Destination``."""
        return read_reply(200, {}, run(stream.document, settings), raw=True, complete=True)

    def close(self) -> None:
        """Nothing stays open between two deliveries."""


def run(document: bytes, settings: Settings) -> bytes:
    """Turn a stream document into a dataset in ``settings.outputfolder``.

    Returns ``<stpResult>``. Raises ``Refused`` for a stream or files that cannot be used and
    ``Unavailable`` for a download or a disk that may work later; then nothing was written.
    """
    row = _row(document)
    try:
        settings.outputfolder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".part-", dir=settings.outputfolder, ignore_cleanup_errors=True
        ) as part:
            whole = Path(part) / "dataset"
            facts = _collect(row, Path(part), whole, settings)
            name = _dataset_name(row, document)
            whole.replace(settings.outputfolder / name)
    except OSError as error:
        raise Unavailable(
            f"The dataset cannot be written: {error.strerror or type(error).__name__}.",
            code="output_folder",
            advice="Nothing was written. See that outputfolder exists, has room, and may be "
            "written by the service account.",
        ) from None
    return result_document(
        "ok", row, data_set=name, rows=facts.rows, columns=facts.columns, sha256=facts.sha256
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
class _Facts:
    """What a dataset came to; ``sha256`` is that of its data file, empty for an event."""

    rows: int
    columns: int
    sha256: str = ""


def _collect(row: dict[str, str], part: Path, whole: Path, settings: Settings) -> _Facts:
    """Write the dataset of ``row`` to ``whole``."""
    if not {"dataFile", "metadataFile"} <= row.keys():
        rows = dataset.write(whole, map(Column, row), [list(row.values())])
        return _Facts(rows, len(row))
    with Downloader(
        settings.downloadhosts,
        connect_timeout=settings.connecttimeout,
        read_timeout=settings.readtimeout,
        proxy=settings.outboundproxy,
        ca_bundle=settings.cabundle,
    ) as downloader:
        columns = _metadata(row, part / "metadata", downloader)
        downloader.fetch(row.get("dataFile", ""), part / "data", "data file")
    rows = dataset.write(whole, columns, dataset.read_rows(part / "data", len(columns)))
    return _Facts(rows, len(columns), _sha256(part / "data"))


def _sha256(path: Path) -> str:
    """The digest of a file in lower-case hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _metadata(row: dict[str, str], target: Path, downloader: Downloader) -> tuple[Column, ...]:
    downloader.fetch(row.get("metadataFile", ""), target, "metadata file")
    if target.stat().st_size > dataset.MAX_METADATA:
        raise Refused("The metadata file is too large to be one.", code="bad_data")
    return dataset.read_metadata(target.read_bytes())


def _dataset_name(row: dict[str, str], document: bytes) -> str:
    """Named from the task and its occurrence, or the event and its id; the same run again gives
    the same name. Without an id the stream itself tells runs apart."""
    identity = row.get("occurrenceId") or row.get("guid") or hashlib.sha256(document).hexdigest()
    return dataset.file_name(row.get("taskName") or row.get("eventName") or "", identity)


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
