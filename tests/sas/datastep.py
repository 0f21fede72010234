"""One DATA step: compiled statement by statement, run at its end."""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from types import CodeType
from typing import Any, Protocol

from tests.sas import values
from tests.sas.blocks import program
from tests.sas.datasets import Column, Dataset
from tests.sas.dsref import Reference, expand, parse, selected
from tests.sas.errors import Fault, StepError
from tests.sas.expressions import Expressions, Namespace
from tests.sas.fileio import EndOfFile, Layout, Reader, Writer
from tests.sas.functions import Function
from tests.sas.inputput import FileUse, InputOutput, varying_width
from tests.sas.lexer import Stream
from tests.sas.libraries import Library, Member
from tests.sas.locks import Hold
from tests.sas.log import Log
from tests.sas.pdv import Pdv, Variable
from tests.sas.statements import overlay
from tests.sas.stepruntime import (
    MergeReader,
    NextIteration,
    NotSorted,
    SetReader,
    Source,
    Step,
    StopStep,
)
from tests.sas.textfunctions import number_text

MAX_ITERATIONS = 5_000_000
MAX_TURNS = 1_000_000
"""More turns of one DO loop than any test needs: it would never end."""


class Host(Protocol):
    """What a DATA step needs of the session."""

    log: Log
    codec: str
    codec_name: str
    windows: bool
    functions: dict[str, Function]

    def warn(self, text: str) -> None: ...

    def fail(self, text: str) -> None: ...

    def option_value(self, name: str) -> str: ...

    def library(self, libref: str) -> Library: ...

    def reader(self, use: FileUse) -> Reader: ...

    def writer(self, use: FileUse) -> Writer: ...

    def symputx(self, name: bytes, value: bytes, scope: bytes) -> None: ...

    def slept(self, seconds: float) -> None: ...


