"""What a SAS file consists of: macros, and their calls.

Facts only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from connector_proxy.sascode import lexer
from connector_proxy.sascode.lexer import Token

# fmt: off
LANGUAGE = frozenset({
    "macro", "mend", "let", "local", "global", "if", "then", "else", "do", "to", "by", "while",
    "until", "end", "put", "include", "return", "symdel", "sysfunc", "qsysfunc", "superq", "str",
    "nrstr", "bquote", "nrbquote", "unquote", "eval", "sysevalf", "length", "scan", "qscan",
    "substr", "qsubstr", "upcase", "qupcase", "lowcase", "qlowcase", "index", "symexist",
    "symglobl", "symlocal", "sysmacexist",
})
"""Statements and functions of the macro language that the bundled code may use."""
# fmt: on


class Fault(NamedTuple):
    """What does not fit, and the line where it shows."""

    line: int
    message: str


@dataclass(frozen=True)
class Macro:
    """One macro: ``parameters`` by position, ``keywords`` with a default; ``body`` is code."""

    name: str
    parameters: tuple[str, ...]
    keywords: tuple[str, ...]
    body: tuple[Token, ...]
    file: str
    line: int


class Call(NamedTuple):
    """One call of a macro that is not of the language. ``arguments`` are tokens."""

    name: str
    arguments: list[list[Token]]
    line: int


@dataclass
class Source:
    """One file taken apart: ``code`` is all of it, ``macros`` in order, ``outside`` what stands in
    no macro; ``faults`` of its macros."""

    file: str
    code: list[Token]
    macros: list[Macro] = field(default_factory=list)
    outside: list[Token] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def read(file: str, text: str) -> Source:
    """Take a file apart."""
    source = Source(file, lexer.code(lexer.tokens(text)))
    at = 0
    while at < len(source.code):
        at = _macro(source, at) if source.code[at].low == "%macro" else _outside(source, at)
    return source


def _outside(source: Source, at: int) -> int:
    token = source.code[at]
    source.outside.append(token)
    if token.low == "%mend":
        source.faults.append(Fault(token.line, "%mend closes no macro"))
    return at + 1


def _macro(source: Source, at: int) -> int:
    """Take the macro that begins at ``at``; returns where the code goes on."""
    begin = source.code[at]
    head = _index(source.code, ";", at)
    end = next(
        (n for n in range(head, len(source.code)) if source.code[n].low in ("%mend", "%macro")),
        len(source.code),
    )
    name = source.code[at + 1].low if at + 1 < head else ""
    positional, keywords = _parameters(source.code[at:head])
    if sum({"(": 1, ")": -1}.get(token.text, 0) for token in source.code[at:head]):
        source.faults.append(Fault(begin.line, f"the brackets of macro {name} do not match"))
    body = tuple(source.code[head + 1 : end])
    source.macros.append(Macro(name, positional, keywords, body, source.file, begin.line))
    if end == len(source.code) or source.code[end].low == "%macro":
        source.faults.append(Fault(begin.line, f"macro {name} is not closed by a %mend"))
        return end
    closed = source.code[end + 1] if end + 1 < len(source.code) else begin
    if closed.low != name:
        source.faults.append(Fault(source.code[end].line, f"this %mend does not name {name}"))
    return _index(source.code, ";", end) + 1


def _index(code: Sequence[Token], text: str, at: int) -> int:
    return next((n for n in range(at, len(code)) if code[n].text == text), len(code))


def _parameters(head: Sequence[Token]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    opening = _index(head, "(", 0)
    given = lexer.arguments(head, opening) if opening < len(head) else []
    positional = [one[0].low for one in given if len(one) == 1]
    return tuple(positional), tuple(one[0].low for one in given if len(one) > 1)


def calls(code: Sequence[Token]) -> Iterator[Call]:
    """Calls of macros that are not of the language, also those inside of other calls."""
    for at, token in enumerate(code):
        name = token.low[1:]
        if token.kind != "macro" or name in LANGUAGE or name.isdigit():
            continue
        behind = at + 1 < len(code) and code[at + 1].text == "("
        yield Call(name, lexer.arguments(code, at + 1) if behind else [], token.line)


def acting(code: Sequence[Token]) -> list[Token]:
    """``code`` without what is free text: arguments of our own macros, the text of %PUT."""
    found: list[Token] = []
    at = 0
    while at < len(code):
        token = code[at]
        found.append(token)
        own = token.kind == "macro" and token.low[1:] not in LANGUAGE
        if own and at + 1 < len(code) and code[at + 1].text == "(":
            at = lexer.closing(code, at + 1)
        elif token.low == "%put":
            at = _index(code, ";", at) - 1
        at += 1
    return found
