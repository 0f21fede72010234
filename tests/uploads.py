"""Files for object stores: targets of the configuration, files of a delivery, one that is put
there by a process of its own.

``python -m tests.uploads CONF FOLDER NAME`` puts ``FOLDER/data`` there and prints the outcome and
the peak of its memory in kB.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connector_proxy.destinations.upload import Upload
from connector_proxy.loading import load
from connector_proxy.records import Delivery, Kind, Outcome, State
from connector_proxy.settings import Settings
from connector_proxy.staging import Files
from tests.s3store import BUCKET, KEY, REGION, SECRET

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
METADATA = b'[{"columnName": "id", "dataType": "integer"}, {"columnName": "name", "dataType": "character"}]'


def target(conf: Path, url: str, name: str = "", **values: object) -> None:
    """Write ``[upload]`` or ``[upload:NAME]`` with these values."""
    section = f"[upload:{name}]" if name else "[upload]"
    lines = [section, f"url = {url}", *(f"{key} = {value}" for key, value in values.items())]
    with (conf / "serviceConfig.ini").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def s3_target(
    conf: Path, endpoint: str, name: str = "", prefix: str = "in", **values: object
) -> None:
    """The same for the bucket of the tests."""
    patience = {"connecttimeout": 2, "readtimeout": 20}
    own: dict[str, object] = {"endpoint": endpoint, "region": REGION, **patience, **values}
    target(conf, f"s3://{BUCKET}/{prefix}", name, **own)
    section = f"[upload:{name}]" if name else "[upload]"
    with (conf / "credentials.ini").open("a", encoding="utf-8") as file:
        file.write(f"{section}\naccesskey = {KEY}\nsecretkey = {SECRET}\n")


def delivery(delivery_id: str = "d" * 32, name: str = "upload:default") -> Delivery:
    return Delivery(
        delivery_id, "r", Kind.BULK, name, "Spring audience", "o-1", "t-1", State.RUNNING, 1, NOON, NOON, 1
    )  # fmt: skip


def files_of(folder: Path, data: bytes, metadata: bytes = METADATA) -> Files:
    """The files of a delivery, as they were fetched."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").write_bytes(data)
    (folder / "metadata").write_bytes(metadata)
    return Files(folder / "data", folder / "metadata", hashlib.sha256(data).hexdigest())


def put(
    settings: Settings, files: Files, one: Delivery | None = None, **parameters: str
) -> Outcome:
    """Carry one upload out, as an attempt does."""
    one = one or delivery()
    payload: Mapping[str, Any] = {"sendParameters": {"s3_filename": "a.csv", **parameters}}
    upload = Upload()
    try:
        return upload.deliver(one, dict(payload), settings.for_stp(one.stp_name), files)
    finally:
        upload.close()


def main(conf: str, folder: str, name: str) -> None:
    data = Path(folder) / "data"
    with data.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    files = Files(data, Path(folder) / "metadata", digest)
    outcome = put(load(Path(conf), {}), files, s3_filename=name)
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0])
    sys.stdout.write(json.dumps({"result": dict(outcome.result), "peak": peak}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
