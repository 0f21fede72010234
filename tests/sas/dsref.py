"""References to datasets, with their options: ``lib.member(keep=a b where=(x > 1))``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.sas.datasets import Column, Dataset
from tests.sas.errors import Fault
from tests.sas.lexer import Stream, string_value


@dataclass
class Reference:
    """A dataset as a statement names it."""

    libref: str
    member: str
    keep: list[str] | None = None
    drop: list[str] = field(default_factory=list)
    rename: dict[str, str] = field(default_factory=dict)
    where: str = ""
    firstobs: int = 1
    obs: int | None = None
    compress: str = ""
    label: str = ""
    replace: bool | None = None
    flag: str = ""

    @property
    def name(self) -> str:
        """``LIB.MEMBER`` as the log has it."""
        return f"{self.libref}.{self.member}".upper()

    def chosen(self, columns: list[str]) -> list[str]:
        """Those of ``columns`` that KEEP= and DROP= leave, in their order."""
        kept = columns if self.keep is None else expand(self.keep, columns)
        dropped = {one.lower() for one in expand(self.drop, columns)}
        wanted = {one.lower() for one in kept} - dropped
        return [one for one in columns if one.lower() in wanted]

    def new_name(self, column: str) -> str:
        """What RENAME= makes of a name."""
        return self.rename.get(column.lower(), column)


def expand(names: list[str], columns: list[str]) -> list[str]:
    """``a:`` and ``a1-a3`` written out; a name that is no column is a Fault."""
    found: list[str] = []
    for name in names:
        if name.endswith(":"):
            found += [one for one in columns if one.lower().startswith(name[:-1].lower())]
        elif name.lower() in (one.lower() for one in columns):
            found.append(name)
        else:
            raise Fault(f"the variable {name} in a KEEP, DROP or BY list does not exist")
    return found


def parse(stream: Stream) -> Reference:
    """The reference that stands here."""
    first = stream.name("the name of a dataset").lower()
    libref, member = "work", first
    if stream.low() == "." and stream.kind(1) in ("name",):
        stream.take()
        libref, member = first, stream.name("the name of a dataset").lower()
    elif stream.kind() == "missing":
        raise stream.fault("the name of a dataset")
    if len(libref) > 8:
        raise stream.fault(f"the libref {libref} is longer than 8 bytes")
    found = Reference(libref, member)
    if stream.accept("("):
        while not stream.accept(")"):
            _option(found, stream)
    return found


def _option(found: Reference, stream: Stream) -> None:
    name = stream.name("an option of a dataset").lower()
    stream.expect("=")
    readers: dict[str, Callable[[Reference, Stream], None]] = {
        "keep": _keep, "drop": _drop, "rename": _rename, "where": _where, "firstobs": _firstobs,
        "obs": _obs, "compress": _compress, "label": _label, "replace": _replace, "in": _flag,
    }  # fmt: skip
    if name not in readers:
        raise stream.unknown(f"the dataset option {name}=")
    readers[name](found, stream)


def names(stream: Stream) -> list[str]:
    """Names, with ``a:`` and ``a1-a3``, up to something that is no name."""
    found: list[str] = []
    while stream.kind() == "name" and stream.low(1) != "=":
        first = stream.name()
        if stream.low() == ":":
            stream.take()
            found.append(first + ":")
        elif stream.low() == "-" and stream.kind(1) == "name":
            stream.take()
            found += numbered(first, stream.name(), stream)
        else:
            found.append(first)
    return found


def numbered(first: str, last: str, stream: Stream) -> list[str]:
    """``x1-x3``."""
    ends = [re.fullmatch(r"(\w*?)(\d+)", one) for one in (first, last)]
    if not ends[0] or not ends[1] or ends[0][1].lower() != ends[1][1].lower():
        raise stream.fault(f"{first}-{last} is no numbered list")
    return [f"{ends[0][1]}{at}" for at in range(int(ends[0][2]), int(ends[1][2]) + 1)]


def _keep(found: Reference, stream: Stream) -> None:
    found.keep = names(stream)


def _drop(found: Reference, stream: Stream) -> None:
    found.drop = names(stream)


def _rename(found: Reference, stream: Stream) -> None:
    stream.expect("(")
    while not stream.accept(")"):
        old = stream.name().lower()
        stream.expect("=")
        found.rename[old] = stream.name()


def _where(found: Reference, stream: Stream) -> None:
    start = stream.peek()
    stream.expect("(")
    depth = 1
    while depth:
        token = stream.take()
        depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "mark" else 0
    assert start
    found.where = stream.statement[start.end : token.start]


def _firstobs(found: Reference, stream: Stream) -> None:
    found.firstobs = int(stream.number())


def _obs(found: Reference, stream: Stream) -> None:
    found.obs = None if stream.accept("max") else int(stream.number())


def _compress(found: Reference, stream: Stream) -> None:
    found.compress = stream.expect("char", "yes", "no", "binary")


def _label(found: Reference, stream: Stream) -> None:
    token = stream.take()
    if token.kind != "string":
        raise stream.fault("a quoted label expected")
    found.label = string_value(token)[0]


def _replace(found: Reference, stream: Stream) -> None:
    found.replace = stream.expect("yes", "no") == "yes"


def _flag(found: Reference, stream: Stream) -> None:
    found.flag = stream.name()


def selected(reference: Reference, dataset: Dataset) -> list[tuple[int, Column]]:
    """Places and columns that a reference leaves, under their new names."""
    wanted = {one.lower() for one in reference.chosen(dataset.names)}
    found = []
    for at, column in enumerate(dataset.columns):
        if column.name.lower() in wanted:
            name = reference.new_name(column.name)
            found.append(
                (
                    at,
                    Column(
                        name,
                        column.kind,
                        column.length,
                        column.label,
                        column.format,
                        column.informat,
                    ),
                )
            )
    return found
