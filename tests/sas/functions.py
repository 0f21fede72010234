"""DATA step functions on values alone: no file, clock or session.

A character argument comes padded to its length, a character result is whatever bytes it is.
What SAS answers with a NOTE about an invalid argument is a Fault here, since such a NOTE dumps
the whole row into the log.
"""

from __future__ import annotations

import hashlib
import math
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.sas import textfunctions as text
from tests.sas.errors import Fault, Unknown
from tests.sas.values import is_missing, rank

MAX_CHAR = 32767


@dataclass(frozen=True)
class Function:
    """``needs`` and ``may`` hold a letter for each argument: c, n or x (either); ``more`` is the
    letter of any number of further ones. ``length`` of a character result: a number, "first"
    (that of the first argument), or "" where the documentation is not clear, so that the
    program has to declare the variable. ``context``: gets the session as first argument."""

    name: str
    call: Callable[..., Any]
    needs: str
    may: str = ""
    more: str = ""
    kind: str = "n"
    length: int | str = 200
    context: bool = False

    def types(self, count: int) -> str:
        """The letters for that many arguments; a Fault if there cannot be so many."""
        letters = self.needs + self.may
        if count < len(self.needs):
            raise Fault(f"function {self.name} has too few arguments")
        if count > len(letters):
            if not self.more:
                raise Fault(f"function {self.name} has too many arguments")
            letters += self.more * (count - len(letters))
        return letters[:count]


# lengths and parts


# searching


# changing


# concatenating: the compiler cuts or blanks, see expressions.py


# choosing


def _coalescec(*items: bytes) -> bytes:
    return next((item for item in items if item.strip(b" ")), b"")


def _coalesce(*items: Any) -> Any:
    return next((item for item in items if not is_missing(item)), None)


def _choose(index: Any, *items: Any) -> Any:
    at = text.whole(index, "CHOOSEC or CHOOSEN")
    if at == 0 or abs(at) > len(items):
        raise Fault(f"the index of CHOOSEC or CHOOSEN is {at} of {len(items)}")
    return items[at - 1 if at > 0 else at]


def _if(condition: Any, yes: Any, no: Any, missing: Any = Ellipsis) -> Any:
    if is_missing(condition) and missing is not Ellipsis:
        return missing
    return yes if not is_missing(condition) and condition != 0 else no


def _whichc(value: bytes, *items: bytes) -> float:
    wanted = value.rstrip(b" ")
    return float(next((at for at, item in enumerate(items, 1) if item.rstrip(b" ") == wanted), 0))


def _whichn(value: Any, *items: Any) -> Any:
    if is_missing(value):
        return None
    return float(next((at for at, item in enumerate(items, 1) if item == value), 0))


def _missing(value: Any) -> float:
    return float(not value.strip(b" ") if isinstance(value, bytes) else is_missing(value))


# numbers


def _present(items: tuple[Any, ...]) -> list[float]:
    return [item for item in items if not is_missing(item)]


