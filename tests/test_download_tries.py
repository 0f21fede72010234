"""What a download tries again, what it gives up at once, and what it says: never a secret."""

from __future__ import annotations

import logging
import os
import random
import time
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from connector_proxy.errors import Refused, Unavailable
from tests.downloading import Fetch, arrived, downloader, failing, fetcher
from tests.filestore import (
    SIGNATURE,
    Answer,
    FileStore,
    asked,
    etag_of,
    in_turn,
    s3,
    s3_error,
    send,
)

BODY = random.Random(360).randbytes(3 << 20)
OTHER = BODY[::-1]


@pytest.fixture
def fetch(store: FileStore, tmp_path: Path) -> Fetch:
    return fetcher(store, tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        s3_error(500, "InternalError"),
        s3_error(502, ""),
        s3_error(503, "SlowDown"),
        s3_error(429, ""),
        s3_error(408, ""),
        s3_error(400, "RequestTimeout"),
        lambda handler: handler.connection.close(),
    ],
)
def test_what_may_pass_is_tried_again_as_often_as_gettries_says(
    answer: Answer, store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = in_turn(answer, answer, s3(BODY))
    assert fetch(tries=3).tries == 3
    assert arrived(tmp_path, BODY)
    store.answers["data"], before = answer, len(store.seen)
    error = failing(fetch, Unavailable, tries=3)
    assert (error.code, len(store.seen) - before) == ("download_failed", 3)


def test_tries_that_bring_something_are_not_counted(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    big = os.urandom(12 << 20)
    store.answers["data"] = s3(big, cut=(1 << 20) + 1)
    assert fetch(tries=2).tries == 12
    assert arrived(tmp_path, big)


def test_tries_that_bring_the_same_again_and_again_are_counted(
    store: FileStore, fetch: Fetch
) -> None:
    tags = iter(f'"{number}"' for number in range(100))
    store.answers["data"] = lambda handler: s3(BODY, next(tags), cut=2 << 20)(handler)
    failing(fetch, Unavailable, tries=3)
    assert len(store.seen) <= 4


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (s3_error(403, "AccessDenied", "Request has expired"), "url_expired", "its URL has expired (HTTP status 403, AccessDenied)"),
        (s3_error(400, "ExpiredToken", "The provided token has expired."), "url_expired", "its URL has expired (HTTP status 400, ExpiredToken)"),
        (s3_error(400, "ExpiredToken"), "url_expired", "its URL has expired (HTTP status 400, ExpiredToken)"),
        (s3_error(403, "AccessDenied"), "url_denied", "its store denies access (HTTP status 403, AccessDenied)"),
        (send(403, b"<html>Blocked by your firewall: has expired"), "url_denied", "its store denies access (HTTP status 403)"),
        (s3_error(404, "NoSuchKey"), "file_gone", "it is no longer there (HTTP status 404, NoSuchKey)"),
        (s3_error(400, "InvalidArgument"), "download_refused", "otherwise than with the file (HTTP status 400, InvalidArgument)"),
        (send(204, b""), "download_refused", "(HTTP status 204)"),
        (send(206, b"1"), "download_refused", "(HTTP status 206)"),
        (s3_error(416, "InvalidRange"), "download_refused", "(HTTP status 416, InvalidRange)"),
        (send(403, b"<Error><Code>A&amp;B</Code></Error>" + b" " * 3_000_000), "url_denied", "(HTTP status 403)"),
    ],
)  # fmt: skip
def test_what_stays_wrong_is_refused_at_once(
    answer: Answer, code: str, words: str, store: FileStore, fetch: Fetch
) -> None:
    store.answers["data"] = answer
    error = failing(fetch, Refused)
    assert (error.code, len(store.seen)) == (code, 1)
    assert str(error).endswith(f"{words}.") and error.advice


def test_a_wait_that_the_store_asks_for_is_kept(store: FileStore, fetch: Fetch) -> None:
    store.answers["data"] = in_turn(send(503, b"", Retry_After="1"), s3(BODY))
    began = time.monotonic()
    assert fetch().tries == 2
    assert time.monotonic() - began >= 1
    store.answers["data"] = send(503, b"", Retry_After="600")
    assert failing(fetch, Unavailable).retry_after == 600


def test_no_try_begins_after_the_deadline(store: FileStore, fetch: Fetch) -> None:
    store.answers["data"] = s3_error(503, "SlowDown")
    failing(fetch, Unavailable, deadline=datetime.now(UTC) - timedelta(seconds=1))
    assert len(store.seen) == 1
    store.seen.clear()
    failing(fetch, Unavailable, pause=0.2, deadline=datetime.now(UTC) + timedelta(seconds=0.5))
    assert 1 < len(store.seen) < 5
    store.seen.clear()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    url = f"{store.url('data')}&X-Amz-Date={stamp}&X-Amz-Expires=1"
    failing(fetch, Unavailable, pause=2, url=url)
    assert len(store.seen) == 1, "the URL tells its own deadline"


