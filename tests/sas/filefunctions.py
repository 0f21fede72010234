"""Functions that look at files, libraries, options, the clock and macro variables.

Each gets the running step (or what stands for it in %SYSFUNC); the session is its ``session``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from typing import Any

from tests.sas.errors import Fault, StepError, Unknown
from tests.sas.formats import EPOCH, character_writer, is_character, numeric_writer
from tests.sas.functions import Function
from tests.sas.lexer import Stream
from tests.sas.libraries import Member
from tests.sas.textfunctions import whole


def _text(ctx: Any, value: bytes) -> str:
    return str(value.strip(b" ").decode(ctx.session.codec, "surrogateescape"))


def _bytes(ctx: Any, value: str) -> bytes:
    return value.encode(ctx.session.codec, "surrogateescape")


# external files


def _fileexist(ctx: Any, path: bytes) -> float:
    return float(ctx.session.paths.real(_text(ctx, path)).exists())


def _fileref(ctx: Any, name: bytes) -> float:
    """0: there and its file exists; negative: there without a file; positive: not assigned."""
    found = ctx.session.filerefs.get(_text(ctx, name).lower())
    if found is None:
        return 20006.0
    return 0.0 if found.exists() else -20006.0


def _fexist(ctx: Any, name: bytes) -> float:
    found = ctx.session.filerefs.get(_text(ctx, name).lower())
    return float(found is not None and found.exists())


def _filename(ctx: Any, name: bytes, path: bytes = b"", device: bytes = b"") -> float:
    if device.strip(b" ").lower() not in (b"", b"disk", b"temp"):
        raise Unknown(f"FILENAME() with the device {device!r}")
    fileref = _text(ctx, name)
    if not fileref:
        raise Unknown("FILENAME() that makes up a fileref")
    if device.strip(b" ").lower() == b"temp":
        ctx.session.assign_temp(fileref)
    elif not path.strip(b" "):
        return float(not ctx.session.clear_fileref(fileref))
    else:
        text = path.rstrip(b" ").decode(ctx.session.codec, "surrogateescape")
        ctx.session.assign_path(fileref, text, {})
    return 0.0


def _pathname(ctx: Any, name: bytes, kind: bytes = b"") -> bytes:
    low = _text(ctx, name).lower()
    which = kind.strip(b" ").upper()
    found = ctx.session.filerefs.get(low)
    if found is not None and which in (b"", b"F"):
        return _bytes(ctx, found.shown)
    library = ctx.session.libraries.get(low)
    if library is not None and which in (b"", b"L"):
        return _bytes(ctx, library.path)
    return b""


def _fdelete(ctx: Any, name: bytes) -> float:
    found = ctx.session.filerefs.get(_text(ctx, name).lower())
    if found is None or not found.exists() or found.path is None:
        return 20006.0
    found.path.unlink()
    return 0.0


def _open_id(ctx: Any, thing: Any) -> float:
    ctx.session.handles.append(thing)
    return float(len(ctx.session.handles))


def _handle(ctx: Any, number: Any, kind: type) -> Any:
    at = whole(number, "an identifier")
    handles = ctx.session.handles
    if not 1 <= at <= len(handles) or not isinstance(handles[at - 1], kind):
        raise Fault(f"{at} is no identifier of something that is open")
    return handles[at - 1]


class _OpenFile:
    def __init__(self, size: int) -> None:
        self.size = size


class _OpenFolder:
    def __init__(self, names: list[str]) -> None:
        self.names = names


class _OpenDataset:
    def __init__(self, member: Member, library: Any, name: str) -> None:
        self.member, self.library, self.name = member, library, name


def _close(ctx: Any, number: Any) -> float:
    thing = _handle(ctx, number, object)
    if thing is None:
        raise Fault("an identifier that is closed already")
    if isinstance(thing, _OpenDataset):
        thing.member.release()
    ctx.session.handles[int(number) - 1] = None
    return 0.0


def _fopen(ctx: Any, name: bytes, mode: bytes = b"i") -> float:
    if mode.strip(b" ").lower() != b"i":
        raise Unknown(f"FOPEN with the mode {mode!r}")
    found = ctx.session.filerefs.get(_text(ctx, name).lower())
    if found is None or not found.exists():
        return 0.0
    try:
        return _open_id(ctx, _OpenFile(len(found.read())))
    except OSError:  # a folder, or a file that the account may not read
        return 0.0


def _finfo(ctx: Any, number: Any, item: bytes) -> bytes:
    opened = _handle(ctx, number, _OpenFile)
    if item.strip(b" ").lower() != b"file size (bytes)":
        raise Unknown(f"FINFO of {item!r}")
    return str(opened.size).encode()


def _dopen(ctx: Any, name: bytes) -> float:
    found = ctx.session.filerefs.get(_text(ctx, name).lower())
    if found is None or found.path is None or not found.path.is_dir():
        return 0.0
    return _open_id(ctx, _OpenFolder(sorted(one.name for one in found.path.iterdir())))


def _dnum(ctx: Any, number: Any) -> float:
    return float(len(_handle(ctx, number, _OpenFolder).names))


def _dread(ctx: Any, number: Any, at: Any) -> bytes:
    names = _handle(ctx, number, _OpenFolder).names
    place = whole(at, "DREAD")
    return _bytes(ctx, names[place - 1]) if 1 <= place <= len(names) else b""


def _hashing_file(ctx: Any, method: bytes, file: bytes, flags: Any = 0.0) -> bytes:
    """Upper-case hexadecimal digits. ``flags`` 4: FILE is a fileref, otherwise a path. An empty
    or absent file is an error of the step."""
    name = _text(ctx, method).lower()
    if name not in ("sha256", "md5", "sha1", "sha384", "sha512"):
        raise Unknown(f"HASHING_FILE with {name}")
    if flags not in (0.0, 4.0):
        raise Unknown(f"HASHING_FILE with the flags {flags}")
    if flags == 4.0:
        found = ctx.session.filerefs.get(_text(ctx, file).lower())
        path = None if found is None else found.path
    else:
        path = ctx.session.paths.real(_text(ctx, file))
    if path is None or not path.is_file() or path.stat().st_size == 0:
        raise Fault("HASHING_FILE of a file that is empty or not there")
    return hashlib.new(name, path.read_bytes(), usedforsecurity=False).hexdigest().upper().encode()


# datasets


def _libref(ctx: Any, name: bytes) -> float:
    return 0.0 if _text(ctx, name).lower() in ctx.session.libraries else 70008.0


def _two(ctx: Any, name: bytes) -> tuple[str, str]:
    parts = _text(ctx, name).lower().split(".")
    if len(parts) > 2 or "(" in parts[-1]:
        raise Unknown(f"the dataset {name!r} with options")
    return (parts[0], parts[1]) if len(parts) == 2 else ("work", parts[0])


def _exist(ctx: Any, name: bytes) -> float:
    libref, member = _two(ctx, name)
    library = ctx.session.libraries.get(libref)
    return float(library is not None and library.exists(member))


def _open(ctx: Any, name: bytes, mode: bytes = b"i") -> float:
    """0 where it cannot be opened; SYSMSG() would tell why."""
    if mode.strip(b" ").lower() != b"i":
        raise Unknown(f"OPEN with the mode {mode!r}")
    libref, member = _two(ctx, name)
    library = ctx.session.libraries.get(libref)
    if library is None:
        return 0.0
    try:
        return _open_id(ctx, _OpenDataset(library.open(member), library, member))
    except (KeyError, StepError):
        return 0.0


def _attrn(ctx: Any, number: Any, item: bytes) -> float:
    opened = _handle(ctx, number, _OpenDataset)
    name = _text(ctx, item).lower()
    dataset = opened.member.dataset
    if name == "nvars":
        return float(len(dataset.columns))
    if name in ("nobs", "nlobs"):
        return float(len(dataset.rows)) if opened.library.counts_rows else -1.0
    if name == "nlobsf":
        return float(len(dataset.rows))
    raise Unknown(f"ATTRN of {name}")


def _attrc(ctx: Any, number: Any, item: bytes) -> bytes:
    opened = _handle(ctx, number, _OpenDataset)
    name = _text(ctx, item).lower()
    found = {"engine": opened.library.engine, "label": opened.member.dataset.label,
             "mem": opened.name.upper()}  # fmt: skip
    if name not in found:
        raise Unknown(f"ATTRC of {name}")
    return _bytes(ctx, found[name])


def _varnum(ctx: Any, number: Any, name: bytes) -> float:
    return float(_handle(ctx, number, _OpenDataset).member.dataset.index(_text(ctx, name)) + 1)


def _column(ctx: Any, number: Any, at: Any) -> Any:
    columns = _handle(ctx, number, _OpenDataset).member.dataset.columns
    place = whole(at, "a variable number")
    if not 1 <= place <= len(columns):
        raise Fault(f"there is no variable number {place}")
    return columns[place - 1]


def _varlabel(ctx: Any, number: Any, at: Any) -> bytes:
    return _bytes(ctx, _column(ctx, number, at).label)


# session


def _getoption(ctx: Any, name: bytes, how: bytes = b"") -> bytes:
    if how.strip(b" ").lower() not in (b"", b"keyword"):
        raise Unknown(f"GETOPTION with {how!r}")
    return _bytes(
        ctx, ctx.session.options.shown(_text(ctx, name).lower(), keyword=bool(how.strip(b" ")))
    )


def _symget(ctx: Any, name: bytes) -> bytes:
    value = ctx.session.symbol_value(_text(ctx, name))
    if value is None:
        raise Fault(f"invalid argument to function SYMGET: {name!r}")
    return _bytes(ctx, value)


def _symexist(ctx: Any, name: bytes) -> float:
    return float(ctx.session.symbol_value(_text(ctx, name)) is not None)


def _datetime(ctx: Any) -> float:
    moment: dt.datetime = ctx.session.now()
    return (moment - EPOCH).total_seconds()


def _today(ctx: Any) -> float:
    return float(math.floor(_datetime(ctx) / 86400))


def _time(ctx: Any) -> float:
    return _datetime(ctx) % 86400


def _sleep(ctx: Any, count: Any, unit: Any = 0.001) -> float:
    ctx.session.slept(count * unit)
    return float(count)


def _stpsrv_header(ctx: Any, name: bytes, value: bytes) -> bytes:
    return _bytes(ctx, ctx.session.set_header(_text(ctx, name), _text(ctx, value)))


def _putn(ctx: Any, value: Any, fmt: bytes) -> bytes:
    return numeric_writer(Stream(_text(ctx, fmt)).format())(value)


def _putc(ctx: Any, value: bytes, fmt: bytes) -> bytes:
    found = Stream(_text(ctx, fmt)).format()
    if not is_character(found):
        raise Fault(f"PUTC with the format {found}")
    return character_writer(found, len(value))[0](value)


def _ktruncate(ctx: Any, value: bytes, start: Any, size: Any) -> bytes:
    """KTRUNCATE: a part in bytes that halves no character."""
    begin = whole(start, "KTRUNCATE") - 1
    part = value[begin : begin + whole(size, "KTRUNCATE")]
    return part.decode(ctx.session.codec, "ignore").encode(ctx.session.codec)


def _klength(ctx: Any, value: bytes) -> float:
    return float(len(value.rstrip(b" ").decode(ctx.session.codec, "replace")) or 1)


def _ksubstr(ctx: Any, value: bytes, start: Any, size: Any = Ellipsis) -> bytes:
    text = value.decode(ctx.session.codec, "replace")
    at = whole(start, "KSUBSTR") - 1
    end = len(text) if size is Ellipsis else at + whole(size, "KSUBSTR")
    if at < 0 or at >= len(text) or end > len(text):
        raise Fault("an argument of KSUBSTR is out of range")
    return _bytes(ctx, text[at:end])


def _sysmsg(_ctx: Any) -> bytes:
    raise Unknown("SYSMSG(), whose text differs from host to host")


_F = Function
TABLE = (
    _F("fileexist", _fileexist, "c", context=True),
    _F("fileref", _fileref, "c", context=True),
    _F("fexist", _fexist, "c", context=True),
    _F("filename", _filename, "c", "cc", context=True),
    _F("pathname", _pathname, "c", "c", kind="c", length=200, context=True),
    _F("fdelete", _fdelete, "c", context=True),
    _F("fopen", _fopen, "c", "c", context=True),
    _F("fclose", _close, "n", context=True),
    _F("finfo", _finfo, "nc", kind="c", length="", context=True),
    _F("dopen", _dopen, "c", context=True),
    _F("dclose", _close, "n", context=True),
    _F("dnum", _dnum, "n", context=True),
    _F("dread", _dread, "nn", kind="c", length="", context=True),
    _F("hashing_file", _hashing_file, "cc", "n", kind="c", length="", context=True),
    _F("libref", _libref, "c", context=True),
    _F("exist", _exist, "c", context=True),
    _F("open", _open, "c", "c", context=True),
    _F("close", _close, "n", context=True),
    _F("attrn", _attrn, "nc", context=True),
    _F("attrc", _attrc, "nc", kind="c", length="", context=True),
    _F("varnum", _varnum, "nc", context=True),
    _F(
        "varname",
        lambda c, i, n: _bytes(c, _column(c, i, n).name),
        "nn",
        kind="c",
        length="",
        context=True,
    ),
    _F("varlen", lambda c, i, n: float(_column(c, i, n).length), "nn", context=True),
    _F(
        "vartype",
        lambda c, i, n: b"C" if _column(c, i, n).kind == "char" else b"N",
        "nn",
        kind="c",
        length="",
        context=True,
    ),
    _F("varlabel", _varlabel, "nn", kind="c", length="", context=True),
    _F("getoption", _getoption, "c", "c", kind="c", length="", context=True),
    _F("symget", _symget, "c", kind="c", length=200, context=True),
    _F("symexist", _symexist, "c", context=True),
    _F("datetime", _datetime, "", context=True),
    _F("today", _today, "", context=True),
    _F("date", _today, "", context=True),
    _F("time", _time, "", context=True),
    _F("sleep", _sleep, "n", "n", context=True),
    _F("stpsrv_header", _stpsrv_header, "cc", kind="c", length=200, context=True),
    _F("putn", _putn, "nc", kind="c", length="", context=True),
    _F("putc", _putc, "cc", kind="c", length="", context=True),
    _F("ktruncate", _ktruncate, "cnn", kind="c", length="first", context=True),
    _F("klength", _klength, "c", context=True),
    _F("ksubstr", _ksubstr, "cn", "n", kind="c", length="first", context=True),
    _F("sysmsg", _sysmsg, "", kind="c", length="", context=True),
)
FUNCTIONS: dict[str, Function] = {one.name: one for one in TABLE}
