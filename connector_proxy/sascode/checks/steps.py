"""Checks of statements: blocks and brackets in balance, steps ended, no semicolon missing, nothing
that harms a shared server or cannot be checked without SAS.

Facts only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from connector_proxy.sascode import lexer, program
from connector_proxy.sascode.findings import Finding
from connector_proxy.sascode.lexer import Token
from connector_proxy.sascode.program import Source

PROCEDURES = frozenset({"http", "copy", "datasets", "append", "printto", "sort", "contents"})
"""The only ones that are used: their effects can be foreseen without SAS."""

_BANNED = {
    "endsas": "ends the server process, which all users share",
    "abort": "ends the server process, which all users share",
    "dlgcdir": "changes the folder of the server process for everybody",
    "dosubl": "runs code where no check sees it",
    "execute": "runs code where no check sees it",
    "automap": "rewrites the shared map at every request",
    "stpbegin": "writes ODS output into the answer",
    "stpend": "writes ODS output into the answer",
    "putlog": "may bring customer data into the log",
    "systask": "starts a program",
    "sysexec": "starts a program",
    "hiter": "is outside of what can be checked without SAS",
}
_BANNED_PAIRS = {
    ("declare", "hash"): "is outside of what can be checked without SAS",
    ("dcl", "hash"): "is outside of what can be checked without SAS",
    ("call", "symput"): "keeps blanks; use CALL SYMPUTX",
    ("call", "system"): "starts a program",
    ("put", "_all_"): "brings customer data into the log",
    ("put", "_infile_"): "brings customer data into the log or the answer",
}
_SWALLOWING = frozenset({"%let", "%put", "%local", "%global", "%symdel", "%mend"})
_STARTS = frozenset({
    "%macro", "%mend", "%do", "%end", "%if", "%else", "%let", "%local", "%global", "%put",
    "%symdel",
})  # fmt: skip
_STEP_BEGINS, _STEP_ENDS = frozenset({"data", "proc"}), frozenset({"run", "quit"})
_BEFORE_A_STATEMENT = frozenset({"", ";", "%then", "%else", "then", "else", "otherwise"})
_BRACKETS = {")": "(", "}": "{", "]": "["}


def check(source: Source) -> Iterator[Finding]:
    """Findings of one file."""
    for name, code in _parts(source):
        acting = program.acting(code)
        for line, message in (
            *_blocks(name, acting), *_brackets(name, code), *_thens(acting), *_steps(name, acting),
            *_swallowed(code), *_star_comments(acting), *_banned(acting),
        ):  # fmt: skip
            yield Finding(source.file, line, message)


def _parts(source: Source) -> Iterator[tuple[str, Sequence[Token]]]:
    yield "the code outside of macros", source.outside
    for macro in source.macros:
        yield f"macro {macro.name}", macro.body


_Issues = Iterator[tuple[int, str]]


def _blocks(name: str, acting: Sequence[Token]) -> _Issues:
    for opening, closing in (("%do", "%end"), ("do", "end")):
        depth, line = 0, 0
        for at, token in enumerate(acting):
            following = acting[at + 1].text if at + 1 < len(acting) else ""
            if token.low == closing and (closing == "%end" or following == ";"):
                depth -= 1
            elif _opens(token, opening, following, acting[at - 1].low if at else ""):
                depth, line = depth + 1, line if depth > 0 else token.line
            if depth < 0:
                yield token.line, f"{closing.upper()} in {name} closes nothing"
                depth = 0
        if depth:
            yield line, f"{opening.upper()} in {name} is not closed by {closing.upper()}"


def _opens(token: Token, opening: str, following: str, before: str) -> bool:
    if opening == "do" and token.low == "select":
        return following in ("(", ";") and before in _BEFORE_A_STATEMENT
    return token.low == opening and following != "="


def _brackets(name: str, code: Sequence[Token]) -> _Issues:
    opened: list[Token] = []
    for token in code:
        if token.text in _BRACKETS.values():
            opened.append(token)
        elif token.text in _BRACKETS and (not opened or opened.pop().text != _BRACKETS[token.text]):
            yield token.line, f"{token.text} in {name} closes nothing"
            return
    if opened:
        yield opened[-1].line, f"{opened[-1].text} in {name} is never closed"


def _thens(acting: Sequence[Token]) -> _Issues:
    """%IF goes on to %THEN; IF may end at its condition, but not at DO."""
    for statement in lexer.statements(acting):
        words = [token.low for token in statement]
        if words.count("%if") > words.count("%then"):
            yield statement[words.index("%if")].line, "%IF without %THEN"
        if "if" in words and words[-1] == "do" and words.count("if") > words.count("then"):
            yield statement[words.index("if")].line, "IF without THEN"


def _steps(name: str, acting: Sequence[Token]) -> _Issues:
    """Each step is ended before the next begins, and RUN and QUIT stand alone."""
    begun: Token | None = None
    for at, token in enumerate(acting):
        following = acting[at + 1].text if at + 1 < len(acting) else ""
        if token.low in _STEP_ENDS and following == ";":
            if not _at_start(acting, at):
                yield token.line, f"a semicolon is missing before {token.text} in {name}"
            if begun is None:
                yield token.line, f"{token.text} in {name} ends no step"
            begun = None
        elif token.low in _STEP_BEGINS and following not in ("=", ")") and _at_start(acting, at):
            if begun is not None:
                yield begun.line, f"the step that begins here in {name} is not ended by RUN or QUIT"
            begun = token
    if begun is not None:
        yield begun.line, f"the step that begins here in {name} is not ended by RUN or QUIT"


def _at_start(acting: Sequence[Token], at: int) -> bool:
    before = acting[at - 1] if at else Token("space", "", 0)
    own = before.kind == "macro" and before.low[1:] not in program.LANGUAGE
    return own or before.low in _BEFORE_A_STATEMENT


def _swallowed(code: Sequence[Token]) -> _Issues:
    """%LET and its like take all up to the next semicolon, also the statement behind."""
    for statement in lexer.statements(code):
        for at, token in enumerate(statement):
            if token.low in _SWALLOWING:
                inside = next((t for t in statement[at + 1 :] if t.low in _STARTS), None)
                if inside:
                    yield inside.line, f"a semicolon is missing before {inside.text}"


def _star_comments(acting: Sequence[Token]) -> _Issues:
    for statement in lexer.statements(acting):
        starred = statement and (
            statement[0].text == "*" or [t.text for t in statement[:2]] == ["%", "*"]
        )
        if starred:
            yield statement[0].line, "a comment with * is broken by an apostrophe; write /* ... */"


def _banned(acting: Sequence[Token]) -> _Issues:
    for at, token in enumerate(acting):
        following = acting[at + 1].low if at + 1 < len(acting) else ""
        name = token.low.lstrip("%")
        why = _BANNED.get(name) or _BANNED_PAIRS.get((name, following))
        if why and token.kind in ("word", "macro"):
            shown = name if name in _BANNED else f"{name} {following}"
            yield token.line, f"{shown.upper()} {why}"
        elif token.low == "x" and _at_start(acting, at) and re.match("['\"]", following):
            yield token.line, "X starts a program"
        elif token.low == "proc" and _at_start(acting, at) and following not in PROCEDURES:
            yield token.line, f"PROC {following.upper()} is none of those that can be checked"
        elif token.low == "filename" and at + 2 < len(acting) and acting[at + 2].low == "pipe":
            yield token.line, "FILENAME PIPE starts a program"
