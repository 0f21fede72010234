"""From pieces of text to statements, and from a statement to tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from tests.sas.errors import Fault, Unknown
from tests.sas.macro import Resolved
from tests.sas.quoting import is_masked, unmask

_STEP = re.compile(r"\s*(data|proc)(?=[\s;])(?!\s*=)", re.IGNORECASE)
_FIRST_WORD = re.compile(r"\w+(?!\w|\Z)|\W")
_INTERESTING = re.compile(r"[;'\"]")


class Assembler:
    """Collects pieces until a statement is whole."""

    def __init__(self) -> None:
        self.buffer: list[str] = []
        self.quote = ""
        self.head = ""
        self.decided = False

    def feed(self, piece: str) -> Iterator[str]:
        """Statements that end in this piece, without their semicolon; "\\0step" is announced when
        the first word of a statement begins a new step."""
        before = self.quote
        for part, ends in self._parts(piece):
            self.buffer.append(part)
            if ends:
                statement, self.buffer, self.head, self.decided = (
                    "".join(self.buffer),
                    [],
                    "",
                    False,
                )
                yield statement
            elif not self.decided and self._begins_step(part):
                yield "\0step"
        if isinstance(piece, Resolved) and self.quote != before:
            raise Fault("a quote in the value of a macro variable opens or closes a string")

    def _begins_step(self, part: str) -> bool:
        """Whether the first word of the statement, now complete, is DATA or PROC."""
        self.head = (self.head + part).lstrip()
        if self.quote or not _FIRST_WORD.match(self.head):
            self.decided = bool(self.quote)
            return False
        self.decided = True
        return _STEP.match(self.head) is not None

    def _parts(self, piece: str) -> Iterator[tuple[str, bool]]:
        start = 0
        for found in _INTERESTING.finditer(piece):
            char = found[0]
            if char == ";":
                if not self.quote:
                    yield self._plain(piece[start : found.start()]), True
                    start = found.end()
            elif not self.quote:
                yield self._plain(piece[start : found.start()]) + char, False
                self.quote, start = char, found.end()
            elif char == self.quote:
                yield piece[start : found.end()], False
                self.quote, start = "", found.end()
        if start < len(piece):
            rest = piece[start:]
            yield rest if self.quote else self._plain(rest), False

    def _plain(self, text: str) -> str:
        """Outside of strings the word scanner takes the masks off."""
        if text.isascii():
            return text
        plain = unmask(text)
        if any(is_masked(char) and unmask(char) in "'\";" for char in text):
            raise Fault(f"a masked quote or semicolon in generated code: {plain.strip()!r}")
        return plain

    def rest(self) -> str:
        """What is left when the text ends."""
        return "".join(self.buffer)


@dataclass(frozen=True)
class Token:
    """``kind`` is name, number, string, missing or mark; ``start`` and ``end`` are places in the
    statement, so that formats can be read from the text."""

    kind: str
    text: str
    start: int
    end: int

    @cached_property
    def low(self) -> str:
        """The text in lower case."""
        return self.text.lower()


_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>/\*.*?\*/)
      | (?P<string>(?:'(?:[^']|'')*'|"(?:[^"]|"")*")(?:dt|[xdntb](?!\w))?)
      | (?P<missing>(?<![\w)])\.[A-Za-z_](?!\w))
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w])|\d[0-9A-Fa-f]*[xX](?!\w))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<mark>\*\*|\|\||!!|<>|><|(?:[\^~<>]=|[=<>]):?|[-+*/&|^~!(){}\[\],:;@.$?\#=])
      | (?P<digits>\d\w*)
    """,
    re.DOTALL | re.VERBOSE | re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def tokens(statement: str) -> tuple[Token, ...]:
    """The tokens of one statement."""
    found: list[Token] = []
    at = 0
    while at < len(statement):
        match = _TOKEN.match(statement, at)
        if not match:
            raise Unknown(f"character {statement[at]!r} in {unmask(statement).strip()[:120]!r}")
        at = match.end()
        kind = str(match.lastgroup)
        if kind not in ("space", "comment"):
            found.append(Token(kind, match[0], match.start(), at))
    return tuple(found)


