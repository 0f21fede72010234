"""Downloads from S3 as moto plays it, by URLs that boto3 has presigned."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector_proxy.download import Downloader
from connector_proxy.errors import Refused
from connector_proxy.presigned import expires_at
from connector_proxy.values import HostPattern
from tests.s3store import BUCKET, S3Store

BODY = random.Random(360).randbytes(6 << 20)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Store]:
    with S3Store() as running:
        yield running


@pytest.fixture
def downloader() -> Downloader:
    return Downloader(
        (HostPattern("http", "127.0.0.1", 0),), connect_timeout=2, read_timeout=5, pause=0.01
    )


@pytest.mark.parametrize("name", ["data", "a b/ü+&=%2F~'()*!.csv", "task=1/part-0.csv"])
def test_a_presigned_file_arrives_whole_with_its_digest(
    name: str, s3: S3Store, downloader: Downloader, tmp_path: Path
) -> None:
    s3.put(name, BODY)
    fetched = downloader.fetch(s3.presign(name), tmp_path / "data", "data file")
    assert (tmp_path / "data").read_bytes() == BODY
    assert fetched.sha256 == hashlib.sha256(BODY).hexdigest()
    assert fetched.etag == f'"{hashlib.md5(BODY).hexdigest()}"'
    assert (fetched.length, fetched.resumed, fetched.tries) == (len(BODY), 0, 1)


def test_a_part_is_taken_up_by_a_url_that_was_made_anew(
    s3: S3Store, downloader: Downloader, tmp_path: Path
) -> None:
    s3.put("data", BODY)
    interrupted(s3, tmp_path, 3 << 20)
    time.sleep(1.1)  # another second, another signature
    fetched = downloader.fetch(s3.presign("data"), tmp_path / "data", "data file")
    assert (tmp_path / "data").read_bytes() == BODY
    assert (fetched.resumed, fetched.tries) == (1, 1)


def test_a_file_that_was_replaced_meanwhile_is_downloaded_from_the_beginning(
    s3: S3Store, downloader: Downloader, tmp_path: Path
) -> None:
    s3.put("data", BODY)
    interrupted(s3, tmp_path, 3 << 20)
    s3.put("data", BODY[::-1])
    fetched = downloader.fetch(s3.presign("data"), tmp_path / "data", "data file")
    assert (tmp_path / "data").read_bytes() == BODY[::-1]
    assert fetched.resumed == 0


def test_a_file_that_became_shorter_is_downloaded_from_the_beginning(
    s3: S3Store, downloader: Downloader, tmp_path: Path
) -> None:
    s3.put("data", BODY)
    interrupted(s3, tmp_path, 3 << 20)
    s3.put("data", b"1,2\n")
    fetched = downloader.fetch(s3.presign("data"), tmp_path / "data", "data file")
    assert (tmp_path / "data").read_bytes() == b"1,2\n"
    assert (fetched.length, fetched.tries) == (4, 2), "416, then the whole"


def interrupted(s3: S3Store, folder: Path, length: int) -> None:
    """A download of ``data`` that was given up after ``length`` bytes."""

    class Stopped(Exception):
        pass

    def stop(there: int, total: int | None) -> None:
        if there >= length:
            raise Stopped

    downloader = Downloader(
        (HostPattern("http", "127.0.0.1", 0),), connect_timeout=2, read_timeout=5
    )
    with pytest.raises(Stopped):
        downloader.fetch(s3.presign("data"), folder / "data", "data file", progress=stop)
    assert (folder / "data.part.json").exists() and not (folder / "data").exists()


def test_a_file_of_several_parts_is_not_measured_by_its_etag(
    s3: S3Store, downloader: Downloader, tmp_path: Path
) -> None:
    place = {"Bucket": BUCKET, "Key": "many"}
    upload = s3.client.create_multipart_upload(**place)["UploadId"]
    parts = []
    for number, body in ((1, BODY), (2, b"the rest")):
        told = s3.client.upload_part(**place, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"ETag": told["ETag"], "PartNumber": number})
    s3.client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    fetched = downloader.fetch(s3.presign("many"), tmp_path / "data", "data file")
    assert fetched.etag.endswith('-2"') and fetched.length == len(BODY) + 8


def test_a_file_encrypted_with_a_key_of_kms_arrives(
    s3: S3Store, downloader: Downloader, tmp_path: Path
) -> None:
    s3.put("secret", b"1,2\n", ServerSideEncryption="aws:kms", SSEKMSKeyId="example")
    assert downloader.fetch(s3.presign("secret"), tmp_path / "data", "data file").length == 4


def test_an_expired_url_is_refused_in_words_and_without_its_query(
    s3: S3Store, downloader: Downloader, tmp_path: Path
) -> None:
    s3.put("data", b"1,2\n")
    url = s3.presign("data", 1)
    assert downloader.fetch(url, tmp_path / "data", "data file").length == 4
    (tmp_path / "data").unlink()
    time.sleep(2.1)
    with pytest.raises(Refused) as caught:
        downloader.fetch(url, tmp_path / "data", "data file")
    assert str(caught.value) == (
        "The data file cannot be downloaded: its URL has expired (HTTP status 403, AccessDenied)."
    )
    assert caught.value.code == "url_expired"
    assert "X-Amz" not in repr(caught.value) + caught.value.advice + caught.value.cause
    assert not (tmp_path / "data").exists()


def test_a_signature_that_does_not_fit_is_denied(
    s3: S3Store, downloader: Downloader, tmp_path: Path
) -> None:
    s3.put("data", b"1,2\n")
    with pytest.raises(Refused) as caught:
        downloader.fetch(s3.presign("data")[:-1] + "x", tmp_path / "data", "data file")
    assert caught.value.code == "url_denied"
    assert "SignatureDoesNotMatch" in str(caught.value)
    assert "X-Amz" not in repr(caught.value) + caught.value.advice + caught.value.cause


def test_a_file_that_is_gone_is_refused(
    s3: S3Store, downloader: Downloader, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=r"no longer there \(HTTP status 404, NoSuchKey\)") as caught:
        downloader.fetch(s3.presign("nothing"), tmp_path / "data", "data file")
    assert caught.value.code == "file_gone"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_the_moment_at_which_a_presigned_url_expires_is_read(version: str, s3: S3Store) -> None:
    import boto3
    from botocore.config import Config

    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    client = boto3.client("s3", config=Config(signature_version=version), **keys)
    place = {"Bucket": BUCKET, "Key": "data"}
    url = client.generate_presigned_url("get_object", place, ExpiresIn=900)
    client.close()
    moment = expires_at(url)
    assert moment is not None and abs(moment.timestamp() - time.time() - 900) < 5
