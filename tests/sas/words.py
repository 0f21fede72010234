"""SCAN and COUNTW: words between delimiters, with the documented modifiers.

Also used by %SCAN. Q: delimiters inside quoted substrings do not count, and both single and
double quotes quote.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from functools import lru_cache

from tests.sas.errors import Unknown

DEFAULT_DELIMITERS = b" !$%&()*+,-./;<^|"
_CLASSES = {
    "a": string.ascii_letters,
    "d": string.digits,
    "f": string.ascii_letters + "_",
    "h": "\t",
    "l": string.ascii_lowercase,
    "n": string.ascii_letters + string.digits + "_",
    "p": string.punctuation,
    "s": " \t\n\v\f\r",
    "u": string.ascii_uppercase,
    "x": string.hexdigits,
}


@dataclass(frozen=True)
class Rule:
    """What separates words. ``pattern`` is one delimiter."""

    delimiters: frozenset[int]
    pattern: re.Pattern[bytes] | None
    empty: bool
    quotes: bool
    backward: bool
    trim: bool


@lru_cache(maxsize=512)
def rule(delimiters: bytes | None, modifiers: str, name: str) -> Rule:
    """The rule that a list of delimiters and modifiers means."""
    letters = set(modifiers.lower().replace(" ", ""))
    known = set(_CLASSES) | set("bcikmoqrt")
    if letters - known:
        raise Unknown(f"modifier {''.join(sorted(letters - known))!r} of {name}")
    if "o" in letters:
        letters.discard("o")
    listed = set(DEFAULT_DELIMITERS if delimiters is None else delimiters)
    if delimiters is not None and "t" in letters:
        listed = set(delimiters.rstrip(b" "))
    for letter in letters & set(_CLASSES):
        listed |= set(_CLASSES[letter].encode())
    if "c" in letters:
        listed |= {*range(32), 127}
    if "i" in letters:
        listed |= {ord(one) for code in listed for one in chr(code).swapcase() if code < 128}
    if "k" in letters:
        listed = set(range(256)) - listed
    one = b"[" + b"".join(b"\\x%02x" % code for code in sorted(listed)) + b"]"
    pattern = re.compile(one) if listed else None
    return Rule(
        frozenset(listed), pattern, "m" in letters, "q" in letters, "b" in letters, "r" in letters
    )


def words(value: bytes, how: Rule) -> list[bytes]:
    """All words; with the M modifier empty ones count."""
    if not how.quotes:
        parts = [value] if how.pattern is None else how.pattern.split(value)
        return parts if how.empty else [word for word in parts if word]
    found, start, quote = [], 0, 0
    for at, byte in enumerate(value):
        if how.quotes and byte in (34, 39):
            if quote == 0:
                quote = byte
            elif quote == byte:
                quote = 0
            continue
        if byte in how.delimiters and not quote:
            found.append(value[start:at])
            start = at + 1
    found.append(value[start:])
    return found if how.empty else [word for word in found if word]


def scan_word(
    value: bytes, count: int, delimiters: bytes | None, modifiers: str, *, name: str = "SCAN"
) -> bytes:
    """The word with that number, from the right if it is negative; blank if there is none."""
    how = rule(delimiters, modifiers, name)
    found = words(value, how)
    if how.backward:
        count = -count
    if count == 0 or abs(count) > len(found):
        return b""
    word = found[count - 1 if count > 0 else count]
    return word.strip(b" ") if how.trim else word


def count_words(value: bytes, delimiters: bytes | None, modifiers: str) -> int:
    """COUNTW. An empty string with the M modifier has one word."""
    return len(words(value, rule(delimiters, modifiers, "COUNTW")))
