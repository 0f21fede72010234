"""A data file made fit for DuckDB's CSV reader, and its rows counted.

DuckDB reads fast, but otherwise than the strict reader: it passes over empty lines, takes a comma
too many, loses the row of a file of one line that ends in CR LF, and fails or errs where a quote
meets the border between two of its threads (docs/decisions/004-datasets.md). So each file goes
through one quick look at quotes, commas and line ends. A plain file without quotes is used as it
lies there, while a thread looks through it. Any other one that is sound is copied into pieces that
begin and end with whole rows, with LF as line end; DuckDB reads each of them with one thread. What
is not sound, or was only looked at too quickly, is left to the strict reader (``cleaned``).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from connector_proxy.dataset import strict

CHUNK = 4 << 20
PIECE = 32 << 20
LONG_ROW = 1_000_000
"""Bytes of a row that are taken without the strict reader, which counts them."""

BOM = b"\xef\xbb\xbf"
_ODD_QUOTE = re.compile(rb'"(?<![,\n"]")|"(?![,\n"]|\Z)')
"""A quote that neither begins nor ends a value. The quote stands first for the speed of search."""

Tell = Callable[[int], None]
"""Is told how many bytes have been read so far."""


@dataclass(frozen=True)
class Tidy:
    """Sound CSV: ``paths`` in their order hold ``rows`` rows, LF behind each but perhaps the last.
    ``whole`` says that several threads may read one file; ``long`` that there are rows beyond
    ``LONG_ROW``. ``counted`` gives the rows; a plain file may still be looked at then."""

    paths: tuple[Path, ...]
    counted: Future[int]
    whole: bool = False
    long: bool = False

    @property
    def rows(self) -> int:
        """How many rows there are. Raises ``NotPlain`` where the look at a plain file found
        something that is for the other ways of reading."""
        return self.counted.result()

    @property
    def vouched(self) -> bool:
        """Whether the look found nothing; waits for it."""
        return self.counted.exception() is None

    @property
    def row_length(self) -> int:
        """About how many bytes a row has, by the beginning of the first file."""
        with self.paths[0].open("rb") as file:
            beginning = file.read(CHUNK)
        return len(beginning) // max(1, beginning.count(b"\n"))


class NotPlain(Exception):
    """A file began like a plain one and goes on otherwise."""


class _Unsound(Exception):
    """The quick look does not vouch for this file."""


def tidied(path: Path, width: int, folder: Path, tell: Tell) -> Tidy | None:
    """``path`` as it is where it begins like a plain file (its ``rows`` may say otherwise), else
    as ``in_pieces``."""
    with path.open("rb") as file:
        begins_plain = _is_plain(file.read(CHUNK))
    if begins_plain:
        return Tidy((path,), _in_thread(lambda: _look_through(path, width)), whole=True)
    return in_pieces(path, width, folder, tell)


def _is_plain(chunk: bytes) -> bool:
    """Whether there is neither a quote nor a CR nor a byte order mark."""
    return not (b'"' in chunk or b"\r" in chunk or chunk.startswith(BOM))


def _look_through(path: Path, width: int) -> int:
    """The rows of a plain file; raises ``NotPlain``."""
    look = _Look(width)
    try:
        with path.open("rb") as file:
            for chunk in _chunks(file, lambda read: None):
                if not _is_plain(chunk):
                    raise NotPlain
                look.at_plain(chunk)
        look.end()
    except _Unsound:
        raise NotPlain from None
    return look.rows


def _in_thread(work: Callable[[], int]) -> Future[int]:
    pool = ThreadPoolExecutor(1, "quick look")
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


def in_pieces(path: Path, width: int, folder: Path, tell: Tell) -> Tidy | None:
    """Sound pieces of ``path`` in ``folder``; None where the quick look finds something that is
    for the strict reader."""
    try:
        look, pieces = _Look(width), _Pieces(folder)
        with path.open("rb") as file, pieces:
            for chunk in _chunks(file, tell):
                pieces.add(look.at(chunk), whole_rows=not look.inside)
        look.end()
    except _Unsound:
        return None
    return Tidy(pieces.paths, known(look.rows))


def known(rows: int) -> Future[int]:
    """A number of rows that is known already."""
    future: Future[int] = Future()
    future.set_result(rows)
    return future


def _chunks(file: BinaryIO, tell: Tell) -> Iterator[bytes]:
    """The file without its byte order mark, in chunks that end behind a LF."""
    rest, read = b"", 0
    while block := file.read(CHUNK):
        if not read and block.startswith(BOM):
            block = block[len(BOM) :]
        read += len(block)
        tell(read)
        cut = block.rfind(b"\n") + 1
        if not cut:
            raise _Unsound
        yield rest + block[:cut]
        rest = block[cut:]
    if rest:
        yield rest


class _Look:
    """Looks at chunk after chunk; ``inside`` tells whether a quote is open behind the last."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._commas = 0
        self._ended = True
        self.rows = 0
        self.inside = False

    def at_plain(self, chunk: bytes) -> None:
        """Look at a chunk without quotes and CR; raises ``_Unsound``."""
        _see_that_it_is_text(chunk)
        if b"\n\n" in chunk or chunk.startswith(b"\n"):
            raise _Unsound
        self._count(chunk)

    def _count(self, outside: bytes) -> None:
        self._commas += outside.count(b",")
        self.rows += outside.count(b"\n")
        self._ended = outside.endswith(b"\n")

    def at(self, chunk: bytes) -> bytes:
        """The chunk with LF instead of CR LF between rows; raises ``_Unsound``."""
        _see_that_it_is_text(chunk)
        begun = self.inside
        parts = ((b'"' if begun else b"") + chunk).split(b'"')
        if b"\r" in chunk:
            parts[::2] = [part.replace(b"\r\n", b"\n") for part in parts[::2]]
        self.inside = len(parts) % 2 == 0
        outside = b'"'.join(parts[::2]) + (b'"' if self.inside else b"")
        _check(b"\n" + outside)
        self._count(outside)
        return b'"'.join(parts)[1 if begun else 0 :]

    def end(self) -> None:
        """All was looked at; raises ``_Unsound``."""
        self.rows += not self._ended
        if self.inside or self._commas != self.rows * (self._width - 1):
            raise _Unsound


