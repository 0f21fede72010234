"""Declarative statements of the DATA step: they act while the step is compiled."""

from __future__ import annotations

from typing import Any

from tests.sas import formats, informats
from tests.sas.dsref import names, numbered
from tests.sas.errors import Fault
from tests.sas.expressions import E, Expressions
from tests.sas.lexer import Stream
from tests.sas.pdv import Array, Pdv


class Declarations:
    """LENGTH, RETAIN, ARRAY, KEEP, DROP, RENAME, LABEL, FORMAT, INFORMAT and BY."""

    pdv: Pdv
    expressions: Expressions
    kept: list[str] | None
    dropped: list[str]
    renamed: dict[str, str]
    by: list[str]

    def _length(self, stream: Stream) -> None:
        waiting: list[str] = []
        while not stream.done():
            if stream.kind() == "name":
                waiting.append(stream.name())
                if stream.low() == "-" and stream.kind(1) == "name":
                    stream.take()
                    waiting[-1:] = numbered(waiting[-1], stream.name(), stream)
                continue
            character = bool(stream.accept("$"))
            length = int(stream.number("a length"))
            stream.accept(".")
            if not waiting:
                raise stream.fault("a length without variables")
            for name in waiting:
                self._set_length(name, "c" if character else "n", length, stream)
            waiting = []
        if waiting:
            raise stream.fault("LENGTH without a length at the end")

    def _set_length(self, name: str, kind: str, length: int, stream: Stream) -> None:
        if kind == "n" and length != 8:
            raise stream.unknown(f"a numeric length of {length}")
        found = self.pdv.find(name)
        if found is None:
            self.pdv.add(name, kind, length)
        elif found.kind != kind or (found.length != length and kind == "c"):
            raise stream.fault(f"LENGTH of {name} comes after the variable got its length")

    def _retain(self, stream: Stream) -> None:
        if stream.done():
            raise stream.unknown("RETAIN without names")
        waiting: list[str] = []
        while not stream.done():
            if stream.kind() == "name":
                waiting.append(stream.name())
                continue
            if stream.low() == "(":
                raise stream.unknown("a list of initial values in RETAIN")
            value = self.expressions._prefix(stream)
            for name in waiting:
                self._retained(name, value, stream)
            waiting = []
        for name in waiting:
            self._retained(name, None, stream)

    def _retained(self, name: str, value: E | None, stream: Stream) -> None:
        if name.lower() in self.pdv.arrays:
            raise stream.unknown("RETAIN of an array")
        found = self.pdv.find(name)
        if found is None:
            if value is None:
                raise stream.fault(f"RETAIN of {name}, which has no type yet")
            found = self.pdv.add(name, value.kind, value.length if value.kind == "c" else 8)
        found.retained = True
        if value is not None:
            if value.kind != found.kind:
                raise stream.fault(f"the initial value of {name} is of the other type")
            found.initial = (
                self._constant(value)[: found.length].rstrip(b" ")
                if value.kind == "c"
                else self._constant(value)
            )
            found.written = True

    def _constant(self, value: E) -> Any:
        try:
            return eval(value.code, dict(self.expressions.space.names))
        except NameError:
            raise Fault("a variable where a constant is expected") from None

    def _array(self, stream: Stream) -> None:
        name = stream.name().lower()
        stream.expect("{", "[", "(")
        size = (
            None
            if stream.accept("*")
            else int(
                self._constant(self.expressions.need(self.expressions.expression(stream), "n"))
            )
        )
        if stream.low() == ":":
            raise stream.unknown("an array with a lower bound")
        stream.expect("}", "]", ")")
        kind = "c" if stream.accept("$") else "n"
        length = int(stream.number()) if stream.kind() == "number" else None
        if stream.accept("_temporary_"):
            self._temporary(name, size, kind, length or 8, stream)
        else:
            self._named_array(name, size, kind, length, stream)

    def _temporary(
        self, name: str, size: int | None, kind: str, length: int, stream: Stream
    ) -> None:
        if size is None:
            raise stream.fault("a temporary array needs a size")
        initial = self._initial(size, kind, stream)
        slots: list[int] = []
        for number in range(size):
            element = self.pdv.element(name, number + 1, kind, length)
            value = initial[number] if number < len(initial) else element.blank
            element.initial = value[:length].rstrip(b" ") if isinstance(value, bytes) else value
            slots.append(element.slot)
        self._make_array(name, slots, kind, stream)

    def _initial(self, size: int, kind: str, stream: Stream) -> list[Any]:
        found: list[Any] = []
        if not stream.accept("("):
            return found
        while not stream.accept(")"):
            value = self.expressions._prefix(stream)
            times = 1
            if stream.accept("*"):
                times = int(self._constant(value))
                value = self.expressions._prefix(stream)
            if value.kind != kind:
                raise stream.fault("an initial value of the other type")
            found += [self._constant(value)] * times
            stream.accept(",")
        if len(found) > size:
            raise stream.fault("more initial values than elements")
        return found

    def _named_array(
        self, name: str, size: int | None, kind: str, length: int | None, stream: Stream
    ) -> None:
        elements = self._listed(names(stream))
        if not elements:
            if size is None:
                raise stream.fault("an array without size and elements")
            elements = [f"{name}{number}" for number in range(1, size + 1)]
        if size is not None and size != len(elements):
            raise stream.fault(f"{len(elements)} elements in an array of {size}")
        slots: list[int] = []
        for element in elements:
            found = self.pdv.find(element)
            if found is None:
                found = self.pdv.add(element, kind, (length or 8) if kind == "c" else 8)
            if found.kind != kind and slots:
                raise stream.fault(f"{element} is of another type than the array {name}")
            kind = found.kind
            slots.append(found.slot)
        self._make_array(name, slots, kind, stream)

    def _listed(self, elements: list[str]) -> list[str]:
        """``_CHARACTER_`` and ``_NUMERIC_`` are the variables of that type that are there now."""
        kinds = {"_character_": "c", "_char_": "c", "_numeric_": "n"}
        found: list[str] = []
        for name in elements:
            if name.lower() not in kinds:
                found.append(name)
                continue
            kind = kinds[name.lower()]
            found += [
                one.name
                for one in self.pdv.variables.values()
                if one.kind == kind and not one.temporary
            ]
            if not found:
                raise Fault(f"{name} stands for no variable")
        return found

    def _make_array(self, name: str, slots: list[int], kind: str, stream: Stream) -> None:
        if name in self.pdv.arrays or self.pdv.find(name):
            raise stream.fault(f"{name} is there already")
        if name in self.expressions.functions:
            raise stream.fault(f"the array {name} has the name of a function")
        lengths = tuple(self.pdv.slots[slot].length for slot in slots)
        self.pdv.arrays[name] = Array(name, tuple(slots), kind, lengths)

    def _keep(self, stream: Stream) -> None:
        self.kept = (self.kept or []) + names(stream)

    def _drop(self, stream: Stream) -> None:
        self.dropped += names(stream)

    def _rename(self, stream: Stream) -> None:
        while not stream.done():
            old = stream.name().lower()
            stream.expect("=")
            self.renamed[old] = stream.name()

    def _label_statement(self, stream: Stream) -> None:
        while not stream.done():
            name = stream.name()
            stream.expect("=")
            value = self._constant(self.expressions.literal(stream.take(), stream))
            variable = self.pdv.find(name)
            if variable is None:
                raise stream.fault(f"LABEL of {name}, which has no type yet")
            label = value.decode(self.codec, "replace")
            if len(value) > 256:
                raise stream.fault(f"the label of {name} is longer than 256 bytes")
            variable.label = label.rstrip(" ")

    codec = "utf-8"

    def _format(self, stream: Stream) -> None:
        self._formats(stream, "format")

    def _informat(self, stream: Stream) -> None:
        self._formats(stream, "informat")

    def _formats(self, stream: Stream, which: str) -> None:
        waiting: list[str] = []
        while not stream.done():
            if stream.kind() == "name" and not self._format_here(stream):
                waiting.append(stream.name())
                continue
            fmt = stream.format()
            for name in waiting:
                variable = self.pdv.find(name)
                if variable is None:
                    raise stream.fault(f"{which.upper()} of {name}, which has no type yet")
                if formats.is_character(fmt) != (variable.kind == "c"):
                    raise stream.fault(f"the {which} of {name} is of the other type")
                _check(which, fmt)
                setattr(variable, which, str(fmt).upper())
            waiting = []
        if waiting:
            raise stream.unknown(f"{which.upper()} that removes a {which}")

    def _format_here(self, stream: Stream) -> bool:
        following = stream.peek(1)
        token = stream.peek()
        assert token
        return following is not None and following.text[0] == "." and following.start == token.end

    def _by(self, stream: Stream) -> None:
        if self.by:
            raise stream.unknown("a second BY statement")
        if stream.low() in ("descending", "groupformat"):
            raise stream.unknown(f"BY {stream.low()}")
        self.by = names(stream)
        for name in self.by:
            for which in ("first", "last"):
                mark = f"{which}.{name.lower()}"
                self.pdv.number(mark, retained=True, temporary=True, written=True, initial=0.0)


def _check(which: str, fmt: Any) -> None:
    if which == "format":
        formats.known_format(fmt)
    elif formats.is_character(fmt):
        informats.character_reader(fmt)
    else:
        informats.numeric_reader(fmt)
