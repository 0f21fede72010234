"""Macro language: source text -> nodes.

A macro's body is taken apart once, when it is defined; open code node by node, since what comes
next may depend on what the statement before did.
"""

from __future__ import annotations

import re

from tests.sas.errors import Fault, Unknown
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
from tests.sas.quoting import mask

FUNCTIONS = {
    "superq", "bquote", "nrbquote", "scan", "qscan", "substr", "qsubstr", "upcase", "qupcase",
    "lowcase", "qlowcase", "length", "index", "eval", "sysevalf", "sysfunc", "qsysfunc", "symexist",
    "symglobl", "symlocal", "sysmacexist", "unquote",
}  # fmt: skip
SIMPLE = {"put", "local", "global", "symdel", "include", "return"}
NOT_KNOWN = {
    "goto", "abort", "sysexec", "syscall", "window", "display", "input", "copy", "quote", "nrquote",
    "sysget", "sysprod", "syslput", "sysrput", "qkscan", "kscan", "ksubstr", "kindex", "klength",
    "kupcase", "qkupcase", "qksubstr", "list", "inc", "run", "validchs", "symput",
    "left", "trim", "cmpres", "verify", "datatyp", "qleft", "qtrim", "qcmpres", "compstor",
}  # fmt: skip
STOPS = {"%then", "%to", "%by", "%end", "%mend", "%else"}

_REFERENCE = re.compile(r"&+[A-Za-z_][\w&.]*")
_NAME = re.compile(r"%([A-Za-z_]\w*)")
_PLAIN = re.compile(r"[^'\"&%;/,()=]+")
_SPACE = re.compile(r"(?:\s+|/\*.*?\*/)*", re.DOTALL)


