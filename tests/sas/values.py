"""Values of the DATA step: numbers, missing values, bytes in the session encoding.

A number is a float; the ordinary missing value is None; ``.A`` to ``.Z`` and ``._`` are
:class:`SpecialMissing`. A character value is bytes without the blanks that pad it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MISSING = None
CODECS = {"utf-8": "utf-8", "wlatin1": "cp1252", "latin1": "latin-1", "us-ascii": "ascii"}
ALIASES = {"utf8": "utf-8", "utf-8": "utf-8", "wlatin1": "wlatin1", "windows-1252": "wlatin1",
           "latin1": "latin1", "iso-8859-1": "latin1", "us-ascii": "us-ascii", "ansi": "us-ascii"}  # fmt: skip


class SpecialMissing:
    """``.A`` to ``.Z`` and ``._``; one object each, see :data:`SPECIAL`."""

    __slots__ = ("letter",)

    def __init__(self, letter: str) -> None:
        self.letter = letter

    def __repr__(self) -> str:
        return f".{self.letter}"


SPECIAL = {letter: SpecialMissing(letter) for letter in "_ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

Number = float | None | SpecialMissing
Value = float | None | SpecialMissing | bytes


def is_missing(value: Any) -> bool:
    """Whether a numeric value is any of the missing values."""
    return value is None or isinstance(value, SpecialMissing)


def rank(value: Any) -> tuple[int, float]:
    """Sorts numbers: ``._`` < ``.`` < ``.A`` ... ``.Z`` < all numbers."""
    if value is None:
        return (1, 0.0)
    if isinstance(value, SpecialMissing):
        return (0, 0.0) if value.letter == "_" else (2, float(ord(value.letter)))
    return (3, value)


def truth(value: Any) -> bool:
    """A condition is true unless it is zero or missing."""
    return value is not None and not isinstance(value, SpecialMissing) and value != 0


def _compare(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        try:
            return holds(left, right)
        except TypeError:
            return holds(rank(left), rank(right))

    return compare


lt = _compare(lambda left, right: left < right)
le = _compare(lambda left, right: left <= right)
gt = _compare(lambda left, right: left > right)
ge = _compare(lambda left, right: left >= right)


def _padded(left: bytes, right: bytes) -> tuple[bytes, bytes]:
    width = max(len(left), len(right))
    return left.ljust(width), right.ljust(width)


def clt(left: bytes, right: bytes) -> bool:
    """Character ``<``: the shorter one is padded with blanks; bytes decide."""
    left, right = _padded(left, right)
    return left < right


def cle(left: bytes, right: bytes) -> bool:
    """Character ``<=``."""
    left, right = _padded(left, right)
    return left <= right


def starts(left: bytes, right: bytes) -> tuple[bytes, bytes]:
    """Both cut to the shorter one, as the colon modifier of a comparison does."""
    width = min(len(left), len(right))
    return left[:width], right[:width]


def codec(encoding: str) -> str:
    """Python's name of an encoding that SAS knows, KeyError otherwise."""
    return CODECS[ALIASES[encoding.lower()]]
