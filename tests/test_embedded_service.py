"""The service with the embedded stored process: the default in the box."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector_proxy.settings import Settings
from connector_proxy.staging import Staging
from connector_proxy.values import HostPattern
from tests.conftest import PAYLOADS, Service, decided, payload
from tests.filestore import FileStore, endless, s3_error, send, short, zipped


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """As CSV, which keeps the text of each value as it came; other forms: test_dataset.py."""
    return replace(settings, datasetformat=("csv",))


def post(service: Service, store: FileStore, metadata: bytes, data: bytes, **more: Any) -> Any:
    return service.post({**payload(), "presignedUrls": store.urls(metadata, data), **more})


def rows(settings: Settings, response: Any) -> list[list[str]]:
    assert response.status_code == 200, response.text
    path = settings.outputfolder / response.json()["result"]["dataSet"]
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def left(settings: Settings) -> list[str]:
    return (
        sorted(path.name for path in settings.outputfolder.iterdir())
        if settings.outputfolder.exists()
        else []
    )


def test_the_hard_file_arrives_value_by_value(
    embedded_service: Service, store: FileStore, settings: Settings
) -> None:
    metadata = (PAYLOADS / "metadata_array.json").read_bytes()
    data = (PAYLOADS / "data_hard.csv").read_bytes()
    found = rows(settings, post(embedded_service, store, metadata, data))
    assert found[0][2] == "full name"
    assert found[1] == ["2d43e717-1209-313a-b5e0-5d4c63ffffbb", "007", 'Doe, "Jane"', "12.50", "1990-02-28", "2026-11-21T08:00:00Z", "x", "1"]  # fmt: skip
    assert found[2][2] == "multi\nline"
    assert found[3][2] == "Łukasz Ähre"


@pytest.mark.parametrize("data", [b"1,2\n3,4\n", b"", zipped(b"1,2\n"), b"\xef\xbb\xbf1,2\r\n"])
def test_the_result_has_the_digest_of_the_data_file_as_it_was_downloaded(
    data: bytes, embedded_service: Service, store: FileStore
) -> None:
    result = post(embedded_service, store, b"a,b", data).json()["result"]
    assert result["sha256"] == hashlib.sha256(data).hexdigest()
    assert (result["rejectedRows"], result["unreadableValues"]) == (0, 0)


def test_bad_rows_stop_the_work_with_their_line(
    embedded_service: Service, store: FileStore, settings: Settings
) -> None:
    metadata = (PAYLOADS / "metadata_array.json").read_bytes()
    data = (PAYLOADS / "data_bad_rows.csv").read_bytes()
    response = post(embedded_service, store, metadata, data)
    assert response.status_code == 502
    error = response.json()["error"]
    assert (error["code"], error["message"]) == (
        "bad_data", "Line 2 of the data file has 4 values, the metadata names 8 columns.",
    )  # fmt: skip
    assert left(settings) == [], "nothing was written"


WIDE = ",".join(f"c{n}" for n in range(500)).encode()


@pytest.mark.parametrize(
    ("metadata", "data", "expected"),
    [
        (b"a,b", b"", [["a", "b"]]),
        (b"a", b"1\n\n3\n", [["a"], ["1"], [""], ["3"]]),
        (b"a", b'""\n', [["a"], [""]]),
        (WIDE, b",".join([b"x"] * 500) + b"\n", [WIDE.decode().split(","), ["x"] * 500]),
        ((PAYLOADS / "metadata_header_line.csv").read_bytes(), b"1,f,30,007,NC",
         [["identity_id", "gender", "age_range", "external_id", "state_cd"], ["1", "f", "30", "007", "NC"]]),
        (b"\xef\xbb\xbfa,b\r\n", b"\xef\xbb\xbf1,2\r\n3,4\r\n", [["a", "b"], ["1", "2"], ["3", "4"]]),
        (b'\n [{"columnName": "a", "new": 1}]', b"1", [["a"], ["1"]]),
        (b"a,b", zipped(b"1,2\n"), [["a", "b"], ["1", "2"]]),
        (b"a,b", b'"x,""y""",z\n', [["a", "b"], ['x,"y"', "z"]]),
    ],
)  # fmt: skip
def test_files_of_every_legal_form_are_read(
    metadata: bytes, data: bytes, expected: list[list[str]], embedded_service: Service, store: FileStore, settings: Settings
) -> None:  # fmt: skip
    assert rows(settings, post(embedded_service, store, metadata, data)) == expected


