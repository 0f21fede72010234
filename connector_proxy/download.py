"""A presigned GET into a file: streamed, length checked, from allowed hosts only.

The URL comes out of a request body, so it is checked before a name is resolved: https (http only
where a pattern says so), a host on the list, no user-info, nothing that two parsers could read
in two ways. It is a bearer secret for personal data: its query string is in no message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import requests
from lxml import etree
from urllib3.exceptions import HTTPError, IncompleteRead

from connector_proxy.errors import Refused, Unavailable
from connector_proxy.values import HostPattern

CHUNK = 256 * 1024
_URL = re.compile(r"https?://[A-Za-z0-9._~:\[\]-]+(?:[/?][A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%|-]*)?")
_AGAIN = "Run the task again in CI 360: its URLs are made anew."


def check_url(url: str, patterns: Iterable[HostPattern], what: str) -> None:
    """Raise ``Refused`` unless ``url`` may be downloaded; ``what`` names the file."""
    if not url:
        raise _refused(what, "its URL is empty", "url_missing", _AGAIN)
    if not _URL.fullmatch(url):
        raise _refused(what, "its URL is not a plain http or https URL", "url_not_allowed")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused(what, "its URL has a bad port", "url_not_allowed") from None
    default = {"https": 443, "http": 80}[parts.scheme]
    host = (parts.hostname or "").lower()
    plain_port = None if port in (None, default) else port
    if not any(pattern.allows(parts.scheme, host, plain_port) for pattern in patterns):
        raise _refused(
            what,
            f"{parts.scheme} from its host is not allowed",
            "url_not_allowed",
            "The log names the host. If it is right, add it to downloadhosts; plain http is "
            "allowed only where a pattern says http://.",
            f"{parts.scheme}://{host}:{port or default} is not among downloadhosts",
        )


def _refused(what: str, why: str, code: str, advice: str = "", cause: str = "") -> Refused:
    advice = advice or "Look at the payload that CI 360 sent; such a URL does not come from S3."
    message = f"The {what} cannot be downloaded: {why}."
    return Refused(message, code=code, advice=advice, cause=cause)


class Downloader:
    """Downloads through one session; ``proxy`` is a URL or empty, time-outs are in seconds and
    bound connecting and each wait for more bytes."""

    def __init__(
        self,
        patterns: Iterable[HostPattern],
        *,
        connect_timeout: float,
        read_timeout: float,
        proxy: str = "",
        ca_bundle: Path | None = None,
    ) -> None:
        self._patterns = tuple(patterns)
        self._timeout = (connect_timeout, read_timeout)
        self._session = requests.Session()
        self._session.trust_env = False
        self._verify = str(ca_bundle) if ca_bundle else True
        self._session.proxies = {"http": proxy, "https": proxy} if proxy else {}

    def fetch(self, url: str, target: Path, what: str) -> int:
        """GET ``url`` into the file ``target`` and return its length in bytes.

        Raises ``Refused`` for what stays wrong (host, 403, 404, a redirect) and
        ``Unavailable`` for what may pass (no connection, 5xx, a short read).
        """
        check_url(url, self._patterns, what)
        request = requests.Request("GET", url, headers={"Accept-Encoding": "identity"})
        prepared = self._session.prepare_request(request)
        prepared.url = url  # as signed: requests would write some escapes anew
        try:
            # The session itself would read the body of a redirect, and its address.
            with self._session.get_adapter(url).send(
                prepared,
                stream=True,
                timeout=self._timeout,
                verify=self._verify,
                proxies=self._session.proxies,
            ) as response:
                _check_status(response, what)
                return _copy(response, target)
        except (requests.RequestException, HTTPError) as error:
            raise Unavailable(
                f"The {what} could not be downloaded to its end: the connection failed.",
                code="download_failed",
                advice="It is tried again. The log says what failed: check the way to that "
                "host (firewall, outboundproxy, cabundle).",
                cause=f"{urlsplit(url).hostname}: {_reason(error)}",
            ) from None

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def __enter__(self) -> Downloader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _reason(error: BaseException | None) -> str:
    """What failed at the bottom, in the words of the system and without the address."""
    words = "no connection"
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            words = error.strerror
        elif isinstance(error, TimeoutError | requests.Timeout):
            words = "timed out"
        elif isinstance(error, IncompleteRead):
            words = "cut before its end"
        inner = getattr(error, "reason", None) or next(iter(error.args), None)
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
    return words


def _copy(response: requests.Response, target: Path) -> int:
    length = 0
    with target.open("wb") as file:
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            file.write(chunk)
            length += len(chunk)
    return length


def _check_status(response: requests.Response, what: str) -> None:
    status = response.status_code
    if status == 200:
        if response.raw.length_remaining is None and not response.raw.chunked:
            raise _refused(what, "its store does not tell the length", "download_refused")
        return
    said = _s3_code(response.raw.read(4096, decode_content=True))
    shown = f"HTTP status {status}{', ' + said if said else ''}"
    if status == 429 or status >= 500:
        message = f"The {what} could not be downloaded: its store is not ready ({shown})."
        raise Unavailable(message, code="download_failed")
    if status == 403:
        raise _refused(
            what, f"its URL has expired or is not valid ({shown})", "url_expired", _AGAIN
        )
    if status == 404:
        raise _refused(what, f"it is no longer there ({shown})", "file_gone", _AGAIN)
    raise _refused(
        what, f"its store answered otherwise than with the file ({shown})", "download_refused"
    )


def _s3_code(body: bytes) -> str:
    """The ``Code`` of S3's XML error, such as AccessDenied or SlowDown."""
    try:
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return ""
    code = root.findtext("Code") or ""
    return code if re.fullmatch(r"[A-Za-z]{1,40}", code) else ""
