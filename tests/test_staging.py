"""The files of a bulk task are fetched once: ahead of its attempt, for each attempt, for a SAS
server without internet."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connector_proxy.database import Database
from connector_proxy.dataset import shelf
from connector_proxy.emulator import Emulator, Ran, embedded_stored_process, wire
from connector_proxy.errors import ConfigurationError, Unavailable
from connector_proxy.loading import load
from connector_proxy.settings import Settings
from connector_proxy.staging import Staging
from connector_proxy.tidying import Tidying
from tests.conftest import Service, another, decided, payload
from tests.crashing import PATIENCE, wait_until
from tests.filestore import Dripping, FileStore, s3, s3_error, send

METADATA = b"name,balance"
ROWS = b"Ada,1\nBj\xc3\xb6rn,2\n"
Start = Callable[[Settings], Service]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A service that answers at once, and at an address that is known beforehand."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return replace(
        settings,
        port=port,
        publicurl=f"http://127.0.0.1:{port}",
        waitseconds=0.0,
        datasetformat=("csv",),
        retryschedule=type(settings.retryschedule)((1, 1, 1)),
        gettries=1,
    )


@pytest.fixture
def staged(settings: Settings) -> Settings:
    return replace(settings, stage=True)


def task(store: FileStore, *, expires: float | None = None, data: bytes = ROWS) -> dict[str, Any]:
    """A bulk task whose URLs work for ``expires`` seconds."""
    document = another(payload())
    urls = store.urls(METADATA, data)
    if expires is not None:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        tail = f"&X-Amz-Date={now}&X-Amz-Expires={round(expires)}"
        urls = {name: url + tail for name, url in urls.items()}
        store.answers |= {"metadata": send(200, METADATA), "data": s3(data)}
    return {**document, "presignedUrls": urls}


def expire(store: FileStore) -> None:
    """From now on no URL of the store works."""
    denied = s3_error(403, "AccessDenied", "Request has expired")
    store.answers |= {"metadata": denied, "data": denied}


def reading(seen: list[bytes]) -> Callable[[bytes], Ran]:
    """A stored process that reads the files named in its stream, as SAS code does."""

    def run(instream: bytes) -> Ran:
        for name in ("metadataFile", "dataFile"):
            address = wire.element_text(instream, name)
            if address.startswith("http"):
                answer = requests.get(address, timeout=10)
                seen.append(answer.content if answer.status_code == 200 else b"")
            else:
                seen.append(Path(address).read_bytes())
        return Ran(b"<stpResult><status>ok</status><rows>2</rows></stpResult>")

    return run


# -- ahead of the attempt -----------------------------------------------------------------


def test_files_are_fetched_while_the_stored_process_is_paused_and_outlive_their_urls(
    start: Start, store: FileStore, settings: Settings
) -> None:
    service = start(settings)
    service.deliveries.pause("Download File", decided())
    answer = service.post(task(store, expires=3))
    wait_until("fetched", lambda: service.record(answer).get("fetchedAt"))
    expire(store)
    deadline = datetime.fromisoformat(service.record(answer)["deadline"])
    wait_until("the deadline has passed", lambda: datetime.now(UTC) > deadline)
    assert service.record(answer)["state"] == "waiting"
    service.deliveries.resume("Download File", decided())
    record = service.ended(answer)
    assert (record["state"], record["result"]["rows"]) == ("done", 2)
    assert len(record["attempts"]) == 1
    assert len(store.seen) == 2, "each file was asked for once"


def test_a_download_waits_for_no_other_delivery_of_its_stored_process(
    start: Start, store: FileStore, settings: Settings, emulator: Emulator
) -> None:
    """Its concurrency counts calls of the stored process, not downloads."""
    hold = threading.Event()
    slow = task(store)
    store.files["slow"] = ROWS
    slow["presignedUrls"]["dataFile"] = store.url("slow")
    store.answers["slow"] = lambda handler: (hold.wait(PATIENCE), send(200, ROWS)(handler))[1]
    service = start(replace(settings, concurrency=1, stage=True, stpurl=emulator.stpurl))
    first, second = service.post(slow), service.post(task(store))
    assert service.ended(second)["state"] == "done"
    assert service.record(first)["state"] == "waiting"
    hold.set()
    assert service.ended(first)["state"] == "done"


def test_a_file_that_is_gone_ends_the_delivery_before_its_stored_process_is_called(
    start: Start, store: FileStore, staged: Settings, emulator: Emulator
) -> None:
    service = start(replace(staged, stpurl=emulator.stpurl))
    store.answers["data"] = s3_error(404, "NoSuchKey")
    record = service.ended(service.post(task(store)))
    assert (record["state"], record["code"]) == ("refused", "file_gone")
    [attempt] = record["attempts"]
    assert (attempt["destination"], attempt["verdict"]) == ("download", "refused")
    assert emulator.requests == []


def test_failed_downloads_do_not_pause_a_stored_process_and_are_tried_again(
    start: Start, store: FileStore, staged: Settings, emulator: Emulator
) -> None:
    service = start(replace(staged, stpurl=emulator.stpurl))
    store.answers["data"] = s3_error(503, "SlowDown")
    answers = [service.post(task(store)) for _ in range(3)]
    for answer in answers:
        wait_until("two failed", lambda one=answer: len(service.record(one)["attempts"]) >= 2)
    assert service.deliveries.stored_processes() == []
    del store.answers["data"]
    for answer in answers:
        record = service.ended(answer)
        assert record["state"] == "done"
        assert record["attempts"][0]["destination"] == "download"
        assert record["attempts"][0]["code"] == "download_failed"
        assert record["attempts"][-1]["destination"] == "sas"


def test_a_full_disk_costs_no_attempt_and_is_told(
    start: Start, store: FileStore, settings: Settings
) -> None:
    service = start(replace(settings, diskreservemb=100_000_000))
    answer = service.post(task(store))
    record = wait_until(
        "told", lambda: (one := service.record(answer)).get("code") == "disk_low" and one
    )
    assert (record["state"], record["attempts"]) == ("waiting", [])
    assert "no room" in record["message"]
    assert "diskreservemb" in record["advice"]
    again = datetime.fromisoformat(record["nextAttemptAt"]) - datetime.now(UTC)
    assert timedelta(seconds=30) < again <= timedelta(seconds=60)


def test_a_download_that_nobody_needs_any_more_gives_its_place_away(
    start: Start, store: FileStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector_proxy.fetching._LOOK_SECONDS", 0.2)
    slow = task(store)
    store.files["slow"] = ROWS
    slow["presignedUrls"]["dataFile"] = store.url("slow")
    drips = Dripping(bytes(100), at_once=1, pause=1.0)
    store.answers["slow"] = drips
    service = start(replace(settings, downloadsatonce=1))
    first, second = service.post(slow), service.post(task(store))
    part = settings.downloadfolder / first.json()["deliveryId"] / "data.part"
    wait_until("it has begun", part.exists)
    assert service.record(second)["state"] == "waiting"
    service.deliveries.cancel(first.json()["deliveryId"], decided())
    assert service.ended(second)["state"] == "done"
    assert service.record(first)["state"] == "cancelled"
    assert part.stat().st_size < 100
    drips.stop.set()


def test_what_had_arrived_when_the_service_ended_is_not_fetched_again(
    start: Start, store: FileStore, settings: Settings
) -> None:
    """Ended in the middle of a download, started again: it goes on behind what is there."""
    body = b"Ada,1\n" * (1 << 20)
    document = task(store, data=body)

    def stuck(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", '"v1-2"')
        handler.end_headers()
        handler.wfile.write(body[: 4 << 20])
        for place in range(4 << 20, (4 << 20) + 600):
            handler.wfile.write(body[place : place + 1])
            time.sleep(0.05)

    store.answers["data"] = stuck
    service = start(settings)
    answer = service.post(document)
    part = settings.downloadfolder / answer.json()["deliveryId"] / "data.part"
    wait_until("so much is there", lambda: part.exists() and part.stat().st_size >= 4 << 20)
    service.stop()
    store.answers["data"] = s3(body, '"v1-2"')
    again = start(settings)
    record = again.ended(answer)
    assert (record["state"], record["result"]["rows"]) == ("done", 1 << 20)
    assert len(record["attempts"]) == 1, "the end of the service was no attempt"
    ranges = [one.headers["Range"] for one in store.seen if "/data" in one.path]
    assert ranges[0] is None
    assert int(str(ranges[1]).removeprefix("bytes=").removesuffix("-")) >= 4 << 20


# -- for each attempt ---------------------------------------------------------------------


def test_a_replay_reads_the_files_that_are_here(
    start: Start, store: FileStore, settings: Settings
) -> None:
    service = start(settings)
    answer = service.post(task(store))
    assert service.ended(answer)["state"] == "done"
    expire(store)
    service.deliveries.replay(answer.json()["deliveryId"], decided())
    assert service.ended(answer, attempts=2)["state"] == "done"
    assert len(store.seen) == 2


def test_the_same_webhook_after_a_failure_fetches_what_its_urls_lead_to_now(
    start: Start, store: FileStore, settings: Settings
) -> None:
    service = start(settings)
    document = task(store, data=b"Ada,1,one too many\n")
    answer = service.post(document)
    assert service.ended(answer)["code"] == "bad_data"
    fresh = {**document, "presignedUrls": store.urls(METADATA, ROWS)}
    fresh["presignedUrls"] = {
        name: url.replace("5ec7e7", "5ec7e8") for name, url in fresh["presignedUrls"].items()
    }
    store.answers |= {"metadata": send(200, METADATA), "data": s3(ROWS)}
    assert service.post(fresh).json()["deliveryId"] == answer.json()["deliveryId"]
    record = service.ended(answer, attempts=2)
    assert (record["state"], record["result"]["rows"]) == ("done", 2)


# -- for a SAS server without internet ----------------------------------------------------


def test_a_stored_process_gets_staged_files_when_the_originals_have_expired(
    start: Start, store: FileStore, staged: Settings, emulator: Emulator
) -> None:
    """The first attempt fails, then no original works any more; the second one succeeds."""
    own = replace(emulator_settings(staged), downloadhosts=staged.downloadhosts)
    emulator.stored_process = embedded_stored_process(own)
    emulator.behave(fail="fault-4000")
    service = start(replace(staged, stpurl=emulator.stpurl))
    answer = service.post(task(store, expires=600))
    wait_until("one failed", lambda: service.record(answer)["attempts"])
    expire(store)
    emulator.behave(fail="")
    record = service.ended(answer, attempts=2)
    assert {one["verdict"] for one in record["attempts"][:-1]} == {"retry"}
    assert record["result"]["rows"] == 2
    [manifest] = shelf.datasets(own.outputfolder)
    head = list(shelf.first_rows(own.outputfolder, manifest, 5))
    assert head == [["name", "balance"], ["Ada", "1"], ["Björn", "2"]]
    for request in emulator.requests:
        assert f"127.0.0.1:{store.port}".encode() not in request.instream


def emulator_settings(settings: Settings) -> Settings:
    """Those of the machine where the pretend SAS runs."""
    return replace(settings, outputfolder=settings.home / "sas", stage=False)


def test_a_stored_process_is_told_paths_where_it_shares_the_folder(
    start: Start, store: FileStore, staged: Settings, emulator: Emulator
) -> None:
    seen: list[bytes] = []
    emulator.stored_process = reading(seen)
    service = start(replace(staged, stageas="path", stpurl=emulator.stpurl))
    assert service.ended(service.post(task(store)))["state"] == "done"
    assert seen == [METADATA, ROWS]


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        (r"\\files.example\ci360", r"\\files.example\ci360" + "\\{id}\\data"),
        (r"D:\ci360", r"D:\ci360" + "\\{id}\\data"),
        ("/shared/ci360", "/shared/ci360/{id}/data"),
    ],
)
def test_paths_are_written_as_the_sas_server_writes_them(
    folder: str, path: str, staged: Settings
) -> None:
    own, delivery_id = replace(staged, stageas="path", publicpath=folder), uuid.uuid4().hex
    handed = Staging(own.downloadfolder).handed_over(delivery_id, payload(), own)
    assert handed["presignedUrls"]["dataFile"] == path.replace("{id}", delivery_id)
    assert handed["task"] == payload()["task"]


class Door:
    """A delivery whose stored process has read its files, and the address that it was told."""

    def __init__(self, service: Service, answer: requests.Response, address: str) -> None:
        self.service, self.answer, self.address = service, answer, address


@pytest.fixture
def door(start: Start, store: FileStore, staged: Settings, emulator: Emulator) -> Door:
    seen: list[bytes] = []
    addresses: list[str] = []
    run = reading(seen)

    def told(instream: bytes) -> Ran:
        addresses.append(wire.element_text(instream, "dataFile"))
        return run(instream)

    emulator.stored_process = told
    service = start(replace(staged, stpurl=emulator.stpurl))
    answer = service.post(task(store))
    assert service.ended(answer)["state"] == "done"
    assert seen == [METADATA, ROWS]
    return Door(service, answer, addresses[0])


def test_staged_files_are_served_whole_and_in_parts(door: Door) -> None:
    whole = requests.get(door.address, timeout=10)
    assert (whole.status_code, whole.content) == (200, ROWS)
    assert whole.headers["Content-Length"] == str(len(ROWS))
    assert whole.headers["Accept-Ranges"] == "bytes"
    rest = {"Range": "bytes=4-", "If-Range": whole.headers["ETag"]}
    part = requests.get(door.address, headers=rest, timeout=10)
    assert (part.status_code, part.content) == (206, ROWS[4:])
    beyond = requests.get(door.address, headers={"Range": "bytes=4000-"}, timeout=10)
    assert beyond.status_code == 416
    other = requests.get(door.address, headers={"If-Match": '"another"'}, timeout=10)
    assert other.status_code == 412
    assert other.json()["error"]["code"] == "precondition_failed"
    head = requests.head(door.address, timeout=10)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(ROWS)))


def test_each_read_is_one_line_of_log_without_the_token(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    token = door.address.rsplit("/", 2)[1].partition(".")[2]
    with caplog.at_level(logging.DEBUG):
        caplog.clear()
        requests.get(door.address, headers={"Range": "bytes=4-"}, timeout=10)
        lines = wait_until(
            "logged", lambda: [one for one in caplog.messages if "staged file" in one]
        )
    ours = "".join(one.getMessage() for one in caplog.records if "urllib3" not in one.name)
    assert len(lines) == 1
    assert "GET data status=206 range=bytes=4- bytes=11" in lines[0]
    assert token not in ours
    assert len(token) >= 43


def test_half_of_the_threads_stay_free_of_readers(start: Start, door: Door) -> None:
    service = start(replace(door.service.settings, threads=4, port=0))
    folder = service.settings.downloadfolder / door.answer.json()["deliveryId"]
    with (folder / "data").open("wb") as file:
        file.truncate(60 << 20)
    address = door.address.replace(str(door.service.port), str(service.port))
    with ExitStack() as reading:
        for _ in range(2):
            answer = reading.enter_context(requests.get(address, stream=True, timeout=10))
            assert answer.raw.read(1)
        refused = requests.get(address, timeout=10)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_many_readers")
        assert "Retry-After" in refused.headers
    wait_until("they have gone", lambda: requests.head(address, timeout=10).status_code == 200)


def test_who_stops_reading_gives_the_thread_back(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("connector_proxy.web.connections.STALLED_SECONDS", 1.0)
    folder = door.service.settings.downloadfolder / door.answer.json()["deliveryId"]
    with (folder / "data").open("wb") as file:
        file.truncate(60 << 20)
    with caplog.at_level(logging.INFO):
        with requests.get(door.address, stream=True, timeout=10) as answer:
            assert answer.raw.read(10) == bytes(10)
            (line,) = wait_until(
                "ended", lambda: [one for one in caplog.messages if "staged file" in one]
            )
        assert wait_until("told", lambda: "1 answers were not read for 1 s" in caplog.text)
    assert int(re.findall(r"bytes=(\d+)", line)[0]) < 60 << 20


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url[:-5] + "x/data",
        lambda url: url.replace("/data", "/token"),
        lambda url: url.replace("/data", "/data.json"),
        lambda url: url.replace("/data", "/..%2fdata"),
        lambda url: url.replace("/data", "/../../deliveries.sqlite"),
        lambda url: url.replace("/data", ""),
        lambda url: url.replace("/files/", "/files/%2e%2e/"),
        lambda url: url.replace(".", ".%00", 99).replace("%00", "", 3),
        lambda url: url.partition("/files/")[0] + "/files/" + "0" * 32 + ".x/data",
    ],
)
def test_nothing_else_is_served(change: Callable[[str], str], door: Door) -> None:
    url = change(door.address)
    assert url != door.address
    answer = requests.get(url, timeout=10)
    assert answer.status_code == 404, answer.text
    assert b"Ada" not in answer.content


def test_staged_files_are_gone_when_their_time_is_over(door: Door) -> None:
    """At once for readers, and from the disk with the next minute."""
    settings, delivery_id = door.service.settings, door.answer.json()["deliveryId"]
    folder = settings.downloadfolder / delivery_id
    assert (folder / "data").is_file()
    database = Database(settings)
    tidying = Tidying(settings, database, Staging(settings.downloadfolder))
    now = datetime.now(UTC)
    tidying.each_minute(now + timedelta(minutes=settings.keepfilesminutes - 1))
    assert (folder / "data").is_file()
    tidying.each_minute(now + timedelta(minutes=settings.keepfilesminutes + 1))
    assert not folder.exists()
    assert requests.get(door.address, timeout=10).status_code == 404
    assert "fetchedAt" not in door.service.record(door.answer)
    database.close()


def test_the_time_after_the_end_counts_for_readers_at_once(start: Start, door: Door) -> None:
    service = start(replace(door.service.settings, keepfilesminutes=0))
    answer = requests.get(door.address, timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_file")
    assert service.record(door.answer)["state"] == "done"


# -- what is left -------------------------------------------------------------------------


def test_files_of_open_and_held_deliveries_stay_and_those_of_unknown_ones_go_after_a_day(
    start: Start, store: FileStore, staged: Settings
) -> None:
    service = start(staged)
    service.deliveries.pause("Download File", decided())
    answer = service.post(task(store))
    wait_until("fetched", lambda: service.record(answer).get("fetchedAt"))
    unknown = staged.downloadfolder / uuid.uuid4().hex
    unknown.mkdir()
    (staged.downloadfolder / "not one of ours").mkdir()
    database = Database(staged)
    tidying = Tidying(staged, database, Staging(staged.downloadfolder))
    tidying.each_minute(datetime.now(UTC) + timedelta(hours=23))
    assert unknown.exists()
    tidying.each_minute(datetime.now(UTC) + timedelta(hours=25))
    left = {path.name for path in staged.downloadfolder.iterdir()}
    assert left == {answer.json()["deliveryId"], "not one of ours"}
    database.close()


def test_datasets_are_removed_by_age_only_when_that_is_set(
    start: Start, store: FileStore, settings: Settings
) -> None:
    service = start(settings)
    assert service.ended(service.post(task(store)))["state"] == "done"
    left = settings.outputfolder / ".part-of a killed process"
    left.mkdir()
    database = Database(settings)
    later = datetime.now(UTC) + timedelta(days=9)
    Tidying(settings, database, Staging(settings.downloadfolder)).each_hour(later)
    assert len(shelf.datasets(settings.outputfolder)) == 1
    assert not left.exists()
    own = replace(settings, keepdatasetdays=10)
    tidying = Tidying(own, database, Staging(own.downloadfolder))
    tidying.each_hour(later)
    assert len(shelf.datasets(settings.outputfolder)) == 1
    tidying.each_hour(later + timedelta(days=2))
    assert list(settings.outputfolder.iterdir()) == []
    database.close()


def test_staging_by_url_wants_to_know_the_address_of_the_service(conf: Path) -> None:
    environment = {
        "CONNECTOR_PROXY_STAGE": "True",
        "CONNECTOR_PROXY_STPURL": "http://h/{{stpName}}",
    }
    with pytest.raises(ConfigurationError, match="publicurl is empty"):
        load(conf, environment)
    load(conf, {**environment, "CONNECTOR_PROXY_STAGEAS": "path"})
    known = load(conf, {**environment, "CONNECTOR_PROXY_PUBLICURL": "http://proxy.example:8100/"})
    assert known.publicurl == "http://proxy.example:8100"


def test_notes_of_files_hold_no_url(door: Door) -> None:
    folder = door.service.settings.downloadfolder / door.answer.json()["deliveryId"]
    for path in folder.iterdir():
        assert b"X-Amz" not in path.read_bytes(), path
    known = json.loads((folder / "data.json").read_bytes())
    assert set(known) == {"source", "length", "sha256"}


def test_a_token_that_cannot_be_written_leaves_no_half_of_one(
    staged: Settings, tmp_path: Path
) -> None:
    delivery_id = uuid.uuid4().hex
    staging = Staging(staged.downloadfolder)
    with pytest.raises(Unavailable, match="address of the files cannot be kept"):
        staging.handed_over(delivery_id, payload(), staged)  # there is no folder
    (staged.downloadfolder / delivery_id).mkdir(parents=True)
    (staged.downloadfolder / delivery_id / "token.new").write_text("hal")
    url = staging.handed_over(delivery_id, payload(), staged)["presignedUrls"]["dataFile"]
    assert re.fullmatch(rf"{staged.publicurl}/files/{delivery_id}\.[\w-]{{43}}/data", url)
    assert staging.handed_over(delivery_id, payload(), staged)["presignedUrls"]["dataFile"] == url


def test_files_that_somebody_removed_are_fetched_again_before_the_attempt(
    start: Start, store: FileStore, staged: Settings, emulator: Emulator
) -> None:
    """A download inside of an attempt, cut off, would look as if its stored process had run."""
    service = start(replace(staged, stpurl=emulator.stpurl))
    service.deliveries.pause("Download File", decided())
    answer = service.post(task(store))
    wait_until("fetched", lambda: service.record(answer).get("fetchedAt"))
    Staging(staged.downloadfolder).remove(answer.json()["deliveryId"])
    service.deliveries.resume("Download File", decided())
    record = service.ended(answer)
    assert record["state"] == "done"
    assert [one["destination"] for one in record["attempts"]] == ["sas"]
    assert len(store.seen) == 4, "both files twice"
