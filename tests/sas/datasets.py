"""A dataset: columns and rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tests.sas.values import codec


@dataclass(frozen=True)
class Column:
    """A variable of a dataset. ``kind`` is "char" or "num"."""

    name: str
    kind: str
    length: int
    label: str = ""
    format: str = ""
    informat: str = ""


@dataclass
class Dataset:
    """``rows`` holds bytes without trailing blanks, floats, None or special missing values."""

    columns: list[Column]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    encoding: str = "utf-8"
    compress: str = "no"
    label: str = ""
    sorted_by: tuple[str, ...] = ()

    def index(self, name: str) -> int:
        """The place of a column, or -1."""
        low = name.lower()
        return next((at for at, one in enumerate(self.columns) if one.name.lower() == low), -1)

    def column(self, name: str) -> Column:
        """The column with that name."""
        at = self.index(name)
        if at < 0:
            raise KeyError(name)
        return self.columns[at]

    @property
    def names(self) -> list[str]:
        """Names of the columns as written."""
        return [column.name for column in self.columns]

    def python_rows(self) -> list[dict[str, Any]]:
        """Rows with str for character values, without the blanks that pad them."""
        python = codec(self.encoding)

        def value(one: Any) -> Any:
            return one.decode(python) if isinstance(one, bytes) else one

        names = self.names
        return [dict(zip(names, map(value, row), strict=True)) for row in self.rows]

    def values(self, name: str) -> list[Any]:
        """One column, as :meth:`python_rows` gives it."""
        return [row[self.columns[self.index(name)].name] for row in self.python_rows()]

    def copy(self) -> Dataset:
        """Another one with the same columns and rows."""
        return replace(self, columns=list(self.columns), rows=list(self.rows))