def _see_that_it_is_text(chunk: bytes) -> None:
    try:
        chunk.isascii() or chunk.decode()
    except UnicodeDecodeError:
        raise _Unsound from None


def _check(outside: bytes) -> None:
    """Raise ``_Unsound`` for an empty line, a CR alone, a quote out of place. ``outside`` is what
    stands outside of quotes, behind a line end, with one quote for each quoted text."""
    if b"\n\n" in outside or b"\r" in outside or _ODD_QUOTE.search(outside):
        raise _Unsound


class _Pieces:
    """Writes files of whole rows, each of about ``PIECE`` bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self.paths: tuple[Path, ...] = ()
        self._next()

    def add(self, text: bytes, whole_rows: bool) -> None:
        """Write ``text``; ``whole_rows`` says that a row ends with it."""
        assert self._file
        if text.startswith(BOM) and not self._file.tell():
            self._file.write(BOM)  # readers drop the first one
        self._file.write(text)
        if whole_rows and self._file.tell() > PIECE:
            self._next()

    def _next(self) -> None:
        self.close()
        path = self._folder / f"piece-{len(self.paths):06}.csv"
        self.paths += (path,)
        self._file = path.open("wb")

    def close(self) -> None:
        """End the last piece."""
        if self._file:
            self._file.close()

    def __enter__(self) -> _Pieces:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def cleaned(rows: Iterable[strict.Row], folder: Path) -> Tidy:
    """Good rows of the strict reader as sound pieces in ``folder``."""
    count, long = 0, False
    with _Pieces(folder) as pieces:
        for text in _as_csv(rows):
            pieces.add(text, whole_rows=True)
            count += 1
            long = long or len(text) > LONG_ROW
    return Tidy(pieces.paths, known(count), long=long)


def _as_csv(rows: Iterable[strict.Row]) -> Iterator[bytes]:
    line = _Line()
    writer = csv.writer(line)  # CR LF: it quotes what is in its line end, and CR must be quoted
    for row in rows:
        writer.writerow(row.values)
        yield line.text[:-2].encode() + b"\n"


class _Line:
    """Keeps what was written last."""

    text = ""

    def write(self, text: str) -> None:
        """Take one row."""
        self.text = text