@pytest.mark.parametrize(
    ("metadata", "data", "words"),
    [
        (b"a,b", b"1\n", "Line 1 of the data file has 1 values"),
        (b"a,b", b"1,2\n\n", "Line 2 of the data file has 0 values"),
        (b"a,b", b'1,"open\n', "Line 1 of the data file"),
        (b"a,b", b'1,"x"y\n', "Line 1 of the data file"),
        (b"a,b", b"1,\xff\n", "not UTF-8"),
        (b"a,b", b"1," + b"x" * 2_000_000, "field larger than"),
        (b"a,b", zipped(b"," * 30_000_000), "more than 20,971,520 characters"),
        (b"a,b", zipped(b'"\n",' * 9_000_000), "more than 20,971,520 characters"),
        (b'[{"columnName": "\\ud800"}]', b"1\n", "half of a character"),
        (b"a,b", zipped(b"1,2\n")[:-6], "cannot be unpacked"),
        (b"a,b", b"\x1f\x8bnonsense", "cannot be unpacked"),
        (b"", b"1,2\n", "names no column"),
        (b"[]", b"1,2\n", "names no column"),
        (b"a,,c", b"1,2,3\n", "without a name"),
        (b"a,b\nc,d\n", b"1,2\n", "more than one line"),
        (b"{}", b"1,2\n", "not an array"),
        (b"[1]", b"1\n", "without columnName"),
        (b'[{"columnName": 1}]', b"1\n", "without columnName"),
        (b"[{", b"1\n", "not clean JSON"),
        (b"\xff", b"1\n", "not UTF-8"),
        (b"x" * 5_000_000, b"1\n", "larger than 4,194,304 bytes"),
    ],
)
def test_files_that_cannot_be_used_are_refused_and_nothing_is_written(
    metadata: bytes, data: bytes, words: str, embedded_service: Service, store: FileStore, settings: Settings
) -> None:  # fmt: skip
    response = post(embedded_service, store, metadata, data)
    assert response.status_code == 502, response.text
    assert words in response.json()["error"]["message"]
    assert left(settings) == []


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (s3_error(403, "AccessDenied", "Request has expired"), 502, "has expired (HTTP status 403, AccessDenied)"),
        (s3_error(404, "NoSuchKey"), 502, "no longer there (HTTP status 404, NoSuchKey)"),
        (s3_error(400, "<x>"), 502, "(HTTP status 400)"),
        (s3_error(503, "SlowDown"), 202, "SlowDown"),
        (s3_error(500, "InternalError"), 202, "InternalError"),
        (short(b"1,2\n"), 202, "not be downloaded to its end"),
        (send(302, b"", Location="http://elsewhere.example/"), 502, "(HTTP status 302)"),
        (send(206, b"1,2\n"), 502, "(HTTP status 206)"),
        (send(302, zipped(b"0" * 50_000_000), Location="http://[", Content_Encoding="gzip"), 502, "(HTTP status 302)"),
        (endless, 502, "does not tell the length"),
    ],
)  # fmt: skip
def test_a_download_that_fails_is_refused_or_may_be_repeated(
    answer: Any, status: int, words: str, embedded_service: Service, store: FileStore, settings: Settings
) -> None:  # fmt: skip
    store.answers["data"] = answer
    response = post(embedded_service, store, b"a,b", b"1,2\n")
    assert response.status_code == status
    record = embedded_service.record(response)
    assert words in record["message"]
    assert "X-Amz" not in response.text + json.dumps(record)
    assert left(settings) == []


def test_the_url_is_sent_as_it_was_signed_and_without_authorization(
    embedded_service: Service, store: FileStore
) -> None:
    assert post(embedded_service, store, b"a,b", b"1,2\n").status_code == 200
    for request in store.seen:
        assert "X-Amz-Security-Token=to%2Fken%3D&" in request.path
        assert request.headers["Authorization"] is None
        assert request.headers["Accept-Encoding"] == "identity"


def test_the_same_occurrence_again_replaces_its_dataset(
    embedded_service: Service, store: FileStore, settings: Settings
) -> None:
    first = post(embedded_service, store, b"a,b", b"1,2\n")
    store.urls(b"a,b", b"3,4\n")
    Staging(settings.downloadfolder).remove(first.json()["deliveryId"])
    embedded_service.deliveries.replay(first.json()["deliveryId"], decided())
    assert embedded_service.ended(first, attempts=2)["state"] == "done"
    assert rows(settings, first) == [["a", "b"], ["3", "4"]]
    assert len(left(settings)) == 2, "the dataset and its manifest"


def test_fifty_at_once_do_not_mix(
    start: Callable[[Settings], Service], store: FileStore, settings: Settings
) -> None:
    embedded_service = start(replace(settings, threads=80, waitseconds=30.0))
    answers: dict[str, Any] = {}

    def one(number: int) -> None:
        data = f"{number},{number}\n".encode() * 100
        urls = {
            "metadataFile": store.put(f"m{number}", b"a,b"),
            "dataFile": store.put(f"d{number}", data),
        }
        document = {
            **payload(),
            "presignedUrls": urls,
            "task": {"taskName": "T", "occurrenceId": f"o-{number}"},
        }
        answers[str(number)] = embedded_service.post(document)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    for number, response in answers.items():
        assert rows(settings, response)[1:] == [[number, number]] * 100
    assert len(answers) == 50


