"""Procedures: HTTP, COPY, DATASETS, APPEND, SORT, CONTENTS, PRINTTO."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.sas import dsref, prochttp
from tests.sas.datasets import Column, Dataset
from tests.sas.dsref import Reference, expand
from tests.sas.errors import Fault, StepError, Unknown
from tests.sas.lexer import Stream, string_value
from tests.sas.libraries import Library
from tests.sas.values import rank


@dataclass
class Proc:
    """A procedure step with its statements, until it runs."""

    name: str
    options: Stream
    statements: list[str] = field(default_factory=list)


Options = dict[str, Any]


def _options(
    stream: Stream, switches: set[str], readers: dict[str, Callable[[Stream], Any]]
) -> Options:
    found: Options = {}
    while not stream.done():
        name = stream.name("an option").lower()
        if name in switches:
            found[name] = True
        elif name in readers:
            stream.expect("=")
            found[name] = readers[name](stream)
        else:
            raise stream.unknown(f"the option {name}")
    return found


def _word(stream: Stream) -> str:
    return stream.name().lower()


def _quoted(stream: Stream) -> str:
    token = stream.take()
    if token.kind != "string":
        raise stream.fault("a quoted value expected")
    return string_value(token)[0]


def _whole(stream: Stream) -> int:
    return int(stream.number())


def _place(stream: Stream) -> tuple[str, bool]:
    """A fileref or a quoted path."""
    if stream.kind() == "string":
        return _quoted(stream), True
    name = _word(stream)
    if len(name) > 8:
        raise stream.fault(f"{name} is no fileref")
    return name, False


def _only(statements: list[str], words: set[str]) -> list[Stream]:
    found = []
    for statement in statements:
        stream = Stream(statement)
        if stream.low() not in words:
            raise stream.unknown(f"the statement {stream.low()}")
        found.append(stream)
    return found


# HTTP


def http(job: Any, step: Proc) -> None:
    """GET into a fileref. The status macro variables are set when there is a status line; they
    stay as they were when there is none."""
    _only(step.statements, set())
    found = _options(
        step.options,
        {"nofollowloc", "headerout_overwrite"},
        {"url": _quoted, "method": _quoted, "out": _word, "headerout": _word, "timeout": _whole},
    )
    if found.get("method", "GET").upper() != "GET":
        raise Unknown(f"PROC HTTP with the method {found['method']}")
    if not found.get("nofollowloc"):
        raise Unknown("PROC HTTP that follows redirects")
    patience = min(float(found.get("timeout", 60)), job.session.patience)
    try:
        answer = prochttp.get(found["url"].strip(" "), job.session.hosts, patience)
    except prochttp.NoAnswer as fault:
        raise StepError(f"{fault}. Host connection failed.", 1012) from None
    job.symbols.assign_from_step("sys_prochttp_status_code", str(answer.status), "G")
    job.symbols.assign_from_step("sys_prochttp_status_phrase", answer.phrase, "G")
    if "headerout" in found:
        job.write_file(
            found["headerout"], answer.headers, append=not found.get("headerout_overwrite")
        )
    if "out" in found and (answer.body or job.session.empty_body_writes):
        job.write_file(found["out"], answer.body)
    job.log.note(f"{answer.status} {answer.phrase}")
    if not answer.whole and job.session.short_body_fails:
        raise StepError("The connection was closed before the whole body arrived.", 1012)


# COPY


def copy(job: Any, step: Proc) -> None:
    """Members of one library to another; one of the same name is replaced."""
    found = _options(
        step.options, {"noclone", "clone"}, {"in": _word, "out": _word, "memtype": _memtype}
    )
    source, target = job.library(found["in"]), job.library(found["out"])
    names = _chosen(step, source)
    for name in names:
        if not source.exists(name):
            job.fail(
                f"The file {found['in'].upper()}.{name.upper()} (memtype=DATA) was not found, "
                "but appears on a SELECT statement."
            )
            continue
        job.log.note(
            f"Copying {found['in'].upper()}.{name.upper()} to {found['out'].upper()}.{name.upper()} (memtype=DATA)."
        )
        member = source.open(name)
        try:
            replace(job, target, found["out"], name, member.dataset.copy())
        finally:
            member.release()


def _memtype(stream: Stream) -> str:
    return stream.expect("data", "all")


def _chosen(step: Proc, source: Library) -> list[str]:
    listed = list(source.members())
    for stream in _only(step.statements, {"select", "exclude"}):
        word = stream.take().low
        given = _members(stream, source)
        listed = given if word == "select" else [one for one in listed if one.lower() not in given]
    return listed


def _members(stream: Stream, library: Library) -> list[str]:
    found: list[str] = []
    while stream.kind() == "name":
        name = stream.name().lower()
        if stream.accept(":"):
            found += [one.lower() for one in library.members() if one.lower().startswith(name)]
        elif stream.accept("-"):
            raise stream.unknown("a range of members")
        else:
            found.append(name)
    if stream.accept("/"):
        stream.expect("memtype", "mt")
        stream.expect("=")
        _memtype(stream)
    stream.finish()
    return found


def replace(job: Any, library: Library, libref: str, name: str, dataset: Dataset) -> None:
    """Save a member while it is locked, with the NOTE."""
    hold = library.lock(name)
    try:
        if library.exists(name) and libref != "work" and not job.options.on("replace"):
            raise StepError(
                f"Data set {libref.upper()}.{name.upper()} was not replaced because of NOREPLACE option."
            )
        library.save(name, dataset)
    finally:
        if hold:
            hold.release()
    job.log.note(
        f"The data set {libref.upper()}.{name.upper()} has {len(dataset.rows)} observations and "
        f"{len(dataset.columns)} variables."
    )


# DATASETS


def datasets(job: Any, step: Proc) -> None:
    """DELETE and CHANGE, in their order."""
    found = _options(
        step.options,
        {"nolist", "nowarn"},
        {"library": _word, "lib": _word, "memtype": _memtype, "mt": _memtype},
    )
    if not found.get("nolist"):
        raise Unknown("PROC DATASETS without NOLIST, which writes a listing")
    libref = found.get("library") or found.get("lib") or "work"
    library = job.library(libref)
    quiet = bool(found.get("nowarn"))
    for stream in _only(step.statements, {"delete", "change"}):
        if stream.take().low == "delete":
            _delete(job, libref, library, _members(stream, library), quiet=quiet)
        else:
            _change(job, libref, library, stream, quiet=quiet)


def _delete(job: Any, libref: str, library: Library, names: list[str], *, quiet: bool) -> None:
    for name in names:
        if library.exists(name):
            library.delete(name)
            job.log.note(f"Deleting {libref.upper()}.{name.upper()} (memtype=DATA).")
        elif not quiet:
            job.warn(
                f"The file {libref.upper()}.{name.upper()} (memtype=DATA) was not found, but appears "
                "on a DELETE statement."
            )


def _change(job: Any, libref: str, library: Library, stream: Stream, *, quiet: bool) -> None:
    while not stream.done():
        old = stream.name().lower()
        stream.expect("=")
        new = stream.name().lower()
        if not library.exists(old):
            if not quiet:
                job.fail(f"The file {libref.upper()}.{old.upper()} (memtype=DATA) was not found.")
            continue
        if library.exists(new):
            job.fail(
                f"The name {libref.upper()}.{new.upper()} is there already, {old.upper()} keeps its name."
            )
            continue
        member = library.open(old)
        dataset = member.dataset
        member.release()
        replace(job, library, libref, new, dataset)
        library.delete(old)


# APPEND


def append(job: Any, step: Proc) -> None:
    """Rows of DATA= behind those of BASE=. Without FORCE a variable that BASE does not have, that
    is longer there or of the other type stops it."""
    _only(step.statements, set())
    found = _options(
        step.options, {"force"}, {"base": dsref.parse, "out": dsref.parse, "data": dsref.parse}
    )
    base: Reference = found.get("base") or found["out"]
    data: Reference = found["data"]
    if base.keep or base.drop or base.rename or base.where:
        raise Unknown("dataset options on BASE=")
    target = job.library(base.libref)
    hold = target.lock(base.member)
    try:
        added = _read(job, data)
        job.log.note(f"Appending {data.name} to {base.name}.")
        if not target.exists(base.member):
            job.log.note("BASE data set does not exist. DATA file is being copied to BASE file.")
            target.save(base.member, added)
            return
        _append(job, target, base, added, force=bool(found.get("force")))
    finally:
        if hold:
            hold.release()


def _read(job: Any, reference: Reference) -> Dataset:
    member = job.open_member(reference)
    try:
        dataset: Dataset = member.dataset
        if reference.where:
            raise Unknown("WHERE= in a procedure")
        chosen = dsref.selected(reference, dataset)
        rows = dataset.rows[reference.firstobs - 1 : reference.obs]
        places = [at for at, _ in chosen]
        return Dataset([column for _, column in chosen], [tuple(row[at] for at in places) for row in rows],
                       dataset.encoding, dataset.compress, reference.label or dataset.label)  # fmt: skip
    finally:
        member.release()


def _append(job: Any, library: Library, base: Reference, added: Dataset, *, force: bool) -> None:
    member = job.open_held(library, base)
    kept: Dataset = member.copy()
    anomalies = _anomalies(job, kept, added)
    if anomalies and not force:
        raise StepError(
            "No appending done because of anomalies listed above. Use FORCE option to append these files."
        )
    if anomalies:
        job.log.note("FORCE is specified, so dropping/truncating will occur.")
    places = [added.index(column.name) for column in kept.columns]
    for row in added.rows:
        kept.rows.append(
            tuple(map(_fitted, kept.columns, [row[at] if at >= 0 else None for at in places]))
        )
    library.save(base.member, kept)
    job.log.note(f"{len(added.rows)} observations added.")
    job.log.note(
        f"The data set {base.name} has {len(kept.rows)} observations and {len(kept.columns)} variables."
    )


def _fitted(column: Column, value: Any) -> Any:
    if column.kind == "char":
        return value[: column.length].rstrip(b" ") if isinstance(value, bytes) else b""
    return None if isinstance(value, bytes) else value


def _anomalies(job: Any, base: Dataset, added: Dataset) -> bool:
    found = False
    for column in added.columns:
        at = base.index(column.name)
        if at < 0:
            job.warn(f"Variable {column.name} was not found on BASE file.")
            found = True
            continue
        other = base.columns[at]
        if other.kind != column.kind:
            job.warn(f"Variable {column.name} not appended because of type mismatch.")
            found = True
        elif other.length < column.length:
            job.warn(
                f"Variable {column.name} has different lengths on BASE and DATA files "
                f"(BASE {other.length} DATA {column.length})."
            )
            found = True
        if other.format != column.format:
            job.warn(f"Variable {column.name} has different formats on BASE and DATA files.")
    for column in base.columns:
        if added.index(column.name) < 0:
            job.warn(f"Variable {column.name} was not found on DATA file.")
    return found


# SORT


def sort(job: Any, step: Proc) -> None:
    """Stable, ascending."""
    found = _options(step.options, {"nodupkey"}, {"data": dsref.parse, "out": dsref.parse})
    by: list[str] = []
    for stream in _only(step.statements, {"by"}):
        stream.take()
        if stream.low() == "descending":
            raise stream.unknown("BY DESCENDING")
        by = dsref.names(stream)
        stream.finish()
    if not by:
        raise StepError("No BY statement used or no BY variables specified.")
    dataset = _read(job, found["data"])
    places = [dataset.index(name) for name in expand(by, dataset.names)]

    def key(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(row[at] if isinstance(row[at], bytes) else rank(row[at]) for at in places)

    dataset.rows.sort(key=key)
    if found.get("nodupkey"):
        seen: dict[Any, Any] = {}
        for row in dataset.rows:
            seen.setdefault(key(row), row)
        dataset.rows = list(seen.values())
    target: Reference = found.get("out") or found["data"]
    replace(job, job.library(target.libref), target.libref, target.member, dataset)


# CONTENTS


def contents(job: Any, step: Proc) -> None:
    """NAME, TYPE, LENGTH, VARNUM, LABEL, FORMAT, NOBS of the OUT= dataset, by name."""
    _only(step.statements, set())
    found = _options(step.options, {"noprint", "varnum"}, {"data": dsref.parse, "out": dsref.parse})
    if not found.get("noprint"):
        raise Unknown("PROC CONTENTS without NOPRINT, which writes a listing")
    dataset = _read(job, found["data"])
    columns = [
        Column("NAME", "char", 32), Column("TYPE", "num", 8), Column("LENGTH", "num", 8),
        Column("VARNUM", "num", 8), Column("LABEL", "char", 256), Column("FORMAT", "char", 32),
        Column("NOBS", "num", 8),
    ]  # fmt: skip
    rows = [
        (one.name.encode(), 2.0 if one.kind == "char" else 1.0, float(one.length), float(at),
         one.label.encode(job.codec), one.format.rstrip("0123456789.").encode(), float(len(dataset.rows)))
        for at, one in enumerate(dataset.columns, 1)
    ]  # fmt: skip
    rows.sort(key=lambda row: row[0].lower())
    target: Reference = found["out"]
    keep = dsref.selected(target, Dataset(columns))
    made = Dataset(
        [column for _, column in keep],
        [tuple(row[at] for at, _ in keep) for row in rows],
        job.codec_name,
    )
    replace(job, job.library(target.libref), target.libref, target.member, made)


# PRINTTO


def printto(job: Any, step: Proc) -> None:
    """LOG= to a file until PROC PRINTTO without it, or LOG=LOG."""
    _only(step.statements, set())
    found = _options(step.options, {"new"}, {"log": _place})
    where, quoted = found.get("log", ("log", False))
    if not quoted and where == "log":
        job.restore_log()
    else:
        job.redirect_log(where, quoted=quoted, new=bool(found.get("new")))


PROCEDURES: dict[str, Callable[[Any, Proc], None]] = {
    "http": http, "copy": copy, "datasets": datasets, "append": append, "sort": sort,
    "contents": contents, "printto": printto,
}  # fmt: skip


def begin(statement: str) -> Proc:
    """PROC."""
    stream = Stream(statement)
    stream.expect("proc")
    name = stream.name().lower()
    if name not in PROCEDURES:
        raise Unknown(f"PROC {name.upper()}")
    return Proc(name, stream)


def run(job: Any, step: Proc) -> None:
    """Run it; an ERROR of SAS is a StepError."""
    try:
        PROCEDURES[step.name](job, step)
    except KeyError as missing:
        raise Fault(f"PROC {step.name.upper()} without {missing}") from None
