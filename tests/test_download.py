"""Downloads from a loopback store that cuts, changes, lies: the file arrives whole, from where an
earlier try or process was, or from the beginning."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from connector_proxy.download import Fetched
from connector_proxy.errors import Refused, Unavailable
from tests.downloading import Fetch, arrived, failing, fetcher, ranges
from tests.filestore import (
    Answer,
    FileStore,
    asked,
    chunked,
    endless,
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


def test_a_cut_download_goes_on_where_it_was(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = in_turn(s3(BODY, cut=1_000_001), s3(BODY, cut=500_000), s3(BODY))
    fetched = fetch()
    assert arrived(tmp_path, BODY)
    assert fetched == Fetched(len(BODY), hashlib.sha256(BODY).hexdigest(), etag_of(BODY), 2, 3)
    assert ranges(store) == [None, "bytes=1000001-", "bytes=1500001-"]
    assert [request.headers["If-Range"] for request in store.seen[1:]] == [etag_of(BODY)] * 2


def test_a_later_call_goes_on_with_what_an_earlier_one_left(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = in_turn(s3(BODY, cut=2_000_000), s3_error(503, "SlowDown"))
    error = failing(fetch, Unavailable, tries=2)
    assert (error.code, "SlowDown" in str(error)) == ("download_failed", True)
    assert (tmp_path / "data.part").stat().st_size == 2_000_000
    store.answers["data"] = s3(BODY)
    fetched = fetch(url=store.url("data") + "&X-Amz-Date=another")
    assert arrived(tmp_path, BODY)
    assert (fetched.resumed, fetched.tries, ranges(store)[-1]) == (1, 1, "bytes=2000000-")
    assert fetched.sha256 == hashlib.sha256(BODY).hexdigest()


def test_what_was_kept_of_another_file_is_dropped(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = s3(BODY, '"same"', cut=2_000_000)
    failing(fetch, Unavailable, tries=1)
    store.answers["other"] = s3(OTHER, '"same"')
    assert fetch(url=store.url("other")).resumed == 0
    assert arrived(tmp_path, OTHER)


def test_a_part_whose_last_byte_had_arrived_needs_no_store(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = s3(BODY, cut=len(BODY) - 1)
    failing(fetch, Unavailable, tries=1)
    note = tmp_path / "data.part.json"
    (tmp_path / "data.part").write_bytes(BODY)
    note.write_text(json.dumps({**json.loads(note.read_text()), "length": len(BODY)}))
    store.seen.clear()
    assert (fetch().tries, store.seen) == (0, [])
    assert arrived(tmp_path, BODY)


TAG = '"0123456789abcdef0123456789abcdef-2"'


def rest(body: bytes, told: str, etag: str = TAG, **headers: str) -> Answer:
    """An answer to a request for the bytes from 1000 on."""
    more = {"Content_Range": told, **({"ETag": etag} if etag else {}), **headers}
    return send(206, body, **more)


ALL = len(BODY)


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(rest(OTHER[1000:], f"bytes 1000-{ALL - 1}/{ALL}", '"new"'), id="If-Range is not understood"),
        pytest.param(rest(OTHER[1000:], f"bytes 1000-{ALL - 1}/{ALL}", ""), id="no ETag"),
        pytest.param(rest(OTHER[1000:], f"bytes 1000-{ALL}/{ALL + 1}"), id="another total"),
        pytest.param(rest(OTHER[1000:], f"bytes 999-{ALL - 1}/{ALL}"), id="another range"),
        pytest.param(rest(OTHER[1000:], f"bytes 1000-{ALL}/{ALL}"), id="an impossible range"),
        pytest.param(rest(OTHER[1000:], f"bytes 1000-{ALL - 2}/{ALL}"), id="two lengths"),
        pytest.param(rest(b"", "nonsense"), id="no range"),
        pytest.param(send(200, OTHER[:-1], ETag=TAG), id="the whole, of another length"),
        pytest.param(s3_error(416, "InvalidRange"), id="there is no such range"),
    ],
)  # fmt: skip
def test_it_starts_again_when_the_store_does_not_play_along(
    second: Answer, store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    def answer(handler: Any) -> None:
        first = s3(BODY, TAG, cut=1000) if len(store.seen) == 1 else s3(OTHER, TAG)
        (second if asked(handler) else first)(handler)

    store.answers["data"] = answer
    fetched = fetch()
    expected = OTHER[:-1] if fetched.length == ALL - 1 else OTHER
    assert arrived(tmp_path, expected)
    assert fetched.resumed == 0 and ranges(store)[:2] == [None, "bytes=1000-"]


def test_it_starts_again_when_the_etag_has_changed(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = in_turn(s3(BODY, TAG, cut=1000), s3(OTHER, '"new"'))
    assert fetch().tries == 2
    assert arrived(tmp_path, OTHER)


def test_a_store_that_sends_more_than_it_told_is_not_believed(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    def too_long(handler: Any) -> None:
        handler.send_response(206)
        handler.send_header("ETag", TAG)
        handler.send_header("Content-Range", f"bytes 1000-{ALL - 1}/{ALL}")
        handler.end_headers()
        handler.wfile.write(OTHER[1000:] + b"more")

    store.answers["data"] = in_turn(s3(BODY, TAG, cut=1000), too_long, s3(OTHER, TAG))
    assert fetch().tries == 3
    assert arrived(tmp_path, OTHER)
    assert ranges(store) == [None, "bytes=1000-", None]


def test_a_store_that_sends_only_a_piece_of_the_rest_is_asked_for_more(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    piece = rest(BODY[1000:3000], f"bytes 1000-2999/{ALL}")
    store.answers["data"] = in_turn(s3(BODY, TAG, cut=1000), piece, s3(BODY, TAG))
    assert (fetch().resumed, ranges(store)) == (2, [None, "bytes=1000-", "bytes=3000-"])
    assert arrived(tmp_path, BODY)


def test_a_store_that_ignores_range_costs_nothing_that_is_there(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    def whole(cut: int) -> Answer:
        return send(200, BODY[:cut], ETag=etag_of(BODY), Content_Length=str(len(BODY)))

    store.answers["data"] = in_turn(whole(2_000_000), whole(1000), whole(2_500_000), s3(BODY))
    fetched = fetch()
    assert arrived(tmp_path, BODY)
    assert ranges(store) == [None, "bytes=2000000-", "bytes=2000000-", "bytes=2500000-"]
    assert (fetched.resumed, fetched.tries) == (1, 4)


@pytest.mark.parametrize("etag", ['W/"weak"', "no quotes", ""])
def test_without_an_etag_to_rely_on_every_try_starts_at_zero(
    etag: str, store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = in_turn(s3(BODY, etag or "-", cut=2_000_000), s3(BODY, etag or "-"))
    fetched = fetch()
    assert arrived(tmp_path, BODY)
    assert (fetched.resumed, fetched.etag, ranges(store)) == (0, "", [None, None])


@pytest.mark.parametrize("note", ["", "{", "[]", "null", '{"source": 1}', '{"length": "x"}'])
def test_a_note_that_cannot_be_read_means_from_the_beginning(
    note: str, store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    (tmp_path / "data.part").write_bytes(b"rubbish")
    (tmp_path / "data.part.json").write_text(note)
    store.answers["data"] = s3(BODY)
    assert fetch().resumed == 0
    assert arrived(tmp_path, BODY)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"length": 2_500_000}, id="longer than the part"),
        pytest.param({"length": -1}, id="negative"),
        pytest.param({"total": 5}, id="longer than the file"),
        pytest.param({"etag": ""}, id="no etag"),
    ],
)
def test_a_note_that_does_not_fit_means_from_the_beginning(
    damage: dict[str, Any], store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = s3(BODY, TAG, cut=2_000_000)
    failing(fetch, Unavailable, tries=1)
    note = tmp_path / "data.part.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), **damage}))
    store.answers["data"] = s3(BODY, TAG)
    assert (fetch().resumed, ranges(store)) == (0, [None, None])
    assert arrived(tmp_path, BODY)


def test_bytes_that_were_not_surely_on_the_disk_are_fetched_again(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = s3(BODY, cut=2_000_000)
    failing(fetch, Unavailable, tries=1)
    with (tmp_path / "data.part").open("ab") as file:
        file.write(bytes(500_000))  # what a power failure leaves behind
    store.answers["data"] = s3(BODY)
    assert (fetch().tries, ranges(store)[-1]) == (1, "bytes=2000000-")
    assert arrived(tmp_path, BODY)


def test_a_damaged_file_is_fetched_once_more(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = in_turn(s3(OTHER, etag_of(BODY)), s3(BODY))
    assert fetch().tries == 2
    assert arrived(tmp_path, BODY)


def test_a_file_that_stays_damaged_is_not_kept(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = s3(OTHER, etag_of(BODY))
    error = failing(fetch, Unavailable)
    assert (error.code, len(store.seen)) == ("download_damaged", 2)
    assert not (tmp_path / "data").exists()
    assert (tmp_path / "data.part").stat().st_size == 0


@pytest.mark.parametrize(
    ("etag", "headers"),
    [
        ('"0123456789abcdef0123456789abcdef-2"', {}),
        (etag_of(OTHER), {"x_amz_server_side_encryption": "aws:kms"}),
        (etag_of(OTHER), {"X_Amz_Server_Side_Encryption": "aws:kms:dsse"}),
        (etag_of(OTHER), {"x_amz_server_side_encryption_customer_algorithm": "AES256"}),
        (etag_of(OTHER), {"X_Goog_Encryption_Kms_Key_Name": "projects/p/k"}),
        ('"0x8DC5E3A8B7"', {}),
    ],
)
def test_an_etag_that_is_no_md5_is_not_compared(
    etag: str, headers: dict[str, str], store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:  # fmt: skip
    store.answers["data"] = s3(BODY, etag, **headers)
    assert fetch().tries == 1
    assert arrived(tmp_path, BODY)


def test_an_etag_of_a_file_encrypted_by_the_store_itself_is_compared(
    store: FileStore, fetch: Fetch
) -> None:
    store.answers["data"] = s3(BODY, etag_of(OTHER), x_amz_server_side_encryption="AES256")
    assert failing(fetch, Unavailable).code == "download_damaged"


def test_files_of_no_told_length_arrive_when_their_end_is_marked(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    store.answers["data"] = in_turn(chunked(BODY, whole=False), chunked(BODY))
    assert fetch() == Fetched(len(BODY), hashlib.sha256(BODY).hexdigest(), "", 0, 2)
    assert arrived(tmp_path, BODY)


def test_a_cut_file_of_no_told_length_goes_on_where_it_was(
    store: FileStore, fetch: Fetch, tmp_path: Path
) -> None:
    begun = chunked(BODY[:2_000_000], etag_of(BODY), whole=False)
    store.answers["data"] = in_turn(begun, s3(BODY))
    assert fetch().resumed == 1
    assert arrived(tmp_path, BODY)


def test_a_file_whose_end_nobody_can_tell_is_refused(store: FileStore, fetch: Fetch) -> None:
    store.answers["data"] = endless
    assert "does not tell the length" in str(failing(fetch, Refused))


def test_an_empty_file_arrives(store: FileStore, fetch: Fetch, tmp_path: Path) -> None:
    store.answers["data"] = s3(b"")
    assert (fetch().length, arrived(tmp_path, b"")) == (0, True)