class Parser:
    """Takes ``text`` apart from ``at`` on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    # pieces of the language

    def line(self) -> int:
        """The line that ``at`` stands on."""
        return self.text.count("\n", 0, self.at) + 1

    def fault(self, message: str) -> Fault:
        """The fault with its place."""
        return Fault(f"line {self.line()}: {message}")

    def skip_space(self) -> None:
        """Over white space and comments."""
        found = _SPACE.match(self.text, self.at)
        assert found
        self.at = found.end()

    def expect(self, char: str, after: str) -> None:
        """Over one character that must stand here."""
        self.skip_space()
        if not self.text.startswith(char, self.at):
            raise self.fault(f"{char!r} expected after {after}")
        self.at += len(char)

    def keyword(self) -> str | None:
        """``%name`` that stands here, in lower case, or None."""
        found = _NAME.match(self.text, self.at)
        return "%" + found[1].lower() if found else None

    def until(self, stops: frozenset[str]) -> tuple[tuple[Node, ...], str]:
        """Nodes up to one of ``stops``, which is skipped and returned; "" is the end."""
        nodes: list[Node] = []
        depth = 0
        while True:
            if self.at >= len(self.text):
                if "" in stops:
                    return _joined(nodes), ""
                raise self.fault(f"end of text, expected {' or '.join(sorted(stops))}")
            char = self.text[self.at]
            keyword = self.keyword() if char == "%" else None
            if keyword in stops:
                assert keyword
                self.at += len(keyword)
                return _joined(nodes), keyword
            if char in stops and depth == 0:
                self.at += 1
                return _joined(nodes), char
            if char in "()" and ")" in stops:
                depth += 1 if char == "(" else -1
            nodes += self.node()

    def node(self) -> list[Node]:
        """The next node; none for a comment."""
        char = self.text[self.at]
        readers = {"'": self._single, '"': self._double, "&": self._ampersand, "%": self._percent}
        if char in readers:
            return readers[char]()
        if self.text.startswith("/*", self.at):
            end = self.text.find("*/", self.at + 2)
            if end < 0:
                raise self.fault("a comment is never closed")
            self.at = end + 2
            return [Text((" ",))]
        found = _PLAIN.match(self.text, self.at)
        if not found:
            self.at += 1
            return [Text((char,))]
        self.at = found.end()
        return [Text((found[0],))]

    def _single(self) -> list[Node]:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise self.fault("a single quote is never closed")
        start, self.at = self.at, end + 1
        return [Text((self.text[start : self.at],))]

    def _double(self) -> list[Node]:
        nodes: list[Node] = []
        opened = self.at
        self.at += 1
        while True:
            if self.at >= len(self.text):
                self.at = opened
                raise self.fault("a double quote is never closed")
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return [Quoted(_joined(nodes))]
            if char in "&%":
                nodes += self._ampersand() if char == "&" else self._percent(in_string=True)
            else:
                nodes.append(Text((char,)))
                self.at += 1

    def _ampersand(self) -> list[Node]:
        found = _REFERENCE.match(self.text, self.at)
        if not found:
            self.at += 1
            return [Text(("&",))]
        self.at = found.end()
        return [Reference(found[0])]

    def _percent(self, *, in_string: bool = False) -> list[Node]:
        if self.text.startswith("%*", self.at) and not in_string:
            self.at += 2
            self.until(frozenset({";"}))
            return []
        keyword = self.keyword()
        if keyword is None:
            self.at += 1
            found = _REFERENCE.match(self.text, self.at)
            if not found:
                return [Text(("%",))]
            self.at = found.end()
            return [Indirect(found[0], *self._brackets())]
        name = keyword[1:]
        if name in NOT_KNOWN:
            raise Unknown(f"line {self.line()}: {keyword}")
        if name in ("str", "nrstr"):
            return [self._compile_time_quoting(name)]
        if name in FUNCTIONS:
            return [self._function(name)]
        if keyword in STOPS:
            raise self.fault(f"{keyword} out of place")
        statement = {"let": self._let, "if": self._if, "do": self._do, "macro": self._macro}
        if name in statement or name in SIMPLE:
            if in_string:
                raise self.fault(f"the statement {keyword} in a string")
            self.at += len(keyword)
            return [statement[name]() if name in statement else self._simple(name)]
        return [self._call(name)]

    def _compile_time_quoting(self, name: str) -> Node:
        self.at += len(name) + 1
        self.expect("(", "%" + name)
        inner = self._marked()
        if name == "nrstr":
            return Text((mask(inner),))
        nodes, _ = Parser(inner).until(frozenset({""}))
        return Block(tuple(_masked(node) for node in nodes))

    def _marked(self) -> str:
        """Text up to the closing bracket of %STR, with %' %" %( %) %% already masked."""
        out: list[str] = []
        depth = 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "%" and self.text[self.at + 1 : self.at + 2] in tuple("'\"()%"):
                out.append(mask(self.text[self.at + 1]))
                self.at += 2
                continue
            if char in "'\"":
                end = self.text.find(char, self.at + 1)
                if end < 0:
                    raise self.fault("an unmatched quote in %STR needs a % in front")
                out.append(self.text[self.at : end + 1])
                self.at = end + 1
                continue
            self.at += 1
            if char == ")" and depth == 0:
                return "".join(out)
            depth += {"(": 1, ")": -1}.get(char, 0)
            out.append(char)
        raise self.fault("%STR is never closed")

    def _function(self, name: str) -> Node:
        self.at += len(name) + 1
        self.expect("(", "%" + name)
        nodes, _ = self.until(frozenset({")"}))
        return Builtin(name, nodes)

    def _call(self, name: str) -> Node:
        self.at += len(name) + 1
        return Call(name, *self._brackets())

    def _brackets(self) -> tuple[tuple[Node, ...] | None, str]:
        start = self.at
        self.skip_space()
        if not self.text.startswith("(", self.at):
            self.at = start
            return None, ""
        gap = self.text[start : self.at]
        self.at += 1
        nodes, _ = self.until(frozenset({")"}))
        return nodes, gap

    # statements

    def _let(self) -> Node:
        name, _ = self.until(frozenset({"="}))
        value, _ = self.until(frozenset({";"}))
        return Let(name, value)

    def _simple(self, name: str) -> Node:
        nodes, _ = self.until(frozenset({";"}))
        return Simple(name, nodes)

    def _action(self) -> tuple[tuple[Node, ...], bool]:
        self.skip_space()
        keyword = self.keyword()
        if keyword == "%do":
            self.at += 3
            return (self._do(),), True
        name = (keyword or "%")[1:]
        if name in SIMPLE | {"let", "if"}:
            return tuple(self._percent()), False
        nodes, _ = self.until(frozenset({";"}))
        return nodes, False

    def _if(self) -> Node:
        condition, _ = self.until(frozenset({"%then"}))
        yes, block = self._action()
        no: tuple[Node, ...] = ()
        start = self.at
        self.skip_space()
        if self.keyword() == "%else":
            self.at += 5
            no, second = self._action()
            block = block and second
        else:
            self.at = start
        return If(condition, yes, no, block)

    def _do(self) -> Node:
        self.skip_space()
        keyword = self.keyword()
        if self.text.startswith(";", self.at):
            self.at += 1
            return Block(self._body())
        if keyword in ("%while", "%until"):
            self.at += len(keyword)
            self.expect("(", keyword)
            condition, _ = self.until(frozenset({")"}))
            self.expect(";", keyword)
            return While(condition, keyword == "%until", self._body())
        variable, _ = self.until(frozenset({"="}))
        start, _ = self.until(frozenset({"%to"}))
        stop, found = self.until(frozenset({"%by", ";"}))
        step: tuple[Node, ...] = (Text(("1",)),)
        if found == "%by":
            step, _ = self.until(frozenset({";"}))
        return Loop(variable, start, stop, step, self._body())

    def _body(self) -> tuple[Node, ...]:
        body, _ = self.until(frozenset({"%end"}))
        self.expect(";", "%END")
        return body

    def _macro(self) -> Node:
        self.skip_space()
        found = re.compile(r"[A-Za-z_]\w{0,31}\b").match(self.text, self.at)
        if not found:
            raise self.fault("a name expected after %MACRO")
        self.at = found.end()
        self.skip_space()
        parameters = None
        if self.text.startswith("(", self.at):
            self.at += 1
            parameters = self._parameters()
        self.skip_space()
        if self.text.startswith("/", self.at):
            raise Unknown(f"line {self.line()}: options of %MACRO")
        self.expect(";", "%MACRO")
        body, _ = self.until(frozenset({"%mend"}))
        self._mend(found[0])
        return Definition(found[0].lower(), parameters, body)

    def _mend(self, name: str) -> None:
        end, _ = self.until(frozenset({";"}))
        closing = "".join(piece for node in end if isinstance(node, Text) for piece in node.pieces)
        if closing.strip().lower() not in ("", name.lower()):
            raise self.fault(f"%MEND {closing.strip()} closes %MACRO {name}")

    def _parameters(self) -> tuple[tuple[str, tuple[Node, ...] | None], ...]:
        parameters: list[tuple[str, tuple[Node, ...] | None]] = []
        found = ","
        while found == ",":
            nodes, found = self.until(frozenset({",", ")", "="}))
            name = "".join(p for node in nodes if isinstance(node, Text) for p in node.pieces)
            name = name.strip().lower()
            default: tuple[Node, ...] | None = None
            if found == "=":
                default, found = self.until(frozenset({",", ")"}))
            if not re.fullmatch(r"[a-z_]\w{0,31}", name):
                if not name and not parameters and found == ")":
                    return ()
                raise self.fault(f"parameter {name!r} of %MACRO")
            if default is None and parameters and parameters[-1][1] is not None:
                raise self.fault("all positional parameters must precede keyword parameters")
            parameters.append((name, default))
        return tuple(parameters)


def _joined(nodes: list[Node]) -> tuple[Node, ...]:
    """Neighbouring texts put together, then cut behind semicolons."""
    out: list[Node] = []
    text: list[str] = []
    for node in nodes:
        if isinstance(node, Text):
            text.extend(node.pieces)
            continue
        if text:
            out.append(Text(_pieces("".join(text))))
            text = []
        out.append(node)
    if text:
        out.append(Text(_pieces("".join(text))))
    return tuple(out)


def _pieces(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^;]*;|[^;]+\Z", text))


def _masked(node: Node) -> Node:
    """A node of %STR: what is written there is masked, what it resolves to is not."""
    if isinstance(node, Text):
        return Text(tuple(mask(piece) for piece in node.pieces))
    if isinstance(node, Quoted):
        return Quoted(tuple(_masked(one) for one in node.nodes), masked=True)
    return node
