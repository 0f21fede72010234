"""Perl regular expressions of the PRX functions, on bytes.

Only what means the same in Perl and in Python is let through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from tests.sas.errors import Fault, Unknown

_ESCAPES = set("dDwWsSbBtnrf0123456789xA")
_FLAGS = {"i": re.IGNORECASE, "x": re.VERBOSE, "s": re.DOTALL, "m": re.MULTILINE}
_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}


@dataclass(frozen=True)
class Perl:
    """One pattern, with what replaces it if it is a substitution."""

    pattern: re.Pattern[bytes]
    replacement: bytes | None

    def search(self, value: bytes) -> int:
        """Where the first match begins; 0 if there is none."""
        found = self.pattern.search(value)
        return found.start() + 1 if found else 0

    def change(self, value: bytes, times: int) -> bytes:
        """``value`` with the first ``times`` matches replaced, all of them with -1."""
        if self.replacement is None:
            raise Unknown("PRXCHANGE with a pattern that replaces nothing")
        if times == 0:
            return value
        return self.pattern.sub(self.replacement, value, count=0 if times == -1 else times)


def _parts(text: str, start: int, count: int) -> tuple[list[str], str]:
    mark = text[start]
    if mark in _CLOSING:
        raise Unknown(f"PRX pattern with the delimiter {mark}")
    found: list[str] = []
    part, at = "", start + 1
    while len(found) < count:
        if at >= len(text):
            raise Unknown(f"PRX pattern {text!r} is not closed")
        char = text[at]
        if char == "\\":
            pair = text[at : at + 2]
            part += mark if pair[1:] == mark and mark == "/" else pair
            at += 2
            continue
        if char == mark:
            found.append(part)
            part = ""
        else:
            part += char
        at += 1
    return found, text[at:]


def _pattern(text: str) -> str:
    for escape in re.findall(r"\\(.)", text):
        if escape.isalnum() and escape not in _ESCAPES:
            raise Unknown(f"\\{escape} in a PRX pattern")
    if re.search(r"\(\?(?![:=!])|\[\[:|(?<!\\)[*+?}]\+", text):
        raise Unknown(f"an extension in the PRX pattern {text!r}")
    # $ in Perl and in Python both match before a line break at the end
    return text


def _replacement(text: str) -> str:
    if re.search(r"\\[a-zA-Z]|\$(?!\d)", text):
        raise Unknown(f"an escape in the PRX replacement {text!r}")
    return re.sub(r"\$(\d)", r"\\g<\1>", re.sub(r"\\(\W)", r"\1", text).replace("\\", "\\\\"))


@lru_cache(maxsize=256)
def compiled(source: bytes) -> Perl:
    """The pattern that SAS would make of the text ``/.../i`` or ``s/.../.../i``."""
    text = source.decode("latin-1").strip(" ")
    substitution = text.startswith("s") and len(text) > 1 and not text[1].isalnum()
    start = 1 if substitution else int(text.startswith("m") and text[1:2] != "")
    parts, flags = _parts(text, start, 2 if substitution else 1)
    value = 0
    for flag in flags:
        if flag == "o":
            continue
        if flag not in _FLAGS:
            raise Unknown(f"flag {flag} of a PRX pattern")
        value |= _FLAGS[flag]
    try:
        pattern = re.compile(_pattern(parts[0]).encode("latin-1"), value)
    except re.error as fault:
        raise Fault(f"the PRX pattern {text!r}: {fault}") from None
    replacement = _replacement(parts[1]).encode("latin-1") if substitution else None
    return Perl(pattern, replacement)
