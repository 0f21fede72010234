"""SAS transport files, version 8, row after row, in constant memory.

Laid out as SAS describes it in "Record Layout of a SAS Version 8 or 9 Data Set in SAS Transport
Format": records of 80 bytes, a descriptor of 140 bytes for each variable, numbers as IBM doubles.
SAS 9.4 reads them with its macro %XPT2LOC, in a session with the encoding UTF-8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from pathlib import Path
from struct import pack
from typing import BinaryIO

from connector_proxy.dataset.columns import Column, Kind, sas_names
from connector_proxy.dataset.duck import Misread, select, source
from connector_proxy.dataset.fitting import Limits
from connector_proxy.dataset.formats import Material
from connector_proxy.dataset.room import need_room

LIMITS = Limits(nul=False, longest=32767, first_year=1582, greatest=16.0**63 * (1 - 2.0**-53))
"""Texts of SAS variables are filled with blanks and have no NUL; its calendar begins in 1582; an
IBM double ends below 16 to the 63rd."""

_RECORD = 80
_ROWS_AT_A_TIME, _BYTES_AT_A_TIME = 10_000, 16 << 20
_SHORT_LABEL, _LONGEST_LABEL = 40, 256
_MISSING = b"." + bytes(7)
_FORMATS = {Kind.DATE: ("E8601DA", 10, 0), Kind.TIMESTAMP: ("E8601DT", 26, 3)}
_DAYS, _SECONDS = 3653, 3653 * 86400
"""From 1960, where SAS counts from, to 1970."""


@dataclass(frozen=True)
class _Variable:
    """One variable: its place from 1, how many bytes its values take and where in a row."""

    place: int
    name: str
    label: bytes
    kind: Kind
    length: int
    offset: int


def write_xpt(material: Material, target: Path) -> None:
    """A transport file with one dataset; names are legal for SAS, the original ones are labels."""
    variables = _variables(material)
    # each text takes as many bytes as the longest one of its column
    size = material.tidy.rows * sum(one.length for one in variables)
    need_room(target.parent, size + material.reserve, f"for a transport file of {size:,} bytes")
    with target.open("wb") as out:
        for record in _header(material, variables):
            out.write(record)
        length = _write_rows(out, material, variables)
        out.write(b" " * (-length % _RECORD))


def _variables(material: Material) -> list[_Variable]:
    lengths = _lengths(material)
    offset, variables = 0, []
    names = sas_names(material.columns)
    for place, (name, column) in enumerate(zip(names, material.columns, strict=True)):
        kind, length = material.kinds[place], lengths[place]
        variables.append(_Variable(place + 1, name, _label(column), kind, length, offset))
        offset += length
    return variables


def _label(column: Column) -> bytes:
    return column.name.encode()[:_LONGEST_LABEL].decode(errors="ignore").encode()


def _lengths(material: Material) -> list[int]:
    """The bytes that the values of each column take: the longest text, or a double."""
    lengths = [8] * len(material.columns)
    texts = [place for place, kind in enumerate(material.kinds) if kind is Kind.CHARACTER]
    if texts:
        longest = ", ".join(f"coalesce(max(strlen(c{place})), 1)" for place in texts)
        rows = source(material.tidy, len(material.columns))
        (found,) = material.duck.run(f"SELECT {longest} FROM {rows}")  # noqa: S608 - escaped
        for place, length in zip(texts, found, strict=True):
            lengths[place] = min(int(str(length)), LIMITS.longest)
    return lengths


def _header(material: Material, variables: Sequence[_Variable]) -> Iterator[bytes]:
    now = material.at.astimezone(UTC).strftime("%d%b%y:%H:%M:%S").upper().encode()
    (member,) = sas_names([Column(material.title or "dataset")])
    release = b"6.06    bsd4.2  "
    yield _heading("LIBV8", "0" * 30)
    yield b"SAS     SAS     SASLIB  " + release.ljust(40) + now
    yield now.ljust(_RECORD)
    yield _heading("MEMBV8", "000000000000000001600000000140")
    yield _heading("DSCPTV8", "0" * 30)
    yield b"SAS     " + member.encode().ljust(32) + b"SASDATA " + release + now
    yield now.ljust(_RECORD)
    yield _heading("NAMSTV8", f"{len(variables):010}".ljust(30, "0"))
    yield _padded(map(_descriptor, variables))
    yield from _long_labels(variables)
    yield _heading("OBSV8", f"{material.tidy.rows:15}")


def _heading(name: str, rest: str) -> bytes:
    text = f"HEADER RECORD*******{name:<8}HEADER RECORD!!!!!!!{rest}"
    return text.encode().ljust(_RECORD)


def _padded(parts: Iterable[bytes]) -> bytes:
    whole = b"".join(parts)
    return whole + b" " * (-len(whole) % _RECORD)


def _descriptor(one: _Variable) -> bytes:
    is_text = one.kind is Kind.CHARACTER
    form, width, decimals = _FORMATS.get(one.kind, ("", 0, 0))
    return b"".join(
        (
            pack(">4h", 2 if is_text else 1, 0, one.length, one.place),
            one.name[:8].encode().ljust(8),
            one.label[:_SHORT_LABEL].decode(errors="ignore").encode().ljust(_SHORT_LABEL),
            form.encode().ljust(8),
            pack(">4h", width, decimals, 0 if is_text else 1, 0),
            b" " * 8,
            pack(">2hi", 0, 0, one.offset),
            one.name.encode().ljust(32),
            pack(">h", len(one.label)),
            bytes(18),
        )
    )


def _long_labels(variables: Iterable[_Variable]) -> Iterator[bytes]:
    long = [one for one in variables if len(one.label) > _SHORT_LABEL]
    if long:
        yield _heading("LABELV8", str(len(long)))
        yield _padded(
            pack(">3h", one.place, len(one.name), len(one.label)) + one.name.encode() + one.label
            for one in long
        )


def _write_rows(out: BinaryIO, material: Material, variables: Sequence[_Variable]) -> int:
    """Write all rows; returns how many bytes they take."""
    encoders = [_encoder(one) for one in variables]
    count = written = 0
    length = max(1, sum(one.length for one in variables))
    at_a_time = max(1, min(_ROWS_AT_A_TIME, _BYTES_AT_A_TIME // length))
    for batch in material.duck.batches(_query(material), at_a_time):
        columns = zip(*batch, strict=True)
        texts = [map(encode, column) for encode, column in zip(encoders, columns, strict=True)]
        written += out.write(b"".join(map(b"".join, zip(*texts, strict=True))))
        count += len(batch)
    if count != material.tidy.rows:
        raise Misread
    return written


def _query(material: Material) -> str:
    """The rows, with dates as days and times as seconds since 1960."""
    names = [f"v{place}" for place in range(len(material.kinds))]
    numbers = {
        Kind.DATE: "CAST(epoch({0}) / 86400 + " + f"{_DAYS} AS DOUBLE)",
        Kind.TIMESTAMP: "CAST(epoch({0}) + " + f"{_SECONDS} AS DOUBLE)",
    }
    values = [
        numbers.get(kind, "{0}").format(name)
        for kind, name in zip(material.kinds, names, strict=True)
    ]
    rows = select(material.tidy, material.kinds, names, material.limits)
    return f"SELECT {', '.join(values)} FROM ({rows})"  # noqa: S608 - escaped


def _encoder(one: _Variable) -> Callable[[object], bytes]:
    if one.kind is not Kind.CHARACTER:
        return _ibm_double
    length, blank = one.length, b" " * one.length
    return lambda text: str(text).encode().ljust(length) if text is not None else blank


@lru_cache(maxsize=100_000)
def _ibm_double(value: float | None) -> bytes:
    """A number as IBM's machines have it: sign, exponent to the base 16, 56 bits of fraction."""
    if value is None:
        return _MISSING
    fraction, exponent = math.frexp(abs(value))
    power = -(-exponent // 4)
    if not fraction or power < -64:
        return bytes(8)
    bits = int(math.ldexp(fraction, 56 + exponent - 4 * power))
    sign = 128 if value < 0 else 0
    return pack(">B", sign | (power + 64)) + bits.to_bytes(7, "big")