class _Reading:
    """A SET or MERGE statement as compiled."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name
        self.sources: list[Source] = []
        self.end: int | None = None


class DataStep:
    """Compiles and runs one DATA step."""

    def __init__(self, host: Host, statement: str) -> None:
        self.host = host
        self.pdv = Pdv()
        self.space = Namespace()
        self.expressions = Expressions(self.pdv, self.space, host.functions, self._encode)
        self.compiler = InputOutput(self.pdv, self.expressions)
        self.compiler.windows = host.windows
        self.compiler.codec = host.codec
        self.readings: list[_Reading] = []
        self.opened: list[Member] = []
        self.holds: list[Hold] = []
        self.targets: list[Reference] = []
        self.failed = False
        self.where = ""
        self.locks_taken = False
        self.compiler.table |= {"set": self._set, "merge": self._merge, "where": self._where}
        self._data(Stream(statement))

    def _encode(self, text: str) -> bytes:
        return text.encode(self.host.codec, "surrogateescape")

    # compiling

    def _data(self, stream: Stream) -> None:
        stream.expect("data")
        while not stream.done():
            if stream.low() == "/":
                raise stream.unknown("options of the DATA statement")
            reference = parse(stream)
            if reference.member != "_null_":
                if reference.obs is not None or reference.firstobs != 1:
                    raise stream.fault("OBS= and FIRSTOBS= are for datasets that are read")
                self.targets.append(reference)
                self.compiler.outputs.add(reference.name.lower())
        stream.finish()

    def statement(self, text: str) -> None:
        """Compile one statement; after an error the rest of the step is skipped."""
        if self.failed:
            return
        try:
            self.compiler.statement(Stream(text))
        except StepError as fault:
            self.failed = True
            self.host.fail(str(fault))

    def _open(self, reference: Reference) -> Dataset:
        library = self.host.library(reference.libref)
        try:
            member = library.open(reference.member)
        except KeyError:
            raise StepError(f"File {reference.name}.DATA does not exist.") from None
        self.opened.append(member)
        return member.dataset

    def _set(self, stream: Stream) -> None:
        self._reading("set", stream)

    def _merge(self, stream: Stream) -> None:
        self._reading("merge", stream)

    def _reading(self, kind: str, stream: Stream) -> None:
        reading = _Reading(kind, self.compiler.unique("reading"))
        references: list[Reference] = []
        while not stream.done():
            if stream.low() in ("end", "nobs", "point", "key") and stream.low(1) == "=":
                self._reading_option(reading, references, stream)
            else:
                references.append(parse(stream))
                self._add_source(reading, references[-1], stream)
        if not references:
            raise stream.unknown(f"{kind.upper()} without a dataset")
        self.readings.append(reading)
        self.compiler.add(f"{reading.name}.read()")

    def _reading_option(
        self, reading: _Reading, references: list[Reference], stream: Stream
    ) -> None:
        name = stream.name().lower()
        stream.take()
        if name not in ("end", "nobs"):
            raise stream.unknown(f"{name.upper()}=")
        variable = self.pdv.number(stream.name(), retained=True, temporary=True, written=True)
        variable.initial = 0.0
        if name == "end":
            reading.end = variable.slot
            return
        if not all(self.host.library(one.libref).counts_rows for one in references):
            variable.initial = float(2**53)
            return
        variable.initial = float(sum(len(one.dataset.rows) for one in reading.sources))

    def _add_source(self, reading: _Reading, reference: Reference, stream: Stream) -> None:
        dataset = self._open(reference)
        mapping: list[tuple[int, int]] = []
        cuts: list[tuple[int, int]] = []
        for place, column in selected(reference, dataset):
            variable = self._column_variable(column, stream)
            mapping.append((place, variable.slot))
            if column.kind == "char" and column.length > variable.length:
                cuts.append((place, variable.length))
                if self.host.option_value("varlenchk") == "warn":
                    self.host.warn(
                        f"Multiple lengths were specified for the variable {variable.name} by input "
                        "data set(s). This can cause truncation of data."
                    )
        rows = self._rows(reference, dataset)
        if cuts:
            rows = [self._cut(row, cuts) for row in rows]
        source = Source(reference.name, dataset, rows, mapping)
        if reference.flag:
            flag = self.pdv.number(reference.flag, retained=True, temporary=True, written=True)
            source.flag = flag.slot
        reading.sources.append(source)

    @staticmethod
    def _cut(row: tuple[Any, ...], cuts: list[tuple[int, int]]) -> tuple[Any, ...]:
        values = list(row)
        for place, length in cuts:
            values[place] = values[place][:length].rstrip(b" ")
        return tuple(values)

    def _column_variable(self, column: Column, stream: Stream) -> Variable:
        kind = "c" if column.kind == "char" else "n"
        found = self.pdv.find(column.name)
        if found is None:
            found = self.pdv.add(column.name, kind, column.length)
        elif found.kind != kind:
            raise StepError(
                f"Variable {column.name} has been defined as both character and numeric.", 3000
            )
        found.label = found.label or column.label
        found.format = found.format or column.format
        found.informat = found.informat or column.informat
        found.retained = found.written = found.read = True
        return found

    def _rows(self, reference: Reference, dataset: Dataset) -> list[tuple[Any, ...]]:
        obs = self.host.option_value("obs")
        last = reference.obs if reference.obs is not None else (None if obs == "max" else int(obs))
        rows = dataset.rows[reference.firstobs - 1 : last]
        for condition in (reference.where, self.where):
            if condition:
                rows = self._filtered(rows, dataset, condition)
        return rows

    def _filtered(self, rows: list[Any], dataset: Dataset, condition: str) -> list[Any]:
        pdv, space = Pdv(), Namespace()
        for column in dataset.columns:
            pdv.add(column.name, "c" if column.kind == "char" else "n", column.length)
        stream = Stream(condition)
        found = Expressions(pdv, space, self.host.functions, self._encode).expression(stream)
        stream.finish()
        if len(pdv.slots) > len(dataset.columns):
            raise Fault(f"WHERE names a variable that {condition.strip()!r} does not have")
        keep = eval(f"lambda v: {found.condition}", space.names)
        return [row for row in rows if keep(row)]

    def _where(self, stream: Stream) -> None:
        if any(reading.sources for reading in self.readings):
            for reading in self.readings:
                for source in reading.sources:
                    condition = stream.statement[stream.tokens[stream.at - 1].end :]
                    source.rows = self._filtered(source.rows, source.dataset, condition)
        else:
            self.where = stream.statement[stream.tokens[stream.at - 1].end :]
        stream.at = len(stream.tokens)

    # running

    def finish(self) -> None:
        """The step's end: checks what only now is known, then runs it."""
        try:
            if self.failed:
                self._replaced_by_nothing()
                return
            self._check()
            self._run()
        except (StepError, NotSorted) as fault:
            text = str(fault) if isinstance(fault, StepError) else (
                f"BY variables are not properly sorted on data set {fault}.")  # fmt: skip
            self.host.fail(text)
            self._replaced_by_nothing()
        finally:
            self.close()

    def close(self) -> None:
        """Give back what is open."""
        for member in self.opened:
            member.release()
        for hold in self.holds:
            hold.release()
        self.opened, self.holds = [], []

    def _replaced_by_nothing(self) -> None:
        self.host.log.note("The SAS System stopped processing this step because of errors.")
        for target in self.targets:
            self.host.warn(
                f"The data set {target.name} was not replaced because this step was stopped."
            )

    def _check(self) -> None:
        compiler = self.compiler
        if len(compiler._lists) > 1:
            raise Fault("a DO or SELECT is never ended in a DATA step")
        if compiler.links - compiler.labels:
            raise Fault(
                f"LINK to {', '.join(sorted(compiler.links - compiler.labels))}, which is no label"
            )
        for variable in self.pdv.variables.values():
            if not variable.written:
                text = f"Variable {variable.name} is uninitialized."
                if variable.read:
                    raise Fault(text)
                self.host.log.note(text)

    def _columns(self, target: Reference) -> tuple[list[Column], list[int]]:
        variables = [
            one for one in self.pdv.variables.values() if not one.temporary and "." not in one.name
        ]
        names = [one.name for one in variables]
        if self.compiler.kept is not None:
            kept = {one.lower() for one in expand(self.compiler.kept, names)}
            variables = [one for one in variables if one.name.lower() in kept]
        dropped = {one.lower() for one in expand(self.compiler.dropped, names)}
        variables = [one for one in variables if one.name.lower() not in dropped]
        renamed = [self.compiler.renamed.get(one.name.lower(), one.name) for one in variables]
        chosen = {one.lower() for one in target.chosen(renamed)}
        columns, slots = [], []
        for name, variable in zip(renamed, variables, strict=True):
            if name.lower() in chosen:
                kind = "char" if variable.kind == "c" else "num"
                columns.append(Column(target.new_name(name), kind, variable.length, variable.label,
                                      variable.format, variable.informat))  # fmt: skip
                slots.append(variable.slot)
        if len({one.name.lower() for one in columns}) != len(columns):
            raise Fault(f"two variables of {target.name} have one name")
        return columns, slots

    def _by_marks(self) -> tuple[list[tuple[str, int]], list[tuple[int, int]]]:
        by: list[tuple[str, int]] = []
        marks: list[tuple[int, int]] = []
        for name in self.compiler.by:
            variable = self.pdv.find(name)
            if variable is None:
                raise StepError(f"BY variable {name} is not on input data set.")
            by.append((name, variable.slot))
            pair = [
                self.pdv.number(
                    f"{which}.{name.lower()}", retained=True, temporary=True, written=True
                )
                for which in ("first", "last")
            ]
            marks.append((pair[0].slot, pair[1].slot))
        return by, marks

    def _run(self) -> None:
        host = self.host
        by, marks = self._by_marks()
        initial = [one.initial if one.initial is not None else one.blank for one in self.pdv.slots]
        step = Step(host, initial, list(self.pdv.variables.values()))
        self._files(step)
        self._readers(step, by, marks)
        outputs = self._outputs(step)
        self._names(step, outputs)
        code = program(self.compiler.nodes)
        exec(_compiled(code), self.space.names)
        try:
            self._iterate(step, self.space.names["main"])
            for writer in step.writers.values():
                writer.close()
        finally:
            self._finish_files(step)
        self._save(outputs)

    def _finish_files(self, step: Step) -> None:
        for reader in step.readers.values():
            for line in reader.notes():
                self.host.log.note(line)

    def _files(self, step: Step) -> None:
        compiler = self.compiler
        for key, use in compiler.infiles.items():
            step.readers[key] = self.host.reader(use)
        for key, use in compiler.files.items():
            step.writers[key] = self.host.writer(use)
        step.length_slots = compiler.lengths
        step.end_slots = compiler.ends
        codec = self.host.codec
        log = self.host.log

        def to_log(raw: bytes) -> None:
            log.write(raw[:-1].decode(codec, "replace"))

        step.writers["log"] = Writer(to_log, Layout(lrecl=32767, session=codec), self.host.warn)

    def _readers(self, step: Step, by: list[tuple[str, int]], marks: list[tuple[int, int]]) -> None:
        for reading in self.readings:
            blanks = [
                (slot, self.pdv.slots[slot].blank)
                for source in reading.sources
                for _, slot in source.mapping
            ]
            kind = SetReader if reading.kind == "set" else MergeReader
            if reading.kind == "merge" and not by:
                raise Fault("MERGE without BY is not in the subset")
            self.space.names[reading.name] = kind(
                reading.sources, step, by=by, marks=marks, end=reading.end, blanks=blanks
            )

    def _outputs(self, step: Step) -> list[tuple[Reference, Dataset, Any]]:
        found = []
        for target in self.targets:
            library = self.host.library(target.libref)
            if library.readonly:
                raise StepError(f"Write access to member {target.name}.DATA is denied.")
            hold = library.lock(target.member)
            if hold:
                self.holds.append(hold)
            keep_old = target.replace is False or (
                target.replace is None and self.host.option_value("replace") == "noreplace"
            )
            if keep_old and target.libref != "work" and library.exists(target.member):
                raise StepError(
                    f"Data set {target.name} was not replaced because of NOREPLACE option."
                )
            columns, slots = self._columns(target)
            dataset = Dataset(columns, [], self.host.codec_name, label=target.label,
                              compress=target.compress or self.host.option_value("compress"))  # fmt: skip
            found.append((target, dataset, _row_maker(slots)))
        return found

    def _names(self, step: Step, outputs: list[tuple[Reference, Dataset, Any]]) -> None:
        v = step.v
        host = self.host
        by_name = {target.name.lower(): (dataset.rows, make) for target, dataset, make in outputs}

        def output_to(name: str) -> None:
            rows, make = by_name[name]
            rows.append(make(v))

        def output_all() -> None:
            for rows, make in by_name.values():
                rows.append(make(v))

        def call_symputx(name: bytes, value: Any, scope: bytes = b"") -> None:
            text = value if isinstance(value, bytes) else number_text(value, 32)
            host.symputx(name.strip(b" "), text.strip(b" "), scope)

        def call_sleep(count: Any, unit: Any = 0.001) -> None:
            host.slept(count * unit)

        self.space.names |= {
            "v": v, "ctx": step, "output_to": output_to, "output_all": output_all,
            "StopStep": StopStep, "NextIteration": NextIteration, "overlay": overlay,
            "varying_width": varying_width, "call_symputx": call_symputx, "call_sleep": call_sleep,
            "call_symput": lambda name, value: host.symputx(name.strip(b" "), value, b""),
            "add_to": _add_to, "in_range": _in_range, "no_when": _no_when, "turns": range(MAX_TURNS), "never_ends": _never_ends,
        }  # fmt: skip

    def _iterate(self, step: Step, main: Any) -> None:
        v = step.v
        resets = [
            (one.slot, one.blank) for one in self.pdv.slots if not (one.retained or one.temporary)
        ]
        output = self.space.names["output_all"] if not self.compiler.has_output else None
        endless = not self.readings and not self.compiler.infiles
        for number in range(1, MAX_ITERATIONS):
            step.n, step.error, before = float(number), 0.0, step.reads
            for slot, blank in resets:
                v[slot] = blank
            try:
                main()
                if output:
                    output()
            except NextIteration:
                pass
            except (StopStep, EndOfFile):
                return
            except (TypeError, ValueError, OverflowError) as fault:
                raise Fault(f"a value that nothing can be computed with: {fault}") from fault
            step.next_iteration()
            if endless:
                return
            if step.reads == before:
                raise Fault("a DATA step that reads nothing any more and would loop for ever")
        raise Fault("a DATA step that never ends")

    def _save(self, outputs: list[tuple[Reference, Dataset, Any]]) -> None:
        for target, dataset, _ in outputs:
            self.host.library(target.libref).save(target.member, dataset)
            self.host.log.note(
                f"The data set {target.name} has {len(dataset.rows)} observations and "
                f"{len(dataset.columns)} variables."
            )


@lru_cache(maxsize=512)
def _compiled(code: str) -> CodeType:
    """Steps that are the same from run to run are compiled once."""
    return compile(code, "<data step>", "exec")


def _row_maker(slots: list[int]) -> Any:
    if len(slots) == 1:
        only = slots[0]
        return lambda v: (v[only],)
    return itemgetter(*slots) if slots else lambda _v: ()


def _add_to(total: Any, added: Any) -> Any:
    """The sum statement passes over missing values."""
    found = [one for one in (total, added) if isinstance(one, float | int)]
    return float(sum(found)) if found else None


def _in_range(value: Any, last: Any, by: Any) -> bool:
    return bool(values.le(value, last) if by >= 0 else values.ge(value, last))


def _never_ends() -> None:
    raise Fault("a DO loop that never ends")


def _no_when() -> None:
    raise Fault("no WHEN of a SELECT fits and there is no OTHERWISE")
