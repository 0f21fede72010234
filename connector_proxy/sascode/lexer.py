"""SAS source in, tokens and statements out.

Facts only. A string may go on over a line end for SAS; here it may not, since a quote that is never
closed looks exactly like that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Token(NamedTuple):
    """A piece of source. ``kind`` is one of comment, string, open (something that is never
    closed), macro (``%name``), reference (``&name``), format (``$char8.``), word, number, space,
    mark."""

    kind: str
    text: str
    line: int

    @property
    def low(self) -> str:
        """The text in lower case, as SAS compares names."""
        return self.text.lower()


_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/)
      | (?P<string>(?:'(?:[^'\n]|'')*'|"(?:[^"\n]|"")*")(?:[A-Za-z]{1,2}(?!\w))?)
      | (?P<open>/\*|'|")
      | (?P<macro>%\w+)
      | (?P<reference>&+\w+\.?)
      | (?P<format>(?:\$\w*|[A-Za-z_]\w*|\d+)\.\d*(?![\w&%]))
      | (?P<word>[A-Za-z_]\w*)
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<space>\s+)
      | (?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)


def tokens(source: str) -> list[Token]:
    """All tokens of ``source`` up to the first thing that is never closed, which is the last."""
    found, line = [], 1
    for match in _TOKEN.finditer(source):
        token = Token(str(match.lastgroup), match[0], line)
        found.append(token)
        if token.kind == "open":
            break
        line += match[0].count("\n")
    return found


def code(found: Sequence[Token]) -> list[Token]:
    """The tokens that SAS acts on."""
    return [token for token in found if token.kind not in ("comment", "space")]


def statements(acting: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens of ``code`` in pieces that end before each semicolon; the last may have none."""
    statement: list[Token] = []
    for token in acting:
        if token.text == ";":
            yield statement
            statement = []
        else:
            statement.append(token)
    if statement:
        yield statement


def closing(acting: Sequence[Token], at: int) -> int:
    """Where the bracket that opens at ``at`` is closed, or the end where it never is."""
    depth = 0
    for index in range(at, len(acting)):
        depth += {"(": 1, ")": -1}.get(acting[index].text, 0)
        if depth == 0:
            return index
    return len(acting)


def arguments(acting: Sequence[Token], at: int) -> list[list[Token]]:
    """What stands in the brackets that open at ``at``, split at commas as SAS splits it."""
    end = closing(acting, at)
    found: list[list[Token]] = [[]]
    depth = 0
    for token in acting[at + 1 : end]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            found.append([])
        else:
            found[-1].append(token)
    return found if found != [[]] else []
