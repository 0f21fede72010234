"""%EVAL and %SYSEVALF: arithmetic and logic on text.

Order of operators as in the macro language reference: ``**``; prefix ``+ -``; ``^ NOT``; ``* /``;
``+ -``; comparisons; AND; OR. Two operands are compared as numbers when both are whole numbers
(any numbers in %SYSEVALF), otherwise as text. What is masked is always an operand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.sas.errors import Fault, Unknown
from tests.sas.quoting import has_masked, strip, unmask

_COMPARE: dict[str, Callable[[object, object], bool]] = {
    "=": lambda a, b: a == b,
    "^=": lambda a, b: a != b,
    "<": lambda a, b: a < b,  # type: ignore[operator]
    "<=": lambda a, b: a <= b,  # type: ignore[operator]
    ">": lambda a, b: a > b,  # type: ignore[operator]
    ">=": lambda a, b: a >= b,  # type: ignore[operator]
}
_WORDS = {"eq": "=", "ne": "^=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "and": "&",
          "or": "|", "not": "^", "in": "in"}  # fmt: skip
_MARKS = {"~=": "^=", "~": "^", "!": "|", "¬": "^", "¬=": "^="}
_TOKEN = re.compile(
    r"'[^']*'|\"[^\"]*\"|\s+|\*\*|[<>^~¬]=|[-+*/<>=^~¬&|!()#]|[A-Za-z_]\w*(?![\w.])|.", re.DOTALL
)
_OPERATORS = set("^&|()*/+-<>=#") | {"**", "^=", "<=", ">=", "in"}


@dataclass(frozen=True)
class _Token:
    text: str
    operator: bool


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    operand: list[str] = []

    def flush() -> None:
        word = strip("".join(operand))
        if word:
            found.append(_Token(word, False))
        operand.clear()

    for match in _TOKEN.finditer(text):
        piece = match[0]
        lowered = piece.lower()
        name = _WORDS.get(lowered, _MARKS.get(piece, piece))
        glued = bool(operand) and not operand[-1].isspace()
        if name in _OPERATORS and not (lowered in _WORDS and glued):
            flush()
            found.append(_Token(name, True))
        else:
            operand.append(piece)
    flush()
    return found


def _whole(text: str) -> int | None:
    plain = unmask(text)
    return int(plain) if re.fullmatch(r"[-+]?\d+", plain) else None


def _hexadecimal(plain: str) -> int | None:
    return int(plain[:-1], 16) if re.fullmatch(r"\d[0-9A-Fa-f]*[xX]", plain) else None


def _floating(text: str) -> float | None:
    plain = unmask(text).strip()
    if plain == ".":
        raise Unknown("a missing value in %SYSEVALF")
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", plain):
        return float(plain)
    return None


class _Evaluator:
    def __init__(self, text: str, *, floating: bool) -> None:
        self.source = text
        self.tokens = _tokens(text)
        self.at = 0
        self.floating = floating
        self.read = _floating if floating else _whole
        self.what = "%SYSEVALF" if floating else "%EVAL or %IF"

    def fault(self, message: str) -> Fault:
        return Fault(f"{message} in {self.what}: {unmask(self.source).strip()!r}")

    def peek(self) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at].operator:
            return self.tokens[self.at].text
        return None

    def number(self, value: str | float) -> float | int:
        if not isinstance(value, str):
            return value
        if _hexadecimal(value) is not None:
            raise Unknown(f"the hexadecimal operand {value}")
        read = self.read(value)
        if read is None:
            raise self.fault(f"a character operand {unmask(value)!r} where a number is required")
        return read

    def whole(self) -> str | float | int:
        value = self.disjunction()
        if self.at < len(self.tokens):
            raise self.fault(f"{unmask(self.tokens[self.at].text)!r} out of place")
        return value

    def disjunction(self) -> str | float | int:
        value = self.conjunction()
        while self.peek() == "|":
            self.at += 1
            other = self.conjunction()
            value = int(bool(self.number(value)) | bool(self.number(other)))
        return value

    def conjunction(self) -> str | float | int:
        value = self.comparison()
        while self.peek() == "&":
            self.at += 1
            other = self.comparison()
            value = int(bool(self.number(value)) & bool(self.number(other)))
        return value

    def comparison(self) -> str | float | int:
        value = self.sum()
        operator = self.peek()
        if operator in ("in", "#"):
            raise Unknown("the IN operator in a macro expression (needs MINOPERATOR)")
        if operator not in _COMPARE:
            return value
        self.at += 1
        other = self.sum()
        if self.peek() in _COMPARE:
            raise self.fault("two comparisons in a row")
        left, right = self._comparable(value, other)
        return int(_COMPARE[operator](left, right))

    def _comparable(self, value: str | float, other: str | float) -> tuple[object, object]:
        left = value if not isinstance(value, str) else self.read(value)
        right = other if not isinstance(other, str) else self.read(other)
        if left is not None and right is not None:
            return left, right
        return _plain(value), _plain(other)

    def sum(self) -> str | float | int:
        value = self.product()
        while self.peek() in ("+", "-"):
            operator = self.peek()
            self.at += 1
            left, right = self.number(value), self.number(self.product())
            value = left + right if operator == "+" else left - right
        return value

    def product(self) -> str | float | int:
        value = self.prefix()
        while self.peek() in ("*", "/"):
            operator = self.peek()
            self.at += 1
            left, right = self.number(value), self.number(self.prefix())
            if operator == "*":
                value = left * right
            elif right == 0:
                raise self.fault("division by zero")
            else:
                value = left / right if self.floating else int(left / right)
        return value

    def prefix(self) -> str | float | int:
        operator = self.peek()
        if operator == "^":
            self.at += 1
            return int(not self.number(self.prefix()))
        if operator in ("+", "-"):
            self.at += 1
            value = self.number(self.prefix())
            return -value if operator == "-" else value
        return self.power()

    def power(self) -> str | float | int:
        value = self.operand()
        if self.peek() == "**":
            self.at += 1
            value = self.number(value) ** self.number(self.prefix())
        return value

    def operand(self) -> str | float | int:
        if self.peek() == "(":
            self.at += 1
            value = self.disjunction()
            if self.peek() != ")":
                raise self.fault("a bracket is never closed")
            self.at += 1
            return value
        if self.at < len(self.tokens) and not self.tokens[self.at].operator:
            self.at += 1
            return self.tokens[self.at - 1].text
        return ""


def _plain(value: str | float | int) -> str:
    return unmask(value) if isinstance(value, str) else str(value)


def evaluate(text: str) -> int:
    """The whole number that %EVAL, %IF and %DO make of ``text``."""
    evaluator = _Evaluator(text, floating=False)
    return int(evaluator.number(evaluator.whole()))


def evaluate_floating(text: str, conversion: str) -> str:
    """What %SYSEVALF writes: BEST32., or as the conversion says."""
    evaluator = _Evaluator(text, floating=True)
    value = float(evaluator.number(evaluator.whole()))
    kinds: dict[str, Callable[[float], float]] = {
        "": lambda number: number,
        "boolean": lambda number: float(number != 0),
        "ceil": lambda number: float(math.ceil(number)),
        "floor": lambda number: float(math.floor(number)),
        "integer": lambda number: float(math.trunc(number)),
    }
    if conversion.lower() not in kinds:
        raise Unknown(f"%SYSEVALF conversion {conversion}")
    result = kinds[conversion.lower()](value)
    return str(int(result)) if result == int(result) and abs(result) < 1e15 else repr(result)


def has_operand(text: str) -> bool:
    """Whether there is anything to evaluate."""
    return bool(strip(text)) or has_masked(text)
