"""Checks of macro variables: each declared where it gets a value, and known where it is used.

Facts only. They are looked for as SAS does: in the macro itself, then in those that call it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from connector_proxy.sascode import lexer, program, unit
from connector_proxy.sascode.findings import Finding
from connector_proxy.sascode.lexer import Token
from connector_proxy.sascode.program import Macro, Source

# fmt: off
_AUTOMATIC = frozenset({
    "syscc", "syserr", "syserrortext", "syswarningtext", "sysmsg", "sysrc", "syslckrc",
    "sysfilrc", "syslibrc", "sysscp", "sysscpl", "sysver", "sysvlong", "sysencoding", "sysjobid",
    "sysprocessid", "syshostname", "sysuserid", "sysdate", "sysdate9", "sysday", "systime",
    "sysmacroname", "sysindex", "sysnobs", "syslast", "sys_prochttp_status_code",
    "sys_prochttp_status_phrase",
})
"""Macro variables of SAS itself."""
# fmt: on
_IN_TEXT = re.compile(r"(?<!&)&(?:&&)?([A-Za-z_]\w*)")
_BY_NAME = frozenset({"%superq", "%symexist", "symget"})
_SETTERS = frozenset({"symputx", "symput"})


def check(sources: Sequence[Source], settings: Iterable[str] = ()) -> Iterator[Finding]:
    """Findings of files that run together, in what is called there; ``settings`` are variables
    that exist whatever the files say."""
    macros, everywhere = unit.macros_of(sources), _global(sources) | set(settings)
    callers = _callers(macros)
    known = everywhere.union(*(_declared(macro) for macro in macros.values()))
    for file, macro, code in unit.called(sources):
        visible = everywhere | _seen_from(macro, macros, callers)
        for name, line in _set(code) if macro else ():
            if name not in visible:
                what = f"{name} is given a value and declared in no macro that is running"
                yield Finding(file, line, what)
        for name, line in _used(code):
            if name not in known | {one for one, _ in _set(code)}:
                yield Finding(file, line, f"nothing gives &{name} a value")


def _global(sources: Iterable[Source]) -> frozenset[str]:
    """What exists for every macro: set outside of macros, or declared as global."""
    found = set(_AUTOMATIC)
    for source in sources:
        found |= {name for name, _ in _set(source.outside)}
        found |= _listed(source.code, "%global")
    return frozenset(found)


def _declared(macro: Macro) -> set[str]:
    return {*macro.parameters, *macro.keywords} | _listed(macro.body, "%local")


def _listed(code: Sequence[Token], statement: str) -> set[str]:
    found: set[str] = set()
    for at, token in enumerate(code):
        if token.low == statement:
            end = next((n for n in range(at, len(code)) if code[n].text == ";"), len(code))
            found |= {one.low for one in code[at + 1 : end] if one.kind == "word"}
    return found


def _callers(macros: dict[str, Macro]) -> dict[str, set[str]]:
    """Who calls a macro, also by handing its name on."""
    callers = defaultdict(set)
    for macro in macros.values():
        for token in macro.body:
            if token.kind in ("macro", "word") and token.low.lstrip("%") in macros:
                callers[token.low.lstrip("%")].add(macro.name)
        for call in program.calls(macro.body):
            for argument in call.arguments:
                if len(argument) == 1 and argument[0].low in macros:
                    callers[argument[0].low].add(call.name)
    return callers


def _seen_from(
    macro: Macro | None, macros: dict[str, Macro], callers: dict[str, set[str]]
) -> set[str]:
    if macro is None:
        return set()
    seen, left = set(), [macro.name]
    while left:
        name = left.pop()
        if name in macros and name not in seen:
            seen.add(name)
            left += callers.get(name, ())
    return set().union(*(_declared(macros[name]) for name in seen))


def _set(code: Sequence[Token]) -> Iterator[tuple[str, int]]:
    """Names that get a value by %LET, %DO or CALL SYMPUTX, with their lines."""
    for at, token in enumerate(code):
        behind = code[at + 1 : at + 3]
        kinds = [one.kind for one in behind]
        if token.low in ("%let", "%do") and kinds == ["word", "mark"] and behind[1].text == "=":
            yield behind[0].low, behind[0].line
        elif token.low in _SETTERS and kinds == ["mark", "string"] and behind[1].text[0] == "'":
            yield behind[1].low.strip("'"), token.line


def _used(code: Sequence[Token]) -> Iterator[tuple[str, int]]:
    """Names whose value is asked for, with their lines. Names made of pieces are left out."""
    for at, token in enumerate(code):
        if token.kind == "reference" or (token.kind == "string" and token.text[0] == '"'):
            for name in _IN_TEXT.findall(token.text):
                yield name.lower(), token.line
        elif token.low in _BY_NAME:
            (argument, *_) = [*lexer.arguments(code, at + 1), []]
            named = len(argument) == 1 and argument[0].kind in ("word", "string")
            if named and "&" not in argument[0].text:
                yield argument[0].low.strip("'\""), token.line
