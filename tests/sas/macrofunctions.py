"""Macro functions: text in, text out. The Q functions mask their result, the others unmask it."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.sas.errors import Fault
from tests.sas.macroeval import evaluate, evaluate_floating
from tests.sas.quoting import mask, mask_but_triggers, strip, unmask
from tests.sas.words import DEFAULT_DELIMITERS, scan_word


def split(text: str, *, trim: bool = True) -> list[str]:
    """Arguments at commas that are not masked and stand in no brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += char
    return [strip(part) for part in parts] if trim else parts


def _arguments(name: str, text: str, least: int, most: int) -> list[str]:
    found = split(text)
    if len(found) > most:
        raise Fault(f"macro function %{name.upper()} has too many arguments")
    if len(found) < least:
        raise Fault(f"macro function %{name.upper()} has too few arguments")
    return found


def _scan(name: str, text: str) -> str:
    found = _arguments(name, text, 2, 4)
    delimiters = unmask(found[2]) if len(found) > 2 else DEFAULT_DELIMITERS.decode()
    modifiers = unmask(found[3]) if len(found) > 3 else ""
    word = scan_word(
        _bytes(found[0]), evaluate(found[1]), _bytes(delimiters), modifiers, name="%SCAN"
    )
    return word.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return unmask(text).encode("utf-8", "surrogateescape")


def _substr(name: str, text: str) -> str:
    found = _arguments(name, text, 2, 3)
    value = unmask(found[0])
    start = evaluate(found[1])
    if not 1 <= start <= len(value):
        raise Fault(f"argument 2 of %{name.upper()} is out of range")
    if len(found) == 2:
        return value[start - 1 :]
    length = evaluate(found[2])
    if length < 0 or start - 1 + length > len(value):
        raise Fault(f"argument 3 of %{name.upper()} is out of range")
    return value[start - 1 : start - 1 + length]


def _index(name: str, text: str) -> str:
    found = _arguments(name, text, 2, 2)
    return str(unmask(found[0]).find(unmask(found[1])) + 1)


def _sysevalf(name: str, text: str) -> str:
    found = _arguments(name, text, 1, 2)
    return evaluate_floating(found[0], found[1] if len(found) > 1 else "")


def _length(_name: str, text: str) -> str:
    return str(len(unmask(strip(text))))


_PLAIN: dict[str, Callable[[str, str], str]] = {
    "scan": _scan,
    "substr": _substr,
    "upcase": lambda _, text: unmask(text).upper(),
    "lowcase": lambda _, text: unmask(text).lower(),
}
_NUMERIC: dict[str, Callable[[str, str], str]] = {
    "length": _length,
    "index": _index,
    "eval": lambda _, text: str(evaluate(text)),
    "sysevalf": _sysevalf,
}


def call(name: str, text: str) -> tuple[str, bool]:
    """The result and whether it has to be scanned again for ``&`` and ``%``."""
    if name in _NUMERIC:
        return _NUMERIC[name](name, text), False
    if name in _PLAIN:
        return _PLAIN[name](name, text), True
    if name[0] == "q" and name[1:] in _PLAIN:
        return mask(_PLAIN[name[1:]](name[1:], text)), False
    if name == "bquote":
        return mask_but_triggers(text), False
    if name == "nrbquote":
        return mask(text), False
    assert name == "unquote"
    return unmask(text), True


def variable_name(text: str) -> str:
    """The argument of %SUPERQ, %SYMEXIST and their like."""
    name = unmask(strip(text))
    if not re.fullmatch(r"[A-Za-z_]\w{0,31}", name):
        raise Fault(f"{name!r} is no name of a macro variable")
    return name
