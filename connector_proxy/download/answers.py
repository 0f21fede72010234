"""Status and headers of a file store -> the bytes that follow, or an error that says what to do.

Facts only. Amazon S3 documents its codes in "Error responses", and of the ETag: it is the MD5 of
an object that was written in one piece, in the clear or with SSE-S3; with SSE-C, with SSE-KMS
and after a multipart upload it is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lxml import etree

from connector_proxy.download.address import RUN_AGAIN, refused
from connector_proxy.errors import ConnectorProxyError, Unavailable

ERROR_BYTES = 64 * 1024
"""So much of the body of an error is read; S3's longest ones tell what it signed."""

_STRONG = re.compile(r'"[\x21\x23-\x7e]{1,200}"')
_MD5 = re.compile(r'"[0-9a-fA-F]{32}"')
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_AGAIN = {"RequestTimeout", "SlowDown", "ServiceUnavailable", "InternalError", "Throttling"}
_EXPIRED = {"ExpiredToken", "ExpiredRequest", "TokenExpired"}


class Passing(ConnectorProxyError):
    """What may pass within moments. It never leaves a download: that tries again, and in the end
    raises ``unavailable()``. ``retry_after`` is in seconds, or None."""

    advice = "It is tried again, from where it was."

    def __init__(
        self, message: str, *, advice: str = "", cause: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(message, advice=advice, cause=cause)
        self.retry_after = retry_after

    def unavailable(self) -> Unavailable:
        """The same for the caller: another attempt may succeed."""
        return Unavailable(
            str(self),
            code="download_failed",
            advice=self.advice,
            cause=self.cause,
            retry_after=self.retry_after,
        )


class StartAgain(Passing):
    """What was kept so far does not belong to what the store has now: from the beginning."""


@dataclass(frozen=True)
class Mark:
    """Which content of a file: its ``etag`` (empty: none that a resumed download may trust), its
    length in bytes (None: not known yet), and whether the ETag is an MD5 of it."""

    etag: str
    total: int | None
    md5: bool = False


@dataclass(frozen=True)
class Body:
    """The bytes that follow: where they begin in the file, and what of."""

    start: int
    mark: Mark


def read_answer(
    status: int, headers: Mapping[str, str], error: bytes, asked: int, what: str
) -> Body:
    """What follows an answer to a request for the bytes from ``asked`` on; ``error`` is the
    beginning of the body of another status than 200 and 206.

    Raises ``Passing``, ``StartAgain`` or ``Refused``.
    """
    if status == 200:
        return Body(0, _mark(headers, _length(headers, what)))
    if status == 206 and asked:
        return _rest(headers, asked, what)
    if status == 416 and asked:
        raise StartAgain(f"The {what} is shorter at its store than what was kept of it.")
    raise _failure(status, headers, error, what)


def _length(headers: Mapping[str, str], what: str) -> int | None:
    text = headers.get("Content-Length", "")
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        return None
    if not re.fullmatch(r"\d{1,18}", text):
        raise refused(what, "its store does not tell the length", "download_refused")
    return int(text)


def _mark(headers: Mapping[str, str], total: int | None) -> Mark:
    etag = headers.get("ETag", "").strip()
    strong = bool(_STRONG.fullmatch(etag))
    md5 = bool(_MD5.fullmatch(etag)) and not _encrypted_by_key(headers)
    return Mark(etag if strong else "", total, md5)


def _encrypted_by_key(headers: Mapping[str, str]) -> bool:
    """Whether the ETag is of the encrypted bytes: SSE-KMS, SSE-C, a customer's key at Google."""
    names = {name.lower() for name in headers}
    by_store = headers.get("x-amz-server-side-encryption", "AES256") == "AES256"
    return not by_store or any(
        name.startswith(("x-amz-server-side-encryption-customer", "x-goog-encryption-"))
        for name in names
    )


def _rest(headers: Mapping[str, str], asked: int, what: str) -> Body:
    found = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if not found or int(found[1]) != asked or not asked <= int(found[2]) < int(found[3]):
        raise StartAgain(f"The store of the {what} answered with another part than the rest.")
    length = headers.get("Content-Length", "")
    if length and length != str(int(found[2]) + 1 - asked):
        raise StartAgain(f"The store of the {what} tells two lengths.")
    return Body(asked, _mark(headers, int(found[3])))


def _failure(
    status: int, headers: Mapping[str, str], error: bytes, what: str
) -> ConnectorProxyError:
    code, expired = _s3_error(error)
    shown = f"HTTP status {status}{', ' + code if code else ''}"
    if status in (408, 429) or status >= 500 or code in _AGAIN:
        message = f"The {what} could not be downloaded: its store is not ready ({shown})."
        return Passing(message, retry_after=_retry_after(headers))
    if status in (400, 401, 403) and expired:
        return refused(what, f"its URL has expired ({shown})", "url_expired", RUN_AGAIN)
    if status in (401, 403):
        return refused(what, f"its store denies access ({shown})", "url_denied", _DENIED)
    if status in (404, 410):
        return refused(what, f"it is no longer there ({shown})", "file_gone", RUN_AGAIN)
    return refused(
        what, f"its store answered otherwise than with the file ({shown})", "download_refused"
    )


_DENIED = (
    "Run the task again in CI 360: its URLs are made anew. If that does not help: an answer "
    "without a code of S3 may be that of a proxy or firewall on the way."
)


def _s3_error(body: bytes) -> tuple[str, bool]:
    """The ``Code`` of S3's XML error, such as AccessDenied or SlowDown, and whether it says that
    the URL has expired. Its other words may quote the request, and are not used."""
    try:
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return "", False
    code, message = root.findtext("{*}Code") or "", root.findtext("{*}Message") or ""
    code = code if re.fullmatch(r"[A-Za-z]{1,40}", code) else ""
    return code, code in _EXPIRED or "expired" in message.lower()


def _retry_after(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Retry-After", "").strip()
    return int(text) if re.fullmatch(r"\d{1,6}", text) else None
