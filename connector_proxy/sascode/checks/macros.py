"""Checks of macros: each closed, defined once and called, each call fitting.

Facts only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from connector_proxy.sascode import program, unit
from connector_proxy.sascode.findings import Finding
from connector_proxy.sascode.program import Macro, Source

_LONGEST_NAME = 32


def check(sources: Sequence[Source]) -> Iterator[Finding]:
    """Findings of files that run together, in what is called there."""
    macros = unit.macros_of(sources)
    for source in sources:
        for line, message in source.faults:
            yield Finding(source.file, line, message)
        for macro in source.macros:
            yield from _definition(macro, macros)
    yield from _calls(sources, macros)


def _definition(macro: Macro, macros: dict[str, Macro]) -> Iterator[Finding]:
    if macros[macro.name] is not macro:
        other = macros[macro.name]
        what = f"macro {macro.name} is defined again in {other.file} line {other.line}"
        yield Finding(macro.file, macro.line, what)
    if len(macro.name) > _LONGEST_NAME:
        yield Finding(macro.file, macro.line, f"the name {macro.name} is longer than 32 characters")


def _calls(sources: Sequence[Source], macros: dict[str, Macro]) -> Iterator[Finding]:
    for file, macro, code in unit.called(sources):
        for call in program.calls(code):
            issue = _call_issue(call, macros) or _stage_issue(call, macro, macros)
            if issue:
                yield Finding(file, call.line, issue)


def _call_issue(call: program.Call, macros: dict[str, Macro]) -> str:
    macro = macros.get(call.name)
    if macro is None:
        return f"%{call.name} is no macro of these files, and not of the macro language used here"
    keywords = [one[0].low for one in call.arguments if len(one) > 1 and one[1].text == "="]
    by_name = [name for name in keywords if name in (*macro.keywords, *macro.parameters)]
    given, wanted = len(call.arguments) - len(by_name), len(macro.parameters)
    named = len(set(by_name) & set(macro.parameters))
    if given + named != wanted:
        return f"%{call.name} takes {wanted} arguments and is given {given + named}"
    return ""


def _stage_issue(call: program.Call, inside: Macro | None, macros: dict[str, Macro]) -> str:
    """A name that is handed to a macro which calls it as ``%&name``."""
    macro = macros[call.name]
    for name, argument in zip(macro.parameters, call.arguments, strict=False):
        text = "".join(token.low for token in argument)
        handed_on = inside is not None and text.strip("&.") in inside.parameters
        if name in _called_by_name(macro) and text not in macros and not handed_on:
            return f"%{call.name} is to call the macro {text or '(none)'}, which is not there"
    return ""


def _called_by_name(macro: Macro) -> set[str]:
    """Parameters that a macro calls as ``%&name``."""
    pairs = pairwise(macro.body)
    return {second.low.strip("&.") for first, second in pairs if first.text == "%"}


def check_used(sources: Iterable[Source]) -> Iterator[Finding]:
    """Macros that are called nowhere in all the files."""
    sources = list(sources)
    used: set[str] = set()
    for _, macro, code in unit.pieces(sources):
        used |= unit.named(code) - ({macro.name} if macro else set())
    for file, macro, _ in unit.pieces(sources):
        if macro and macro.name not in used:
            yield Finding(file, macro.line, f"macro {macro.name} is called nowhere")