def test_a_store_that_falls_silent_is_left(store: FileStore, fetch: Fetch) -> None:
    def silent(handler: Any) -> None:
        s3(BODY, cut=1000)(handler)
        time.sleep(2)

    store.answers["data"] = in_turn(silent, s3(BODY))
    began = time.monotonic()
    assert fetch(read_timeout=0.3).resumed == 1
    assert time.monotonic() - began < 2


def test_nothing_is_written_where_the_disk_has_no_room(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = s3(BODY)
    error = failing(fetch, Unavailable, reserve=1 << 60)
    assert (error.code, len(store.seen)) == ("disk_low", 1)
    assert "no room for the data file" in str(error) and "Make room" in error.advice
    assert (tmp_path / "data.part").stat().st_size == 0


def test_a_folder_that_cannot_be_written_may_be_mended(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    url = store.put("data", BODY)
    with pytest.raises(Unavailable) as caught:
        downloader().fetch(url, tmp_path / "folder" / "data", "data file")
    assert caught.value.code == "download_folder"
    assert str(tmp_path) not in str(caught.value) and str(tmp_path) in caught.value.cause


def test_two_do_not_write_the_same_file(store: FileStore, fetch: Fetch, tmp_path: Path) -> None:
    store.answers["data"] = s3(BODY)
    with FileLock(tmp_path / "data.part.lock"):
        error = failing(fetch, Unavailable)
    assert (error.code, store.seen) == ("download_busy", [])
    assert fetch().length == len(BODY)


def test_the_url_goes_out_byte_for_byte_and_nothing_with_it_that_was_not_asked_for(
    store: FileStore, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    odd = f"{store.address}/a%2fb/../c//d%7E~!$&'()*+,;=:@[x]/data?x=%e4&y=a+b%20/?&{SIGNATURE}"
    store.answers["data?x=%e4&y=a+b%20"] = store.answers["data"] = s3(BODY)
    fetch(url=odd)
    assert store.seen[0].path == odd.removeprefix(store.address)
    assert dict(store.seen[0].headers) == {
        "Host": f"127.0.0.1:{store.port}",
        "Accept-Encoding": "identity",
        "User-Agent": store.seen[0].headers["User-Agent"],
    }
    assert asked(store.seen[0]) == 0


def test_progress_is_told(store: FileStore, tmp_path: Path) -> None:
    store.answers["data"] = s3(BODY)
    seen: list[tuple[int, int | None]] = []
    downloader().fetch(
        store.url("data"), tmp_path / "data", "data file", progress=lambda *now: seen.append(now)
    )
    assert seen[-1] == (len(BODY), len(BODY))
    assert [there for there, _ in seen] == sorted(there for there, _ in seen)


@pytest.mark.parametrize(
    "answer",
    [
        s3(BODY, cut=1000),
        s3(OTHER, etag_of(BODY)),
        s3_error(503, "SlowDown"),
        s3_error(403, "AccessDenied", f"Request has expired {SIGNATURE}"),
        s3_error(404, SIGNATURE),
        send(302, b"", Location=f"http://elsewhere.example/?{SIGNATURE}"),
        send(302, b"", Location=f"/exports/data?{SIGNATURE}"),
        lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"),
        lambda handler: handler.connection.close(),
    ],
)
def test_no_error_and_no_line_of_the_log_has_the_query(
    answer: Answer,
    store: FileStore,
    fetch: Fetch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    store.answers["data"] = answer
    with pytest.raises((Refused, Unavailable)) as caught:
        fetch(tries=2)
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    kept = "".join(path.read_text("latin-1") for path in tmp_path.glob("data*.json"))
    assert "X-Amz" not in shown + caplog.text + kept and "5ec7e7" not in shown + caplog.text + kept


def test_a_store_that_drips_is_given_up(store: FileStore, tmp_path: Path) -> None:
    """It would keep a place from other downloads for ever."""

    def drip(handler: Any) -> None:
        s3(BODY, cut=0)(handler)
        for _ in range(100):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    url = store.put("data", BODY)
    store.answers["data"] = drip
    started = time.monotonic()
    with pytest.raises(Unavailable, match="it comes too slowly"):
        downloader(tries=1, read_timeout=0.5).fetch(url, tmp_path / "data", "data file")
    assert time.monotonic() - started < 4
