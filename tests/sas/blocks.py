"""The executable statements of a DATA step as a tree, and Python source made of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Raw:
    """One line of Python."""

    code: str


@dataclass
class If:
    """IF/THEN/ELSE."""

    condition: str
    yes: list[Node] = field(default_factory=list)
    no: list[Node] | None = None


@dataclass
class Group:
    """DO without condition."""

    body: list[Node] = field(default_factory=list)


@dataclass
class Loop:
    """DO with a condition or a variable. ``before`` runs once, ``between`` before each further
    turn, ``top`` before every turn."""

    before: list[str]
    between: list[str]
    top: list[str]
    body: list[Node] = field(default_factory=list)


@dataclass
class Each:
    """DO with a list of values."""

    target: str
    values: list[str]
    body: list[Node] = field(default_factory=list)


@dataclass
class Select:
    """SELECT: conditions in turn; without OTHERWISE a value that fits nowhere is an error."""

    value: object = None
    whens: list[tuple[str, list[Node]]] = field(default_factory=list)
    otherwise: list[Node] | None = None


@dataclass
class Label:
    """A label at the outer level."""

    name: str


Node = Raw | If | Group | Loop | Each | Select | Label


class Source:
    """Writes the tree as Python."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._number = 0

    def write(self, nodes: list[Node], indent: int) -> None:
        """Nodes with that many levels of indentation."""
        if not nodes:
            self._line("pass", indent)
        for node in nodes:
            writer = getattr(self, f"_{type(node).__name__.lower()}")
            writer(node, indent)

    def _line(self, code: str, indent: int) -> None:
        self.lines.append("    " * indent + code)

    def _raw(self, node: Raw, indent: int) -> None:
        self._line(node.code, indent)

    def _if(self, node: If, indent: int) -> None:
        self._line(f"if {node.condition}:", indent)
        self.write(node.yes, indent + 1)
        if node.no is not None:
            self._line("else:", indent)
            self.write(node.no, indent + 1)

    def _group(self, node: Group, indent: int) -> None:
        self.write(node.body, indent)

    def _loop(self, node: Loop, indent: int) -> None:
        self._number += 1
        first = f"first_{self._number}"
        for line in node.before:
            self._line(line, indent)
        self._line(f"{first} = True", indent)
        turn = f"turn_{self._number}"
        self._line(f"for {turn} in turns:", indent)
        self._line(f"if {first}:", indent + 1)
        self._line(f"{first} = False", indent + 2)
        if node.between:
            self._line("else:", indent + 1)
            for line in node.between:
                self._line(line, indent + 2)
        for line in node.top:
            self._line(line, indent + 1)
        self.write(node.body, indent + 1)
        self._line("else:", indent)
        self._line("never_ends()", indent + 1)

    def _each(self, node: Each, indent: int) -> None:
        self._line(f"for {node.target} in ({', '.join(node.values)},):", indent)
        self.write(node.body, indent + 1)

    def _select(self, node: Select, indent: int) -> None:
        word = "if"
        for condition, body in node.whens:
            self._line(f"{word} {condition}:", indent)
            self.write(body, indent + 1)
            word = "elif"
        if word == "elif":
            self._line("else:", indent)
            indent += 1
        self.write(node.otherwise if node.otherwise is not None else [Raw("no_when()")], indent)


def program(nodes: list[Node]) -> str:
    """Functions: ``main`` and one for each label, which goes on into the next one as SAS does
    when no RETURN stands in between."""
    parts: list[tuple[str, list[Node]]] = [("main", [])]
    for node in nodes:
        if isinstance(node, Label):
            parts.append((f"L_{node.name}", []))
        else:
            parts[-1][1].append(node)
    source = Source()
    for at, (name, body) in enumerate(parts):
        source.lines.append(f"def {name}():")
        source.write(body, 1)
        if at + 1 < len(parts):
            source.lines.append(f"    return {parts[at + 1][0]}()")
    return "\n".join(source.lines)
