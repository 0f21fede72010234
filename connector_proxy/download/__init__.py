"""A presigned GET into a file: streamed, taken up again where it was cut, checked.

One call of ``fetch`` repeats what may pass within moments (a cut, 5xx, SlowDown, a short read).
Whatever it has when it gives up, and what a killed process had, lies beside the target
(``part.py``) for the next call. docs/downloads.md tells it from the outside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urljoin

from urllib3 import BaseHTTPResponse

from connector_proxy.download.address import Place, check_url, refused
from connector_proxy.download.answers import (
    ERROR_BYTES,
    Body,
    Mark,
    Passing,
    StartAgain,
    read_answer,
)
from connector_proxy.download.channel import Channel, beginning, pieces
from connector_proxy.download.part import Part, disk_error
from connector_proxy.download.tries import Pace, Tries
from connector_proxy.errors import Refused, Unavailable
from connector_proxy.presigned import expires_at
from connector_proxy.settings import Settings
from connector_proxy.values import HostPattern

__all__ = ["Downloader", "Fetched", "Progress", "check_url", "disk_error"]

MOST_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_DAMAGED = 2

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Fetched:
    """A file that arrived: its length in bytes, SHA-256 in lower-case hex, ETag with its quotes
    (empty: the store told none), how often it went on where it had been, how many tries."""

    length: int
    sha256: str
    etag: str
    resumed: int
    tries: int


class Downloader:
    """Downloads from the hosts of ``patterns``. ``proxy`` is a URL or empty; time-outs are in
    seconds and bound connecting and each wait for more bytes; ``tries`` in a row may bring
    nothing, the first pause between them is ``pause`` seconds; ``reserve`` bytes of the disk
    stay free."""

    def __init__(
        self,
        patterns: Iterable[HostPattern],
        *,
        connect_timeout: float,
        read_timeout: float,
        proxy: str = "",
        ca_bundle: Path | None = None,
        allow_private: bool = False,
        tries: int = 5,
        pause: float = 1.0,
        reserve: int = 0,
    ) -> None:
        self._patterns = tuple(patterns)
        self._tries, self._pause, self._reserve = tries, pause, reserve
        self._patience = read_timeout
        self._channel = Channel(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            proxy=proxy,
            ca_bundle=ca_bundle,
            allow_private=allow_private,
        )

    @classmethod
    def of(cls, settings: Settings) -> Downloader:
        """A downloader as ``settings`` say."""
        return cls(
            settings.downloadhosts,
            connect_timeout=settings.connecttimeout,
            read_timeout=settings.readtimeout,
            proxy=settings.outboundproxy,
            ca_bundle=settings.cabundle,
            allow_private=settings.allowprivate,
            tries=settings.gettries,
            pause=settings.getpause,
            reserve=settings.diskreservemb << 20,
        )

    def fetch(
        self,
        url: str,
        target: Path,
        what: str,
        *,
        deadline: datetime | None = None,
        progress: Progress | None = None,
        most: int | None = None,
    ) -> Fetched:
        """GET ``url`` into the file ``target``, which is whole and checked afterwards.

        ``what`` names the file in messages. No try begins after ``deadline`` (default: when the
        URL says that it expires). ``progress`` is told the bytes there and all of them, or None;
        what it raises ends the download, and what is there stays. ``most`` bytes are taken.

        Raises ``Refused`` for what stays wrong (host, 403, 404, another answer than the file)
        and ``Unavailable`` for what may pass (no connection, 5xx, a cut, no room); then the same
        call later goes on where this one was.
        """
        check_url(url, self._patterns, what)
        tries = Tries(self._tries, self._pause, deadline or expires_at(url), what)
        part = Part(target, _source(url), what)
        try:
            with part:
                return self._fetch(url, part, tries, _Job(what, self._patience, progress, most))
        except OSError as error:
            raise part.disk_error(error) from None

    def _fetch(self, url: str, part: Part, tries: Tries, job: _Job) -> Fetched:
        while True:
            try:
                if not part.whole:
                    tries.made += 1
                    self._try(url, part, job)
                job.check(part)
                break
            except Passing as why:
                if isinstance(why, StartAgain):
                    part.drop()
                part.save()
                tries.failed(why, part.length)
        etag = part.mark.etag if part.mark else ""
        return Fetched(part.length, part.finish(), etag, job.resumed, tries.made)

    def _try(self, url: str, part: Part, job: _Job) -> None:
        """One request for the rest, or for all."""
        etag = part.mark.etag if part.mark else ""
        asked = part.length if etag else 0
        headers = {"Range": f"bytes={asked}-", "If-Range": etag} if asked else {}
        with self._get(url, headers, job.what) as (response, place):
            error = b"" if response.status in (200, 206) else beginning(response, ERROR_BYTES)
            body = read_answer(response.status, response.headers, error, asked, job.what)
            job.align(part, body)
            part.need_room(self._reserve)
            job.receive(part, body, pieces(response, place, job.what))

    @contextmanager
    def _get(
        self, url: str, headers: Mapping[str, str], what: str
    ) -> Iterator[tuple[BaseHTTPResponse, Place]]:
        """The response to a GET, behind redirects to hosts on the list."""
        for _ in range(MOST_REDIRECTS + 1):
            place = check_url(url, self._patterns, what)
            with self._channel.get(place, headers, what) as response:
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    yield response, place
                    return
                url = self._onward(url, response, what)
        raise _redirected(what, response.status, "is redirected again and again")

    def _onward(self, url: str, response: BaseHTTPResponse, what: str) -> str:
        """Where a redirect leads, if that may be called."""
        try:
            onward = urljoin(url, response.headers["Location"])
            place = check_url(onward, self._patterns, what)
        except (ValueError, Refused) as error:
            cause = getattr(error, "cause", "")
            words = "its store redirects to an address that is not allowed"
            raise _redirected(what, response.status, words, cause) from None
        if url.startswith("https:") and place.scheme != "https":
            raise _redirected(what, response.status, "its store redirects from https to http")
        return onward


@dataclass
class _Job:
    """One call of ``fetch``: how what a store sends becomes the part."""

    what: str
    patience: float
    progress: Progress | None
    most: int | None
    resumed: int = 0
    damaged: int = 0

    def align(self, part: Part, body: Body) -> None:
        """See that ``body`` fits to what is there. The same content from its beginning, where
        only the rest was asked for, is as good: what is there is read past."""
        same = _same(part.mark, body.mark)
        if body.start and not same:
            raise StartAgain(f"The {self.what} has changed at its store.")
        if body.start:
            self.resumed += 1
        elif not same:
            part.begin(body.mark)
        if body.mark.total is not None:
            part.told(body.mark.total)
            self._bound(body.mark.total)

    def _bound(self, length: int) -> None:
        if self.most is not None and length > self.most:
            raise refused(
                self.what,
                f"it is larger than {self.most:,} bytes",
                "bad_data",
                "Look at the payload that CI 360 sent: its addresses may be mixed up.",
            )

    def receive(self, part: Part, body: Body, coming: Iterator[bytes]) -> None:
        """Write what comes; raises ``Passing`` where it is not the whole rest."""
        known = part.length - body.start
        pace = Pace(self.patience, self.what)
        for piece in coming:
            pace.came(len(piece))
            fresh, known = piece[known:], max(0, known - len(piece))
            if fresh:
                part.write(fresh)
                self._bound(part.length)
            if self.progress and part.mark:
                self.progress(part.length, part.mark.total)
        if part.mark and part.mark.total is None and not known:
            part.told(part.length)
        self._check_length(part)

    def _check_length(self, part: Part) -> None:
        if part.whole:
            return
        message = f"The {self.what} could not be downloaded to its end: "
        total = part.mark.total if part.mark else None
        if total is None or part.length > total:
            raise StartAgain(message + "its store sent another length than it told.")
        raise Passing(message + "it was cut.")

    def check(self, part: Part) -> None:
        """See that the content is what its ETag says; once it may be tried again."""
        if part.sound():
            return
        part.drop()
        self.damaged += 1
        message = f"The {self.what} arrived damaged: its MD5 is not the ETag that its store told."
        if self.damaged < _MOST_DAMAGED:
            raise Passing(message)
        raise Unavailable(
            message,
            code="download_damaged",
            advice="It is tried again, from the beginning. If "
            "it stays so, a proxy on the way changes files, or the file is damaged at its store: "
            "run the task again in CI 360.",
        )


def _same(one: Mark | None, other: Mark) -> bool:
    """Whether two answers speak of the same content."""
    if one is None or not one.etag or one.etag != other.etag:
        return False
    return None in (one.total, other.total) or one.total == other.total


def _source(url: str) -> str:
    """What tells a file from another one, without its name: CI 360 makes new query strings for
    the same file."""
    return hashlib.sha256(url.partition("?")[0].encode()).hexdigest()


def _redirected(what: str, status: int, why: str, cause: str = "") -> Refused:
    return refused(
        what,
        f"{why} (HTTP status {status})",
        "download_refused",
        "Look at the payload that CI 360 sent. A redirect is followed to the hosts of "
        "downloadhosts, and never from https to http.",
        cause,
    )
