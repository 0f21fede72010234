"""Rows that were rejected, each as an event about its customer: a file of events, uploaded in the
two steps that CI 360 has for many of them."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from connector_proxy.ci360 import answer
from connector_proxy.ci360.answer import Answered, Course
from connector_proxy.ci360.book import Begun
from connector_proxy.ci360.gateway import Gateway
from connector_proxy.ci360.letter import Letter
from connector_proxy.dataset.place import MANIFEST, dataset_name, read_manifest
from connector_proxy.errors import OutcomeUnknown, Unavailable
from connector_proxy.records import Delivery
from connector_proxy.settings import Settings

PLACE = Letter(
    "/marketingGateway/bulkEventsFileLocation",
    {"version": 1, "applicationId": "connector-proxy"},
)
"""The first step: it asks where the file may be put."""
_IDENTITY = "identity_id"
_CHUNK = 256 * 1024
_NO_ROWS = answer.never(
    "no_rows",
    "The rejected rows are not here any more, or do not begin with identity_id.",
    "They lie beside the dataset in outputfolder, on the instance that made it.",
)


def upload(gateway: Gateway, begun: Begun, settings: Settings) -> Answered:
    """Send the events of the rows that this delivery rejected."""
    own = settings.for_stp(begun.delivery.stp_name)
    rejects = _rejects(begun.delivery, own.outputfolder)
    if rejects is None:
        return _NO_ROWS
    rtc = (own.rtcattribute, begun.delivery.tracking_code)
    with tempfile.TemporaryFile(dir=settings.datafolder) as file:
        for line in lines(rejects, begun.report.event, rtc):
            file.write(line)
        return _put(gateway, file, begun.before) if file.tell() else _NO_ROWS


def _rejects(delivery: Delivery, folder: Path) -> Path | None:
    """The file that a destination from outside names, else that of the dataset."""
    named = str(delivery.result.get("rejects", ""))
    if not named:
        return find(folder, delivery.occurrence_id)
    path = folder / Path(named).name
    return path if path.is_file() else None


def find(folder: Path, occurrence: str) -> Path | None:
    """The file of the rows that the latest dataset of an occurrence rejected, where they begin
    with the identity of their customer."""
    found = folder.glob(f"*{dataset_name('', occurrence)}*{MANIFEST}")
    manifests = [one for one in map(read_manifest, found) if one.get("occurrence") == occurrence]
    latest = max(manifests, key=lambda one: str(one.get("finishedAt")), default={})
    columns = [str(one.get("name", "")).lower() for one in latest.get("columns", ())]
    if columns[:1] != [_IDENTITY]:
        return None
    names = [str(one["name"]) for one in latest["files"] if one.get("format") == "rejects"]
    paths = [folder / Path(name).name for name in names]
    return next((path for path in paths if path.is_file()), None)


def lines(rejects: Path, event: str, rtc: tuple[str, str]) -> Iterator[bytes]:
    """A line of CSV for each row whose customer is known: the event, whom it is about, which
    line of the data file was rejected, why, and the tracking code."""
    attribute, code = rtc
    tracked = (attribute, code) if attribute and code else ()
    with rejects.open(encoding="utf-8", errors="replace", newline="") as file:
        for row in csv.DictReader(file):
            identity = next(csv.reader([row["row"]]), [""])[0].strip()
            if identity:
                words = (event, "datahub_id", identity, "line", row["line"], "reason")
                yield _csv(*words, row["reason"], *tracked)


def _csv(*values: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def _put(gateway: Gateway, file: IO[bytes], before: str) -> Answered:
    try:
        got = gateway.post(PLACE)
    except Unavailable as error:
        return answer.unreachable(str(error))
    except OutcomeUnknown:  # a place that nobody uses does no harm
        return answer.unreachable("no answer")
    given = answer.read(got.status, got.retry_after, before)
    if given.course is not Course.SENT:
        return given
    place = _place(got.body, gateway.url)
    if not place:
        return answer.never(
            "report_refused",
            "The gateway names no place for a file of events.",
            "Let the support of CI 360 look at bulkEventsFileLocation.",
        )
    return _put_at(gateway, place, file, before)


def _put_at(gateway: Gateway, place: str, file: IO[bytes], before: str) -> Answered:
    length = file.tell()
    file.seek(0)
    pieces = iter(lambda: file.read(_CHUNK), b"")
    kind = {"Content-Type": "application/octet-stream"}  # no token: the place has its signature
    try:
        got = gateway.send("PUT", place, pieces, length, kind)
    except Unavailable as error:
        return answer.unreachable(str(error))
    except OutcomeUnknown:
        return answer.unknown()
    return answer.read(got.status, got.retry_after, before)


def _place(body: bytes, gateway_url: str) -> str:
    """The address in the answer; https, unless the gateway itself is asked without it."""
    try:
        links = json.loads(body)["links"]
        place = next(str(link["href"]) for link in links if link["rel"] == "self")
    except (ValueError, KeyError, TypeError, StopIteration):
        return ""
    allowed = ("https://",) if gateway_url.startswith("https:") else ("https://", "http://")
    return place if place.startswith(allowed) else ""
