"""Macro variables: one global table and one local table for each macro that runs.

Search order and the rules for creating are those of the SAS macro language reference, chapter
on the scopes of macro variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.sas.errors import Fault, Unknown

MAX_LENGTH = 65534
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}\Z")

READ_ONLY = {
    "sysdate", "sysdate9", "systime", "sysday", "sysver", "sysvlong", "sysvlong4", "sysscp",
    "sysscpl", "sysencoding", "sysjobid", "sysuserid", "sysmacroname", "sysenv", "sysindex",
    "syserr", "sysprocessid", "sysprocessmode", "syshostname",
}  # fmt: skip


def checked(name: str) -> str:
    """The name in lower case; a Fault unless SAS would take it."""
    if not NAME.match(name):
        raise Fault(f"invalid macro variable name {name!r}")
    return name.lower()


class Symbols:
    """All symbol tables of a session."""

    def __init__(self, automatic: dict[str, Callable[[], str]]) -> None:
        self.globals: dict[str, str] = {}
        self.locals: list[dict[str, str]] = []
        self.names: list[str] = []
        self._automatic = automatic

    def push(self, macro: str, parameters: dict[str, str]) -> None:
        """A macro begins with its parameters as local variables."""
        self.locals.append(dict(parameters))
        self.names.append(macro)

    def pop(self) -> None:
        """The innermost macro ends; its variables are gone."""
        self.locals.pop()
        self.names.pop()

    def _table_of(self, name: str) -> dict[str, str] | None:
        for table in reversed(self.locals):
            if name in table:
                return table
        return self.globals if name in self.globals else None

    def get(self, name: str) -> str | None:
        """The value that is seen from here, or None."""
        name = name.lower()
        if name in self._automatic:
            return self._automatic[name]()
        table = self._table_of(name)
        return None if table is None else table[name]

    def assign(self, name: str, value: str) -> None:
        """%LET: the nearest variable of that name, else a new one in the current table."""
        name = self._writable(name, value)
        table = self._table_of(name)
        if table is None:
            table = self.locals[-1] if self.locals else self.globals
        table[name] = value

    def assign_from_step(self, name: str, value: str, scope: str = "") -> None:
        """CALL SYMPUTX: as %LET, but a new one goes to the nearest table that is not empty;
        ``scope`` is G, L or F as its third argument."""
        name = self._writable(name, value)
        scope = scope.strip().upper()[:1]
        if scope == "G":
            self._no_local(name)
            self.globals[name] = value
            return
        table = self._table_of(name)
        if scope == "L":
            table = self.locals[-1] if self.locals else self.globals
        elif scope not in ("", "F"):
            raise Unknown(f"symbol table {scope!r} in CALL SYMPUTX")
        if table is None:
            table = next((one for one in reversed(self.locals) if one), self.globals)
        table[name] = value

    def _writable(self, name: str, value: str) -> str:
        name = checked(name)
        if name in READ_ONLY:
            raise Fault(f"macro variable {name} is read-only")
        if len(value.encode("utf-8", "surrogateescape")) > MAX_LENGTH and value.isascii():
            raise Fault(f"macro variable {name} would be longer than {MAX_LENGTH}")
        return name

    def declare_local(self, name: str) -> None:
        """%LOCAL: an empty variable in the current macro unless it has one already."""
        if not self.locals:
            raise Fault("%LOCAL in open code")
        self.locals[-1].setdefault(self._writable(name, ""), "")

    def _no_local(self, name: str) -> None:
        if any(name in table for table in self.locals):
            raise Fault(f"attempt to make {name} global while a local variable has that name")

    def declare_global(self, name: str) -> None:
        """%GLOBAL: an empty variable unless there is one."""
        name = self._writable(name, "")
        self._no_local(name)
        self.globals.setdefault(name, "")

    def exists(self, name: str) -> bool:
        """%SYMEXIST."""
        return self.get(checked(name)) is not None

    def is_global(self, name: str) -> bool:
        """%SYMGLOBL."""
        return checked(name) in self.globals

    def is_local(self, name: str) -> bool:
        """%SYMLOCAL."""
        return any(checked(name) in table for table in self.locals)

    def delete(self, name: str) -> bool:
        """%SYMDEL: from the global table only; whether there was one."""
        return self.globals.pop(checked(name), None) is not None
