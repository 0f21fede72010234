"""What macro language is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """Constant text, in pieces that end behind each semicolon outside of quotes."""

    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """``&name``, ``&&name&i..`` and the like, as written."""

    raw: str


@dataclass(frozen=True)
class Quoted:
    """A double-quoted string; what is in it is resolved."""

    nodes: tuple[Node, ...]
    masked: bool = False


@dataclass(frozen=True)
class Builtin:
    """A macro function and all that stands in its brackets."""

    name: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Call:
    """``%name``, perhaps with brackets; ``gap`` is the white space in front of those."""

    name: str
    arguments: tuple[Node, ...] | None
    gap: str = ""


@dataclass(frozen=True)
class Indirect:
    """``%&name``: the macro whose name a variable holds."""

    raw: str
    arguments: tuple[Node, ...] | None
    gap: str = ""


@dataclass(frozen=True)
class Let:
    """%LET."""

    name: tuple[Node, ...]
    value: tuple[Node, ...]


@dataclass(frozen=True)
class Simple:
    """%PUT, %LOCAL, %GLOBAL, %SYMDEL, %INCLUDE, %RETURN with their text."""

    keyword: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class If:
    """%IF with its %ELSE."""

    condition: tuple[Node, ...]
    yes: tuple[Node, ...]
    no: tuple[Node, ...]
    blocks: bool


@dataclass(frozen=True)
class Loop:
    """%DO with a variable."""

    variable: tuple[Node, ...]
    start: tuple[Node, ...]
    stop: tuple[Node, ...]
    step: tuple[Node, ...]
    body: tuple[Node, ...]


@dataclass(frozen=True)
class While:
    """%DO %WHILE and %DO %UNTIL."""

    condition: tuple[Node, ...]
    until: bool
    body: tuple[Node, ...]


@dataclass(frozen=True)
class Block:
    """%DO; ... %END;"""

    body: tuple[Node, ...]


@dataclass(frozen=True)
class Definition:
    """%MACRO ... %MEND."""

    name: str
    parameters: tuple[tuple[str, tuple[Node, ...] | None], ...] | None
    body: tuple[Node, ...]


Node = (
    Text
    | Reference
    | Quoted
    | Builtin
    | Call
    | Indirect
    | Let
    | Simple
    | If
    | Loop
    | While
    | Block
    | Definition
)