def string_value(token: Token) -> tuple[str, str]:
    """The text of a literal and its suffix in lower case."""
    match = re.fullmatch(r"(['\"])(.*)\1(\w*)", token.text, re.DOTALL)
    assert match
    quote, inner, suffix = match.groups()
    return unmask(inner.replace(quote * 2, quote)), suffix.lower()


_FORMAT = re.compile(r"(\$?)([A-Za-z_](?:\w*[A-Za-z_])?)?(\d+)?\.(\d+)?(?![A-Za-z_])")


@dataclass(frozen=True)
class FormatName:
    """``$char12.``: name with its dollar in lower case, width, decimals."""

    name: str
    width: int | None
    decimals: int | None

    def __str__(self) -> str:
        decimals = "" if self.decimals is None else str(self.decimals)
        return f"{self.name}{self.width or ''}.{decimals}"


class Stream:
    """The tokens of a statement, read from left to right."""

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.tokens = list(tokens(statement))
        self.at = 0

    def fault(self, message: str) -> Fault:
        """A fault that shows the statement."""
        return Fault(f"{message} in: {unmask(self.statement).strip()[:300]}")

    def unknown(self, what: str) -> Unknown:
        """Something outside of the subset, with the statement."""
        return Unknown(f"{what} in: {unmask(self.statement).strip()[:300]}")

    def peek(self, ahead: int = 0) -> Token | None:
        """The token at hand, or None at the end."""
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def low(self, ahead: int = 0) -> str:
        """Its text in lower case, "" at the end; a string gives nothing."""
        token = self.peek(ahead)
        return "" if token is None or token.kind == "string" else token.low

    def kind(self, ahead: int = 0) -> str:
        """Its kind, "" at the end."""
        token = self.peek(ahead)
        return "" if token is None else token.kind

    def take(self) -> Token:
        """The next token."""
        token = self.peek()
        if token is None:
            raise self.fault("the statement ends too early")
        self.at += 1
        return token

    def accept(self, *texts: str) -> str:
        """Over the token if it is one of ``texts``; what it was, or ""."""
        low = self.low()
        if low and low in texts:
            self.at += 1
            return low
        return ""

    def expect(self, *texts: str) -> str:
        """Over one of ``texts``, which must stand here."""
        found = self.accept(*texts)
        if not found:
            token = self.peek()
            raise self.fault(
                f"{' or '.join(texts)} expected, not {token.text if token else 'the end'}"
            )
        return found

    def name(self, what: str = "a name") -> str:
        """A name as written."""
        token = self.take()
        if token.kind != "name":
            raise self.fault(f"{what} expected, not {token.text}")
        if len(token.text) > 32:
            raise self.fault(f"the name {token.text} is longer than 32 bytes")
        return token.text

    def number(self, what: str = "a number") -> float:
        """A plain number."""
        token = self.take()
        if token.kind != "number":
            raise self.fault(f"{what} expected, not {token.text}")
        return float(token.text)

    def done(self) -> bool:
        """Whether nothing is left."""
        return self.at >= len(self.tokens)

    def finish(self) -> None:
        """A fault if something is left."""
        token = self.peek()
        if token is not None:
            raise self.unknown(f"{token.text!r}")

    def at_format(self) -> bool:
        """Whether a format or informat stands here."""
        token = self.peek()
        if token is None or token.kind == "string":
            return False
        return _FORMAT.match(self.statement, token.start) is not None

    def format(self) -> FormatName:
        """The format or informat that must stand here."""
        token = self.peek()
        match = token and _FORMAT.match(self.statement, token.start)
        if not match:
            raise self.fault("a format expected")
        while self.at < len(self.tokens) and self.tokens[self.at].start < match.end():
            self.at += 1
        dollar, name, width, decimals = match.groups()
        return FormatName(
            dollar + (name or "").lower(),
            None if width is None else int(width),
            None if decimals is None else int(decimals),
        )
