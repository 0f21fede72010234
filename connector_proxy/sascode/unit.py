"""Files that run together, and which macros are called there.

Facts only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from connector_proxy.sascode.lexer import Token
from connector_proxy.sascode.program import Macro, Source

Piece = tuple[str, Macro | None, Sequence[Token]]
"""Code with its file and the macro that it stands in."""

_ROOT = re.compile(r"&cp_root\.?[/\\]", re.IGNORECASE)


def includes(code: Sequence[Token]) -> Iterator[tuple[int, str]]:
    """Line and name of each file that is included from below the root folder."""
    for token, behind in pairwise(code):
        if token.low == "%include" and behind.kind == "string":
            yield behind.line, _ROOT.sub("", behind.text.strip("\"'")).replace("\\", "/")


def units(sources: Mapping[str, Source]) -> Iterator[list[Source]]:
    """What runs together: each file that no other one includes, with all that it includes."""
    included = {name for one in sources.values() for _, name in includes(one.code)}
    for file, source in sources.items():
        if file not in included:
            yield _with_included(source, sources, [])


def _with_included(
    source: Source, sources: Mapping[str, Source], found: list[Source]
) -> list[Source]:
    found.append(source)
    for _, name in includes(source.code):
        if name in sources and sources[name] not in found:
            _with_included(sources[name], sources, found)
    return found


def macros_of(sources: Iterable[Source]) -> dict[str, Macro]:
    """The macros of files by their names."""
    return {macro.name: macro for source in sources for macro in source.macros}


def pieces(sources: Iterable[Source], wanted: Iterable[str] | None = None) -> Iterator[Piece]:
    """The code of files, of macros only those ``wanted``."""
    for source in sources:
        yield source.file, None, source.outside
        for macro in source.macros:
            if wanted is None or macro.name in wanted:
                yield source.file, macro, macro.body


def named(code: Iterable[Token]) -> set[str]:
    """What may be names of macros: called, or handed on to be called."""
    return {token.low.lstrip("%") for token in code if token.kind in ("macro", "word")}


def called(sources: Sequence[Source]) -> Iterator[Piece]:
    """The code that can run: what stands outside of macros, and the macros that are called from
    there."""
    macros = macros_of(sources)
    found: set[str] = set()
    left = set().union(*(named(source.outside) for source in sources)) & set(macros)
    while left:
        name = left.pop()
        found.add(name)
        left |= named(macros[name].body) & set(macros) - found
    return pieces(sources, found)
