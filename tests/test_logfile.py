"""The log file: renamed when it is full or its day is over, removed when it is old, never lost."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connector_proxy import logs
from connector_proxy.logfile import LogFile
from connector_proxy.loglines import Facts
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from tests.conftest import Service, payload
from tests.filestore import FileStore
from tests.test_logs import line

DAY = 86400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.log"


def write(file: LogFile, *words: str) -> None:
    for word in words:
        file.emit(logging.makeLogRecord({"msg": word}))


def aged(path: Path, days: float, text: str = "old\n") -> None:
    path.write_text(text, encoding="utf-8")
    os.utime(path, (time.time() - days * DAY,) * 2)


def kept(path: Path) -> dict[str, str]:
    return {one.name: one.read_text("utf-8") for one in sorted(path.parent.iterdir())}


def test_a_full_file_is_renamed_and_so_many_are_kept(path: Path) -> None:
    file = LogFile(path, size=10, count=2, days=30)
    write(file, "first", "second", "third", "fourth")
    file.close()
    assert kept(path) == {"x.log": "fourth\n", "x.log.1": "third\n", "x.log.2": "second\n"}


def test_a_file_of_another_day_is_renamed_before_the_first_line(path: Path) -> None:
    aged(path, 1)
    file = LogFile(path, size=1000, count=5, days=30)
    write(file, "new", "newer")
    file.close()
    assert kept(path) == {"x.log": "new\nnewer\n", "x.log.1": "old\n"}


def test_a_file_of_today_is_written_on(path: Path) -> None:
    path.write_text("before\n", encoding="utf-8")
    file = LogFile(path, size=1000, count=5, days=30)
    write(file, "after")
    file.close()
    assert kept(path) == {"x.log": "before\nafter\n"}


def test_files_that_are_too_old_or_too_many_are_removed(path: Path) -> None:
    for number, days in ((1, 2), (2, 29), (3, 31), (7, 1)):
        aged(path.with_name(f"x.log.{number}"), days)
    aged(path.with_name("x.log.keep"), 99)
    LogFile(path, size=1000, count=5, days=30).close()
    assert sorted(kept(path)) == ["x.log", "x.log.1", "x.log.2", "x.log.keep"]


@pytest.mark.usefixtures("logging_restored")
def test_a_file_that_cannot_be_renamed_is_written_on_and_says_so(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    path = settings.logfilepath / settings.proglog
    path.parent.mkdir(parents=True)
    aged(path, 1)
    path.with_name(path.name + ".1").mkdir()  # as good as one that another program holds
    (path.with_name(path.name + ".1") / "x").touch()
    logs.start(replace(settings, loglevel="WARNING", logfiles=1))
    logging.getLogger("x").warning("one")
    logging.getLogger("x").warning("two")
    lines = line(settings).splitlines()
    assert [one.partition("] ")[2].split(",")[0] for one in lines[1:]] == [
        "the log file cannot be renamed", "one", "two",
    ]  # fmt: skip
    assert "Logging error" not in capsys.readouterr().err


@pytest.mark.usefixtures("logging_restored")
def test_a_line_can_be_json(settings: Settings) -> None:
    logs.start(replace(settings, logformat="json", stppassword=Secret('hunt"er2')))
    logs.work_on(request="r-1", delivery="d-1")
    logging.getLogger("x").info('GET https://h/x?sig=abc\nand hunt"er2 %s', "ü")
    logging.getLogger("x").info("told %s", Facts(url="https://h/x?sig=abc", more=['hunt"er2', 1]))
    try:
        raise ValueError('hunt"er2')
    except ValueError:
        logging.getLogger("x").exception("failed")
    first, second, third = map(json.loads, line(settings).splitlines())
    assert set(first) == {"time", "level", "requestId", "deliveryId", "message"}
    assert (first["requestId"], first["deliveryId"], first["level"]) == ("r-1", "d-1", "INFO")
    assert first["message"] == "GET https://h/x?<masked>\nand <masked> ü"
    assert (second["message"], second["facts"]) == (
        "told",
        {"url": "https://h/x?<masked>", "more": ["<masked>", 1]},
    )
    assert third["traceback"].startswith("Traceback") and "hunt" not in third["traceback"]
    assert time.strptime(first["time"][:19], "%Y-%m-%dT%H:%M:%S")


@pytest.mark.usefixtures("logging_restored")
def test_every_line_of_a_delivery_carries_its_ids_from_the_door_to_the_last_attempt(
    settings: Settings, store: FileStore, start: Callable[[Settings], Service]
) -> None:
    logs.start(replace(settings, logformat="json", loglevel="DEBUG"))
    service = start(settings)
    answer = service.post({**payload(), "presignedUrls": store.urls(b"a,b", b"1,2\n")}).json()
    service.stop()
    lines = list(map(json.loads, line(settings).splitlines()))
    own = [one for one in lines if one["requestId"] == answer["requestId"]]
    words = [
        one["message"].split(" ")[0] for one in own if one["deliveryId"] == answer["deliveryId"]
    ]
    for word in ("accepted", "fetched", "payload", "stream", "attempt"):
        assert word in words
    assert own[-1]["facts"]["verdict"] == "done"