def test_an_event_is_kept_as_one_row(embedded_service: Service, settings: Settings) -> None:
    response = embedded_service.post((PAYLOADS / "triggered.json").read_bytes())
    found = rows(settings, response)
    event = dict(zip(*found, strict=True))
    assert len(found) == 2
    assert event["guid"] == "18a06b23-390f-4435-9a0b-bc0dd63da938"
    assert event["creativeContent"] == "<p>Hello\n world</p>"
    assert response.json()["result"] == {
        "rows": 1, "columns": len(event), "rejectedRows": 0, "unreadableValues": 0,
        "dataSet": "SandboxOutbound_18a06b23-390f-4435-9a0b-bc0dd63da938.csv",
    }  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "https://amazonaws.com.evil.example/x",
        "https://b.s3.amazonaws.com@evil.example/x",
        "https://evil.example\\@b.s3.amazonaws.com/x",
        "https://b.s3.amazonaws.com:8443/x",
        "http://b.s3.amazonaws.com/x",
        "https://evil.example#.amazonaws.com/x",
        "https://evil.example?.amazonaws.com/x",
        "https://[::1]/x",
        "ftp://b.s3.amazonaws.com/x",
        "HTTPS://evil.example/x",
        "//b.s3.amazonaws.com/x",
        "https://b.s3.amazonaws.com/a b",
        "https://b.s3.amazonaws.com/\r\nHost: evil",
        "https://b.s3.amazonaws.com./x",
        "https://\u212a.s3.amazonaws.com/x",
        "https:///x",
        "gopher://127.0.0.1:6379/_FLUSHALL",
    ],
)
@pytest.mark.parametrize("which", ["dataFile", "metadataFile"])
def test_an_address_off_the_list_is_never_called(
    url: str, which: str, settings: Settings, store: FileStore, start: Callable[[Settings], Service]
) -> None:
    hosts = (HostPattern("https", "*.amazonaws.com", None), *settings.downloadhosts)
    service = start(replace(settings, downloadhosts=hosts))
    urls = {**store.urls(b"a,b", b"1,2\n"), which: url}
    response = service.post({**payload(), "presignedUrls": urls})
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "url_not_allowed"
    assert "evil" not in response.text and "169.254" not in response.text


@pytest.mark.parametrize(
    ("task", "occurrence"),
    [
        ("../../etc/passwd", "../../x"),
        ("a:b*c?", "o|<>"),
        ("CON", "nul"),
        ("", "con"),
        ("Größe 日本" * 40, "x" * 300),
        ("\u202eevil", "\0"),
        ("...", "..."),
        ("", ""),
    ],
)
def test_a_dataset_never_leaves_its_folder(
    task: str, occurrence: str, embedded_service: Service, store: FileStore, settings: Settings
) -> None:
    document = {**payload(), "task": {"taskName": task, "occurrenceId": occurrence}}
    document["presignedUrls"] = store.urls(b"a,b", b"1,2\n")
    response = embedded_service.post(document)
    assert response.status_code == 200, response.text
    (name,) = (name for name in left(settings) if not name.endswith(".json"))
    assert re.fullmatch(r"[\w-]+\.csv", name)
    assert len(name.encode()) <= 240
    assert name.split(".")[0].upper() not in {"CON", "NUL", "PRN", "AUX"}


def test_runs_that_differ_only_in_illegal_characters_keep_two_datasets(
    embedded_service: Service, store: FileStore, settings: Settings
) -> None:
    for occurrence in ("a/b", "a_b", "a:b"):
        task = {"taskName": "T", "occurrenceId": occurrence}
        assert post(embedded_service, store, b"a,b", b"1,2\n", task=task).status_code == 200
    assert len(left(settings)) == 6, "three datasets and their manifests"


def test_an_output_folder_that_cannot_be_made_may_be_repeated(
    settings: Settings, store: FileStore, start: Callable[[Settings], Service], tmp_path: Path
) -> None:
    blocker = tmp_path / "blocker"
    blocker.write_text("a file, not a folder")
    service = start(replace(settings, outputfolder=blocker / "output"))
    response = post(service, store, b"a,b", b"1,2\n")
    record = service.record(response)
    assert (response.status_code, record["code"]) == (202, "output_folder")
    assert record["state"] == "waiting" and record["nextAttemptAt"]
    assert str(tmp_path) not in json.dumps(record)
