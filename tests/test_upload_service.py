"""From a webhook to an object, and to several destinations: each with its own deliveries."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import zstandard
from click.testing import CliRunner

from connector_proxy.cli import cli
from connector_proxy.destinations.contents import contents
from connector_proxy.emulator import Emulator
from connector_proxy.loading import load
from connector_proxy.preview import preview
from connector_proxy.settings import Settings
from tests.conftest import Service, another, decided, payload
from tests.filestore import FileStore, s3_error, zipped
from tests.uploads import METADATA, delivery, files_of, target

DATA = b'1,"Ada, Jr."\n2,Bj\xc3\xb6rn\n'
Start = Callable[[Settings], Service]


class Bench:
    """A configuration with targets below ``folder``, and payloads whose files are in ``store``."""

    def __init__(self, conf: Path, settings: Settings, store: FileStore, start: Start) -> None:
        self.conf, self.folder = conf, conf.parent / "bucket"
        self.folder.mkdir()
        self._base, self._store, self._start = settings, store, start

    def target(self, name: str = "", **values: object) -> None:
        target(self.conf, (self.folder / name).as_uri(), name, **values)
        (self.folder / name).mkdir(exist_ok=True)

    def settings(self, **values: Any) -> Settings:
        own = {"overrides": load(self.conf, {}).overrides, **values}
        return replace(self._base, **own)

    def service(self, **values: Any) -> Service:
        return self._start(self.settings(**values))

    def webhook(self, data: bytes = DATA, **parameters: str) -> dict[str, Any]:
        urls = self._store.urls(METADATA, data)
        own = {"stpName": "Download File", "s3_filename": "a.csv", **parameters}
        return another({**payload(), "presignedUrls": urls, "sendParameters": own})

    def objects(self) -> dict[str, bytes]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def bench(conf: Path, settings: Settings, store: FileStore, start: Start) -> Bench:
    return Bench(conf, settings, store, start)


def test_a_bulk_task_becomes_an_object_and_the_answer_names_it(bench: Bench) -> None:
    bench.target(objectname="audiences/{date}/{filename}")
    service = bench.service()
    answer = service.post(bench.webhook(), "/UploadFile")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    [(name, content)] = bench.objects().items()
    assert content == DATA
    assert (told["status"], told["stpName"]) == ("done", "upload:default")
    assert told["result"]["key"] == name
    assert "http" not in answer.text and "Signature" not in answer.text
    record = service.record(answer)
    assert record["stpName"] == "upload:default"
    assert record["attempts"][0]["destination"] == "upload"


def test_the_same_webhook_again_is_the_same_delivery(bench: Bench) -> None:
    bench.target()
    service, webhook = bench.service(), bench.webhook()
    first, second = (service.post(webhook, "/UploadFile") for _ in range(2))
    assert second.json()["deliveryId"] == first.json()["deliveryId"]
    assert second.json()["duplicate"] is True


def test_a_send_parameter_chooses_among_the_targets(bench: Bench) -> None:
    bench.target()
    bench.target("archive", compress="gzip")
    service = bench.service()
    service.post(bench.webhook(UploadTarget="Archive"), "/UploadFile")
    service.post(bench.webhook(), "/UploadFile?uploadTarget=archive")
    assert set(bench.objects()) == {"archive/a.csv.gz"}
    answer = service.post(bench.webhook(uploadTarget="nowhere"), "/UploadFile")
    assert answer.status_code == 422
    assert "[upload:nowhere]" in answer.text
    assert service.post(bench.webhook(uploadTarget="a/b"), "/UploadFile").status_code == 422


@pytest.mark.parametrize(
    "name", ["../a.csv", "/etc/passwd", "a\x00b", "C:\\a", "", "a//b", "x" * 900]
)
def test_a_name_that_is_not_allowed_is_refused_before_anything_is_kept(
    name: str, bench: Bench
) -> None:
    bench.target()
    service = bench.service()
    answer = service.post(bench.webhook(s3_filename=name), "/UploadFile")
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["field"] == "sendParameters.s3_filename"
    assert service.deliveries.search() == []


def test_without_a_target_and_for_an_event_it_is_422(bench: Bench) -> None:
    service = bench.service()
    assert "[upload]" in service.post(bench.webhook(), "/UploadFile").text
    bench.target()
    service = bench.service()
    answer = service.post(payload("triggered.json"), "/UploadFile")
    assert answer.status_code == 422
    assert "event" in answer.json()["error"]["message"]


def test_only_post_is_answered(bench: Bench) -> None:
    bench.target()
    assert requests.get(bench.service().url + "/UploadFile", timeout=10).status_code == 405


@pytest.mark.parametrize(
    ("values", "name", "read"),
    [
        ({"content": "csv"}, "a.csv", lambda body: body),
        ({"content": "csv", "compress": "gzip"}, "a.csv.gz", gzip.decompress),
        (
            {"content": "csv", "compress": "zstd"},
            "a.csv.zst",
            lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
        ),
    ],
)
def test_csv_gets_a_header_line_and_is_packed(
    values: dict[str, str], name: str, read: Callable[[bytes], bytes], bench: Bench
) -> None:
    bench.target(**values)
    answer = bench.service().post(bench.webhook(), "/UploadFile")
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"]["rows"] == 2
    assert read(bench.objects()[name]) == b'id,name\r\n1,"Ada, Jr."\r\n2,Bj\xc3\xb6rn\r\n'


def test_parquet_has_types(bench: Bench) -> None:
    import io

    import pyarrow.parquet

    bench.target(content="parquet")
    assert bench.service().post(bench.webhook(), "/UploadFile").status_code == 200
    table = pyarrow.parquet.read_table(io.BytesIO(bench.objects()["a.parquet"]))
    assert table.to_pylist()[0]["name"] == "Ada, Jr."


def test_a_file_that_came_packed_is_packed_anew_and_as_it_came_where_nothing_is_said(
    bench: Bench,
) -> None:
    bench.target()
    bench.target("zstd", compress="zstd")
    service = bench.service()
    service.post(bench.webhook(zipped(DATA)), "/UploadFile")
    service.post(bench.webhook(zipped(DATA), uploadTarget="zstd"), "/UploadFile")
    objects = bench.objects()
    assert objects["a.csv"] == zipped(DATA)
    unpacked = zstandard.ZstdDecompressor().decompressobj().decompress(objects["zstd/a.csv.zst"])
    assert unpacked == DATA


def test_metadata_and_manifest_stand_beside_it_and_rejected_rows_too(bench: Bench) -> None:
    bench.target(content="csv", beside="metadata, manifest", onbadrow="reject")
    answer = bench.service().post(bench.webhook(DATA + b"3\n"), "/UploadFile")
    assert answer.json()["result"]["rejectedRows"] == 1
    objects = bench.objects()
    assert set(objects) == {
        "a.csv", "a.csv.metadata.json", "a.csv.manifest.json", "a.csv.rejects.csv",
    }  # fmt: skip
    assert objects["a.csv.metadata.json"] == METADATA
    manifest = json.loads(objects["a.csv.manifest.json"])
    assert (manifest["object"], manifest["rows"]) == ("a.csv", 2)
    assert [one["name"] for one in manifest["columns"]] == ["id", "name"]


@pytest.mark.parametrize("content", ["csv", "parquet", "xpt"])
def test_what_is_converted_has_the_same_bytes_in_each_attempt(
    content: str, settings: Settings, tmp_path: Path
) -> None:
    """An object that an earlier attempt put there is known by them."""
    own = replace(settings, own={"content": content, "compress": "none", "beside": ()})
    found = set()
    for name in ("first", "second"):
        files = files_of(tmp_path / name, DATA, METADATA)
        (tmp_path / name / "work").mkdir()
        found.add(contents(delivery(), files, own, tmp_path / name / "work").sha256)
        time.sleep(1.1)  # a transport file tells seconds
    assert len(found) == 1


def test_a_file_that_cannot_be_used_is_refused_and_nothing_is_put_there(bench: Bench) -> None:
    bench.target(content="csv")
    answer = bench.service().post(bench.webhook(b"1\n"), "/UploadFile")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "bad_data")
    assert bench.objects() == {}


def test_a_folder_that_is_not_there_is_refused_with_advice(bench: Bench) -> None:
    bench.target()
    service = bench.service()
    bench.folder.rmdir()
    answer = service.post(bench.webhook(), "/UploadFile")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "no_such_bucket")


# -- several destinations --------------------------------------------------------------------


def test_a_webhook_for_two_destinations_becomes_two_deliveries(bench: Bench) -> None:
    bench.target()
    service = bench.service(destinations=("stp", "upload:default"))
    answer = service.post(bench.webhook())
    assert answer.status_code == 200, answer.text
    stp, upload = answer.json()["deliveries"]
    assert (stp["stpName"], stp["status"]) == ("Download File", "done")
    assert (upload["stpName"], upload["result"]["key"]) == ("upload:default", "a.csv")
    assert stp["deliveryId"] != upload["deliveryId"]
    assert stp["requestId"] == upload["requestId"]
    assert bench.objects() == {"a.csv": DATA}


def test_one_that_fails_does_not_repeat_the_other(bench: Bench, emulator: Emulator) -> None:
    bench.target()
    service = bench.service(stpurl=emulator.stpurl, destinations=("stp", "upload:default"))
    bench.folder.rename(bench.folder.with_name("away"))
    webhook = bench.webhook()
    answer = service.post(webhook)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "no_such_bucket"
    assert [one["httpStatus"] for one in answer.json()["deliveries"]] == [200, 502]
    bench.folder.with_name("away").rename(bench.folder)
    again = service.post(webhook)
    assert again.status_code == 200
    assert [one.get("duplicate", False) for one in again.json()["deliveries"]] == [True, False]
    assert bench.objects() == {"a.csv": DATA}
    assert sum(one.ran for one in emulator.requests) == 1, "the stored process ran once"


def test_a_paused_stored_process_does_not_hold_up_the_upload(bench: Bench) -> None:
    bench.target()
    service = bench.service(destinations=("stp", "upload:default"), waitseconds=2.0)
    service.deliveries.pause("Download File", decided())
    answer = service.post(bench.webhook())
    assert [one["httpStatus"] for one in answer.json()["deliveries"]] == [202, 200]
    assert answer.status_code == 202
    assert service.deliveries.pause("upload:default", decided()) == 0


def test_where_one_destination_cannot_take_it_nothing_is_accepted(bench: Bench) -> None:
    bench.target()
    service = bench.service(destinations=("stp", "upload:default"))
    answer = service.post(bench.webhook(s3_filename="../a"))
    assert answer.status_code == 422
    assert service.deliveries.search() == []


def test_a_stored_process_may_have_destinations_of_its_own(bench: Bench) -> None:
    bench.target()
    bench.target("archive")
    with (bench.conf / "serviceConfig.ini").open("a") as file:
        file.write("[stp:Only Upload]\ndestinations = upload upload:archive\n")
    service = bench.service()
    answer = service.post(bench.webhook(stpName="Only Upload"))
    assert [one["stpName"] for one in answer.json()["deliveries"]] == [
        "upload:default", "upload:archive",
    ]  # fmt: skip
    assert set(bench.objects()) == {"a.csv", "archive/a.csv"}


def test_a_delivery_whose_target_is_configured_no_more_is_refused(
    bench: Bench, store: FileStore
) -> None:
    bench.target()
    service = bench.service(waitseconds=0.0, retryschedule=(1, 1, 1))
    webhook = bench.webhook()
    store.answers["data"] = s3_error(503, "SlowDown")
    answer = service.post(webhook, "/UploadFile")
    service.stop()
    del store.answers["data"]
    later = bench.service(overrides={})
    record = later.ended(answer)
    assert (record["state"], record["code"]) == ("refused", "destination_gone")


# -- commands --------------------------------------------------------------------------------


def test_preview_shows_each_destination_and_the_name_of_the_object(bench: Bench) -> None:
    bench.target(objectname="in/{taskCode}/{filename}")
    with (bench.conf / "serviceConfig.ini").open("a") as file:
        file.write("[stp:Download File]\ndestinations = stp, upload\n")
    raw = json.dumps(bench.webhook(taskCode="TSK_1")).encode()
    lines = list(preview(raw, load(bench.conf, {})))
    assert "stored process: Download File (bulk)" in lines
    assert lines[-2:] == [
        "destination:    upload:default (bulk)",
        f"object:         {bench.folder.as_uri()}/in/TSK_1/a.csv",
    ]


def test_check_shows_the_target_and_tries_it_without_its_secret(bench: Bench) -> None:
    bench.target(tags="team=crm")
    (bench.conf / "credentials.ini").write_text("[upload]\nsecretkey = s3cret-key\n")
    said = CliRunner().invoke(cli, ["check", "--conf", str(bench.conf)]).output
    assert "[upload]" in said
    assert re.search(r"tags +team=crm +serviceConfig.ini line \d", said)
    assert re.search(r"OK +\[upload\] file://\S+: answers", said)
    assert "s3cret-key" not in said
    told = json.loads(
        CliRunner().invoke(cli, ["check", "--json", "--conf", str(bench.conf)]).output
    )
    assert told["storedProcesses"]["upload:default"]["onexisting"]["value"] == "replace"
    bench.folder.rmdir()
    said = CliRunner().invoke(cli, ["check", "--conf", str(bench.conf)]).output
    assert re.search(r"FAIL +\[upload\] file://\S+: There is no such bucket", said)
