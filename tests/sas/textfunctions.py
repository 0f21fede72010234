"""Functions on character values. An argument comes padded to its length."""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tests.sas.errors import Fault, Unknown
from tests.sas.formats import best
from tests.sas.perl import compiled
from tests.sas.values import SpecialMissing, is_missing
from tests.sas.words import count_words, scan_word


def whole(value: Any, where: str) -> int:
    """A number that must not be missing, cut to a whole one."""
    if is_missing(value):
        raise Fault(f"a missing argument of {where}")
    return int(value)


def number_text(value: Any, width: int = 0) -> bytes:
    """A number without blanks. ``width`` is 12 for %SYSFUNC and 32 for CALL SYMPUTX; that of the
    CAT functions is not documented, so that a number for which it matters is a Fault."""
    if value is None:
        return b"."
    if isinstance(value, SpecialMissing):
        return value.letter.encode()
    if width:
        return best(float(value), width).strip().encode()
    short, long = best(float(value), 12).strip(), best(float(value), 32).strip()
    if short != long:
        raise Fault(f"the text of the number {value!r} depends on a width that is not documented")
    return long.encode()


def _text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else number_text(value)


def length(value: bytes) -> float:
    return float(len(value.rstrip(b" ")) or 1)


def lengthn(value: bytes) -> float:
    return float(len(value.rstrip(b" ")))


def substr(value: bytes, start: Any, length: Any = Ellipsis) -> bytes:
    at = whole(start, "SUBSTR")
    if not 1 <= at <= max(len(value), 1):
        raise Fault(f"invalid second argument to function SUBSTR: {at} of {len(value)}")
    if length is Ellipsis:
        return value[at - 1 :]
    size = whole(length, "SUBSTR")
    if size < 1 or at - 1 + size > max(len(value), 1):
        raise Fault(f"invalid third argument to function SUBSTR: {size} from {at} of {len(value)}")
    return value[at - 1 : at - 1 + size]


def substrn(value: bytes, start: Any, length: Any = Ellipsis) -> bytes:
    if is_missing(start) or (length is not Ellipsis and is_missing(length)):
        return b""
    at = int(start)
    end = len(value) + 1 if length is Ellipsis else at + int(length)
    at = max(at, 1)
    return value[at - 1 : max(end, at) - 1]


def char(value: bytes, position: Any) -> bytes:
    at = whole(position, "CHAR")
    return (value[at - 1 : at] if at >= 1 else b"") or b" "


def scan(
    value: bytes, count: Any, delimiters: bytes | None = None, modifiers: bytes = b""
) -> bytes:
    return scan_word(value, whole(count, "SCAN"), delimiters, modifiers.decode("latin-1"))


def countw(value: bytes, delimiters: bytes | None = None, modifiers: bytes = b"") -> float:
    return float(count_words(value, delimiters, modifiers.decode("latin-1")))


def find(value: bytes, part: bytes, *rest: Any) -> float:
    modifiers, start = b"", 1
    for one in rest:
        if isinstance(one, bytes):
            modifiers = one.lower().replace(b" ", b"")
        else:
            start = whole(one, "FIND")
    if set(modifiers) - set(b"it"):
        raise Unknown(f"modifier {modifiers!r} of FIND")
    if b"t" in modifiers:
        value, part = value.rstrip(b" "), part.rstrip(b" ")
    if b"i" in modifiers:
        value, part = value.lower(), part.lower()
    if start < 1 or not part:
        if start < 0:
            raise Unknown("FIND from right to left")
        return 0.0
    return float(value.find(part, start - 1) + 1)


def index(value: bytes, part: bytes) -> float:
    return float(value.find(part) + 1)


def indexc(value: bytes, *lists: bytes) -> float:
    wanted = set(b"".join(lists))
    return float(next((at for at, byte in enumerate(value, 1) if byte in wanted), 0))


def verify(value: bytes, *lists: bytes) -> float:
    rest = value.lstrip(b"".join(lists))
    return float(len(value) - len(rest) + 1 if rest else 0)


def findc(value: bytes, chars: bytes = b"", *rest: Any) -> float:
    modifiers, start = b"", 1
    for one in rest:
        if isinstance(one, bytes):
            modifiers = one.lower().replace(b" ", b"")
        else:
            start = whole(one, "FINDC")
    wanted, negate = _character_list(chars, modifiers, "FINDC", "kvit")
    if start < 1:
        raise Unknown("FINDC from right to left")
    places = range(start - 1, len(value))
    return float(next((at + 1 for at in places if (value[at] in wanted) != negate), 0))


def findw(
    value: bytes, word: bytes, delimiters: bytes = b" !$%&()*+,-./;<^|", modifiers: bytes = b""
) -> float:
    letters = modifiers.lower().replace(b" ", b"")
    if set(letters) - set(b"eirt"):
        raise Unknown(f"modifier {letters!r} of FINDW")
    if b"r" in letters or b"t" in letters:
        word = word.strip(b" ")
    if b"i" in letters:
        value, word = value.lower(), word.lower()
    if not word:
        return 0.0
    at, count = 0, 0
    for piece in _pieces(value, set(delimiters)):
        if piece:
            count += 1
            if piece == word:
                return float(count if b"e" in letters else at + 1)
        at += len(piece) + 1
    return 0.0


def _pieces(value: bytes, delimiters: set[int]) -> list[bytes]:
    found, start = [], 0
    for at, byte in enumerate(value):
        if byte in delimiters:
            found.append(value[start:at])
            start = at + 1
    return [*found, value[start:]]


