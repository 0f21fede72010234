"""Statements of the DATA step, compiled one after the other as SAS does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.sas.blocks import Each, Group, If, Label, Loop, Node, Raw, Select
from tests.sas.declarations import Declarations
from tests.sas.errors import Fault
from tests.sas.expressions import E, Expressions
from tests.sas.lexer import Stream
from tests.sas.pdv import Array, Pdv, Variable
from tests.sas.textfunctions import whole


class Statements(Declarations):
    """Compiles declarations, assignments and control flow. INPUT and PUT, SET and MERGE are added
    by the classes that inherit."""

    def __init__(self, pdv: Pdv, expressions: Expressions) -> None:
        self.pdv, self.expressions = pdv, expressions
        self.nodes: list[Node] = []
        self._lists: list[list[Node]] = [self.nodes]
        self._frames: list[Node] = []
        self.labels: set[str] = set()
        self.links: set[str] = set()
        self.kept: list[str] | None = None
        self.dropped: list[str] = []
        self.renamed: dict[str, str] = {}
        self.by: list[str] = []
        self.outputs: set[str] = set()
        self.has_output = False
        self._number = 0
        self.table: dict[str, Callable[[Stream], None]] = {
            "if": self._if, "else": self._else, "do": self._do, "end": self._end,
            "select": self._select, "when": self._when, "otherwise": self._otherwise,
            "link": self._link, "return": self._return, "leave": self._leave,
            "continue": self._continue, "stop": self._stop, "delete": self._delete,
            "output": self._output, "call": self._call, "length": self._length,
            "retain": self._retain, "array": self._array, "keep": self._keep, "drop": self._drop,
            "rename": self._rename, "label": self._label_statement, "format": self._format,
            "informat": self._informat, "by": self._by,
        }  # fmt: skip

    # one statement

    def statement(self, stream: Stream) -> None:
        """Compile it."""
        if stream.kind() == "name" and stream.low(1) == ":" and stream.low() not in self.pdv.arrays:
            name = stream.name().lower()
            stream.take()
            self._set_label(name, stream)
        if stream.done():
            return
        if self._is_assignment(stream):
            self._assignment(stream)
        elif stream.low() in self.table:
            self.table[stream.take().low](stream)
        else:
            raise stream.unknown(f"the statement {stream.take().text}")
        stream.finish()

    def _set_label(self, name: str, stream: Stream) -> None:
        if len(self._lists) > 1:
            raise stream.unknown("a label inside of DO or SELECT")
        if name in self.labels:
            raise stream.fault(f"the label {name} is set twice")
        self.labels.add(name)
        self.nodes.append(Label(name))

    def _is_assignment(self, stream: Stream) -> bool:
        if stream.kind() != "name":
            return False
        following = stream.low(1)
        if following == "=":
            return True
        if stream.low() in self.pdv.arrays and following in ("{", "[", "("):
            return True
        if following == "+" and stream.low() not in self.table:
            return True
        return stream.low() == "substr" and following == "("

    def add(self, code: str) -> None:
        """One line of Python at this place."""
        self._lists[-1].append(Raw(code))

    def unique(self, stem: str) -> str:
        """A name for generated code."""
        self._number += 1
        return f"{stem}_{self._number}"

    # assignments

    def _assignment(self, stream: Stream) -> None:
        low = stream.low()
        if low == "substr" and stream.low(1) == "(":
            self._substr(stream)
        elif low in self.pdv.arrays:
            stream.take()
            self._element(self.pdv.arrays[low], stream)
        elif stream.low(1) == "+":
            self._sum(stream)
        else:
            name = stream.name()
            stream.take()
            self.assign(name, self.expressions.expression(stream), stream)

    def assign(self, name: str, value: E, stream: Stream) -> None:
        """``name = value``."""
        if name.lower() in ("_n_", "_infile_"):
            raise stream.unknown(f"assignment to {name}")
        if name.lower() == "_error_":
            self.add(f"ctx.error = {value.code}")
            return
        variable = self.pdv.find(name)
        if variable is None:
            if value.unclear:
                raise stream.fault(
                    f"the length that {value.unclear} gives {name} is not clear: it needs LENGTH"
                )
            variable = self.pdv.add(name, value.kind, value.length if value.kind == "c" else 8)
        variable.written = True
        if variable.kind != value.kind:
            raise stream.fault(f"the value assigned to {name} would be converted automatically")
        self.add(f"v[{variable.slot}] = {self.fitted(value, variable.length)}")

    def fitted(self, value: E, length: int) -> str:
        """Code for the value as it is stored in a variable of that length."""
        if value.kind == "n":
            return f"float({value.code})" if value.boolean else value.code
        if value.cat:
            return f"ctx.cat({value.cat!r}, {value.code}, {length})"
        if value.length <= length and not value.unclear and not value.free:
            return value.loose
        return f"({value.code})[:{length}].rstrip(b' ')"

    def _element(self, array: Array, stream: Stream) -> None:
        closing = {"{": "}", "[": "]", "(": ")"}[stream.take().text]
        index = self.expressions.need(self.expressions.expression(stream), "n")
        stream.expect(closing)
        place = self.expressions.place(array, index)
        for slot in array.slots:
            self.pdv.slots[slot].written = True
        if stream.accept("+"):
            added = self.expressions.need(self.expressions.expression(stream), "n")
            code = f"v[{place}] = add_to(v[{place}], {added.code})"
            self.add(code)
            return
        stream.expect("=")
        value = self.expressions.expression(stream)
        if value.kind != array.kind:
            raise stream.fault(
                f"the value assigned to {array.name} would be converted automatically"
            )
        if value.kind == "n" or len(set(array.lengths)) == 1:
            self.add(f"v[{place}] = {self.fitted(value, array.lengths[0])}")
            return
        lengths = dict(zip(array.slots, array.lengths, strict=True))
        room = self.expressions.space.thing(lengths)
        at = self.unique("at")
        self.add(f"{at} = {place}")
        fitted = (
            f"ctx.cat({value.cat!r}, {value.code}, {room}[{at}])"
            if value.cat
            else f"({value.code})[:{room}[{at}]].rstrip(b' ')"
        )
        self.add(f"v[{at}] = {fitted}")

    def _sum(self, stream: Stream) -> None:
        variable = self.pdv.number(stream.name(), retained=True, written=True)
        if variable.initial is None:
            variable.initial = 0.0
        stream.take()
        added = self.expressions.need(self.expressions.expression(stream), "n")
        self.add(f"v[{variable.slot}] = add_to(v[{variable.slot}], {added.code})")

    def _substr(self, stream: Stream) -> None:
        stream.take()
        stream.take()
        target = self._target(stream)
        stream.expect(",")
        start = self.expressions.need(self.expressions.expression(stream), "n")
        length = "..."
        if stream.accept(","):
            length = self.expressions.need(self.expressions.expression(stream), "n").code
        stream.expect(")")
        stream.expect("=")
        value = self.expressions.need(self.expressions.expression(stream), "c")
        target.written = True
        self.add(
            f"v[{target.slot}] = overlay(v[{target.slot}], {target.length}, "
            f"{start.code}, {length}, {value.code})"
        )

    def _target(self, stream: Stream) -> Variable:
        found = self.pdv.find(stream.name())
        if found is None or found.kind != "c":
            raise stream.fault("SUBSTR on the left needs a character variable with a length")
        return found

    # control flow

    def _open(self, node: Node, body: list[Node]) -> None:
        self._frames.append(node)
        self._lists.append(body)

    def _if(self, stream: Stream) -> None:
        condition = self.expressions.need(self.expressions.expression(stream), "n").condition
        if stream.done():
            self.add(f"if not {condition}: raise NextIteration")
            return
        stream.expect("then")
        node = If(condition)
        self._lists[-1].append(node)
        self._nested(node.yes, stream)

    def _nested(self, body: list[Node], stream: Stream) -> None:
        """The statement after THEN, ELSE or WHEN; a DO stays open."""
        depth = len(self._lists)
        self._lists.append(body)
        self.statement(stream)
        if len(self._lists) == depth + 2:
            del self._lists[-2]
        else:
            self._lists.pop()

    def _else(self, stream: Stream) -> None:
        target = self._dangling(self._lists[-1])
        if target is None:
            raise stream.fault("ELSE without IF")
        target.no = []
        self._nested(target.no, stream)

    def _dangling(self, nodes: list[Node] | None) -> If | None:
        last = nodes[-1] if nodes else None
        if not isinstance(last, If):
            return None
        if last.no is None:
            return self._dangling(last.yes) or last
        return self._dangling(last.no)

    def _do(self, stream: Stream) -> None:
        node: Group | Loop | Each
        if stream.done():
            node = Group()
        elif stream.low() in ("while", "until") and stream.low(1) == "(":
            node = self._conditional(stream)
        else:
            node = self._iterative(stream)
        self._lists[-1].append(node)
        self._open(node, node.body)

    def _conditional(self, stream: Stream) -> Loop:
        between, top = self._tests(stream)
        return Loop([], between, top)

    def _tests(self, stream: Stream) -> tuple[list[str], list[str]]:
        between: list[str] = []
        top: list[str] = []
        while stream.low() in ("while", "until"):
            until = stream.take().low == "until"
            stream.expect("(")
            condition = self.expressions.need(self.expressions.expression(stream), "n").condition
            stream.expect(")")
            if until:
                between.append(f"if {condition}: break")
            else:
                top.append(f"if not {condition}: break")
        return between, top

    def _iterative(self, stream: Stream) -> Loop | Each:
        variable = self.pdv.number(stream.name(), written=True)
        target = f"v[{variable.slot}]"
        stream.expect("=")
        start = self.expressions.expression(stream)
        self.expressions.need(start, "n")
        if stream.low() == ",":
            listed = [start.code]
            while stream.accept(","):
                listed.append(self.expressions.need(self.expressions.expression(stream), "n").code)
            return Each(target, listed)
        stop = step = None
        while stream.low() in ("to", "by"):
            word = stream.take().low
            bound = self.expressions.need(self.expressions.expression(stream), "n")
            stop, step = (bound, step) if word == "to" else (stop, bound)
        between, top = self._tests(stream)
        return self._counted(target, start, stop, step, between, top)

    def _counted(
        self, target: str, start: E, stop: E | None, step: E | None,
        between: list[str], top: list[str],
    ) -> Loop:  # fmt: skip
        first, last, by = self.unique("first"), self.unique("last"), self.unique("by")
        before = [f"{first} = {start.code}", f"{by} = {step.code if step else '1.0'}"]
        if stop is None and step is None:
            between.append("break")
        else:
            between.append(f"{target} = add({target}, {by})")
        if stop is not None:
            before.append(f"{last} = {stop.code}")
            top.insert(0, f"if not in_range({target}, {last}, {by}): break")
        before.append(f"{target} = {first}")
        return Loop(before, between, top)

    def _end(self, stream: Stream) -> None:
        if not self._frames:
            raise stream.fault("END without DO or SELECT")
        self._frames.pop()
        self._lists.pop()

    def _select(self, stream: Stream) -> None:
        if stream.done():
            value = None
        else:
            stream.expect("(")
            value = self.expressions.expression(stream)
            stream.expect(")")
        node = Select(value)
        self._lists[-1].append(node)
        self._open(node, [])

    def _when(self, stream: Stream) -> None:
        node = self._frames[-1] if self._frames else None
        if not isinstance(node, Select):
            raise stream.fault("WHEN outside of SELECT")
        value = node.value
        assert value is None or isinstance(value, E)
        stream.expect("(")
        conditions = []
        while not stream.accept(")"):
            one = self.expressions.expression(stream)
            if value is None:
                conditions.append(one.condition)
            else:
                conditions.append(self._equal(value, one, stream))
            stream.accept(",")
        body: list[Node] = []
        node.whens.append((" or ".join(conditions), body))
        self._nested(body, stream)

    def _equal(self, value: E, one: E, stream: Stream) -> str:
        if value.kind != one.kind:
            raise stream.fault("WHEN with a value of the other type")
        return f"{value.loose} == {one.loose}" if one.kind == "c" else f"{value.code} == {one.code}"

    def _otherwise(self, stream: Stream) -> None:
        node = self._frames[-1] if self._frames else None
        if not isinstance(node, Select) or node.otherwise is not None:
            raise stream.fault("OTHERWISE out of place")
        node.otherwise = []
        if not stream.done():
            self._nested(node.otherwise, stream)

    def _link(self, stream: Stream) -> None:
        name = stream.name("a label").lower()
        self.links.add(name)
        self.add(f"L_{name}()")

    def _return(self, _stream: Stream) -> None:
        self.add("return")

    def _leave(self, _stream: Stream) -> None:
        self.add("break")

    def _continue(self, _stream: Stream) -> None:
        self.add("continue")

    def _stop(self, _stream: Stream) -> None:
        self.add("raise StopStep")

    def _delete(self, _stream: Stream) -> None:
        self.add("raise NextIteration")

    def _output(self, stream: Stream) -> None:
        self.has_output = True
        if stream.done():
            self.add("output_all()")
            return
        while not stream.done():
            first = stream.name().lower()
            member = f"work.{first}"
            if stream.accept("."):
                member = f"{first}.{stream.name().lower()}"
            if member not in self.outputs:
                raise stream.fault(f"OUTPUT {member} is not in the DATA statement")
            self.add(f"output_to({member!r})")

    def _call(self, stream: Stream) -> None:
        name = stream.name().lower()
        stream.expect("(")
        if name == "missing":
            self._call_missing(stream)
            return
        routines = {"symputx": "call_symputx", "symput": "call_symput", "sleep": "call_sleep"}
        if name not in routines:
            raise stream.unknown(f"CALL {name}")
        given = self.expressions.arguments(stream)
        if name != "sleep":
            self.expressions.need(given[0], "c")
        if name == "symput":
            self.expressions.need(given[1], "c")
        self.add(f"{routines[name]}({', '.join(one.code for one in given)})")

    def _call_missing(self, stream: Stream) -> None:
        while not stream.accept(")"):
            stream.accept("of")
            name = stream.name().lower()
            if name in self.pdv.arrays:
                stream.expect("{", "[")
                stream.expect("*")
                stream.expect("}", "]")
                slots = list(self.pdv.arrays[name].slots)
            else:
                found = self.pdv.find(name)
                if found is None:
                    raise stream.fault(f"CALL MISSING of {name}, which is no variable yet")
                slots = [found.slot]
            for slot in slots:
                self.pdv.slots[slot].written = True
                self.add(f"v[{slot}] = {self.pdv.slots[slot].blank!r}")
            stream.accept(",")


def overlay(value: bytes, declared: int, start: Any, length: Any, part: bytes) -> bytes:
    """SUBSTR on the left: ``part`` cut or filled with blanks to the length of the place. ``value``
    comes without the blanks that pad it to ``declared``."""
    at = whole(start, "SUBSTR on the left") - 1
    size = declared - at if length is Ellipsis else whole(length, "SUBSTR on the left")
    if at < 0 or size < 1 or at + size > declared:
        raise Fault(f"SUBSTR on the left: {size} bytes from {at + 1} of {declared}")
    return (value[:at].ljust(at) + part[:size].ljust(size) + value[at + size :]).rstrip(b" ")
