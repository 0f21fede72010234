"""The macro processor: runs nodes and hands text to the word scanner, piece by piece.

It is a generator, so that a step runs at its RUN statement before the macro statement behind it
is looked at: that is when SAS does it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Protocol

from tests.sas import macrofunctions
from tests.sas.errors import Fault, RunnerFault, Unknown
from tests.sas.log import Log
from tests.sas.macroeval import evaluate, has_operand
from tests.sas.macronodes import (
    Block,
    Builtin,
    Call,
    Definition,
    If,
    Indirect,
    Let,
    Loop,
    Node,
    Quoted,
    Reference,
    Simple,
    Text,
    While,
)
from tests.sas.macroparse import Parser
from tests.sas.quoting import has_masked, mask, strip, unmask
from tests.sas.symbols import Symbols

_ONE = re.compile(r"&([A-Za-z_]\w{0,31})\.?")
MAX_TURNS = 100_000


class Resolved(str):
    """Text that a reference was resolved to."""

    __slots__ = ()


class Host(Protocol):
    """What the macro processor needs of the session."""

    symbols: Symbols
    log: Log

    def option(self, name: str) -> bool: ...

    def warn(self, text: str) -> None: ...

    def source_file(self, operand: str) -> tuple[str, bool] | None: ...

    def sysfunc(self, name: str, arguments: list[str], fmt: str | None) -> str: ...

    def source_line(self, text: str, *, included: bool) -> None: ...


@lru_cache(maxsize=256)
def parsed(text: str) -> tuple[tuple[tuple[Node, ...], int, RunnerFault | None], ...]:
    """Nodes of open code one after the other, with the place behind each. What is wrong with the
    text is told when the program gets there, not before."""
    parser = Parser(text)
    found: list[tuple[tuple[Node, ...], int, RunnerFault | None]] = []
    while parser.at < len(text):
        try:
            nodes = parser.node()
        except RunnerFault as fault:
            found.append(((), parser.at, fault))
            break
        found.append((tuple(nodes), parser.at, None))
    return tuple(found)


class _Return(Exception):
    """%RETURN."""


class MacroProcessor:
    """Definitions of macros, and the running of them."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.macros: dict[str, Definition] = {}
        self._runners: dict[type, Callable[..., Iterator[str]]] = {
            Text: self._text,
            Reference: self._reference,
            Quoted: self._quoted,
            Builtin: self._builtin,
            Call: self._call,
            Indirect: self._indirect,
            Let: self._let,
            Simple: self._simple,
            If: self._if,
            Loop: self._loop,
            While: self._while,
            Block: self._block,
            Definition: self._define,
        }

    def current(self) -> str:
        """The macro that runs, or ""."""
        names = self.host.symbols.names
        return names[-1] if names else ""

    # open code

    def open_code(self, text: str, *, echo: bool | None = None) -> Iterator[str]:
        """Pieces of the text of a program or of an included file."""
        shown = 0
        for nodes, at, fault in parsed(text):
            if echo is not None:
                shown = self._echo(text, shown, at, included=echo)
            if fault is not None:
                raise fault
            for node in nodes:
                if isinstance(node, If) and not self.current():
                    self._check_open_if(node)
                elif isinstance(node, Loop | While):
                    raise Fault(
                        f"line {text.count(chr(10), 0, at) + 1}: %DO is not valid in open code"
                    )
                yield from self.run((node,))

    def _echo(self, text: str, shown: int, at: int, *, included: bool) -> int:
        while (end := text.find("\n", shown, at)) >= 0:
            self.host.source_line(text[shown:end], included=included)
            shown = end + 1
        return shown

    def _check_open_if(self, node: If) -> None:
        """9.4M5: in open code only with %DO blocks, and no %IF inside of them."""
        if not node.blocks:
            raise Fault("%IF in open code needs %THEN %DO; ... %END;")
        inner = [
            one for block in node.yes + node.no if isinstance(block, Block) for one in block.body
        ]
        if any(isinstance(one, If | Loop | While) for one in inner):
            raise Fault("%IF in open code cannot be nested and holds no %DO loop")

    def expand(self, nodes: tuple[Node, ...]) -> str:
        """All text of the nodes at once; masked characters stay masked."""
        return "".join(self.run(nodes))

    def run(self, nodes: tuple[Node, ...]) -> Iterator[str]:
        """Pieces of text, each only when the ones before it have been dealt with."""
        for node in nodes:
            if type(node) is Text:
                yield from node.pieces
            else:
                yield from self._runners[type(node)](node)

    # text

    def _text(self, node: Text) -> Iterator[str]:
        yield from node.pieces

    def _block(self, node: Block) -> Iterator[str]:
        yield from self.run(node.body)

    def _quoted(self, node: Quoted) -> Iterator[str]:
        quote = mask('"') if node.masked else '"'
        yield quote
        yield from self.run(node.nodes)
        yield quote

    def _rescan(self, text: str) -> Iterator[str]:
        if "&" in text or "%" in text:
            yield from self.open_code(text)
        elif text:
            yield Resolved(text)

    def _reference(self, node: Reference) -> Iterator[str]:
        yield from self._rescan_resolved(node.raw)

    def _rescan_resolved(self, raw: str) -> Iterator[str]:
        out: list[str] = []
        at, again = 0, False
        while at < len(raw):
            if raw.startswith("&&", at):
                out.append("&")
                at, again = at + 2, True
            elif found := _ONE.match(raw, at):
                out.append(self._value(found))
                at = found.end()
            else:
                out.append(raw[at])
                at += 1
        text = "".join(out)
        if again and "&" in text:
            yield from self._rescan_resolved(text)
        else:
            yield Resolved(text)

    def _value(self, found: re.Match[str]) -> str:
        name = found[1]
        value = self.host.symbols.get(name)
        if value is None:
            self.host.warn(f"Apparent symbolic reference {name.upper()} not resolved.")
            return mask(found[0])
        if self.host.option("symbolgen"):
            self._symbolgen(name, value)
        if "&" in value or "%" in value:
            return "".join(self._rescan(value))
        return value

    def _symbolgen(self, name: str, value: str) -> None:
        self.host.log.write(
            f"SYMBOLGEN:  Macro variable {name.upper()} resolves to {unmask(value)}"
        )
        if has_masked(value):
            self.host.log.write(
                "SYMBOLGEN:  Some characters in the above value which were subject to macro "
                "quoting have been unquoted for printing."
            )

    # functions

    def _builtin(self, node: Builtin) -> Iterator[str]:
        text = self.expand(node.nodes)
        symbols = self.host.symbols
        tests: dict[str, Callable[[str], bool]] = {
            "sysmacexist": lambda name: name.lower() in self.macros,
            "symexist": symbols.exists,
            "symglobl": symbols.is_global,
            "symlocal": symbols.is_local,
        }
        if node.name in tests:
            yield str(int(tests[node.name](macrofunctions.variable_name(text))))
        elif node.name == "superq":
            yield self._superq(macrofunctions.variable_name(text))
        elif node.name in ("sysfunc", "qsysfunc"):
            result = self._sysfunc(text)
            if node.name == "qsysfunc":
                yield mask(result)
            else:
                yield from self._rescan(result)
        else:
            result, again = macrofunctions.call(node.name, text)
            yield from self._rescan(result) if again else iter((result,))

    def _superq(self, name: str) -> str:
        value = self.host.symbols.get(name)
        if value is None:
            self.host.warn(f"Apparent symbolic reference {name.upper()} not resolved.")
            return ""
        return mask(unmask(value))

    def _sysfunc(self, text: str) -> str:
        found = re.match(r"\s*([A-Za-z]\w*)\s*\(", text)
        if not found:
            raise Fault(f"%SYSFUNC needs a function with brackets: {unmask(text)!r}")
        end = _closing(text, found.end())
        rest = strip(text[end + 1 :])
        fmt = None
        if rest:
            if not rest.startswith(","):
                raise Fault(f"text behind the function in %SYSFUNC: {unmask(rest)!r}")
            fmt = strip(unmask(rest[1:]))
        inside = text[found.end() : end]
        arguments = [unmask(one) for one in macrofunctions.split(inside)] if strip(inside) else []
        return self.host.sysfunc(found[1].lower(), arguments, fmt)

    # calls

    def _call(self, node: Call) -> Iterator[str]:
        macro = self.macros.get(node.name.lower())
        if macro is None:
            self.host.warn(f"Apparent invocation of macro {node.name.upper()} not resolved.")
            yield mask("%") + node.name
            if node.arguments is not None:
                yield from self._brackets(node)
            return
        parameters: dict[str, str] = {}
        if macro.parameters is not None:
            text = None if node.arguments is None else self.expand(node.arguments)
            parameters = self._bind(macro, text)
        yield from self._invoke(macro, parameters)
        if macro.parameters is None and node.arguments is not None:
            yield from self._brackets(node)

    def _indirect(self, node: Indirect) -> Iterator[str]:
        name = unmask(strip("".join(self._rescan_resolved(node.raw))))
        if not re.fullmatch(r"[A-Za-z_]\w{0,31}", name):
            raise Fault(f"%{node.raw} leads to {name!r}, which is no name of a macro")
        if Parser("%" + name).keyword() and name.lower() not in self.macros:
            yield from self.open_code("%" + name)
        else:
            yield from self._call(Call(name, node.arguments, node.gap))

    def _brackets(self, node: Call) -> Iterator[str]:
        yield node.gap + "("
        yield from self.run(node.arguments or ())
        yield ")"

    def _bind(self, macro: Definition, text: str | None) -> dict[str, str]:
        assert macro.parameters is not None
        values = {
            name: "" if default is None else strip(self.expand(default))
            for name, default in macro.parameters
        }
        positional = [name for name, default in macro.parameters if default is None]
        given = macrofunctions.split(text) if text and strip(text) else []
        taken: list[str] = []
        for argument in given:
            found = re.match(r"([A-Za-z_]\w*)\s*=", argument)
            if found:
                name = found[1].lower()
                if name not in values:
                    raise Fault(f"keyword parameter {name} was not defined with macro {macro.name}")
                value = strip(argument[found.end() :])
            elif len(taken) < len(positional) and not any(n not in positional for n in taken):
                name, value = positional[len(taken)], argument
            else:
                raise Fault(f"more positional parameters than defined in a call of {macro.name}")
            if name in taken:
                raise Fault(f"parameter {name} of macro {macro.name} is given twice")
            taken.append(name)
            values[name] = value
        return values

    def _invoke(self, macro: Definition, parameters: dict[str, str]) -> Iterator[str]:
        host = self.host
        name = macro.name.upper()
        if host.option("mlogic"):
            host.log.write(f"MLOGIC({name}):  Beginning execution.")
            for parameter, value in parameters.items():
                host.log.write(
                    f"MLOGIC({name}):  Parameter {parameter.upper()} has value {unmask(value)}"
                )
        host.symbols.push(name, parameters)
        if len(host.symbols.names) > 100:
            raise Fault("macros call each other more than 100 deep")
        try:
            yield from self.run(macro.body)
        except _Return:
            pass
        finally:
            host.symbols.pop()
        if host.option("mlogic"):
            host.log.write(f"MLOGIC({name}):  Ending execution.")

    def _define(self, node: Definition) -> Iterator[str]:
        self.macros[node.name] = node
        return iter(())

    # statements

    def _mlogic(self, text: str) -> None:
        if self.host.option("mlogic") and self.current():
            self.host.log.write(f"MLOGIC({self.current()}):  {text}")

    def _let(self, node: Let) -> Iterator[str]:
        name = unmask(strip(self.expand(node.name)))
        value = strip(self.expand(node.value))
        self._mlogic(f"%LET (variable name is {name.upper()})")
        self.host.symbols.assign(name, value)
        return iter(())

    def _simple(self, node: Simple) -> Iterator[str]:
        if node.keyword == "return":
            if not self.current():
                raise Fault("%RETURN in open code")
            raise _Return
        text = self.expand(node.nodes)
        if node.keyword == "include":
            yield from self._include(unmask(strip(text)))
        elif node.keyword == "put":
            self._put(text)
        else:
            self._declare(node.keyword, unmask(text))

    def _put(self, text: str) -> None:
        plain = unmask(strip(text))
        if re.match(
            r"_(all|automatic|global|local|user|readonly|writable)_$", plain, re.IGNORECASE
        ):
            raise Unknown(f"%PUT {plain}")
        self._mlogic(f"%PUT {plain}")
        self.host.log.write(plain)

    def _declare(self, keyword: str, text: str) -> None:
        names = text.split()
        if keyword == "symdel":
            quiet = re.search(r"/\s*(nowarn)\s*$", text, re.IGNORECASE)
            if "/" in text and not quiet:
                raise Unknown(f"option of %SYMDEL: {text}")
            for name in re.sub(r"/.*", "", text).split():
                if not self.host.symbols.delete(name) and not quiet:
                    self.host.warn(f"Attempt to delete macro variable {name.upper()} failed.")
            return
        if "/" in text:
            raise Unknown(f"option of %{keyword.upper()}: {text}")
        declare = (
            self.host.symbols.declare_local
            if keyword == "local"
            else self.host.symbols.declare_global
        )
        for name in names:
            declare(name)

    def _include(self, operand: str) -> Iterator[str]:
        found = self.host.source_file(operand)
        if found is not None:
            text, echo = found
            yield from self.open_code(text, echo=True if echo else None)

    def _condition(self, nodes: tuple[Node, ...], where: str) -> bool:
        text = self.expand(nodes)
        if not has_operand(text):
            raise Fault(f"the condition of {where} is empty")
        value = evaluate(text) != 0
        self._mlogic(f"{where} condition {unmask(strip(text))} is {'TRUE' if value else 'FALSE'}")
        return value

    def _if(self, node: If) -> Iterator[str]:
        yield from self.run(node.yes if self._condition(node.condition, "%IF") else node.no)

    def _loop(self, node: Loop) -> Iterator[str]:
        variable = unmask(strip(self.expand(node.variable)))
        at, stop, step = (evaluate(self.expand(one)) for one in (node.start, node.stop, node.step))
        if step == 0:
            raise Fault("%DO with %BY 0")
        symbols = self.host.symbols
        symbols.assign(variable, str(at))
        if abs(stop - at) > MAX_TURNS * abs(step):
            raise Fault(f"%DO from {at} to {stop}: too many turns for a test")
        while at <= stop if step > 0 else at >= stop:
            yield from self.run(node.body)
            at = evaluate(symbols.get(variable) or "") + step
            symbols.assign(variable, str(at))

    def _while(self, node: While) -> Iterator[str]:
        where = "%DO %UNTIL" if node.until else "%DO %WHILE"
        for _ in range(MAX_TURNS):
            if not node.until and not self._condition(node.condition, where):
                return
            yield from self.run(node.body)
            if node.until and self._condition(node.condition, where):
                return
        raise Fault(f"{where} never ends")


def _closing(text: str, at: int) -> int:
    depth, quote = 0, ""
    for place in range(at, len(text)):
        char = text[place]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            if depth == 0:
                return place
            depth -= 1
    raise Fault(f"a bracket in %SYSFUNC is never closed: {unmask(text)!r}")
