"""Informats: a field of bytes makes a value, or None with ``invalid``."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tests.sas.errors import Fault, Unknown
from tests.sas.formats import EPOCH, check_width
from tests.sas.lexer import FormatName
from tests.sas.values import SPECIAL


class Invalid(Exception):
    """The field cannot be read with the informat."""


_PLAIN = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?\Z")


def read_number(field: bytes, decimals: int = 0) -> Any:
    """w.d: blanks in front and behind, sign, decimal point, exponent with E or D.

    A blank field or a lone period is missing; ``.A`` to ``.Z`` and ``._`` are special missing
    values (a letter alone needs a MISSING statement, which is not in the subset).
    Without a decimal point the value is divided by ten to the power d.
    """
    text = field.strip(b" ")
    if text in (b"", b"."):
        return None
    if not _PLAIN.match(text):
        return _special(text)
    number = float(text.upper().replace(b"D", b"E"))
    if number in (float("inf"), float("-inf")):
        raise Invalid
    return number / 10**decimals if decimals and b"." not in text else number


def _special(text: bytes) -> Any:
    if len(text) == 2 and text[:1] == b"." and text[1:].upper().decode("latin-1") in SPECIAL:
        return SPECIAL[text[1:].upper().decode()]
    raise Invalid


def _number(field: bytes, _width: int, decimals: int) -> Any:
    return read_number(field, decimals)


def _comma(field: bytes, _width: int, decimals: int) -> Any:
    text = field.strip(b" ")
    negative = text.startswith(b"(")
    text = re.sub(rb"[,$% ()]", b"", text)
    value = read_number(text, decimals)
    return -value if negative and value is not None else value


def _hexadecimal(field: bytes, width: int, _decimals: int) -> Any:
    if width == 16:
        raise Unknown("HEX16. as informat, which reads a floating point number")
    text = field.strip(b" ")
    if not re.fullmatch(rb"[0-9A-Fa-f]+", text):
        raise Invalid
    return float(int(text, 16))


_DAY = re.compile(rb"(\d{4})-(\d\d)-(\d\d)")
_MOMENT = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,6})?")
_BASIC = re.compile(rb"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\.\d{1,6})?")
_ZONE = re.compile(rb"Z|([-+])(\d\d):(\d\d)")


def _day(year: bytes, month: bytes, day: bytes) -> float:
    try:
        return float((dt.datetime(int(year), int(month), int(day)) - EPOCH).days)
    except ValueError:
        raise Invalid from None


def _checked_year(days: float) -> float:
    """SAS dates begin with the Gregorian calendar, in 1582."""
    if days < -138061:
        raise Invalid
    return days


def _e8601da(field: bytes, _width: int, _decimals: int) -> Any:
    text = field.strip(b" ")
    if text in (b"", b"."):
        return None
    found = _DAY.fullmatch(text)
    if not found:
        raise Invalid
    return _checked_year(_day(*found.groups()))


def _moment(found: re.Match[bytes] | None) -> float:
    if not found:
        raise Invalid
    year, month, day, hour, minute, second, fraction = found.groups()
    hours, minutes, seconds = int(hour), int(minute), int(second)
    if hours > 24 or minutes > 59 or seconds > 59 or (hours == 24 and (minutes or seconds)):
        raise Invalid
    days = _checked_year(_day(year, month, day))
    return days * 86400.0 + hours * 3600 + minutes * 60 + seconds + float(fraction or 0)


def _local_moment(pattern: re.Pattern[bytes]) -> Callable[[bytes, int, int], Any]:
    def read(field: bytes, _width: int, _decimals: int) -> Any:
        text = field.strip(b" ")
        return None if text in (b"", b".") else _moment(pattern.fullmatch(text))

    return read


def _e8601dz(field: bytes, _width: int, _decimals: int) -> Any:
    text = field.strip(b" ")
    if text in (b"", b"."):
        return None
    found = _MOMENT.match(text)
    value = _moment(found)
    assert found
    zone = _ZONE.fullmatch(text, found.end())
    if not zone:
        raise Invalid
    if zone[1] is None:
        return value
    hours, minutes = int(zone[2]), int(zone[3])
    if hours > 14 or minutes > 59:
        raise Invalid
    offset = (hours * 60 + minutes) * 60.0
    return value - offset if zone[1] == b"+" else value + offset


_COMPACT = re.compile(rb"(\d{4})(\d\d)(\d\d)|(\d{4})[-/:. ](\d\d)[-/:. ](\d\d)")


def _yymmdd(field: bytes, _width: int, _decimals: int) -> Any:
    """YYMMDDw.: eight digits, or with a separator; years of two digits depend on YEARCUTOFF=."""
    text = field.strip(b" ")
    if text in (b"", b"."):
        return None
    found = _COMPACT.fullmatch(text)
    if not found:
        if re.fullmatch(rb"\d\d\D?\d\d\D?\d\d", text):
            raise Unknown("YYMMDD of a year of two digits")
        raise Invalid
    return _checked_year(_day(*(part for part in found.groups() if part is not None)))


_NUMERIC: dict[str, tuple[int, Callable[[bytes, int, int], Any]]] = {
    "": (0, _number),
    "best": (12, _number),
    "comma": (1, _comma),
    "hex": (8, _hexadecimal),
    "e8601da": (10, _e8601da),
    "e8601dt": (19, _local_moment(_MOMENT)),
    "e8601dz": (26, _e8601dz),
    "yymmdd": (6, _yymmdd),
    "b8601dt": (19, _local_moment(_BASIC)),
}
"""Name -> default width and reader. BESTw. as informat is documented as w.d."""
_LIKE = {"best": ""}


def _char(field: bytes, _width: int) -> bytes:
    return field


def _standard(field: bytes, _width: int) -> bytes:
    """$w.: leading blanks go, a lone period is a blank."""
    text = field.strip(b" ")
    return b"" if text == b"." else text


def _from_hex(field: bytes, _width: int) -> bytes:
    text = field.strip(b" ")
    if not re.fullmatch(rb"[0-9A-Fa-f]*", text):
        raise Invalid
    if len(text) % 2:
        text += b"0"
    return bytes.fromhex(text.decode())


_CHARACTER: dict[str, Callable[[bytes, int], bytes]] = {
    "$": _standard,
    "$char": _char,
    "$hex": _from_hex,
    "$varying": _char,
    "$upcase": lambda field, _width: field.upper(),
}


@lru_cache(maxsize=1024)
def numeric_reader(fmt: FormatName) -> tuple[Callable[[bytes], Any], int]:
    """What reads numbers with this informat, and its width (0: that of the field)."""
    if fmt.name not in _NUMERIC:
        raise Unknown(f"informat {fmt}")
    default, read = _NUMERIC[fmt.name]
    check_width("informat", FormatName(_LIKE.get(fmt.name, fmt.name), fmt.width, fmt.decimals))
    width, decimals = fmt.width or default, fmt.decimals or 0
    if decimals > 31:
        raise Fault(f"the decimals of the informat {fmt} are not within 0-31")

    def reader(field: bytes) -> Any:
        return read(field[:width] if width else field, width, decimals)

    return reader, width


@lru_cache(maxsize=1024)
def character_reader(fmt: FormatName) -> tuple[Callable[[bytes], bytes], int]:
    """What reads character values with this informat, and its width (0: that of the field)."""
    if fmt.name not in _CHARACTER:
        raise Unknown(f"informat {fmt}")
    check_width("informat", fmt)
    read = _CHARACTER[fmt.name]
    width = fmt.width or 0

    def reader(field: bytes) -> bytes:
        return read(field[:width] if width else field, width)

    return reader, width
