"""Expressions of the DATA step -> Python source that is compiled once a step.

Types are checked here: what SAS would convert with a NOTE is a Fault. Both sides of AND and OR
are always evaluated, since SAS does not promise to leave one out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.sas import formats, informats, values
from tests.sas.errors import Fault
from tests.sas.formats import EPOCH
from tests.sas.functions import CAT_FAMILY, MAX_CHAR, Function
from tests.sas.lexer import Stream, Token, string_value
from tests.sas.pdv import Array, Pdv, Variable


@dataclass(frozen=True)
class E:
    """``code`` gives the value with all of its blanks, ``loose`` without those at the end."""

    code: str
    kind: str
    length: int = 8
    boolean: bool = False
    bare: str = ""
    cat: str = ""
    free: bool = False
    """Whether a value can be longer than the length that a new variable would get."""
    unclear: str = ""
    """The function whose result has no documented length."""

    @property
    def loose(self) -> str:
        """Code for a character value without trailing blanks."""
        return self.bare or f"({self.code}).rstrip(b' ')"

    @property
    def condition(self) -> str:
        """Code for True or False."""
        return self.code if self.boolean else f"truth({self.code})"


def array_place(slots: tuple[int, ...], index: Any, name: str) -> int:
    """The slot of an element; SAS stops the step when there is none."""
    if values.is_missing(index) or not 1 <= int(index) <= len(slots):
        raise Fault(f"array subscript out of range: {name}{{{index}}}")
    return slots[int(index) - 1]


def _arithmetic(apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compute(left: Any, right: Any) -> Any:
        try:
            return apply(left, right)
        except TypeError:
            return None

    return compute


def _divide(left: Any, right: Any) -> Any:
    if right == 0 and not values.is_missing(left):
        raise Fault("division by zero")
    return left / right


def _power(left: Any, right: Any) -> Any:
    result = left**right
    if isinstance(result, complex):
        raise Fault("a root of a negative number")
    return float(result)


def _negate(value: Any) -> Any:
    return None if values.is_missing(value) else -value


BASE: dict[str, Any] = {
    "add": _arithmetic(lambda left, right: left + right),
    "sub": _arithmetic(lambda left, right: left - right),
    "mul": _arithmetic(lambda left, right: left * right),
    "div": _arithmetic(_divide),
    "pow_": _arithmetic(_power),
    "neg": _negate,
    "truth": values.truth,
    "lt": values.lt, "le": values.le, "gt": values.gt, "ge": values.ge,
    "clt": values.clt, "cle": values.cle, "starts": values.starts,
    "place": array_place,
}  # fmt: skip

_WORDS = {
    "eq": "=",
    "ne": "^=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "&",
    "or": "|",
}
_SAME = {"~=": "^=", "!!": "||", "!": "|"}
_ORDER = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_COMPARE = {"=", "^=", "<", "<=", ">", ">="}


@dataclass
class Namespace:
    """Names that the generated code uses."""

    names: dict[str, Any] = field(default_factory=lambda: dict(BASE))
    known: dict[Any, str] = field(default_factory=dict)

    def constant(self, value: Any) -> str:
        """The name of a constant."""
        key = (type(value), value)
        if key not in self.known:
            name = f"K{len(self.known)}"
            self.known[key] = name
            self.names[name] = value
        return self.known[key]

    def thing(self, value: Any) -> str:
        """The name of a function or another object."""
        name = f"T{len(self.names)}"
        self.names[name] = value
        return name


class Expressions:
    """Reads expressions from a stream of tokens."""

    def __init__(
        self,
        pdv: Pdv,
        namespace: Namespace,
        functions: dict[str, Function],
        encode: Callable[[str], bytes],
    ) -> None:
        self.pdv, self.space, self.functions, self.encode = pdv, namespace, functions, encode
        self.infile_length = 0
        self._special: dict[str, Callable[[Stream], E]] = {
            "put": self._put,
            "input": self._input,
            "dim": self._dim,
            "hbound": self._dim,
            "lbound": lambda stream: self._bound(stream, 1.0),
            "vlength": self._vlength,
        }

    # literals and variables

    def text(self, value: bytes) -> E:
        """A character constant."""
        shown = value or b" "
        name = self.space.constant(shown)
        bare = self.space.constant(shown.rstrip(b" "))
        return E(name, "c", len(shown), bare=bare)

    def number(self, value: Any) -> E:
        """A numeric constant."""
        if isinstance(value, float):
            return E(
                repr(value)
                if value == value and abs(value) < 1e300
                else self.space.constant(value),
                "n",
            )
        return E("None" if value is None else self.space.thing(value), "n")

    def variable(self, found: Variable) -> E:
        """The value of a variable."""
        found.read = True
        place = f"v[{found.slot}]"
        if found.kind == "n":
            return E(place, "n")
        return E(f"{place}.ljust({found.length})", "c", found.length, bare=place)

    def literal(self, token: Token, stream: Stream) -> E:
        """A quoted constant with its suffix."""
        text, suffix = string_value(token)
        if suffix == "":
            return self.text(self.encode(text))
        if suffix == "x":
            try:
                return self.text(bytes.fromhex(text.replace(",", "")))
            except ValueError:
                raise stream.fault(f"invalid hexadecimal constant {token.text}") from None
        patterns = {"d": "%d%b%Y", "dt": "%d%b%Y:%H:%M:%S"}
        if suffix not in patterns:
            raise stream.unknown(f"constant with the suffix {suffix}")
        whole, point, fraction = text.strip().partition(".")
        try:
            if point and suffix != "dt":
                raise ValueError
            seconds = (dt.datetime.strptime(whole, patterns[suffix]) - EPOCH).total_seconds()
            seconds += float(f"0.{fraction or 0}")
        except ValueError:
            raise stream.fault(f"invalid date constant {token.text}") from None
        return self.number(seconds / 86400 if suffix == "d" else seconds)

    # operators

    def expression(self, stream: Stream) -> E:
        """OR."""
        left = self._and(stream)
        while self._operator(stream) == "|":
            stream.take()
            left = self._logical(left, "|", self._and(stream))
        return left

    def _logical(self, left: E, operator: str, right: E) -> E:
        for one in (left, right):
            self.need(one, "n")
        return E(f"({left.condition} {operator} {right.condition})", "n", boolean=True)

    def _and(self, stream: Stream) -> E:
        left = self._comparison(stream)
        while self._operator(stream) == "&":
            stream.take()
            left = self._logical(left, "&", self._comparison(stream))
        return left

    def _operator(self, stream: Stream) -> str:
        low = stream.low()
        return _WORDS.get(low, _SAME.get(low, low))

    def _comparison(self, stream: Stream) -> E:
        left = self._concatenation(stream)
        operator = self._operator(stream)
        if stream.low() in _WORDS and operator in _COMPARE and stream.low(1) == ":":
            stream.take()
            operator += ":"
        if stream.low() == "not" and stream.low(1) == "in":
            stream.take()
            stream.take()
            return E(f"(not {self._in(left, stream).code})", "n", boolean=True)
        if operator == "in":
            stream.take()
            return self._in(left, stream)
        plain = operator.rstrip(":")
        plain = _SAME.get(plain, plain)
        if plain not in _COMPARE:
            return left
        stream.take()
        if left.code.startswith("(not "):
            raise stream.fault("NOT binds tighter than a comparison: brackets are needed")
        right = self._concatenation(stream)
        found = self._compared(left, plain, right, stream, cut=operator.endswith(":"))
        second = _SAME.get(self._operator(stream), self._operator(stream))
        if second in ("<", "<="):  # 16 <= age <= 65 is documented as an implied AND
            stream.take()
            other = self._compared(right, second, self._concatenation(stream), stream, cut=False)
            found = self._logical(found, "&", other)
        if self._operator(stream).rstrip(":") in _COMPARE:
            raise stream.fault("comparisons in a row")
        return found

    def _compared(self, left: E, operator: str, right: E, stream: Stream, *, cut: bool) -> E:
        if left.kind != right.kind:
            raise stream.fault("a comparison of a character with a numeric value")
        if left.kind == "n":
            if cut:
                raise stream.fault("the colon modifier with numbers")
            signs = {"=": "==", "^=": "!="}
            code = (
                f"({left.code} {signs[operator]} {right.code})"
                if operator in signs
                else f"{_ORDER[operator]}({left.code}, {right.code})"
            )
            return E(code, "n", boolean=True)
        if cut:
            if operator not in ("=", "^="):
                raise stream.unknown(f"the operator {operator}:")
            code = f"(lambda pair: pair[0] == pair[1])(starts({left.code}, {right.code}))"
            return E(code if operator == "=" else f"(not {code})", "n", boolean=True)
        return E(_character_comparison(left.loose, operator, right.loose), "n", boolean=True)

    def _in(self, left: E, stream: Stream) -> E:
        stream.expect("(")
        found: set[Any] = set()
        while not stream.accept(")"):
            found.add(self._listed(left, stream))
            stream.accept(",")
        value = left.loose if left.kind == "c" else left.code
        return E(f"({value} in {self.space.thing(frozenset(found))})", "n", boolean=True)

    def _listed(self, left: E, stream: Stream) -> Any:
        sign = -1.0 if stream.accept("-") else 1.0
        token = stream.take()
        if token.kind == "string" and left.kind == "c":
            literal = self.literal(token, stream)
            return self.space.names[literal.bare]
        if left.kind == "n" and token.kind == "number":
            if stream.low() == ":":
                raise stream.unknown("a range in IN")
            return sign * float(token.text)
        if left.kind == "n" and token.text == ".":
            return None
        raise stream.fault(f"{token.text} in the list of IN")

    def _concatenation(self, stream: Stream) -> E:
        left = self._sum(stream)
        while self._operator(stream) == "||":
            stream.take()
            right = self._sum(stream)
            if (left.kind, right.kind) != ("c", "c"):
                raise stream.fault("a number beside ||")
            free = left.free or right.free or bool(left.unclear or right.unclear)
            left = E(f"({left.code} + {right.code})", "c", left.length + right.length, free=free)
        return left

    def _sum(self, stream: Stream) -> E:
        left = self._product(stream)
        while stream.low() in ("+", "-"):
            name = "add" if stream.take().text == "+" else "sub"
            left = self._call(name, left, self._product(stream))
        return left

    def _product(self, stream: Stream) -> E:
        left = self._prefix(stream)
        while stream.low() in ("*", "/"):
            name = "mul" if stream.take().text == "*" else "div"
            left = self._call(name, left, self._prefix(stream))
        return left

    def _call(self, name: str, left: E, right: E) -> E:
        for one in (left, right):
            self.need(one, "n")
        return E(f"{name}({left.code}, {right.code})", "n")

    def need(self, one: E, kind: str) -> E:
        """A Fault instead of an automatic conversion."""
        if one.kind != kind:
            what = "character" if kind == "n" else "numeric"
            raise Fault(f"a {what} value would be converted automatically: {one.code}")
        return one

    def _prefix(self, stream: Stream) -> E:
        low = stream.low()
        if low in ("not", "^", "~"):
            stream.take()
            inner = self.need(self._prefix(stream), "n")
            return E(f"(not {inner.condition})", "n", boolean=True)
        if low == "-":
            stream.take()
            inner = self.need(self._prefix(stream), "n")
            return E(f"neg({inner.code})", "n")
        if low == "+":
            stream.take()
            return self.need(self._prefix(stream), "n")
        return self._power(stream)

    def _power(self, stream: Stream) -> E:
        left = self._operand(stream)
        if stream.low() in ("><", "<>"):
            raise stream.unknown(f"the operator {stream.low()}")
        if stream.low() == "**":
            stream.take()
            return self._call("pow_", left, self._prefix(stream))
        return left

    # operands

    def _operand(self, stream: Stream) -> E:
        token = stream.take()
        if token.kind == "string":
            return self.literal(token, stream)
        if token.kind == "number":
            text = token.low
            return self.number(float(int(text[:-1], 16)) if text.endswith("x") else float(text))
        if token.kind == "missing":
            return self.number(values.SPECIAL[token.text[1:].upper()])
        if token.text == ".":
            return self.number(None)
        if token.text == "(":
            inner = self.expression(stream)
            stream.expect(")")
            if inner.boolean:
                return E(f"({inner.code})", "n", boolean=True)
            return inner
        if token.kind != "name":
            raise stream.fault(f"{token.text!r} where a value is expected")
        return self._named(token, stream)

    def _named(self, token: Token, stream: Stream) -> E:
        low = token.low
        if low in self.pdv.arrays and stream.low() in ("{", "[", "("):
            return self.element(self.pdv.arrays[low], stream)
        if stream.low() == "(":
            return self._function(low, stream)
        if low in ("first", "last") and stream.low() == ".":
            stream.take()
            low = f"{low}.{stream.name().lower()}"
            found = self.pdv.find(low)
            if found is None:
                raise stream.fault(f"{low} without a BY statement that names it")
            return self.variable(found)
        if low == "_n_":
            return E("ctx.n", "n")
        if low == "_error_":
            return E("ctx.error", "n")
        if low == "_infile_":
            return E("ctx.infile()", "c", MAX_CHAR)
        if low in self.pdv.arrays:
            raise stream.fault(f"the array {token.text} without subscript")
        return self.variable(self.pdv.find(low) or self.pdv.add(token.text, "n", 8))

    def element(self, array: Array, stream: Stream) -> E:
        """``name{index}``."""
        closing = {"{": "}", "[": "]", "(": ")"}[stream.take().text]
        index = self.need(self.expression(stream), "n")
        stream.expect(closing)
        for slot in array.slots:
            self.pdv.slots[slot].read = True
        place = self.place(array, index)
        if array.kind == "n":
            return E(f"v[{place}]", "n")
        if len(set(array.lengths)) == 1:
            return E(
                f"v[{place}].ljust({array.lengths[0]})", "c", array.lengths[0], bare=f"v[{place}]"
            )
        lengths = self.space.thing(dict(zip(array.slots, array.lengths, strict=True)))
        code = f"(lambda at: v[at].ljust({lengths}[at]))({place})"
        return E(code, "c", max(array.lengths), bare=f"v[{place}]")

    def place(self, array: Array, index: E) -> str:
        """Code for the slot of an element."""
        return f"place({self.space.thing(array.slots)}, {index.code}, {array.name!r})"

    # functions

    def _function(self, name: str, stream: Stream) -> E:
        if name in self._special:
            stream.take()
            return self._special[name](stream)
        function = self.functions.get(name)
        if function is None:
            raise stream.unknown(f"function {name}")
        stream.take()
        return self.called(function, self.arguments(stream), stream)

    def arguments(self, stream: Stream) -> list[E]:
        """Up to the closing bracket; ``of`` lists are spread."""
        found: list[E] = []
        while not stream.accept(")"):
            if stream.low() == "of" and stream.kind(1) == "name":
                stream.take()
                found += self._of(stream)
            else:
                found.append(self.expression(stream))
            if stream.low() != ")":
                stream.expect(",")
        return found

    def _of(self, stream: Stream) -> list[E]:
        found: list[E] = []
        while stream.kind() == "name":
            name = stream.name().lower()
            if name in self.pdv.arrays:
                stream.expect("{", "[", "(")
                stream.expect("*")
                stream.expect("}", "]", ")")
                found += [self.variable(self.pdv.slots[s]) for s in self.pdv.arrays[name].slots]
            else:
                variable = self.pdv.find(name)
                if variable is None:
                    raise stream.fault(f"{name} in an OF list is no variable yet")
                found.append(self.variable(variable))
        return found

    def called(self, function: Function, given: list[E], stream: Stream) -> E:
        """The call of a function with its arguments checked."""
        try:
            types = function.types(len(given))
        except Fault as fault:
            raise stream.fault(str(fault)) from None
        for letter, one in zip(types, given, strict=True):
            if letter != "x" and letter != one.kind:
                raise stream.fault(
                    f"an argument of {function.name} would be converted automatically"
                )
        codes = [one.code for one in given]
        if function.context:
            codes.insert(0, "ctx")
        code = f"{self.space.thing(function.call)}({', '.join(codes)})"
        if function.kind == "n":
            return E(code, "n")
        length = given[0].length if function.length == "first" else function.length
        cat = function.name if function.name in CAT_FAMILY else ""
        if function.length == "":
            return E(code, "c", MAX_CHAR, unclear=function.name)
        free = (
            given[0].free or bool(given[0].unclear) if function.length == "first" else length == 200
        )
        return E(code, "c", int(length), cat=cat, free=free)

    def _put(self, stream: Stream) -> E:
        value = self.expression(stream)
        stream.expect(",")
        fmt = stream.format()
        stream.expect(")")
        if formats.is_character(fmt) != (value.kind == "c"):
            raise stream.fault("the format of PUT is of the other type")
        if value.kind == "n":
            writer = formats.numeric_writer(fmt)
            code = f"{self.space.thing(writer)}({value.code})"
            return E(code, "c", len(writer(None)))
        write, width = formats.character_writer(fmt, value.length)
        return E(f"{self.space.thing(write)}({value.code})", "c", width)

    def _input(self, stream: Stream) -> E:
        value = self.need(self.expression(stream), "c")
        stream.expect(",")
        quiet = 0
        while stream.accept("?"):
            quiet += 1
        fmt = stream.format()
        stream.expect(")")
        if formats.is_character(fmt):
            read, width = informats.character_reader(fmt)
            length = width or value.length
        else:
            read, width = informats.numeric_reader(fmt)
            length = 8
        code = f"ctx.convert({self.space.thing(read)}, {value.code}, {quiet}, {str(fmt)!r})"
        if formats.is_character(fmt):
            return E(code, "c", length)
        return E(code, "n")

    def _dim(self, stream: Stream) -> E:
        array = self.pdv.arrays.get(stream.low())
        return self._bound(stream, float(len(array.slots)) if array else 0.0)

    def _bound(self, stream: Stream, value: float) -> E:
        name = stream.name().lower()
        if name not in self.pdv.arrays:
            raise stream.fault(f"{name} is no array")
        stream.expect(")")
        return self.number(value)

    def _vlength(self, stream: Stream) -> E:
        found = self.pdv.find(stream.name())
        if found is None:
            raise stream.fault("VLENGTH of something that is no variable yet")
        stream.expect(")")
        return self.number(float(found.length))


def _character_comparison(left: str, operator: str, right: str) -> str:
    if operator == "=":
        return f"({left} == {right})"
    if operator == "^=":
        return f"({left} != {right})"
    if operator in ("<", "<="):
        return f"{'clt' if operator == '<' else 'cle'}({left}, {right})"
    return f"(not {'cle' if operator == '>' else 'clt'}({left}, {right}))"
