"""Formats: a value and a width make text. Widths are checked against those of SAS."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from connector_proxy.sascode.folder import widths
from tests.sas.errors import Fault, Unknown
from tests.sas.lexer import FormatName
from tests.sas.values import SpecialMissing

WIDTHS = widths()
EPOCH = dt.datetime(1960, 1, 1)


def check_width(kind: str, fmt: FormatName) -> None:
    """An illegal width is an error of the program: SAS does not run such a step."""
    if fmt.width is None:
        return
    known = WIDTHS[kind].get(fmt.name)
    if known is None:
        raise Unknown(f"{kind} {fmt}")
    if not known[0] <= fmt.width <= known[1]:
        raise Fault(f"the width of the {kind} {fmt} is not within {known[0]}-{known[1]}")


def missing_text(value: Any, width: int) -> str:
    """A period or a letter, right-aligned."""
    text = value.letter if isinstance(value, SpecialMissing) else "."
    return text.rjust(width)


def best(value: float, width: int) -> str:
    """BESTw.: as many digits as fit; E notation when a plain number does not."""
    if value == int(value) and abs(value) < 1e16:
        text = str(int(value))
        if len(text) <= width:
            return text.rjust(width)
    return _best_fraction(value, width).rjust(width)


def _best_fraction(value: float, width: int) -> str:
    plain = ""
    if abs(value) < 10**width:
        for decimals in range(min(width, 17), -1, -1):
            text = f"{value:.{decimals}f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
            if len(text) <= width and _digits(text) <= 15:
                plain = text
                break
    if plain and (abs(value) >= 1e-5 or value == 0):
        return plain
    return _exponent(value, width) or plain or "*" * width


def _digits(text: str) -> int:
    return len(text.strip("-").replace(".", "").lstrip("0"))


def _exponent(value: float, width: int) -> str:
    for decimals in range(min(width, 15), -1, -1):
        mantissa, exponent = f"{value:.{decimals}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        text = f"{mantissa}E{int(exponent)}"
        if len(text) <= width:
            return text
    return ""


def _numeric(value: float, width: int, decimals: int) -> str:
    """w.d; a number that does not fit is written with BESTw. instead, and with asterisks when it
    does not fit even so."""
    text = f"{_rounded(value, decimals):.{decimals}f}"
    if len(text) > width and text.startswith(("0.", "-0.")):
        text = text.replace("0.", ".", 1)
    return text.rjust(width) if len(text) <= width else best(value, width)


def _rounded(value: float, decimals: int) -> float:
    scaled = value * 10**decimals
    if abs(scaled) >= 1e15:
        return value
    return math.copysign(math.floor(abs(scaled) + 0.5), value) / float(10**decimals)


def _zero(value: float, width: int, decimals: int) -> str:
    text = f"{_rounded(abs(value), decimals):.{decimals}f}"
    sign = "-" if value < 0 else ""
    return sign + text.zfill(width - len(sign)) if len(text) + len(sign) <= width else "*" * width


def _comma(value: float, width: int, decimals: int) -> str:
    text = f"{_rounded(value, decimals):,.{decimals}f}"
    return text.rjust(width) if len(text) <= width else "*" * width


def _hex(value: float, width: int, _decimals: int) -> str:
    if width == 16:
        raise Unknown("HEX16., which writes the floating point number")
    return f"{int(value) & (16**width - 1):0{width}X}"


def moment(value: float) -> dt.datetime:
    """A SAS datetime as Python has it; OverflowError when it is none."""
    return EPOCH + dt.timedelta(seconds=value)


def _date_part(value: float) -> dt.date:
    return (EPOCH + dt.timedelta(days=math.floor(value))).date()


def _stars(write: Callable[[float, int, int], str]) -> Callable[[float, int, int], str]:
    def safe(value: float, width: int, decimals: int) -> str:
        try:
            text = write(value, width, decimals)
        except (OverflowError, ValueError):
            return "*" * width
        return text if len(text) <= width else "*" * width

    return safe


@_stars
def _e8601da(value: float, _width: int, _decimals: int) -> str:
    return _date_part(value).isoformat()


def _with_fraction(value: float, width: int, decimals: int, tail: str) -> str:
    room = width - 19 - len(tail)
    decimals = max(0, min(decimals, room - 1))
    micros = round(value * 10**decimals) / 10**decimals
    text = moment(micros).isoformat(timespec="microseconds")
    return (text[:19] + (text[19 : 20 + decimals] if decimals else "")) + tail


@_stars
def _e8601dt(value: float, width: int, decimals: int) -> str:
    return _with_fraction(value, width, decimals, "").ljust(width)


@_stars
def _e8601dz(value: float, width: int, decimals: int) -> str:
    tail = "+00:00" if width >= 25 + (decimals + 1 if decimals else 0) else "Z"
    return _with_fraction(value, width, decimals, tail).ljust(width)


@_stars
def _b8601dt(value: float, width: int, _decimals: int) -> str:
    return moment(math.floor(value)).strftime("%Y%m%dT%H%M%S").ljust(width)


@_stars
def _b8601da(value: float, width: int, _decimals: int) -> str:
    return _date_part(value).strftime("%Y%m%d").ljust(width)


@_stars
def _yymmddn(value: float, width: int, _decimals: int) -> str:
    if width not in (6, 8):
        raise Unknown(f"YYMMDDN{width}.")
    return _date_part(value).strftime("%Y%m%d")[8 - width :]


@_stars
def _yymmdd(value: float, width: int, _decimals: int) -> str:
    if width != 10:
        raise Unknown(f"YYMMDD{width}.")
    return _date_part(value).strftime("%Y-%m-%d")


@_stars
def _date(value: float, width: int, _decimals: int) -> str:
    if width not in (7, 9):
        raise Unknown(f"DATE{width}.")
    day = _date_part(value)
    year = f"{day.year:04}"[9 - width :]
    return f"{day.day:02}{day.strftime('%b').upper()}{year}"


@_stars
def _datetime(value: float, width: int, decimals: int) -> str:
    if (width, decimals) not in ((18, 0), (19, 0), (20, 0), (16, 0)):
        raise Unknown(f"DATETIME{width}.{decimals}")
    when = moment(math.floor(value))
    year = f"{when.year:04}" if width > 18 else f"{when.year % 100:02}"
    return f"{when.day:02}{when.strftime('%b').upper()}{year}:{when:%H:%M:%S}".rjust(width)


@_stars
def _time(value: float, width: int, decimals: int) -> str:
    if decimals or width < 8:
        raise Unknown(f"TIME{width}.{decimals}")
    whole = round(value)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}".rjust(width)


@_stars
def _tod(value: float, width: int, decimals: int) -> str:
    """TODw.d: the time of a datetime, with leading zeros."""
    if width < 8 or (decimals and width < 9 + decimals):
        raise Unknown(f"TOD{width}.{decimals}")
    part = round((value % 86400) * 10**decimals) / 10**decimals
    whole = int(part) % 86400
    text = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    fraction = f"{part - int(part):.{decimals}f}"[1:] if decimals else ""
    return (text + fraction).rjust(width)


def _best_of(value: float, width: int, _decimals: int) -> str:
    return best(value, width)


_NUMERIC: dict[str, tuple[int, Callable[[float, int, int], str]]] = {
    "": (12, _numeric),
    "best": (12, _best_of),
    "z": (1, _zero),
    "comma": (6, _comma),
    "hex": (8, _hex),
    "e8601da": (10, _e8601da),
    "e8601dt": (19, _e8601dt),
    "e8601dz": (26, _e8601dz),
    "b8601da": (10, _b8601da),
    "b8601dt": (19, _b8601dt),
    "yymmdd": (8, _yymmdd),
    "yymmddn": (8, _yymmddn),
    "date": (7, _date),
    "datetime": (16, _datetime),
    "time": (8, _time),
    "tod": (8, _tod),
}
_UNCHECKED = {"yymmddn": (2, 8)}
"""YYMMDDxw. stands in the table of widths as yymmddx."""


def _char(value: bytes, width: int) -> bytes:
    return value[:width].ljust(width)


def _left(value: bytes, width: int) -> bytes:
    return value.lstrip(b" ")[:width].ljust(width)


def _hexadecimal(value: bytes, width: int) -> bytes:
    return value.hex().upper().encode()[:width].ljust(width, b" ")


def _quote(value: bytes, width: int) -> bytes:
    text = b'"' + value.rstrip(b" ").replace(b'"', b'""') + b'"'
    return (text if len(text) <= width else b'"').ljust(width)


_CHARACTER: dict[str, Callable[[bytes, int], bytes]] = {
    "$": _char,
    "$char": _char,
    "$hex": _hexadecimal,
    "$upcase": lambda value, width: _char(value.upper(), width),
    "$quote": _quote,
}


@lru_cache(maxsize=1024)
def numeric_writer(fmt: FormatName) -> Callable[[Any], bytes]:
    """What writes numbers with this format."""
    if fmt.name not in _NUMERIC:
        raise Unknown(f"format {fmt}")
    default, write = _NUMERIC[fmt.name]
    if fmt.name in _UNCHECKED:
        least, most = _UNCHECKED[fmt.name]
        if fmt.width is not None and not least <= fmt.width <= most:
            raise Fault(f"the width of the format {fmt} is not within {least}-{most}")
    else:
        check_width("format", fmt)
    if not fmt.name and fmt.width is None:
        raise Fault("a format without name needs a width")
    width, decimals = fmt.width or default, fmt.decimals or 0
    if decimals >= width and decimals:
        raise Fault(f"format {fmt} has more decimals than width")

    def writer(value: Any) -> bytes:
        if value is None or isinstance(value, SpecialMissing):
            return missing_text(value, width).encode()
        return write(float(value), width, decimals).encode()

    return writer


@lru_cache(maxsize=1024)
def character_writer(fmt: FormatName, length: int) -> tuple[Callable[[bytes], bytes], int]:
    """What writes character values of that length, and how wide the result is."""
    if fmt.name not in _CHARACTER:
        raise Unknown(f"format {fmt}")
    check_width("format", fmt)
    if fmt.decimals is not None:
        raise Fault(f"format {fmt} takes no decimals")
    write = _CHARACTER[fmt.name]
    width = fmt.width or {"$hex": 4, "$quote": max(length + 2, 2)}.get(fmt.name, max(length, 1))

    def writer(value: bytes) -> bytes:
        return write(value if fmt.name != "$hex" else value.ljust(length), width)

    return writer, width


def is_character(fmt: FormatName) -> bool:
    """Whether a format or informat is for character values."""
    return fmt.name.startswith("$")


def known_format(fmt: FormatName) -> None:
    """Unknown or a Fault unless the format can be written; for FORMAT statements."""
    if is_character(fmt):
        character_writer(fmt, fmt.width or 1)
    else:
        numeric_writer(fmt if fmt.width or fmt.name else FormatName("", 12, fmt.decimals))
