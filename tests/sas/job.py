"""One request: a program from its first statement to its last, with all that it changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.sas import filefunctions, functions, procs
from tests.sas.datastep import DataStep
from tests.sas.errors import Fault, StepError, Unknown
from tests.sas.filerefs import FileRefs
from tests.sas.formats import character_writer, is_character, numeric_writer
from tests.sas.functions import Function
from tests.sas.lexer import Assembler, Stream, string_value
from tests.sas.libraries import FolderLibrary, Library, Member, MemoryLibrary
from tests.sas.librefs import LibRefs
from tests.sas.log import Log
from tests.sas.macro import MacroProcessor
from tests.sas.macroeval import evaluate_floating
from tests.sas.options import Options
from tests.sas.paths import FileRef, Paths
from tests.sas.quoting import unmask
from tests.sas.symbols import Symbols
from tests.sas.textfunctions import number_text
from tests.sas.values import codec

FUNCTIONS: dict[str, Function] = {**functions.FUNCTIONS, **filefunctions.FUNCTIONS}


class _Sysfunc:
    """What a function sees as its step when %SYSFUNC calls it."""

    def __init__(self, job: Job) -> None:
        self.session = job


class Job(FileRefs, LibRefs):
    """The state of a request; also what macro processor, steps and functions work with."""

    def __init__(self, session: Any, work: Path, instream: bytes | None) -> None:
        self.session = session
        self.codec_name: str = session.encoding
        self.codec: str = codec(session.encoding)
        self.windows: bool = session.platform == "windows"
        self.functions = FUNCTIONS
        self.log = Log()
        self.options = Options(session.options)
        self.symbols = Symbols(self._automatic())
        self.symbols.globals.update({"syscc": "0", "syslckrc": "0"})
        self.macro = MacroProcessor(self)
        self.work_folder = work
        roots = {**session.roots, "C:/SASTEMP": work} if self.windows else {}
        self.paths = Paths(roots, windows=self.windows)
        self.filerefs: dict[str, FileRef] = {}
        if instream is not None:
            self.filerefs["instream"] = FileRef("instream", None, "instream", stream=instream)
        (work / "WORK").mkdir(exist_ok=True)
        self.libraries: dict[str, Library] = {"work": MemoryLibrary(path=self._temp_name("WORK"))}
        for libref, (folder, counts) in session.librefs.items():
            self.libraries[libref] = FolderLibrary(
                folder,
                str(folder),
                session.watch,
                engine="V9" if counts else "ORACLE",
                counts_rows=counts,
            )
        self.given = set(self.libraries) | {"instream"}
        self.handles: list[Any] = []
        self.webout = bytearray()
        self.webout_open = False
        self.headers: dict[str, str] = {}
        self.sleeps: list[float] = []
        self.syserr = 0
        self.step: DataStep | procs.Proc | None = None
        self.checking_only = False
        self._temps = 0
        self._writers: list[Any] = []
        self.logfile: Path | None = None
        self._globals: dict[str, Callable[[Stream], None]] = {
            "libname": self._libname, "filename": self._filename, "options": self._options,
            "option": self._options, "lock": self._lock,
        }  # fmt: skip

    # the clock and automatic macro variables

    def now(self) -> dt.datetime:
        """The moment, moved on by what was slept."""
        moment: dt.datetime = self.session.clock()
        return moment + dt.timedelta(seconds=sum(self.sleeps))

    def slept(self, seconds: float) -> None:
        """SLEEP: noted, not done."""
        if seconds < 0:
            raise Fault(f"SLEEP of {seconds} seconds")
        self.sleeps.append(float(seconds))

    def _automatic(self) -> dict[str, Callable[[], str]]:
        windows = self.session.platform == "windows"
        fixed = {
            "sysscp": "WIN" if windows else "LIN X64",
            "sysscpl": "X64_SRV19" if windows else "Linux",
            "sysencoding": self.session.encoding,
            "sysver": "9.4",
            "sysvlong": "9.04.01M7P080520",
            "sysvlong4": "9.04.01M7P08052020",
            "sysjobid": str(self.session.next_job()),
            "sysprocessmode": "SAS Stored Process Server",
            "sysuserid": "sassrv",
        }
        found: dict[str, Callable[[], str]] = {
            name: partial(str, value) for name, value in fixed.items()
        }
        found["syserr"] = lambda: str(self.syserr)
        found["sysdate9"] = lambda: self._date("%d%b%Y")
        found["sysdate"] = lambda: self._date("%d%b%y")
        found["systime"] = lambda: self.session.clock().strftime("%H:%M")
        found["sysmacroname"] = lambda: self.macro.current()
        return found

    def _date(self, pattern: str) -> str:
        return str(self.session.clock().strftime(pattern)).upper()

    # return codes

    def _raise(self, code: int) -> None:
        self.syserr = max(self.syserr, code) if self.step is not None else self.syserr
        table = self.symbols.globals
        try:
            before = int(table["syscc"])
        except ValueError:
            raise Fault(f"SYSCC was set to {table['syscc']!r}") from None
        table["syscc"] = str(max(before, code))

    def warn(self, text: str) -> None:
        """A WARNING: 4 in SYSERR and SYSCC."""
        self.log.warning(text)
        self._raise(4)

    def fail(self, text: str, code: int = 1012) -> None:
        """An ERROR: more than 4 in SYSERR and SYSCC; with SYNTAXCHECK nothing runs after it."""
        self.log.error(text)
        self._raise(code)
        if self.step is not None and self.options.on("syntaxcheck"):
            self.log.note("SAS set option OBS=0 and will continue to check statements.")
            self.checking_only = True

    # macro processor's host

    def option(self, name: str) -> bool:
        """A switch of OPTIONS."""
        return self.options.on(name)

    def option_value(self, name: str) -> str:
        """The value of a system option, in lower case."""
        return self.options.value(name)

    def source_line(self, text: str, *, included: bool) -> None:
        """A line of the program in the log."""
        if self.options.on("source2" if included else "source"):
            self.log.write(("+" if included else " ") + text.rstrip("\r"))

    def source_file(self, operand: str) -> tuple[str, bool] | None:
        """%INCLUDE: the text, or None with an ERROR that leaves SYSCC alone."""
        stream = Stream(operand)
        if stream.kind() == "string":
            path: Path | None = self.paths.real(string_value(stream.take())[0])
            shown = operand
        else:
            shown = stream.name()
            found = self.filerefs.get(shown.lower())
            path = found.path if found else None
        echo = self.options.on("source2")
        if stream.accept("/"):
            stream.expect("source2")
            echo = True
        stream.finish()
        if path is None or not path.is_file():
            self.log.warning(f"Physical file does not exist, {shown}.")
            self.log.error(f"Cannot open %INCLUDE file {shown}.")
            return None
        return self._source(path), echo

    def _source(self, path: Path) -> str:
        text = path.read_bytes().decode(self.codec, "surrogateescape").replace("\r\n", "\n")
        long = [len(line) for line in text.split("\n") if len(line) > 6000]
        if long:
            raise Fault(f"a line of {long[0]} bytes in an %INCLUDE file: it would be cut at 6000")
        return text

    def sysfunc(self, name: str, arguments: list[str], fmt: str | None) -> str:
        """%SYSFUNC: arguments are text; those that have to be numbers are evaluated."""
        function = self.functions.get(name)
        if function is None or name in ("symget",):
            raise Unknown(f"%SYSFUNC({name})")
        types = function.types(len(arguments))
        given = [
            self._argument(letter, text) for letter, text in zip(types, arguments, strict=True)
        ]
        if function.context:
            given.insert(0, _Sysfunc(self))
        result = function.call(*given)
        if fmt is not None:
            return self._formatted(result, fmt)
        raw = result if isinstance(result, bytes) else number_text(result, 12)
        return raw.decode(self.codec, "surrogateescape")

    def _argument(self, letter: str, text: str) -> Any:
        if letter == "n":
            return None if text in (".", "") else float(evaluate_floating(text, ""))
        return text.encode(self.codec, "surrogateescape")

    def _formatted(self, value: Any, fmt: str) -> str:
        name = Stream(fmt).format()
        if is_character(name) != isinstance(value, bytes):
            raise Fault(f"the format {fmt} in %SYSFUNC is of the other type")
        if isinstance(value, bytes):
            return character_writer(name, len(value))[0](value).decode(self.codec)
        return numeric_writer(name)(value).decode().strip()

    def symbol_value(self, name: str) -> str | None:
        """SYMGET."""
        value = self.symbols.get(name)
        return None if value is None else unmask(value)

    def symputx(self, name: bytes, value: bytes, scope: bytes) -> None:
        """CALL SYMPUTX."""
        self.symbols.assign_from_step(
            name.decode(self.codec),
            value.decode(self.codec, "surrogateescape"),
            scope.decode("latin-1"),
        )

    # statements

    def execute(self, text: str) -> None:
        """A whole program."""
        assembler = Assembler()
        for piece in self.macro.open_code(text.replace("\r\n", "\n"), echo=False):
            for statement in assembler.feed(piece):
                self._statement(statement)
        if assembler.rest().strip():
            raise Fault(
                f"the program ends within a statement: {unmask(assembler.rest()).strip()[:200]!r}"
            )
        self._finish_step()

    def _statement(self, statement: str) -> None:
        if statement == "\0step":
            self._finish_step()
            return
        text = statement.strip()
        if not text or text.startswith("*"):
            return
        if self.macro.current() and self.options.on("mprint"):
            self.log.write(f"MPRINT({self.macro.current()}):   {' '.join(unmask(text).split())};")
        word = Stream(text).low() if text[0] not in "'\"" else text
        following = Stream(text).low(1) if word else ""
        if word in ("data", "proc") and following != "=":
            self._begin_step(word, text)
        elif word in ("run", "quit"):
            Stream(text[len(word) :]).finish()
            self._finish_step()
        elif word in self._globals and following != "=":
            self._global(word, text)
        elif isinstance(self.step, DataStep):
            self.step.statement(text)
        elif self.step is not None:
            self.step.statements.append(text)
        else:
            raise Unknown(f"the statement {unmask(text)[:200]!r} outside of a step")

    def _begin_step(self, word: str, text: str) -> None:
        self._finish_step()
        self.syserr = 0
        if word == "data":
            self.step = DataStep(self, text)
        else:
            self.step = procs.begin(text)

    def _finish_step(self) -> None:
        step = self.step
        if step is None:
            return
        try:
            if self.checking_only:
                self.log.note("The step is checked and not run, since an ERROR came before it.")
            elif isinstance(step, DataStep):
                step.finish()
            else:
                procs.run(self, step)
        except StepError as fault:
            self.fail(str(fault), fault.code)
            self.log.note("The SAS System stopped processing this step because of errors.")
        finally:
            if isinstance(step, DataStep):
                step.close()
            for writer in self._writers:
                writer.close()
            self._writers = []
            self.step = None

    def _global(self, word: str, text: str) -> None:
        try:
            self._globals[word](Stream(text))
        except StepError as fault:
            self.log.error(str(fault))

    def _options(self, stream: Stream) -> None:
        self.options.statement(stream)

    # the end

    def close(self) -> None:
        """Give back all locks and handles, as the end of a process does."""
        for handle in self.handles:
            if isinstance(getattr(handle, "member", None), Member):
                handle.member.release()
        if isinstance(self.step, DataStep):
            self.step.close()
        for library in self.libraries.values():
            if isinstance(library, FolderLibrary):
                library.release_all()
        for writer in self._writers:
            writer.close()

    def left_over(self) -> dict[str, list[str]]:
        """Librefs, filerefs, members of WORK and open identifiers that the program left behind."""
        return {
            "librefs": sorted(set(self.libraries) - self.given),
            "filerefs": sorted(set(self.filerefs) - self.given),
            "work": self.libraries["work"].members(),
            "handles": [type(one).__name__ for one in self.handles if one is not None],
        }
