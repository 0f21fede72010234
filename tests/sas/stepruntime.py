"""What a DATA step needs while it runs: readers, writers, rows, notes about invalid data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.sas.datasets import Dataset
from tests.sas.errors import Fault
from tests.sas.fileio import MAX_INFILE, Reader, Writer
from tests.sas.functions import MAX_CHAR
from tests.sas.informats import Invalid
from tests.sas.log import Log
from tests.sas.pdv import Variable
from tests.sas.textfunctions import number_text
from tests.sas.values import rank


class StopStep(Exception):
    """STOP, or no more input."""


class NextIteration(Exception):
    """DELETE or a subsetting IF that is false: nothing is output."""


class Session(Protocol):
    """What a running step needs of the session."""

    log: Log

    def warn(self, text: str) -> None: ...

    def option_value(self, name: str) -> str: ...


@dataclass
class Source:
    """A dataset that SET or MERGE reads. ``mapping`` is (place in the row, slot) of its variables."""

    name: str
    dataset: Dataset
    rows: list[tuple[Any, ...]]
    mapping: list[tuple[int, int]]
    flag: int | None = None


def _by_key(source: Source, slots: list[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    places = {slot: place for place, slot in source.mapping}
    wanted = [places[slot] for slot in slots]

    def key(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(row[at] if isinstance(row[at], bytes) else rank(row[at]) for at in wanted)

    return key


@dataclass
class Step:
    """The state of one DATA step. ``v`` is the program data vector."""

    session: Session
    v: list[Any]
    variables: list[Variable]
    n: float = 0.0
    error: float = 0.0
    reader: Reader | None = None
    writer: Writer | None = None
    readers: dict[str, Reader] = field(default_factory=dict)
    writers: dict[str, Writer] = field(default_factory=dict)
    errors: int = 0
    reads: int = 0
    """How many records and observations were read; without progress SAS stops the step."""
    length_slots: dict[str, int] = field(default_factory=dict)
    end_slots: dict[str, int] = field(default_factory=dict)

    # INFILE and INPUT

    def infile(self) -> bytes:
        """_INFILE_: the record, at most 32,767 bytes of it, filled up with blanks."""
        if self.reader is None:
            raise Fault("_INFILE_ before an INFILE statement")
        width = min(self.reader.layout.lrecl, MAX_INFILE)
        return self.reader.record[:width].ljust(width)

    def use(self, name: str) -> None:
        """INFILE: this file is read from now on."""
        self.reader = self.readers[name]
        if not self.reader.begun:
            self.reader.begun = True
            self._tell(name)

    def _tell(self, name: str) -> None:
        reader = self.readers[name]
        if name in self.length_slots:
            self.v[self.length_slots[name]] = float(len(reader.record))
        if name in self.end_slots:
            self.v[self.end_slots[name]] = float(reader.last())

    def begin_input(self) -> Reader:
        """INPUT begins."""
        reader = self.reader
        if reader is None:
            raise Fault("INPUT without INFILE")
        reader.begin()
        self.reads += 1
        self.told()
        return reader

    def told(self) -> None:
        """LENGTH= and END= after a record was fetched."""
        for name, reader in self.readers.items():
            if reader is self.reader:
                self._tell(name)

    def use_output(self, name: str) -> None:
        """FILE: this file is written from now on."""
        self.writer = self.writers[name]

    def output(self) -> Writer:
        """The file that PUT writes to; the log when there was no FILE statement."""
        if self.writer is None:
            self.writer = self.writers["log"]
        return self.writer

    # values

    def convert(self, read: Callable[[bytes], Any], value: bytes, quiet: int, fmt: str) -> Any:
        """The INPUT function. Without ``??`` an invalid value is noted and sets _ERROR_; with
        ``?`` it sets _ERROR_."""
        try:
            return read(value)
        except Invalid:
            if quiet < 2:
                self.error = 1.0
                self.invalid(f"Invalid argument to function INPUT ({fmt}).", "")
            return b"" if fmt.startswith("$") else None

    def field_value(self, read: Callable[[bytes], Any], raw: bytes, quiet: int, name: str) -> Any:
        """A field of the INPUT statement."""
        try:
            return read(raw)
        except Invalid:
            if quiet < 2:
                self.error = 1.0
                line = self.reader.record.decode("latin-1") if self.reader else ""
                self.invalid(f"Invalid data for {name}.", line)
            return None

    def invalid(self, text: str, line: str) -> None:
        """The NOTE with the dump of the line and of all variables, as often as ERRORS= says."""
        limit = int(self.session.option_value("errors"))
        self.errors += 1
        log = self.session.log
        if self.errors > limit:
            if self.errors == limit + 1:
                self.session.warn(
                    "Limit set by ERRORS= option reached.  Further errors of this type will not be printed."
                )
            return
        log.note(text)
        if line:
            log.write(f"RULE:     ----+----1\n{line}")
        log.write(" ".join(self._dump()))

    def _dump(self) -> Iterator[str]:
        for variable in self.variables:
            if not variable.temporary:
                yield f"{variable.name}={self._shown(self.v[variable.slot])}"
        yield f"_ERROR_={int(self.error)} _N_={int(self.n)}"

    @staticmethod
    def _shown(value: Any) -> str:
        return (
            value.decode("latin-1") if isinstance(value, bytes) else number_text(value, 12).decode()
        )

    def cat(self, name: str, value: bytes, room: int) -> bytes:
        """What a CAT function leaves in a variable: blank with a WARNING when it does not fit."""
        if len(value) <= room:
            return value.rstrip(b" ")
        stripped = value.rstrip(b" ")
        if len(stripped) <= room and name == "cat":
            return stripped
        self.error = 1.0
        self.session.warn(
            f"In a call to the {name.upper()} function, the buffer allocated for the result was not "
            "long enough to contain the concatenation of all the arguments. The correct result "
            f"would contain {len(value)} characters, but the actual result might either be "
            f"truncated to {room} character(s) or be completely blank, depending on the calling "
            "environment."
        )
        return b""

    @staticmethod
    def buffer(value: bytes) -> bytes:
        """The temporary buffer of a CAT function inside of an expression."""
        return value[:MAX_CHAR]

    # iterations

    def next_iteration(self) -> None:
        """Held records and lines are let go."""
        for reader in self.readers.values():
            reader.next_iteration()
        for writer in self.writers.values():
            writer.next_iteration()


class SetReader:
    """One SET statement: datasets one after the other, or interleaved by the BY variables."""

    def __init__(
        self, sources: list[Source], step: Step, *, by: list[tuple[str, int]],
        marks: list[tuple[int, int]], end: int | None, blanks: list[tuple[int, Any]],
    ) -> None:  # fmt: skip
        self.step, self.end, self.blanks, self.marks = step, end, blanks, marks
        self.sources = sources
        self.slots = [slot for _, slot in by]
        self.rows = self._interleaved() if by else self._in_turn()
        self.at = 0
        self.source: Source | None = None

    def _in_turn(self) -> list[tuple[Source, tuple[Any, ...], tuple[Any, ...]]]:
        return [(source, row, ()) for source in self.sources for row in source.rows]

    def _interleaved(self) -> list[tuple[Source, tuple[Any, ...], tuple[Any, ...]]]:
        found = []
        for number, source in enumerate(self.sources):
            key = _by_key(source, self.slots)
            check_sorted(source, key)
            found += [(key(row), number, source, row) for row in source.rows]
        found.sort(key=lambda one: (one[0], one[1]))
        return [(source, row, key) for key, _, source, row in found]

    def read(self) -> None:
        """The next observation into the program data vector; ends the step when there is none."""
        if self.at >= len(self.rows):
            raise StopStep
        source, row, key = self.rows[self.at]
        v = self.step.v
        self.step.reads += 1
        if source is not self.source:
            for slot, blank in self.blanks:
                v[slot] = blank
            self.source = source
        for place, slot in source.mapping:
            v[slot] = row[place]
        for one in self.sources:
            if one.flag is not None:
                v[one.flag] = float(one is source)
        self._mark(key)
        self.at += 1
        if self.end is not None:
            v[self.end] = float(self.at >= len(self.rows))

    def _mark(self, key: tuple[Any, ...]) -> None:
        if not self.marks:
            return
        before = self.rows[self.at - 1][2] if self.at else None
        after = self.rows[self.at + 1][2] if self.at + 1 < len(self.rows) else None
        for depth, (first, last) in enumerate(self.marks, 1):
            self.step.v[first] = float(before is None or before[:depth] != key[:depth])
            self.step.v[last] = float(after is None or after[:depth] != key[:depth])


class MergeReader:
    """MERGE with BY: within a BY group the n-th rows of the datasets together; a dataset that has
    no further row keeps its last values."""

    def __init__(
        self, sources: list[Source], step: Step, *, by: list[tuple[str, int]],
        marks: list[tuple[int, int]], end: int | None, blanks: list[tuple[int, Any]],
    ) -> None:  # fmt: skip
        self.step, self.end, self.blanks, self.marks, self.sources = (
            step,
            end,
            blanks,
            marks,
            sources,
        )
        slots = [slot for _, slot in by]
        groups: dict[tuple[Any, ...], list[list[tuple[Any, ...]]]] = {}
        for number, source in enumerate(sources):
            key = _by_key(source, slots)
            check_sorted(source, key)
            for row in source.rows:
                groups.setdefault(key(row), [[] for _ in sources])[number].append(row)
        self.turns = [
            (group, turn, key)
            for key, group in sorted(groups.items())
            for turn in range(max(map(len, group)))
        ]
        self.at = 0

    def read(self) -> None:
        """The next merged observation."""
        if self.at >= len(self.turns):
            raise StopStep
        group, turn, key = self.turns[self.at]
        v = self.step.v
        self.step.reads += 1
        if turn == 0:
            for slot, blank in self.blanks:
                v[slot] = blank
        for source, rows in zip(self.sources, group, strict=True):
            if source.flag is not None:
                v[source.flag] = float(bool(rows))
            if turn < len(rows):
                for place, slot in source.mapping:
                    v[slot] = rows[turn][place]
        self._mark(key)
        self.at += 1
        if self.end is not None:
            v[self.end] = float(self.at >= len(self.turns))

    def _mark(self, key: tuple[Any, ...]) -> None:
        before = self.turns[self.at - 1][2] if self.at else None
        after = self.turns[self.at + 1][2] if self.at + 1 < len(self.turns) else None
        for depth, (first, last) in enumerate(self.marks, 1):
            self.step.v[first] = float(before is None or before[:depth] != key[:depth])
            self.step.v[last] = float(after is None or after[:depth] != key[:depth])


class NotSorted(Exception):
    """BY variables are not properly sorted."""


def check_sorted(source: Source, key: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> None:
    """NotSorted unless the rows ascend."""
    before = None
    for row in source.rows:
        now = key(row)
        if before is not None and now < before:
            raise NotSorted(source.name)
        before = now
