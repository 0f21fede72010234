"""The program data vector: variables and arrays of a DATA step, fixed while it is compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.sas.errors import Fault

AUTOMATIC = {"_n_", "_error_", "_infile_"}


@dataclass
class Variable:
    """One variable. ``written`` and ``read`` are the names of what happened to it, for the NOTE
    about uninitialized variables."""

    name: str
    slot: int
    kind: str
    length: int
    label: str = ""
    format: str = ""
    informat: str = ""
    retained: bool = False
    temporary: bool = False
    written: bool = False
    read: bool = False
    initial: Any = None

    @property
    def blank(self) -> Any:
        """The missing value of its kind."""
        return None if self.kind == "n" else b""


@dataclass(frozen=True)
class Array:
    """An array; ``lengths`` are those of its elements."""

    name: str
    slots: tuple[int, ...]
    kind: str
    lengths: tuple[int, ...]


class Pdv:
    """All variables in the order in which the compiler met them."""

    def __init__(self) -> None:
        self.variables: dict[str, Variable] = {}
        self.arrays: dict[str, Array] = {}
        self.slots: list[Variable] = []

    def find(self, name: str) -> Variable | None:
        """The variable, or None."""
        return self.variables.get(name.lower())

    def add(self, name: str, kind: str, length: int, **more: Any) -> Variable:
        """A new variable; its kind and length never change again."""
        if len(name) > 32:
            raise Fault(f"the variable name {name} is longer than 32 bytes")
        if name.lower() in self.arrays:
            raise Fault(f"{name} is an array and a variable")
        if not 1 <= length <= 32767:
            raise Fault(f"the length {length} of {name} is not within 1-32767")
        variable = Variable(name, len(self.slots), kind, length, **more)
        self.slots.append(variable)
        self.variables[name.lower()] = variable
        return variable

    def element(self, array: str, number: int, kind: str, length: int) -> Variable:
        """An element of a temporary array: a slot without a name of its own."""
        variable = Variable(f"{array}[{number}]", len(self.slots), kind, length, retained=True,
                            temporary=True, written=True, read=True)  # fmt: skip
        self.slots.append(variable)
        return variable

    def number(self, name: str, **more: Any) -> Variable:
        """A numeric variable that is there or is made now."""
        found = self.find(name)
        if found is None:
            return self.add(name, "n", 8, **more)
        if found.kind != "n":
            raise Fault(f"{name} has to be numeric")
        for attribute, value in more.items():
            setattr(found, attribute, value)
        return found

    def by_prefix(self, prefix: str) -> list[Variable]:
        """``abc:``."""
        return [
            one for one in self.variables.values() if one.name.lower().startswith(prefix.lower())
        ]
