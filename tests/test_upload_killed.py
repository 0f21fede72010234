"""The whole service is killed in the middle of an upload, or its delivery is cancelled: a correct
object in the end, or none, and no upload that nobody ends."""

from __future__ import annotations

import os
import random
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from connector_proxy.database import Database
from connector_proxy.loading import load
from connector_proxy.settings import Settings
from connector_proxy.staging import Staging
from connector_proxy.tidying import Tidying
from tests.conftest import another, decided, payload
from tests.crashing import ServiceProcess, wait_until
from tests.filestore import FileStore
from tests.s3store import BUCKET, KEY, SECRET, S3Store
from tests.storedoor import Answer, Request, StoreDoor
from tests.test_upload_service import Start
from tests.uploads import METADATA, s3_target

DATA = random.Random(3).randbytes((64 << 20) + 1)


@pytest.fixture
def s3() -> Iterator[S3Store]:
    with S3Store() as running:
        yield running


@pytest.fixture
def door(s3: S3Store) -> Iterator[StoreDoor]:
    with StoreDoor(s3.port) as running:
        yield running


def webhook(store: FileStore) -> dict[str, object]:
    urls = store.urls(METADATA, DATA)
    return another({**payload("bulk_s3_trailing_blank.json"), "presignedUrls": urls})


def unfinished(s3: S3Store) -> int:
    return len(s3.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()))


def test_a_service_that_is_killed_in_the_middle_puts_the_object_there_and_leaves_nothing(
    s3: S3Store, door: StoreDoor, store: FileStore, tmp_path: Path
) -> None:
    hosts = f"http://127.0.0.1:{store.port}"
    service = ServiceProcess(tmp_path / "one", downloadhosts=hosts, loglevel="DEBUG")
    s3_target(service.conf, door.url)
    reached, go_on = threading.Event(), threading.Event()

    def stand_still(request: Request) -> None:
        if request.part == 5:
            reached.set()
            go_on.wait(60)

    door.rule = stand_still
    try:
        service.start()
        answer = requests.post(f"{service.url}/UploadFile", json=webhook(store), timeout=30)
        assert answer.status_code == 202, answer.text
        assert reached.wait(60)
        service.kill_both()
        door.rule = lambda request: None
        go_on.set()
        assert unfinished(s3) == 1
        before = len(store.seen)
        service.start()
        address = service.url + answer.json()["statusUrl"]
        record = wait_until(
            "it is done",
            lambda: (found := requests.get(address, timeout=5).json())["state"] == "done" and found,
            60,
        )
    finally:
        go_on.set()
        service.end()
    assert [one["verdict"] for one in record["attempts"]] == ["unknown", "done"]
    stored = s3.client.get_object(Bucket=BUCKET, Key="in/my_audience.csv")
    assert stored["Body"].read() == DATA
    assert unfinished(s3) == 0
    assert len(store.seen) == before, "the file was not downloaded again"
    assert door.parts().count(1) == 1, "nor was a part sent again that was there"
    log = (tmp_path / "one" / "logs" / "connector-proxy.log").read_text(encoding="utf-8")
    assert " DEBUG " in log
    assert not re.search(f"{SECRET}|{KEY}|AWS4-HMAC|Authorization|Signature=[^<]", log)


def test_what_a_cancelled_delivery_began_is_ended_when_its_files_go(
    s3: S3Store, door: StoreDoor, store: FileStore, conf: Path, settings: Settings, start: Start
) -> None:
    s3_target(conf, door.url)
    settings = replace(settings, overrides=load(conf, {}).overrides)
    door.rule = lambda request: Answer(503, "SlowDown") if request.part == 3 else None
    service = start(settings)
    answer = service.post(webhook(store), "/UploadFile")
    assert answer.status_code == 202, answer.text
    delivery_id = answer.json()["deliveryId"]
    assert service.record(answer)["code"] == "store_busy"
    service.deliveries.cancel(delivery_id, decided())
    assert unfinished(s3) == 1
    database = Database(settings)
    tidying = Tidying(settings, database, Staging(settings.downloadfolder))
    later = datetime.now(UTC) + timedelta(minutes=settings.keepfilesminutes + 1)
    door.rule = lambda request: Answer(503, "SlowDown")
    other = settings.downloadfolder / ("f" * 32)
    other.mkdir()
    os.utime(other, (0, 0))
    tidying.each_minute(later)
    assert (settings.downloadfolder / delivery_id).exists(), "the store does not answer"
    assert not other.exists(), "what has nothing to do with the store goes nevertheless"
    door.rule = lambda request: None
    tidying.each_minute(later)
    database.close()
    assert unfinished(s3) == 0
    assert not (settings.downloadfolder / delivery_id).exists()
