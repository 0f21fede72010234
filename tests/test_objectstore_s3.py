"""Objects in S3: whole, checked, resumed, never abandoned; moto behind a door that misbehaves."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector_proxy import objectstore
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.loading import load
from connector_proxy.objectstore.notes import left
from connector_proxy.settings import Settings
from tests.s3store import BUCKET, S3Store
from tests.storedoor import Answer, Request, StoreDoor
from tests.uploads import delivery, files_of, put, s3_target

PART = 16 << 20
LARGE = random.Random(7).randbytes(2 * PART + 12345)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Store]:
    with S3Store() as running:
        yield running


@pytest.fixture
def door(s3: S3Store) -> Iterator[StoreDoor]:
    with StoreDoor(s3.port) as running:
        yield running


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A place in the bucket for each test."""
    return request.node.name.replace("[", "-").replace("]", "")[:100]


class Place:
    """A target below its own prefix, and what lies there."""

    def __init__(self, s3: S3Store, conf: Path, prefix: str) -> None:
        self.client, self.conf, self.prefix = s3.client, conf, prefix

    def settings(self, door: StoreDoor, **values: object) -> Settings:
        s3_target(self.conf, door.url, prefix=self.prefix, **values)
        return load(self.conf, {})

    def keys(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=self.prefix + "/")
        return [one["Key"].removeprefix(self.prefix + "/") for one in found.get("Contents", ())]

    def get(self, name: str) -> bytes:
        found = self.client.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}")
        body: bytes = found["Body"].read()
        return body

    def head(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.head_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}")
        return found

    def unfinished(self) -> list[str]:
        """Multipart uploads that nobody has ended."""
        found = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=self.prefix + "/")
        return [one["Key"] for one in found.get("Uploads", ())]


@pytest.fixture
def place(s3: S3Store, conf: Path, prefix: str) -> Place:
    return Place(s3, conf, prefix)


