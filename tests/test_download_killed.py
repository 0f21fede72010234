"""A bad line and a process that is killed: what arrives is the file, with memory that does not
grow. ``DOWNLOAD_MB=200`` makes the file larger than the suite has time for (make download)."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.downloading import arrived
from tests.filestore import FileStore, Unreliable, asked, s3

SIZE = int(os.environ.get("DOWNLOAD_MB", "24")) << 20


def started(url: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.downloading", url, str(folder / "data")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    fetched: dict[str, Any] = json.loads(said)
    return fetched


def killed(process: subprocess.Popen[str], day: Unreliable, requests: int) -> None:
    """End a download without a word, when the store has had so many requests."""
    until = time.monotonic() + 60
    while len(day.seen) < requests and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    assert process.poll() is None, "it was still at work"
    process.kill()
    process.communicate()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_file_arrives_intact_from_a_store_on_a_bad_day_and_over_two_kills(
    seed: int, store: FileStore, tmp_path: Path
) -> None:
    before, after = (random.Random(seed * 10 + one).randbytes(SIZE) for one in range(2))
    day = Unreliable(before, after, most=SIZE // 6, changes_at=9, seed=seed)
    store.answers["data"] = day
    for requests in (5, 16):
        killed(started(store.url("data"), tmp_path), day, requests)
    known = json.loads((tmp_path / "data.part.json").read_text())["length"]
    earlier = len(day.asked)
    fetched = ended(started(store.url("data"), tmp_path))
    assert arrived(tmp_path, after)
    assert fetched["sha256"] == hashlib.sha256(after).hexdigest()
    assert known > 0 and "changed" in day.seen
    assert {"cut", "ignored"} <= set(day.seen) and {"500", "503"} & set(day.seen)
    assert day.asked[earlier] == known, "what was there was not fetched again"


def test_memory_does_not_grow_with_the_file(store: FileStore, tmp_path: Path) -> None:
    peaks = []
    for name, size in (("small", 1 << 20), ("large", 96 << 20)):
        store.answers[name] = s3(bytes(size))
        folder = tmp_path / name
        folder.mkdir()
        fetched = ended(started(store.url(name), folder))
        assert fetched["length"] == size
        peaks.append(fetched["peak"])
    assert peaks[1] - peaks[0] < 4096, f"kB: {peaks}"


def test_a_kill_in_the_middle_of_a_transfer_costs_little_and_taking_up_no_memory(
    store: FileStore, tmp_path: Path
) -> None:
    body = random.Random(5).randbytes(96 << 20)
    store.answers["data"] = s3(body[:1])
    least = ended(started(store.url("data"), tmp_path))["peak"]
    most = threading.Event()

    def stands_still(handler: BaseHTTPRequestHandler) -> None:
        s3(body, cut=80 << 20)(handler)
        handler.wfile.flush()
        most.wait(30)

    store.answers["data"] = stands_still
    process = started(store.url("data"), tmp_path)
    part = tmp_path / "data.part"
    until = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 79 << 20) and time.monotonic() < until:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    most.set()
    store.answers["data"] = s3(body)
    fetched = ended(started(store.url("data"), tmp_path))
    assert (tmp_path / "data").read_bytes() == body
    assert (fetched["length"], fetched["resumed"]) == (len(body), 1)
    assert asked(store.seen[-1]) >= 48 << 20, "32 MB at most were fetched again"
    assert fetched["peak"] - least < 4096
