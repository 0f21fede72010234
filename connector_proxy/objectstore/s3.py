"""Amazon S3, and stores that speak like it, through boto3.

A file of more than one part goes up as a multipart upload whose id is written down first: the
next attempt goes on with the parts that are there, and an upload that nobody will end is aborted.
Each part carries its SHA-256, which the store checks; one that only tells the MD5 is compared.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlencode

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from s3transfer.utils import ReadFileChunk

from connector_proxy.errors import Refused, Unavailable
from connector_proxy.objectstore import faults
from connector_proxy.objectstore.notes import Note, Notes
from connector_proxy.objectstore.parcel import Parcel
from connector_proxy.objectstore.target import Target

_AT_ONCE = 4
_TRIES = 4
_BUSY = frozenset(
    {
        "ConditionalRequestConflict", "InternalError", "OperationAborted", "RequestTimeout",
        "ServiceUnavailable", "SlowDown",
    }
)  # fmt: skip
_GONE = "NoSuchUpload"
_DAMAGED = frozenset({"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest"})
_DENIED = frozenset({"AccessDenied", "ExpiredToken", "InvalidToken", "InvalidAccessKeyId"})
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
)


class S3:
    """One bucket; safe to use from many threads."""

    def __init__(self, target: Target) -> None:
        self._target = target
        with _translated():
            self._client = boto3.session.Session().client(
                "s3",
                region_name=target.region or None,
                endpoint_url=target.endpoint or None,
                aws_access_key_id=target.access_key.reveal() or None,
                aws_secret_access_key=target.secret_key.reveal() or None,
                verify=str(target.ca_bundle) if target.ca_bundle else None,
                config=Config(
                    connect_timeout=target.connect_timeout,
                    read_timeout=target.read_timeout,
                    retries={"mode": "standard", "total_max_attempts": _TRIES},
                    proxies=dict.fromkeys(("http", "https"), target.proxy) if target.proxy else {},
                    s3={"addressing_style": "path" if target.endpoint else "auto"},
                ),
            )

    def look(self) -> None:
        """See that the bucket is there and lets us in; nothing is written."""
        with _translated():
            self._client.head_bucket(Bucket=self._target.bucket)

    def facts(self, key: str) -> Mapping[str, str] | None:
        """What an object says of itself; None where there is none."""
        with _translated():
            try:
                found = self._client.head_object(Bucket=self._target.bucket, Key=key)
            except boto.ClientError as error:
                if _status(error) == 404 and _code(error) != "NoSuchBucket":
                    return None
                raise
        facts: Mapping[str, str] = found["Metadata"]
        return facts

    def put(self, parcel: Parcel, notes: Notes) -> None:
        """Put a file there; when this returns the store has it whole. Raises ``Exists``,
        ``Refused`` and ``Unavailable``; what has arrived by then stays for the next call."""
        note = notes.of(parcel.key)
        if len(parcel.parts) > 1:
            self._in_parts(parcel, note)
            return
        self.abandon(note)
        digest = _base64(bytes.fromhex(parcel.sha256))
        with _translated(parcel), parcel.path.open("rb") as body:
            said = self._client.put_object(
                Bucket=self._target.bucket,
                Key=parcel.key,
                Body=body,
                ChecksumSHA256=digest,
                **self._about(parcel),
                **_only_new(parcel),
            )
        _see_that_it_is_sound(said, digest, parcel, 1)

    def abandon(self, note: Note) -> None:
        """End an upload that will not be completed: the store forgets its parts."""
        if not note.exists:
            return
        begun = note.begun
        with _translated():
            for upload_id in [begun.upload_id] if begun.upload_id else self._nameless(note):
                try:
                    self._client.abort_multipart_upload(
                        Bucket=begun.bucket, Key=begun.key, UploadId=upload_id
                    )
                except boto.ClientError as error:
                    if _code(error) != _GONE:
                        raise
        note.forget()

    def _nameless(self, note: Note) -> list[str]:
        """The ids of uploads of this very key that no other delivery has noted: a process died
        while it asked for one."""
        bucket, key = note.begun.bucket, note.begun.key
        found = self._client.list_multipart_uploads(Bucket=bucket, Prefix=key)
        there = {one["UploadId"] for one in found.get("Uploads", ()) if one["Key"] == key}
        return list(there - set(note.ids_of_others()))

    # -- in parts ------------------------------------------------------------------------

    def _in_parts(self, parcel: Parcel, note: Note) -> None:
        there = self._there(parcel, note)
        try:
            with _translated(parcel):
                if there is None:
                    self._begin(parcel, note)
                parts = self._send(parcel, note.begun.upload_id, there or {})
                self._complete(parcel, note.begun.upload_id, parts)
        except (Refused, faults.Exists):
            with suppress(Refused, Unavailable):  # else it is done when the delivery has ended
                self.abandon(note)
            raise
        note.forget()

    def _there(self, parcel: Parcel, note: Note) -> dict[int, Mapping[str, Any]] | None:
        """The parts that an earlier attempt brought there; None where a new one must begin."""
        if note.exists and note.begun.part_bytes == parcel.part_bytes and note.begun.upload_id:
            with suppress(Refused), _translated():  # who may not look begins anew
                return self._listed(note)
        self.abandon(note)
        return None

    def _listed(self, note: Note) -> dict[int, Mapping[str, Any]] | None:
        pages = self._client.get_paginator("list_parts").paginate(**_of(note))
        try:
            return {p["PartNumber"]: p for page in pages for p in page.get("Parts", ())}
        except boto.ClientError as error:
            if _code(error) != _GONE:
                raise
            note.forget()
            return None

    def _begin(self, parcel: Parcel, note: Note) -> None:
        note.change("", 0)
        begun = self._client.create_multipart_upload(
            Bucket=self._target.bucket,
            Key=parcel.key,
            ChecksumAlgorithm="SHA256",
            **self._about(parcel),
        )
        if "UploadId" not in begun:
            raise _no_s3()
        note.change(begun["UploadId"], parcel.part_bytes)

    def _send(
        self, parcel: Parcel, upload_id: str, there: Mapping[int, Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Send what is missing, some at a time; returns all parts as ``complete`` wants them."""
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload")
        try:
            return list(
                pool.map(lambda n: self._part(parcel, upload_id, n, there.get(n)), parcel.parts)
            )
        finally:
            pool.shutdown(cancel_futures=True)

    def _part(
        self, parcel: Parcel, upload_id: str, number: int, there: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        digest = _base64(parcel.digest(number, "sha256"))
        if there is None or not _is_sound(there, digest, parcel, number):
            start = (number - 1) * parcel.part_bytes
            with ReadFileChunk.from_filename(parcel.path, start, parcel.part_bytes) as body:
                there = self._client.upload_part(
                    Bucket=self._target.bucket,
                    Key=parcel.key,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=body,
                    ChecksumSHA256=digest,
                )
            _see_that_it_is_sound(there, digest, parcel, number)
        return {"PartNumber": number, "ETag": there["ETag"], "ChecksumSHA256": digest}

    def _complete(self, parcel: Parcel, upload_id: str, parts: list[dict[str, Any]]) -> None:
        try:
            said = self._client.complete_multipart_upload(
                Bucket=self._target.bucket,
                Key=parcel.key,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
                **_only_new(parcel),
            )
        except boto.ClientError as error:
            if _code(error) != _GONE:
                raise
            # The answer to an earlier try was lost, or somebody else ended the upload.
            if self.facts(parcel.key) != parcel.facts:
                raise faults.unreachable(str(error)) from None
            return
        if "ETag" not in said:
            raise _no_s3()

    def _about(self, parcel: Parcel) -> dict[str, Any]:
        """What is said of an object, and how it is kept."""
        kms, _, kms_key = self._target.encryption.partition("aws:kms:")
        about = {
            "ContentType": parcel.media_type,
            "Metadata": parcel.facts,
            "StorageClass": self._target.storage_class,
            "ServerSideEncryption": "aws:kms" if kms_key else kms,
            "SSEKMSKeyId": kms_key,
            "Tagging": urlencode(parcel.tags),
        }
        return {name: value for name, value in about.items() if value}

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()


def _of(note: Note) -> dict[str, str]:
    begun = note.begun
    return {"Bucket": begun.bucket, "Key": begun.key, "UploadId": begun.upload_id}


def _only_new(parcel: Parcel) -> dict[str, str]:
    return {"IfNoneMatch": "*"} if parcel.only_new else {}


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _see_that_it_is_sound(
    said: Mapping[str, Any], digest: str, parcel: Parcel, number: int
) -> None:
    """Raise ``Unavailable`` unless the answer says that the store has the part, and has it as it
    is here."""
    if "ETag" not in said:
        raise _no_s3()
    if not _is_sound(said, digest, parcel, number):
        raise faults.damaged(f"part {number}: ETag {said['ETag']}")


def _no_s3() -> Exception:
    return faults.unreachable("the answer is none of S3: it does not tell what there is now")


def _is_sound(there: Mapping[str, Any], digest: str, parcel: Parcel, number: int) -> bool:
    """Whether the store has that part as it is here: by its SHA-256, or by an ETag that is an MD5
    (with a key of KMS or of the customer it is something else, and the store has checked)."""
    if told := there.get("ChecksumSHA256"):
        return bool(told == digest)
    etag = str(there["ETag"]).strip('"')
    if len(etag) != 32 or there.get("ServerSideEncryption", "AES256") != "AES256":
        return True
    return etag == parcel.digest(number, "md5").hex()


@contextmanager
def _translated(parcel: Parcel | None = None) -> Iterator[None]:
    """What boto3 raises, in the words of this project; ``Exists`` only for a ``parcel`` that may
    replace nothing."""
    try:
        yield
    except boto.ClientError as error:
        if parcel and parcel.only_new and _status(error) == 412:
            raise faults.Exists from None
        raise _of_answer(error) from None
    except _NO_CREDENTIALS as error:
        raise faults.denied(str(error), "There are no credentials for the store.") from None
    except (boto.HTTPClientError, boto.ConnectionError) as error:
        raise faults.unreachable(str(error)) from None
    except boto.BotoCoreError as error:  # no region, a value that S3 does not know
        raise faults.refused(str(error)) from None


def _of_answer(error: boto.ClientError) -> Exception:
    code, status, said = _code(error), _status(error), str(error)
    if code == _GONE:
        return faults.unreachable(said)
    if code in _DAMAGED:
        return faults.damaged(said)
    if code in _BUSY or status in (408, 429) or status >= 500:
        return faults.busy(said)
    if code in _DENIED or status in (401, 403):
        return faults.denied(said)
    return faults.no_bucket(said) if status in (301, 404) else faults.refused(said)


def _code(error: boto.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: boto.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
