"""Objects in Azure Blob Storage, in Microsoft's emulator (make test-azure): whole, never half
visible, what happens when a process is killed, and what is refused."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from connector_proxy.destinations.upload import Upload
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.health import start
from connector_proxy.health.check import Condition
from connector_proxy.loading import load
from connector_proxy.settings import Settings
from tests.storedoor import Answer, Request, StoreDoor
from tests.uploads import delivery, files_of, put, target

ACCOUNT, CONTAINER = "devstoreaccount1", "exports"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that the emulator's documentation gives to everybody."""
LARGE = random.Random(7).randbytes((32 << 20) + 12345)


@pytest.fixture(scope="module")
def azurite() -> Iterator[int]:
    """The port of the emulator."""
    command = ["node", os.environ["AZURITE"], "--inMemoryPersistence", "--blobPort", "0"]
    command += ["--skipApiVersionCheck", "--disableTelemetry"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = next(line for line in process.stdout if "successfully listens" in line)
    yield int(line.rsplit(":", 1)[1])
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture
def container(azurite: int) -> Iterator[ContainerClient]:
    """An empty container, seen through Microsoft's own library."""
    address = f"http://127.0.0.1:{azurite}/{ACCOUNT}"
    with ContainerClient(address, CONTAINER, credential=KEY) as client:
        client.create_container()
        yield client
        client.delete_container()


@pytest.fixture
def door(azurite: int) -> Iterator[StoreDoor]:
    with StoreDoor(azurite) as running:
        yield running


def configured(conf: Path, door: StoreDoor, key: str = KEY, **values: object) -> Settings:
    endpoint = f"{door.url}/{ACCOUNT}"
    target(
        conf, f"az://{CONTAINER}/in", account=ACCOUNT, endpoint=endpoint, readtimeout=20, **values
    )
    (conf / "credentials.ini").write_text(f"[upload]\nsecretkey = {key}\n")
    return load(conf, {})


def names(container: ContainerClient) -> list[str]:
    return list(container.list_blob_names())


def test_several_at_the_same_moment_get_a_name_each(
    container: ContainerClient, door: StoreDoor, conf: Path, tmp_path: Path
) -> None:
    settings, upload = configured(conf, door, onexisting="version"), Upload()

    def one(letter: str) -> str:
        files, own = files_of(tmp_path / letter, letter.encode()), delivery(letter * 32)
        payload = {"sendParameters": {"s3_filename": "a.csv"}}
        outcome = upload.deliver(own, payload, settings.for_stp(own.stp_name), files)
        return str(outcome.result["key"])

    with ThreadPoolExecutor(6) as pool:
        keys = list(pool.map(one, "abcdef"))
    assert sorted(keys) == sorted(names(container))
    found = {container.download_blob(key).readall().decode() for key in keys}
    assert found == set("abcdef")


@pytest.mark.parametrize("body", [b"", b"1,A\n", LARGE], ids=["empty", "small", "large"])
def test_an_object_arrives_and_says_what_it_is(
    body: bytes, container: ContainerClient, door: StoreDoor, conf: Path, tmp_path: Path
) -> None:
    files = files_of(tmp_path / "d", body)
    settings = configured(conf, door, storageclass="Cool")
    name = "sub/Frühling (1) & c,'d'@=+-_~!.csv"
    outcome = put(settings, files, s3_filename=name)
    assert outcome.result["key"] == f"in/{name}"
    assert names(container) == [f"in/{name}"]
    blob = container.get_blob_client(f"in/{name}")
    assert blob.download_blob().readall() == body
    properties = blob.get_blob_properties()
    assert properties.metadata == {"delivery": "d" * 32, "sha256": files.sha256}
    assert properties.content_settings.content_type == "text/csv"
    assert properties.blob_tier == "Cool"


def test_the_same_delivery_again_sends_nothing(
    container: ContainerClient, door: StoreDoor, conf: Path, tmp_path: Path
) -> None:
    settings, files = configured(conf, door), files_of(tmp_path / "d", b"1,A\n")
    put(settings, files)
    before = sum(one.method == "PUT" for one in door.seen)
    put(settings, files)
    assert sum(one.method == "PUT" for one in door.seen) == before == 1


def test_a_killed_process_leaves_nothing_visible_and_the_next_one_writes_it_whole(
    container: ContainerClient, door: StoreDoor, conf: Path, tmp_path: Path
) -> None:
    settings, files = configured(conf, door), files_of(tmp_path / "d", LARGE)
    reached, go_on = threading.Event(), threading.Event()

    def stand_still(request: Request) -> None:
        if sum("blockid" in one.query for one in door.seen) > 2:
            reached.set()
            go_on.wait(60)

    door.rule = stand_still
    command = [sys.executable, "-m", "tests.uploads", str(conf), str(tmp_path / "d"), "a.csv"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert reached.wait(60)
    process.kill()
    process.communicate()
    door.rule = lambda request: None
    go_on.set()
    time.sleep(0.5)
    assert names(container) == []
    put(settings, files)
    assert container.get_blob_client("in/a.csv").download_blob().readall() == LARGE
    _, uncommitted = container.get_blob_client("in/a.csv").get_block_list("all")
    assert uncommitted == []


def test_onexisting_refuse_and_version(
    container: ContainerClient, door: StoreDoor, conf: Path, tmp_path: Path
) -> None:
    settings = configured(conf, door, onexisting="refuse")
    put(settings, files_of(tmp_path / "d", b"1"))
    with pytest.raises(Refused) as caught:
        put(settings, files_of(tmp_path / "e", b"2"), delivery("e" * 32))
    assert caught.value.code == "object_exists"
    (conf / "serviceConfig.ini").write_text("[DEFAULT]\n")
    put(
        configured(conf, door, onexisting="version"),
        files_of(tmp_path / "e", b"2"),
        delivery("e" * 32),
    )
    assert names(container) == ["in/a.csv", "in/a_2.csv"]


def test_a_wrong_key_is_denied(
    container: ContainerClient, door: StoreDoor, conf: Path, tmp_path: Path
) -> None:
    settings = configured(conf, door, key="d3Jvbmc=")
    with pytest.raises(Refused) as caught:
        put(settings, files_of(tmp_path / "d", b"1"))
    assert caught.value.code == "store_denied"
    assert "Debug source" not in caught.value.cause


def test_without_the_container_it_is_refused(door: StoreDoor, conf: Path, tmp_path: Path) -> None:
    settings = configured(conf, door)
    with pytest.raises(Refused) as caught:
        put(settings, files_of(tmp_path / "d", b"1"))
    assert caught.value.code == "no_such_bucket"
    [check] = [one for one in start.run_checks(settings) if "[upload]" in one.name]
    assert check.condition is Condition.FAIL


@pytest.mark.parametrize(("status", "code"), [(503, "ServerBusy"), (500, "InternalError")])
def test_a_store_that_is_busy_is_tried_again(
    status: int, code: str, container: ContainerClient, door: StoreDoor, conf: Path, tmp_path: Path
) -> None:
    settings = configured(conf, door)
    door.rule = lambda request: Answer(status, code) if request.method == "PUT" else None
    with pytest.raises(Unavailable) as caught:
        put(settings, files_of(tmp_path / "d", b"1"))
    assert caught.value.code == "store_busy"


def test_check_looks_at_the_container(
    container: ContainerClient, door: StoreDoor, conf: Path
) -> None:
    [check] = [one for one in start.run_checks(configured(conf, door)) if "[upload]" in one.name]
    assert check.condition is Condition.OK, check.message


def test_memory_does_not_grow_with_the_file(
    container: ContainerClient, door: StoreDoor, conf: Path, tmp_path: Path
) -> None:
    configured(conf, door)
    peaks = []
    for name, size in (("a", 64 << 20), ("b", 192 << 20)):
        files_of(tmp_path / name, random.Random(1).randbytes(size))
        command = [sys.executable, "-m", "tests.uploads", str(conf), str(tmp_path / name), name]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
        peaks.append(json.loads(done.stdout)["peak"])
    assert peaks[1] - peaks[0] < 32_768, f"kB: {peaks}"
