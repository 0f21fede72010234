"""System options that the subset knows."""

from __future__ import annotations

from tests.sas.errors import Fault, Unknown
from tests.sas.lexer import Stream, string_value

SWITCHES = {
    "mprint": False, "symbolgen": False, "mlogic": False, "quotelenmax": True, "source": True,
    "source2": False, "syntaxcheck": True, "replace": True, "notes": True, "fmterr": True,
    "mautosource": True, "date": True, "number": True, "center": True, "mlogicnest": False,
    "mprintnest": False, "serror": True, "merror": True, "dsnferr": True,
}  # fmt: skip
VALUES = {
    "errors": "20", "obs": "max", "firstobs": "1", "validvarname": "v7", "varlenchk": "warn",
    "compress": "no", "linesize": "132", "ls": "132", "msglevel": "n", "lrecl": "32767",
}  # fmt: skip
_ALLOWED = {
    "validvarname": {"v7", "any", "upcase"},
    "varlenchk": {"nowarn", "warn", "error"},
    "compress": {"no", "yes", "char", "binary"},
    "msglevel": {"n", "i"},
}


class Options:
    """The options of a session."""

    def __init__(self, changed: dict[str, str | bool] | None = None) -> None:
        self.switches = dict(SWITCHES)
        self.values = dict(VALUES)
        for name, value in (changed or {}).items():
            if isinstance(value, bool):
                self.switches[name.lower()] = value
            else:
                self.values[name.lower()] = value.lower()

    def all(self) -> dict[str, str | bool]:
        """Everything, to compare."""
        return {**self.switches, **self.values}

    def on(self, name: str) -> bool:
        """A switch."""
        return self.switches[name]

    def value(self, name: str) -> str:
        """The value of an option in lower case; a switch gives its keyword."""
        if name in self.switches:
            return name if self.switches[name] else f"no{name}"
        return self.values[name]

    def shown(self, name: str, *, keyword: bool) -> str:
        """GETOPTION: a switch is always its keyword, a value alone or as NAME=value."""
        if name in self.switches:
            return self.value(name).upper()
        if name not in self.values:
            raise Unknown(f"GETOPTION of {name}")
        value = self.values[name].upper()
        return f"{name.upper()}={value}" if keyword else value

    def statement(self, stream: Stream) -> None:
        """OPTIONS."""
        stream.expect("options", "option")
        while not stream.done():
            name = stream.name("an option").lower()
            if stream.accept("="):
                self._set(name, stream)
            elif name in self.switches:
                self.switches[name] = True
            elif name.startswith("no") and name[2:] in self.switches:
                self.switches[name[2:]] = False
            else:
                raise stream.unknown(f"the option {name}")

    def _set(self, name: str, stream: Stream) -> None:
        if name not in self.values:
            raise stream.unknown(f"the option {name}=")
        token = stream.take()
        value = (string_value(token)[0] if token.kind == "string" else token.text).lower()
        allowed = _ALLOWED.get(name)
        if allowed is not None and value not in allowed:
            raise stream.fault(f"the option {name}={value}")
        if allowed is None and not (value.isdigit() or value == "max"):
            raise Fault(f"the option {name}={value}")
        self.values[name] = value