def test_an_object_says_what_it_is_and_is_kept_as_the_settings_say(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings = place.settings(
        door,
        encryption="aws:kms:alias/crm",
        storageclass="STANDARD_IA",
        tags="team=crm, task={taskCode}",
    )
    files = files_of(tmp_path / "d", b"1,A\n")
    outcome = put(settings, files, taskCode="TSK 1/2 (A) Björn")
    assert dict(outcome.result) == {
        "bucket": BUCKET, "key": f"{place.prefix}/a.csv", "bytes": 4, "sha256": files.sha256,
    }  # fmt: skip
    head = place.head("a.csv")
    assert head["Metadata"] == {"delivery": "d" * 32, "sha256": files.sha256}
    assert (head["StorageClass"], head["ServerSideEncryption"]) == ("STANDARD_IA", "aws:kms")
    assert head["SSEKMSKeyId"] == "alias/crm"
    assert head["ContentType"] == "text/csv"
    tags = place.client.get_object_tagging(Bucket=BUCKET, Key=f"{place.prefix}/a.csv")["TagSet"]
    assert {one["Key"]: one["Value"] for one in tags} == {
        "team": "crm",
        "task": "TSK 1/2 _A_ Bj_rn",
    }


def test_a_large_file_goes_in_parts_and_an_empty_one_in_one(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings = place.settings(door)
    put(settings, files_of(tmp_path / "d", LARGE))
    assert place.get("a.csv") == LARGE
    assert door.parts() == [1, 2, 3]
    put(settings, files_of(tmp_path / "e", b""), s3_filename="empty.csv")
    assert place.get("empty.csv") == b""
    assert place.unfinished() == []
    assert not list(left(tmp_path / "d"))


def test_a_part_that_arrives_damaged_is_found_by_the_store_and_sent_again(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings, files = place.settings(door), files_of(tmp_path / "d", LARGE)
    door.rule = lambda request: b"!" + request.body[1:] if request.part == 2 else None
    with pytest.raises(Unavailable) as caught:
        put(settings, files)
    assert caught.value.code == "store_damaged"
    assert place.keys() == []
    door.rule = lambda request: None
    before = len(door.parts())
    put(settings, files)
    assert place.get("a.csv") == LARGE
    assert len(door.parts()) - before < 3, "the sound parts were not sent again"


def test_a_part_that_a_store_without_sha256_damages_is_found_by_its_md5(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    def damage(request: Request) -> bytes | None:
        if request.part == 1:
            request.headers = {
                k: v for k, v in request.headers.items() if "checksum" not in k.lower()
            }
            return b"!" + request.body[1:]
        return None

    door.rule = damage
    with pytest.raises(Unavailable) as caught:
        put(place.settings(door), files_of(tmp_path / "d", LARGE))
    assert caught.value.code == "store_damaged"


def test_a_small_file_that_a_store_without_sha256_damages_is_found_by_its_md5(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    def damage(request: Request) -> bytes | None:
        if request.method != "PUT":
            return None
        kept = {k: v for k, v in request.headers.items() if "checksum" not in k.lower()}
        request.headers = kept
        return b"!" + request.body[1:]

    door.rule = damage
    with pytest.raises(Unavailable) as caught:
        put(place.settings(door), files_of(tmp_path / "d", b"1,A\n"))
    assert caught.value.code == "store_damaged"


@pytest.mark.parametrize(
    ("body", "step"),
    [(b"1,A\n", "PUT"), (LARGE, "uploads"), (LARGE, "partNumber"), (LARGE, "POST")],
    ids=["small", "begin", "part", "end"],
)
def test_an_answer_that_is_none_of_a_store_is_no_success(
    body: bytes, step: str, place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    """A portal, or another server at the address, may answer everything with 200."""

    def portal(request: Request) -> Answer | None:
        ends = request.method == "POST" and "uploads" not in request.query
        meant = step in request.query or (ends if step == "POST" else step == request.method)
        return Answer(200, "Welcome") if meant else None

    settings, files = place.settings(door), files_of(tmp_path / "d", body)
    door.rule = portal
    with pytest.raises(Unavailable):
        put(settings, files)
    assert place.keys() == []
    door.rule = lambda request: None
    put(settings, files)
    assert place.get("a.csv") == body
    assert place.unfinished() == []


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_a_condition_that_nobody_set_is_no_object_that_exists(
    code: str, place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    status = 412 if code == "PreconditionFailed" else 409
    door.rule = lambda request: Answer(status, code) if request.method == "PUT" else None
    with pytest.raises(Refused if status == 412 else Unavailable) as caught:
        put(place.settings(door), files_of(tmp_path / "d", b"1,A\n"))
    assert caught.value.code == ("store_refused" if status == 412 else "store_busy")


def test_two_that_are_quick_at_the_same_time_wait_for_each_other(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    door.rule = lambda request: (
        Answer(409, "ConditionalRequestConflict") if request.method == "PUT" else None
    )
    with pytest.raises(Unavailable):
        put(place.settings(door, onexisting="refuse"), files_of(tmp_path / "d", b"1,A\n"))


def test_an_upload_that_ends_while_parts_are_sent_begins_again(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    """A lifecycle rule of the bucket may end one that took too long."""
    settings, files = place.settings(door), files_of(tmp_path / "d", LARGE)

    def gone(request: Request) -> Answer | None:
        if request.part != 2:
            return None
        for one in place.client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]:
            place.client.abort_multipart_upload(
                Bucket=BUCKET, Key=one["Key"], UploadId=one["UploadId"]
            )
        return Answer(404, "NoSuchUpload")

    door.rule = gone
    with pytest.raises(Unavailable):
        put(settings, files)
    door.rule = lambda request: None
    put(settings, files)
    assert place.get("a.csv") == LARGE
    assert place.unfinished() == []


def test_an_upload_without_an_id_ends_no_upload_of_another_delivery(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings = place.settings(door)
    mine, other = files_of(tmp_path / "d", LARGE), files_of(tmp_path / "e", LARGE[:-1])
    door.rule = lambda request: Answer(503, "SlowDown") if request.part == 2 else None
    with pytest.raises(Unavailable):
        put(settings, other, delivery("e" * 32))
    door.rule = lambda request: Answer(503, "SlowDown") if "uploads" in request.query else None
    with pytest.raises(Unavailable):
        put(settings, mine)
    door.rule = lambda request: None
    put(settings, mine)
    assert place.get("a.csv") == LARGE
    door.seen.clear()
    put(settings, other, delivery("e" * 32))
    assert place.get("a.csv") == LARGE[:-1]
    assert 1 not in door.parts(), "what was there was not sent again"
    assert place.unfinished() == []


def test_parts_that_are_there_are_not_sent_again(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings, files = place.settings(door), files_of(tmp_path / "d", LARGE)
    door.rule = lambda request: Answer(503, "SlowDown") if request.part == 3 else None
    with pytest.raises(Unavailable) as caught:
        put(settings, files)
    assert caught.value.code == "store_busy"
    door.rule, before = lambda request: None, len(door.parts())
    put(settings, files)
    assert door.parts().count(1) == door.parts().count(2) == 1
    assert len(door.parts()) == before + 1
    assert place.get("a.csv") == LARGE
    assert place.unfinished() == []


def test_parts_of_a_file_that_has_changed_are_sent_again(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings = place.settings(door)
    door.rule = lambda request: Answer(503, "SlowDown") if request.part == 3 else None
    with pytest.raises(Unavailable):
        put(settings, files_of(tmp_path / "d", LARGE))
    door.rule = lambda request: None
    changed = b"!" + LARGE[1:]
    put(settings, files_of(tmp_path / "d", changed))
    assert place.get("a.csv") == changed
    assert place.unfinished() == []


def test_an_upload_that_somebody_else_ended_begins_again(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings, files = place.settings(door), files_of(tmp_path / "d", LARGE)
    door.rule = lambda request: Answer(500, "InternalError") if request.part == 3 else None
    with pytest.raises(Unavailable):
        put(settings, files)
    [note] = left(tmp_path / "d")
    place.client.abort_multipart_upload(
        Bucket=BUCKET, Key=note.begun.key, UploadId=note.begun.upload_id
    )
    door.rule = lambda request: None
    put(settings, files)
    assert place.get("a.csv") == LARGE


def test_an_answer_to_the_last_request_that_is_lost_does_not_matter(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    lost: list[Request] = []

    def lose(request: Request) -> Answer | None:
        if request.method == "POST" and "uploadId" in request.query and not lost:
            lost.append(request)
            path = f"{request.path}?uploadId={request.query['uploadId'][0]}"
            assert door.passed_on("POST", path, request)[0] == 200
            return Answer(500, "InternalError")
        return None

    door.rule = lose
    put(place.settings(door), files_of(tmp_path / "d", LARGE))
    assert lost
    assert place.get("a.csv") == LARGE


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "AccessDenied", "store_denied"),
        (403, "InvalidAccessKeyId", "store_denied"),
        (404, "NoSuchBucket", "no_such_bucket"),
        (301, "PermanentRedirect", "no_such_bucket"),
        (400, "InvalidStorageClass", "store_refused"),
        (400, "EntityTooLarge", "store_refused"),
    ],
)
def test_what_would_fail_again_is_refused_and_leaves_nothing(
    status: int, code: str, told: str, place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    door.rule = lambda request: Answer(status, code) if request.part == 2 else None
    with pytest.raises(Refused) as caught:
        put(place.settings(door), files_of(tmp_path / "d", LARGE))
    assert caught.value.code == told
    assert caught.value.advice
    assert place.keys() == place.unfinished() == []
    assert not list(left(tmp_path / "d"))


@pytest.mark.parametrize(
    ("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (400, "RequestTimeout")]
)
def test_what_may_pass_is_tried_again(
    status: int, code: str, place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    door.rule = lambda request: Answer(status, code) if request.method == "PUT" else None
    with pytest.raises(Unavailable) as caught:
        put(place.settings(door), files_of(tmp_path / "d", b"1,A\n"))
    assert caught.value.code == "store_busy"


def test_a_store_that_is_not_there_is_unreachable(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings = place.settings(door)
    door.__exit__()
    with pytest.raises(Unavailable) as caught:
        put(settings, files_of(tmp_path / "d", b"1,A\n"))
    assert caught.value.code == "store_unreachable"


def test_without_credentials_it_is_refused_with_advice(
    conf: Path, door: StoreDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    s3_target(conf, door.url)
    (conf / "credentials.ini").write_text("[DEFAULT]\n")
    with pytest.raises(Refused, match="no credentials") as caught:
        put(load(conf, {}), files_of(tmp_path / "d", b"1,A\n"))
    assert caught.value.code == "store_denied"


def test_onexisting_refuse_keeps_what_is_there(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings = place.settings(door, onexisting="refuse")
    put(settings, files_of(tmp_path / "d", b"1,A\n"))
    put(settings, files_of(tmp_path / "d", b"1,A\n"))  # the same delivery again: it is done
    with pytest.raises(Refused) as caught:
        put(settings, files_of(tmp_path / "e", b"2,B\n"), delivery("e" * 32))
    assert caught.value.code == "object_exists"
    assert place.get("a.csv") == b"1,A\n"


@pytest.mark.parametrize("body", [b"2,B\n", LARGE], ids=["small", "large"])
def test_somebody_who_is_quicker_is_not_overwritten(
    body: bytes, place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings = place.settings(door, onexisting="refuse")

    def quicker(request: Request) -> None:
        if request.method in ("PUT", "POST") and not place.keys():
            place.client.put_object(Bucket=BUCKET, Key=f"{place.prefix}/a.csv", Body=b"first")

    door.rule = quicker
    with pytest.raises(Refused) as caught:
        put(settings, files_of(tmp_path / "d", body))
    assert caught.value.code == "object_exists"
    assert place.get("a.csv") == b"first"
    assert place.unfinished() == []


def test_onexisting_version_writes_the_next_one(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings = place.settings(door, onexisting="version")
    for one in "abc":
        put(settings, files_of(tmp_path / one, one.encode()), delivery(one * 32))
    put(settings, files_of(tmp_path / "b", b"b"), delivery("b" * 32))
    assert place.keys() == ["a.csv", "a_2.csv", "a_3.csv"]


def test_who_may_only_write_can_replace(place: Place, door: StoreDoor, tmp_path: Path) -> None:
    door.rule = lambda request: Answer(403, "AccessDenied") if request.method == "HEAD" else None
    put(place.settings(door), files_of(tmp_path / "d", b"1,A\n"))
    assert place.get("a.csv") == b"1,A\n"


# -- killed --------------------------------------------------------------------------------


def started(conf: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.uploads", str(conf), str(folder), "a.csv"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed_when(process: subprocess.Popen[str], happened: threading.Event) -> None:
    assert happened.wait(60), "it did not come so far"
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_a_killed_process_leaves_an_upload_that_the_next_one_ends(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings, files = place.settings(door), files_of(tmp_path / "d", LARGE)
    reached, go_on = threading.Event(), threading.Event()

    def stand_still(request: Request) -> None:
        if request.part == 3:
            reached.set()
            go_on.wait(60)

    door.rule = stand_still
    killed_when(started(place.conf, tmp_path / "d"), reached)
    door.rule = lambda request: None
    go_on.set()
    assert place.keys() == [], "nothing half is visible"
    assert place.unfinished() == [f"{place.prefix}/a.csv"]
    put(settings, files)
    assert place.get("a.csv") == LARGE
    assert place.unfinished() == []
    assert door.parts().count(1) == door.parts().count(2) == 1


def test_a_process_that_dies_while_it_asks_for_an_upload_leaves_none_behind(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings, files = place.settings(door), files_of(tmp_path / "d", LARGE)
    reached, go_on = threading.Event(), threading.Event()

    def answer_is_lost(request: Request) -> None:
        if "uploads" in request.query and request.method == "POST":
            assert door.passed_on("POST", f"{request.path}?uploads", request)[0] == 200
            reached.set()
            go_on.wait(60)

    door.rule = answer_is_lost
    killed_when(started(place.conf, tmp_path / "d"), reached)
    door.rule = lambda request: Answer(500, "InternalError")
    go_on.set()
    door.rule = lambda request: None
    put(settings, files)
    assert place.get("a.csv") == LARGE
    assert place.unfinished() == []


def test_what_a_delivery_that_has_ended_began_is_aborted(
    place: Place, door: StoreDoor, tmp_path: Path
) -> None:
    settings, folder = place.settings(door), tmp_path / "d"
    door.rule = lambda request: Answer(503, "SlowDown") if request.part == 3 else None
    with pytest.raises(Unavailable):
        put(settings, files_of(folder, LARGE))
    assert place.unfinished()
    door.rule = lambda request: Answer(503, "SlowDown")
    assert not objectstore.abandon(folder, settings), "it is tried again"
    door.rule = lambda request: None
    assert objectstore.abandon(folder, settings)
    assert place.unfinished() == []


def test_memory_does_not_grow_with_the_file(
    place: Place, door: StoreDoor, s3: S3Store, tmp_path: Path
) -> None:
    s3_target(place.conf, f"http://127.0.0.1:{s3.port}", prefix=place.prefix)
    peaks = []
    for name, size in (("small", 1 << 20), ("large", 96 << 20)):
        files = files_of(tmp_path / name, random.Random(1).randbytes(size))
        process = started(place.conf, tmp_path / name)
        said, _ = process.communicate(timeout=100)
        told = json.loads(said)
        assert told["result"]["sha256"] == files.sha256
        assert hashlib.sha256(place.get("a.csv")).hexdigest() == files.sha256
        peaks.append(told["peak"])
    assert peaks[1] - peaks[0] < 16_384, f"kB: {peaks}"