def _extreme(pick: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *items: pick(_present(items), key=rank, default=None)


def _sum(*items: Any) -> Any:
    found = _present(items)
    return float(sum(found)) if found else None


def _of_number(function: Callable[[float], float]) -> Callable[[Any], Any]:
    return lambda value: None if is_missing(value) else float(function(float(value)))


def _fuzzed(function: Callable[[float], float]) -> Callable[[float], float]:
    """INT, FLOOR and CEIL take a value within 1E-12 of a whole number for that number."""

    def apply(value: float) -> float:
        near = round(value)
        return near if abs(value - near) < 1e-12 else function(value)

    return apply


def _round(value: Any, unit: Any = 1.0) -> Any:
    if is_missing(value) or is_missing(unit):
        return None
    if unit == 0:
        raise Fault("ROUND to a unit of 0")
    return math.copysign(math.floor(abs(value) / unit + 0.5) * unit, value)


def _mod(value: Any, divisor: Any) -> Any:
    if is_missing(value) or is_missing(divisor):
        return None
    if divisor == 0:
        raise Fault("MOD by 0")
    return math.fmod(value, divisor)


def _logarithm(function: Callable[[float], float]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        if not is_missing(value) and value <= 0:
            raise Fault(f"a logarithm of {value}")
        return None if is_missing(value) else function(value)

    return apply


def _digest(name: str) -> Callable[[bytes], bytes]:
    return lambda value: hashlib.new(name, value, usedforsecurity=False).digest()


def _hashing(name: bytes, value: bytes) -> bytes:
    method = name.strip().lower().decode("latin-1")
    if method not in ("sha256", "sha1", "md5", "sha384", "sha512"):
        raise Unknown(f"HASHING with {method}")
    return hashlib.new(method, value, usedforsecurity=False).hexdigest().upper().encode()


def _date_of(value: Any) -> Any:
    return None if is_missing(value) else float(math.floor(value / 86400))


def _time_of(value: Any) -> Any:
    return None if is_missing(value) else value - math.floor(value / 86400) * 86400


def _dhms(day: Any, hour: Any, minute: Any, second: Any) -> Any:
    if any(is_missing(one) for one in (day, hour, minute, second)):
        return None
    return day * 86400.0 + hour * 3600 + minute * 60 + second


_F = Function
TABLE = (
    _F("length", text.length, "c"),
    _F("lengthn", text.lengthn, "c"),
    _F("lengthc", lambda value: float(len(value)), "c"),
    _F("substr", text.substr, "cn", "n", kind="c", length="first"),
    _F("substrn", text.substrn, "cn", "n", kind="c", length="first"),
    _F("char", text.char, "cn", kind="c", length=1),
    _F("scan", text.scan, "cn", "cc", kind="c", length=200),
    _F("countw", text.countw, "c", "cc"),
    _F("find", text.find, "cc", "xx"),
    _F("findc", text.findc, "c", "cxx"),
    _F("findw", text.findw, "cc", "cc"),
    _F("index", text.index, "cc"),
    _F("indexc", text.indexc, "cc", more="c"),
    _F("verify", text.verify, "cc", more="c"),
    _F("count", text.count, "cc", "c"),
    _F("countc", text.countc, "cc", "c"),
    _F("compress", text.compress, "c", "cc", kind="c", length="first"),
    _F("translate", text.translate, "ccc", more="c", kind="c", length="first"),
    _F("tranwrd", text.tranwrd, "ccc", kind="c", length=200),
    _F("transtrn", text.transtrn, "ccc", kind="c", length=200),
    _F("strip", lambda value: value.strip(b" "), "c", kind="c", length="first"),
    _F("trim", lambda value: value.rstrip(b" ") or b" ", "c", kind="c", length="first"),
    _F("trimn", lambda value: value.rstrip(b" "), "c", kind="c", length="first"),
    _F("left", text.left, "c", kind="c", length="first"),
    _F("right", text.right, "c", kind="c", length="first"),
    _F("upcase", lambda value: value.upper(), "c", kind="c", length="first"),
    _F("lowcase", lambda value: value.lower(), "c", kind="c", length="first"),
    _F("reverse", lambda value: value[::-1], "c", kind="c", length="first"),
    _F("repeat", text.repeat, "cn", kind="c", length=200),
    _F("byte", text.byte, "n", kind="c", length=1),
    _F("rank", lambda value: float(value[0]), "c"),
    _F("quote", text.quote, "c", "c", kind="c", length=200),
    _F("dequote", text.dequote, "c", kind="c", length=200),
    _F("prxchange", text.prxchange, "cnc", kind="c", length=""),
    _F("prxmatch", text.prxmatch, "cc"),
    _F("cat", text.cat, "x", more="x", kind="c"),
    _F("cats", text.cats, "x", more="x", kind="c"),
    _F("catt", text.catt, "x", more="x", kind="c"),
    _F("catx", text.catx, "cx", more="x", kind="c"),
    _F("coalescec", _coalescec, "c", more="c", kind="c", length=200),
    _F("coalesce", _coalesce, "n", more="n"),
    _F("choosec", _choose, "nc", more="c", kind="c", length=""),
    _F("choosen", _choose, "nn", more="n"),
    _F("ifc", _if, "ncc", "c", kind="c", length=200),
    _F("ifn", _if, "nnn", "n"),
    _F("whichc", _whichc, "cc", more="c"),
    _F("whichn", _whichn, "nn", more="n"),
    _F("missing", _missing, "x"),
    _F("n", lambda *items: float(len(_present(items))), "n", more="n"),
    _F("nmiss", lambda *items: float(len(items) - len(_present(items))), "n", more="n"),
    _F("cmiss", lambda *items: float(sum(_missing(item) for item in items)), "x", more="x"),
    _F("max", _extreme(max), "nn", more="n"),
    _F("min", _extreme(min), "nn", more="n"),
    _F("sum", _sum, "n", more="n"),
    _F("abs", _of_number(abs), "n"),
    _F("int", _of_number(_fuzzed(math.trunc)), "n"),
    _F("floor", _of_number(_fuzzed(math.floor)), "n"),
    _F("ceil", _of_number(_fuzzed(math.ceil)), "n"),
    _F("sign", _of_number(lambda value: (value > 0) - (value < 0)), "n"),
    _F("round", _round, "n", "n"),
    _F("mod", _mod, "nn"),
    _F("log", _logarithm(math.log), "n"),
    _F("log2", _logarithm(math.log2), "n"),
    _F("log10", _logarithm(math.log10), "n"),
    _F("nvalid", text.nvalid, "c", "c"),
    _F("sha256", _digest("sha256"), "c", kind="c", length=200),
    _F("md5", _digest("md5"), "c", kind="c", length=200),
    _F(
        "sha256hex", lambda v: _digest("sha256")(v).hex().upper().encode(), "c", kind="c", length=""
    ),
    _F("hashing", _hashing, "cc", kind="c", length=""),
    _F("datepart", _date_of, "n"),
    _F("timepart", _time_of, "n"),
    _F("dhms", _dhms, "nnnn"),
    _F("anydigit", text.any_of(string.digits), "c", "n"),
    _F("anyalpha", text.any_of(string.ascii_letters), "c", "n"),
    _F("anyspace", text.any_of(" \t\n\v\f\r"), "c", "n"),
    _F("notdigit", text.any_of(string.digits, negate=True), "c", "n"),
    _F("notalpha", text.any_of(string.ascii_letters, negate=True), "c", "n"),
    _F("notalnum", text.any_of(string.ascii_letters + string.digits, negate=True), "c", "n"),
    _F("notname", text.any_of(string.ascii_letters + string.digits + "_", negate=True), "c", "n"),
)
FUNCTIONS: dict[str, Function] = {one.name: one for one in TABLE}
CAT_FAMILY = {"cat", "cats", "catt", "catx"}
