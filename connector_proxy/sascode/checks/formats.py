"""Checks of formats and informats: each exists, with a width that SAS allows; names of files and
libraries are short enough.

Facts only. The ranges come from outside (``Widths``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from connector_proxy.sascode import program
from connector_proxy.sascode.findings import Finding
from connector_proxy.sascode.lexer import Token
from connector_proxy.sascode.program import Source

Widths = Mapping[str, Mapping[str, Sequence[int]]]
"""``informat`` and ``format`` -> name in lower case -> least and greatest width."""

_LONGEST_REF = 8
_PARTS = re.compile(r"(\$?(?:[A-Za-z_]\w*?)?)(\d*)\.\d*")
_READ, _WRITTEN = ("informat",), ("format",)
_BY_FUNCTION = {
    "input": _READ, "inputn": _READ, "inputc": _READ, "put": _WRITTEN, "putn": _WRITTEN,
    "putc": _WRITTEN, "%sysfunc": _WRITTEN, "%qsysfunc": _WRITTEN,
}  # fmt: skip
_BY_STATEMENT = {"input": _READ, "informat": _READ, "put": _WRITTEN, "format": _WRITTEN}
_EITHER = ("informat", "format")


def check(source: Source, widths: Widths) -> Iterator[Finding]:
    """Findings of one file."""
    for code in (source.outside, *(macro.body for macro in source.macros)):
        acting = program.acting(code)
        for token, kinds in _found(acting):
            issue = _issue(token.low, kinds, widths)
            if issue:
                yield Finding(source.file, token.line, issue)
        yield from _references(source.file, acting)


def _found(acting: Sequence[Token]) -> Iterator[tuple[Token, tuple[str, ...]]]:
    """Formats with the kinds that they may be of, by what stands around them."""
    statement, opened, before = "", [""], Token("mark", ";", 0)
    for token in acting:
        if before.text == ";":
            statement = token.low
        if token.text == "(":
            opened.append(before.low)
        elif token.text == ")" and len(opened) > 1:
            opened.pop()
        elif token.kind == "format":
            kinds = _kinds(statement, opened, before)
            if kinds or not token.text[0].isdigit():
                yield token, kinds or _EITHER
        before = token


def _kinds(statement: str, opened: Sequence[str], before: Token) -> tuple[str, ...]:
    """What a format is by the function around it, else by its statement; nothing where it may be
    a number."""
    for name in reversed(opened):
        if name in _BY_FUNCTION:
            return _BY_FUNCTION[name] if before.text in (",", "?", ":") else ()
    return _BY_STATEMENT.get(statement, ()) if before.text not in ("=", "@", "+") else ()


def _issue(text: str, kinds: tuple[str, ...], widths: Widths) -> str:
    found = _PARTS.fullmatch(text)
    if found is None:
        return ""
    name, width = found[1], found[2]
    ranges = [widths[kind][key] for kind in kinds for key in _keys(name) if key in widths[kind]]
    if not ranges:
        return f"{text} is no {' or '.join(kinds)} of SAS"
    if width and not any(least <= int(width) <= most for least, most in ranges):
        least, most = ranges[0]
        return f"{text} has the width {width}; SAS allows {least} to {most} for this {kinds[0]}"
    return ""


def _keys(name: str) -> tuple[str, ...]:
    """Under what a name stands in the table: YYMMDDN as YYMMDDX, where X is any separator."""
    return (name, f"{name[:-1]}x") if name[-1:] in tuple("bcdnps") else (name,)


def _references(file: str, acting: Sequence[Token]) -> Iterator[Finding]:
    for token, behind in pairwise(acting):
        named = token.low in ("filename", "libname") and behind.kind == "word"
        if named and len(behind.text) > _LONGEST_REF:
            what = f"{behind.text} is longer than 8 characters, the most for a {token.low}"
            yield Finding(file, behind.line, what)
