"""External files: records in, lines out, with RECFM, LRECL, TERMSTR and ENCODING."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.sas.errors import Fault

TERMINATORS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
DEFAULT_LRECL = 32767
MAX_INFILE = 32767
BOM = b"\xef\xbb\xbf"


class EndOfFile(Exception):
    """INPUT found no record: the step ends."""


@dataclass(frozen=True)
class Layout:
    """How the bytes of a file are meant. ``encoding`` None is that of the session; ``windows``
    chooses the default line end, ``stops_at_1a`` is what IGNOREDOSEOF switches off."""

    recfm: str = "v"
    lrecl: int = DEFAULT_LRECL
    termstr: str = ""
    encoding: str | None = None
    session: str = "utf-8"
    windows: bool = False
    stops_at_1a: bool = False
    flow: str = "flowover"
    keeps_bom: bool = False


def split_records(raw: bytes, layout: Layout) -> list[bytes]:
    """All records. On Windows without TERMSTR= a record ends at LF or CR LF (SAS 9.4 Companion
    for Windows, RECFM=)."""
    if layout.stops_at_1a and b"\x1a" in raw:
        raw = raw[: raw.index(b"\x1a")]
    if not raw:
        return []
    if layout.windows and not layout.termstr:
        found = re.split(rb"\r?\n", raw)
    else:
        found = raw.split(TERMINATORS[layout.termstr or "lf"])
    return found[:-1] if found[-1] == b"" else found


class Reader:
    """The input of one INFILE statement."""

    def __init__(self, name: str, raw: bytes, layout: Layout, warn: Callable[[str], None]) -> None:
        self.name, self.layout, self._warn = name, layout, warn
        self.stream = raw
        self.records: list[bytes] = []
        self.cut = 0
        if layout.recfm == "n":
            if layout.encoding is not None:
                raise Fault("ENCODING= with RECFM=N: not documented")
        else:
            if not layout.keeps_bom and (layout.encoding or "") == "utf-8":
                raw = raw.removeprefix(BOM)
            self.records = split_records(raw, layout)
        self.next = 0
        self.record = b""
        self.column = 0
        self.held = 0
        self.begun = False
        self._warned = False

    # records

    def last(self) -> bool:
        """END=: whether the current record is the last one."""
        return self.next >= len(self.records)

    def fetch(self) -> None:
        """The next record; EndOfFile if there is none."""
        if self.next >= len(self.records):
            raise EndOfFile
        record = self.records[self.next]
        self.next += 1
        if len(record) > self.layout.lrecl:
            record = record[: self.layout.lrecl]
            self.cut += 1
        self.record = self._transcoded(record)
        self.column = 0

    def _transcoded(self, record: bytes) -> bytes:
        layout = self.layout
        if layout.encoding is None or layout.encoding == layout.session or record.isascii():
            return record
        text = record.decode(layout.encoding, "replace")
        try:
            if "\ufffd" in text and b"\xef\xbf\xbd" not in record:
                raise UnicodeError
            return text.encode(layout.session)
        except UnicodeError:
            if not self._warned:
                self._warn("A character that could not be transcoded was encountered.")
                self._warned = True
            return text.replace("\ufffd", "\x1a").encode(layout.session, "replace")

    def begin(self) -> None:
        """An INPUT statement begins: with the held record or with a new one."""
        if self.layout.recfm == "n" or self.held:
            return
        self.fetch()

    def finish(self, hold: int) -> None:
        """It ends; ``hold`` is the number of trailing @."""
        self.held = hold

    def next_iteration(self) -> None:
        """A new iteration of the step lets go of what a single @ held."""
        if self.held == 1:
            self.held = 0

    def new_line(self) -> None:
        """``/`` in an INPUT statement."""
        self.fetch()

    def move(self, column: float | None) -> None:
        """``@n``."""
        if column is None or column < 1:
            raise Fault(f"INPUT @{column}: a column before the first")
        if self.layout.recfm == "n":
            raise Fault("INPUT @n with RECFM=N is not in the subset")
        self.column = int(column) - 1

    def skip(self, count: float) -> None:
        """``+n``."""
        self.column = max(0, self.column + int(count))

    # fields

    def field(self, width: int) -> bytes:
        """``width`` bytes at the pointer. A record that is too short: FLOWOVER would take the
        next line with a NOTE, which is a Fault here; TRUNCOVER gives what is there; MISSOVER
        gives a blank; STOPOVER stops the step."""
        if self.layout.recfm == "n":
            return self._bytes(width)
        end = self.column + width
        if end > len(self.record):
            flow = self.layout.flow
            if flow in ("flowover", "stopover"):
                raise Fault("INPUT statement reached past the end of a line")
            found = self.record[self.column : end] if flow == "truncover" else b""
        else:
            found = self.record[self.column : end]
        self.column = end
        return found

    def _bytes(self, width: int) -> bytes:
        at = self.next
        if at >= len(self.stream):
            raise EndOfFile
        if at + width > len(self.stream):
            raise Fault("a field of RECFM=N reaches beyond the end of the file: not documented")
        self.next = at + width
        return self.stream[at : self.next]

    def word(self) -> bytes:
        """List input: the next value between blanks."""
        if self.layout.recfm == "n":
            raise Fault("list input with RECFM=N is not in the subset")
        found = re.compile(rb" *([^ ]*)").match(self.record, self.column)
        assert found
        if not found[1]:
            if self.layout.flow in ("flowover", "stopover"):
                raise Fault("INPUT statement reached past the end of a line")
            return b""
        self.column = found.end() + 1
        return found[1]

    def notes(self) -> list[str]:
        """What the log says at the end of the step."""
        if self.layout.recfm == "n":
            return []
        count = self.next
        lines = [
            f"{count} record{'s were' if count != 1 else ' was'} read from the infile {self.name.upper()}."
        ]
        if self.cut:
            lines.append("One or more lines were truncated.")
        return lines


class Writer:
    """The output of one FILE statement."""

    def __init__(
        self, write: Callable[[bytes], object], layout: Layout, warn: Callable[[str], None]
    ) -> None:
        self._write, self.layout, self._warn = write, layout, warn
        self.line = b""
        self.column = 0
        self.held = 0
        self._end = TERMINATORS[layout.termstr or ("crlf" if layout.windows else "lf")]

    def put(self, text: bytes) -> None:
        """Bytes at the pointer; what does not fit into LRECL goes to the next line (FLOWOVER)."""
        if self.layout.recfm == "n":
            self._write(text)
            return
        if self.column + len(text) > self.layout.lrecl:
            if len(text) > self.layout.lrecl:
                raise Fault(f"PUT of {len(text)} bytes with LRECL={self.layout.lrecl}")
            self.new_line()
        self.line = (
            self.line.ljust(self.column)[: self.column]
            + text
            + self.line[self.column + len(text) :]
        )
        self.column += len(text)

    def word(self, text: bytes) -> None:
        """List output: a value and a blank."""
        self.put(text)
        if self.layout.recfm == "n":
            self.put(b" ")
        else:
            self.column += 1

    def move(self, column: float | None) -> None:
        """``@n``."""
        if column is None or column < 1 or self.layout.recfm == "n":
            raise Fault(f"PUT @{column}")
        self.column = int(column) - 1

    def skip(self, count: float) -> None:
        """``+n``."""
        if self.layout.recfm == "n":
            raise Fault("PUT +n with RECFM=N is not in the subset")
        self.column = max(0, self.column + int(count))

    def new_line(self) -> None:
        """The line goes to the file."""
        line = self.line
        if self.layout.encoding not in (None, self.layout.session):
            text = line.decode(self.layout.session, "replace")
            line = text.encode(str(self.layout.encoding), "replace")
            if b"?" in line and b"?" not in self.line:
                self._warn("A character that could not be transcoded was encountered.")
        self._write(line + self._end)
        self.line, self.column = b"", 0

    def finish(self, hold: int) -> None:
        """A PUT statement ends."""
        self.held = hold
        if not hold and self.layout.recfm != "n":
            self.new_line()

    def next_iteration(self) -> None:
        """A new iteration writes what a single @ held."""
        if self.held == 1:
            self.finish(0)

    def close(self) -> None:
        """The step ends."""
        if self.held:
            self.finish(0)