def count(value: bytes, part: bytes, modifiers: bytes = b"") -> float:
    letters = modifiers.lower().replace(b" ", b"")
    if set(letters) - set(b"it"):
        raise Unknown(f"modifier {letters!r} of COUNT")
    if b"t" in letters:
        value, part = value.rstrip(b" "), part.rstrip(b" ")
    if b"i" in letters:
        value, part = value.lower(), part.lower()
    return float(value.count(part)) if part else 0.0


_CLASSES = {
    "a": string.ascii_letters, "d": string.digits, "l": string.ascii_lowercase,
    "u": string.ascii_uppercase, "n": string.ascii_letters + string.digits + "_",
    "f": string.ascii_letters + "_", "p": string.punctuation, "s": " \t\n\v\f\r",
    "x": string.hexdigits, "h": "\t",
    "w": string.printable[:95], "c": "".join(map(chr, [*range(32), 127])),
}  # fmt: skip


def _character_list(
    chars: bytes, modifiers: bytes, name: str, others: str
) -> tuple[set[int], bool]:
    letters = set(modifiers.lower().decode("latin-1").replace(" ", ""))
    unknown = letters - set(_CLASSES) - set(others)
    if unknown:
        raise Unknown(f"modifier {''.join(sorted(unknown))!r} of {name}")
    listed = set(chars.rstrip(b" ") if "t" in letters else chars)
    for letter in letters & set(_CLASSES):
        listed |= set(_CLASSES[letter].encode())
    if "i" in letters:
        listed |= set(bytes(listed).lower()) | set(bytes(listed).upper())
    return listed, "k" in letters or "v" in letters


def countc(value: bytes, chars: bytes, modifiers: bytes = b"") -> float:
    wanted, negate = _character_list(chars, modifiers, "COUNTC", "kvit")
    return float(sum((byte in wanted) != negate for byte in value))


def compress(value: bytes, chars: bytes | None = None, modifiers: bytes = b"") -> bytes:
    if chars is None:
        return value.replace(b" ", b"")
    wanted, keep = _character_list(chars, modifiers, "COMPRESS", "kit")
    return bytes(byte for byte in value if (byte in wanted) == keep)


def any_of(wanted: str, *, negate: bool = False) -> Callable[..., float]:
    listed = set(wanted.encode())

    def search(value: bytes, start: Any = 1.0) -> float:
        at = whole(start, "ANY and NOT functions")
        if at < 0:
            raise Unknown("ANY and NOT functions from right to left")
        places = range(max(at, 1) - 1, len(value))
        return float(next((p + 1 for p in places if (value[p] in listed) != negate), 0))

    return search


@lru_cache(maxsize=256)
def _table(pairs: tuple[bytes, ...]) -> bytes:
    table = list(range(256))
    for to, source in zip(pairs[::2], pairs[1::2], strict=True):
        seen: set[int] = set()
        for at, byte in enumerate(source):
            if byte not in seen:
                table[byte] = to[at] if at < len(to) else 32
                seen.add(byte)
    return bytes(table)


def translate(value: bytes, *pairs: bytes) -> bytes:
    if len(pairs) % 2:
        raise Fault("TRANSLATE needs pairs of TO and FROM")
    return value.translate(_table(pairs))


def tranwrd(value: bytes, target: bytes, replacement: bytes) -> bytes:
    if not target.strip(b" "):
        raise Fault("TRANWRD of a blank target")
    return value.replace(target, replacement or b" ")


def transtrn(value: bytes, target: bytes, replacement: bytes) -> bytes:
    return value.replace(target, replacement) if target else value


def left(value: bytes) -> bytes:
    return value.lstrip(b" ").ljust(len(value))


def right(value: bytes) -> bytes:
    return value.rstrip(b" ").rjust(len(value))


def repeat(value: bytes, times: Any) -> bytes:
    return value * (whole(times, "REPEAT") + 1)


def byte(code: Any) -> bytes:
    return bytes([whole(code, "BYTE")])


def prxchange(pattern: bytes, times: Any, value: bytes) -> bytes:
    return compiled(pattern).change(value, whole(times, "PRXCHANGE"))


def prxmatch(pattern: bytes, value: bytes) -> float:
    return float(compiled(pattern).search(value))


def quote(value: bytes, mark: bytes = b'"') -> bytes:
    mark = mark[:1]
    return mark + value.replace(mark, mark * 2) + mark


def dequote(value: bytes) -> bytes:
    text = value.rstrip(b" ")
    mark = text[:1]
    if mark not in (b'"', b"'"):
        return value
    end = text.replace(mark * 2, b"\0\0").find(mark, 1)
    return (text[1:] if end < 0 else text[1:end]).replace(mark * 2, mark)


def cat(*items: Any) -> bytes:
    return b"".join(_text(item) for item in items)


def cats(*items: Any) -> bytes:
    return b"".join(_text(item).strip(b" ") for item in items)


def catt(*items: Any) -> bytes:
    return b"".join(_text(item).rstrip(b" ") for item in items)


def catx(separator: bytes, *items: Any) -> bytes:
    texts = (_text(item).strip(b" ") for item in items)
    return separator.join(text for text in texts if text)


def nvalid(value: bytes, rule: bytes = b"v7") -> float:
    if rule.strip().lower() != b"v7":
        raise Unknown(f"NVALID with {rule!r}")
    text = value.rstrip(b" ").decode("latin-1")
    first = string.ascii_letters + "_"
    good = 0 < len(text) <= 32 and text[0] in first and not set(text) - set(first + string.digits)
    return float(good)
