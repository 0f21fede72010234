"""INFILE, INPUT, FILE and PUT of the DATA step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.sas import formats, informats
from tests.sas.errors import Fault
from tests.sas.expressions import E
from tests.sas.fileio import TERMINATORS
from tests.sas.lexer import FormatName, Stream, string_value
from tests.sas.pdv import Variable
from tests.sas.statements import Statements


@dataclass
class FileUse:
    """One INFILE or FILE statement: where, and its options as written."""

    where: str
    quoted: bool
    options: dict[str, str]

    @property
    def key(self) -> str:
        """What tells two files of a step apart."""
        return self.where if self.quoted else self.where.lower()


_FLAGS = {
    "truncover",
    "missover",
    "flowover",
    "stopover",
    "ignoredoseof",
    "mod",
    "old",
    "unbuffered",
}
_TEXTS = {"encoding", "termstr", "recfm"}
_NUMBERS = {"lrecl", "obs", "firstobs"}
_VARIABLES = {"length", "end"}


class InputOutput(Statements):
    """Adds files to the statements."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.infiles: dict[str, FileUse] = {}
        self.files: dict[str, FileUse] = {}
        self.lengths: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.windows = False
        self.table |= {
            "infile": self._infile, "input": self._input, "file": self._file, "put": self._put,
            "putlog": self._putlog,
        }  # fmt: skip

    # files

    def _where(self, stream: Stream) -> FileUse:
        token = stream.take()
        if token.kind == "string":
            return FileUse(string_value(token)[0], True, {})
        if token.low in ("datalines", "datalines4", "cards"):
            raise stream.unknown("DATALINES")
        if token.kind != "name" or len(token.text) > 8:
            raise stream.fault(f"{token.text} is no fileref")
        return FileUse(token.text, False, {})

    def _options(self, use: FileUse, stream: Stream, known: set[str]) -> None:
        while not stream.done():
            name = stream.name("an option").lower()
            if name not in known:
                raise stream.unknown(f"the option {name} of INFILE or FILE")
            if name in _FLAGS:
                use.options[name] = "1"
                continue
            stream.expect("=")
            if name in _NUMBERS:
                use.options[name] = str(int(stream.number()))
            elif name in _VARIABLES:
                use.options[name] = stream.name()
            else:
                token = stream.take()
                text = string_value(token)[0] if token.kind == "string" else token.text
                while token.kind == "name" and stream.low() == "-":
                    text += stream.take().text + stream.take().text
                use.options[name] = text.lower()
        self._check_options(use, stream)

    def _check_options(self, use: FileUse, stream: Stream) -> None:
        options = use.options
        if "ignoredoseof" in options and not self.windows:
            raise stream.fault("IGNOREDOSEOF is an option of Windows alone")
        if options.get("recfm", "v") not in ("v", "n"):
            raise stream.unknown(f"RECFM={options['recfm']}")
        if options.get("termstr", "lf") not in TERMINATORS:
            raise stream.unknown(f"TERMSTR={options['termstr']}")
        if options.get("recfm") == "n" and {"length", "end", "termstr"} & set(options):
            raise stream.fault("LENGTH=, END= or TERMSTR= with RECFM=N: not documented")
        if not 1 <= int(options.get("lrecl", "1")) <= 1073741823:
            raise stream.fault("LRECL= is not within 1-1073741823")

    def _infile(self, stream: Stream) -> None:
        use = self._where(stream)
        known = (_FLAGS - {"mod", "old"}) | _TEXTS | {"lrecl"} | _VARIABLES
        self._options(use, stream, known)
        if use.key in self.infiles and self.infiles[use.key].options != use.options:
            raise stream.unknown("two INFILE statements of a file with different options")
        self.infiles[use.key] = use
        for option, slots in (("length", self.lengths), ("end", self.ends)):
            if option in use.options:
                variable = self.pdv.number(
                    use.options[option], retained=True, temporary=True, written=True
                )
                variable.initial = 0.0
                slots[use.key] = variable.slot
        self.add(f"ctx.use({use.key!r})")

    def _file(self, stream: Stream) -> None:
        use = self._where(stream)
        if use.key == "print":
            raise stream.unknown("FILE PRINT")
        self._options(use, stream, {"mod", "lrecl", "ignoredoseof"} | _TEXTS)
        if use.key != "log":
            self.files[use.key] = use
        self.add(f"ctx.use_output({use.key!r})")

    # INPUT

    def _trailing(self, stream: Stream) -> int:
        count = 0
        while stream.tokens and len(stream.tokens) > stream.at and stream.tokens[-1].text == "@":
            stream.tokens.pop()
            count += 1
        if count > 2:
            raise stream.fault("more than two trailing @")
        return count

    def _input(self, stream: Stream) -> None:
        hold = self._trailing(stream)
        reader = "r"
        self.add(f"{reader} = ctx.begin_input()")
        while not stream.done():
            if not self._pointer(stream, reader):
                self._input_variable(stream)
        self.add(f"{reader}.finish({hold})")

    def _pointer(self, stream: Stream, target: str) -> bool:
        """``@n``, ``+n`` and ``/``; whether there was one."""
        if stream.accept("@"):
            self.add(f"{target}.move({self._pointer_value(stream).code})")
        elif stream.accept("+"):
            self.add(f"{target}.skip({self._pointer_value(stream).code})")
        elif stream.accept("/"):
            self.add(f"{target}.new_line()")
            if target == "r":
                self.add("ctx.told()")
        elif stream.low() == "#":
            raise stream.unknown("# in INPUT or PUT")
        else:
            return False
        return True

    def _pointer_value(self, stream: Stream) -> E:
        if stream.accept("("):
            found = self.expressions.expression(stream)
            stream.expect(")")
        elif stream.kind() == "number":
            found = self.expressions.number(stream.number())
        elif stream.kind() == "name":
            variable = self.pdv.find(stream.name())
            if variable is None:
                raise stream.fault("a pointer at a variable that is not there yet")
            found = self.expressions.variable(variable)
        else:
            raise stream.unknown("a pointer at text")
        return self.expressions.need(found, "n")

    def _input_variable(self, stream: Stream) -> None:
        if stream.low() == "(":
            raise stream.unknown("lists in INPUT")
        name = stream.name("a variable")
        if name.lower() in self.pdv.arrays:
            raise stream.unknown("INPUT of an array element")
        quiet = 0
        while stream.accept("?"):
            quiet += 1
        colon = bool(stream.accept(":"))
        if stream.accept("&"):
            raise stream.unknown("& in INPUT")
        if stream.at_format() and stream.low() != "@":
            self._formatted(name, stream.format(), quiet, colon, stream)
            return
        character = bool(stream.accept("$"))
        if stream.kind() == "number":
            raise stream.unknown("column input")
        variable = self._input_target(
            name, "c" if character else "n", 8, stream, chosen=not character
        )
        self._store(
            variable, "r.word()", FormatName("$" if variable.kind == "c" else "", None, None), quiet
        )

    def _input_target(
        self, name: str, kind: str, length: int, stream: Stream, *, chosen: bool = False
    ) -> Variable:
        found = self.pdv.find(name)
        if found is None:
            found = self.pdv.add(name, kind, length)
        elif found.kind != kind and not chosen:
            raise stream.fault(f"the informat of {name} is of the other type")
        found.written = True
        return found

    def _formatted(
        self, name: str, fmt: FormatName, quiet: int, colon: bool, stream: Stream
    ) -> None:
        character = formats.is_character(fmt)
        known = self.pdv.find(name)
        _, width = (informats.character_reader if character else informats.numeric_reader)(fmt)
        if not width:
            if not known or not character:
                raise stream.fault(f"the informat {fmt} needs a width")
            width = known.length
        variable = self._input_target(
            name, "c" if character else "n", width if character else 8, stream
        )
        if fmt.name == "$varying":
            length = self.pdv.find(stream.name("the length variable of $VARYING"))
            if length is None or length.kind != "n":
                raise stream.fault("$VARYING needs a numeric length variable")
            length.read = True
            field = f"r.field(varying_width(v[{length.slot}], {width}))"
        else:
            field = "r.word()" if colon else f"r.field({width})"
        self._store(variable, field, fmt, quiet)

    def _store(self, variable: Variable, field: str, fmt: FormatName, quiet: int) -> None:
        space = self.expressions.space
        if variable.kind == "c":
            if fmt.name in ("$char", "$varying"):
                code = field
            else:
                read, _ = informats.character_reader(fmt)
                code = f"ctx.field_value({space.thing(read)}, {field}, {quiet}, {variable.name!r})"
                code = f"({code} or b'')"
            self.add(f"v[{variable.slot}] = {code}[:{variable.length}].rstrip(b' ')")
            return
        read, _ = informats.numeric_reader(fmt)
        self.add(
            f"v[{variable.slot}] = ctx.field_value({space.thing(read)}, {field}, {quiet}, {variable.name!r})"
        )

    # PUT

    def _putlog(self, stream: Stream) -> None:
        self._write(stream, "ctx.writers['log']")

    def _put(self, stream: Stream) -> None:
        self._write(stream, "ctx.output()")

    def _write(self, stream: Stream, target: str) -> None:
        hold = self._trailing(stream)
        self.add(f"w = {target}")
        while not stream.done():
            if not self._pointer(stream, "w"):
                self._item(stream)
        self.add(f"w.finish({hold})")

    def _item(self, stream: Stream) -> None:
        if stream.kind() == "string":
            literal = self.expressions.literal(stream.take(), stream)
            self.add(f"w.put({literal.code})")
            return
        if stream.low() in ("_all_", "_page_", "_blankpage_", "("):
            raise stream.unknown(f"{stream.low()} in PUT")
        value, name = self._put_value(stream)
        if stream.accept("="):
            self.add(f"w.put({(name + '=').encode()!r})")
        if stream.at_format():
            self._put_formatted(value, stream.format(), stream)
            return
        if stream.accept("$"):
            self.expressions.need(value, "c")
        if value.kind == "c":
            self.add(f"w.word({value.code}.strip(b' ') or b' ')")
            return
        self.add(f"w.word({self.expressions.space.thing(_best12)}({value.code}))")

    def _put_value(self, stream: Stream) -> tuple[E, str]:
        token = stream.peek()
        assert token
        if token.kind != "name":
            raise stream.unknown(f"{token.text} in PUT")
        name = stream.name()
        if name.lower() in ("first", "last") and stream.accept("."):
            name = f"{name}.{stream.name()}"
        if name.lower() == "_infile_":
            return E("ctx.infile()", "c", 32767), name
        if name.lower() in self.pdv.arrays:
            return self.expressions.element(self.pdv.arrays[name.lower()], stream), name
        if name.lower() == "_n_":
            return E("ctx.n", "n"), name
        found = self.pdv.find(name)
        if found is None and "." in name:
            raise stream.fault(f"{name} without a BY statement that names it")
        if found is None:
            found = self.pdv.add(name, "n", 8)
        value = self.expressions.variable(found)
        if found.format and not stream.at_format():
            raise stream.unknown("PUT of a variable that has a format, without one")
        return value, found.name

    def _put_formatted(self, value: E, fmt: FormatName, stream: Stream) -> None:
        if formats.is_character(fmt) != (value.kind == "c"):
            raise stream.fault(f"the format {fmt} is of the other type")
        space = self.expressions.space
        if fmt.name == "$varying":
            length = self.pdv.find(stream.name("the length variable of $VARYING"))
            if length is None or length.kind != "n":
                raise stream.fault("$VARYING needs a numeric length variable")
            length.read = True
            formats.check_width("format", fmt)
            self.add(
                f"w.put({value.code}[:varying_width(v[{length.slot}], {fmt.width or value.length})])"
            )
        elif value.kind == "c":
            write, _ = formats.character_writer(fmt, value.length)
            self.add(f"w.put({space.thing(write)}({value.code}))")
        else:
            self.add(f"w.put({space.thing(formats.numeric_writer(fmt))}({value.code}))")


def _best12(value: Any) -> bytes:
    return formats.numeric_writer(FormatName("best", 12, None))(value).strip(b" ")


def varying_width(length: Any, most: int) -> int:
    """$VARYING reads and writes as many bytes as the length variable says, none if it is missing,
    0 or negative, and not more than the width."""
    if length is None or not isinstance(length, float | int | bool):
        return 0
    if length < 0:
        raise Fault(f"$VARYING with the length {length}")
    return min(int(length), most)
