"""Which texts are values of a kind: once for Python, once as SQL of DuckDB; both say the same.

The rules are those of the bundled SAS code. Blanks around a value do not count, and a value of
blanks is missing. A number has up to 15 digits, since more would not survive; dates and times are
ISO 8601 of the years 1 to 9999, a time with a zone becomes UTC.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime

from connector_proxy.dataset.columns import Kind

MOST_DIGITS = 15
"""Decimal digits that any floating point number of 64 bits keeps."""

_LONGEST_NUMBER = 32
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_HOUR = "([01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_DATE}[T ]{_HOUR}:[0-5][0-9](\.[0-9]{{1,9}})?(Z|[+-]{_HOUR})?"
UNFIT = "connector_proxy: a value does not fit"
"""What DuckDB says where ``typed_sql`` meets a value that is none of its kind."""

_TYPES = {Kind.NUMBER: "DOUBLE", Kind.DATE: "DATE", Kind.TIMESTAMP: "TIMESTAMP"}
_A = {Kind.NUMBER: "a number", Kind.DATE: "a date", Kind.TIMESTAMP: "a time"}


@dataclass(frozen=True)
class Limits:
    """What a target cannot hold: texts with NUL, texts of more bytes than ``longest`` (0: any),
    years before ``first_year``, numbers beyond ``greatest``."""

    nul: bool = True
    longest: int = 0
    first_year: int = 1
    greatest: float = sys.float_info.max

    def __and__(self, other: Limits) -> Limits:
        """The limits of both."""
        lengths = [one for one in (self.longest, other.longest) if one]
        return Limits(
            self.nul and other.nul,
            min(lengths, default=0),
            max(self.first_year, other.first_year),
            min(self.greatest, other.greatest),
        )


def misfit(text: str, kind: Kind, limits: Limits) -> str:
    """Why ``text`` is no value of ``kind`` within ``limits``, in words behind its column's name;
    empty where it is one."""
    if kind is Kind.CHARACTER:
        return _text_misfit(text, limits)
    word = text.strip(" ")
    if not word or _reads_as(word, kind, limits):
        return ""
    return f"is not {_A[kind]}"


def _text_misfit(text: str, limits: Limits) -> str:
    if not limits.nul and "\0" in text:
        return "holds a NUL byte"
    if limits.longest and len(text.encode()) > limits.longest:
        return f"has more than {limits.longest} bytes"
    return ""


def _reads_as(word: str, kind: Kind, limits: Limits) -> bool:
    if kind is Kind.NUMBER:
        return _is_number(word, limits.greatest) and digits(word) <= MOST_DIGITS
    try:
        if kind is Kind.DATE:
            found = date.fromisoformat(word) if re.fullmatch(_DATE, word) else None
        else:
            found = datetime.fromisoformat(word) if re.fullmatch(_TIME, word) else None
            if isinstance(found, datetime) and found.tzinfo:
                found = found.astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return found is not None and found.year >= limits.first_year


def _is_number(word: str, greatest: float) -> bool:
    shape = len(word) <= _LONGEST_NUMBER and re.fullmatch(_NUMBER, word)
    return bool(shape) and abs(float(word)) <= greatest


def digits(word: str) -> int:
    """How many digits a number needs: no zeros in front, none at the end of a fraction."""
    mantissa = re.split("[eE]", word)[0]
    if "." in mantissa:
        mantissa = mantissa.rstrip("0")
    return len(mantissa.translate({ord(sign): None for sign in "+-."}).lstrip("0"))


def _word(column: str) -> str:
    return f"trim({column}, ' ')"


def filled_sql(column: str) -> str:
    """Whether there is more than blanks."""
    return f"{_word(column)} <> ''"


def readable_sql(column: str, kind: Kind, limits: Limits) -> str:
    """Whether a filled value is one of ``kind``, however many digits it has."""
    word = _word(column)
    if kind is Kind.NUMBER:
        shape = f"regexp_full_match({word}, '{_NUMBER}') AND length({word}) <= {_LONGEST_NUMBER}"
        return f"({shape} AND abs(try_cast({word} AS DOUBLE)) <= {limits.greatest!r}::DOUBLE)"
    form = _DATE if kind is Kind.DATE else _TIME
    years = f"year({_cast(word, kind)}) BETWEEN {limits.first_year} AND 9999"
    return f"(regexp_full_match({word}, '{form}') AND coalesce({years}, false))"


def too_precise_sql(column: str) -> str:
    """Whether a number has more digits than ``MOST_DIGITS``."""
    word = _word(column)
    mantissa = f"split_part(lower({word}), 'e', 1)"
    short = f"CASE WHEN contains({word}, '.') THEN rtrim({mantissa}, '0') ELSE {mantissa} END"
    count = f"length(ltrim(translate({short}, '+-.', ''), '0')) > {MOST_DIGITS}"
    return (
        f"(length({word}) > {MOST_DIGITS} AND regexp_full_match({word}, '{_NUMBER}') AND {count})"
    )


def _cast(word: str, kind: Kind) -> str:
    if kind is Kind.TIMESTAMP:  # by way of a zone: DuckDB would drop the offset
        return f"CAST(try_cast({word} AS TIMESTAMPTZ) AS TIMESTAMP)"
    return f"try_cast({word} AS {_TYPES[kind]})"


def typed_sql(column: str, kind: Kind, limits: Limits) -> str:
    """The value of a column as ``kind``; fails with ``UNFIT`` where there is none.

    Nearly every value is of the usual form, which is told in a fifth of the time.
    """
    if kind is Kind.CHARACTER:
        return _text_sql(column, limits)
    fits = readable_sql(column, kind, limits)
    if kind is Kind.NUMBER:
        fits += f" AND NOT {too_precise_sql(column)}"
    return (
        f"CASE WHEN {column} IS NULL THEN NULL "
        f"WHEN {_usual_sql(column, kind, limits.first_year)} "
        f"THEN coalesce(try_cast({column} AS {_TYPES[kind]}), error('{UNFIT}')) "
        f"WHEN NOT {filled_sql(column)} THEN NULL "
        f"WHEN {fits} THEN {_cast(_word(column), kind)} ELSE error('{UNFIT}') END"
    )


def _usual_sql(column: str, kind: Kind, first_year: int) -> str:
    """Whether a value has the form that nearly all have, and is one if DuckDB can cast it."""
    if kind is Kind.NUMBER:
        digits = r"[+-]?[0-9]*\.?[0-9]*"
        return f"(strlen({column}) <= {MOST_DIGITS} AND regexp_full_match({column}, '{digits}'))"
    form = _DATE if kind is Kind.DATE else rf"{_DATE}[T ]{_HOUR}:[0-5][0-9]Z?"
    return f"({column} >= '{first_year:04}' AND regexp_full_match({column}, '{form}'))"


def _text_sql(column: str, limits: Limits) -> str:
    conditions = []
    if not limits.nul:
        conditions.append(f"contains({column}, chr(0))")
    if limits.longest:
        conditions.append(f"strlen({column}) > {limits.longest}")
    if not conditions:
        return column
    return f"CASE WHEN {' OR '.join(conditions)} THEN error('{UNFIT}') ELSE {column} END"
