"""Data file and columns in, a dataset in every wanted form out: whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

from connector_proxy import __version__
from connector_proxy.dataset import rejects, strict
from connector_proxy.dataset.columns import Column, Kind, bad_data, note_of_type
from connector_proxy.dataset.duck import Cramped, Duck, Misread, Unfit, settled_kinds
from connector_proxy.dataset.formats import Material
from connector_proxy.dataset.outputs import Outputs, Wanted
from connector_proxy.dataset.packed import unpacked
from connector_proxy.dataset.rejects import Judge, Rejects
from connector_proxy.dataset.tables import Origin
from connector_proxy.dataset.tidy import NotPlain, Tidy, cleaned, in_pieces, tidied
from connector_proxy.errors import Refused

_TRIES = 7
Tell = Callable[[str, float], None]
"""Is told what is done at the moment, and the part of it that is done."""


@dataclass(frozen=True)
class Made:
    """What a dataset came to; ``main`` is the name of its first file."""

    name: str
    main: str
    rows: int
    columns: int
    rejected: int
    manifest: dict[str, Any]


def make(
    columns: Sequence[Column],
    data: Path,
    folder: Path,
    part: Path,
    origin: Origin,
    wanted: Wanted,
    tell: Tell = lambda what, part: None,
) -> Made:
    """Make a dataset of the data file ``data`` (plain or gzip) in ``folder``. ``part`` is an empty
    folder on the same disk for what is not whole yet; the caller removes it.

    Raises ``Refused`` for files that cannot be used, ``Unavailable`` and ``OSError`` for what may
    pass; then nothing was written.
    """
    plain = unpacked(data, part, wanted.reserve)
    with (
        Duck(part, lambda done: tell("writing", done)) as duck,
        Outputs(duck, folder, part, origin, wanted) as outputs,
    ):
        return _Work(duck, columns, plain, part, wanted, origin, tell).make(outputs)


class _InTheWay(IntEnum):
    """What kept a dataset from being written."""

    NOTHING = 0
    KIND = 1
    ROW = 2


class _Work:
    """One dataset on its way."""

    def __init__(
        self,
        duck: Duck,
        columns: Sequence[Column],
        data: Path,
        part: Path,
        wanted: Wanted,
        origin: Origin,
        tell: Tell,
    ) -> None:
        self._started = datetime.now(UTC)
        self._duck, self._columns, self._data = duck, columns, data
        self._part, self._wanted, self._tell = part, wanted, tell
        self._origin = origin
        self._kinds = [one.kind if wanted.typed else Kind.CHARACTER for one in columns]
        self._notes = [note_of_type(column) for column in columns]
        self._limits = wanted.limits
        self._rejects: Rejects | None = None
        self._judge: Judge = rejects.any_text
        self._in_the_way = _InTheWay.NOTHING
        self._passes = 0

    def make(self, outputs: Outputs) -> Made:
        """Read, write, publish."""
        begun = tidied(self._data, len(self._columns), self._new_folder(), self._told_bytes())
        try:
            tidy = self._written(begun or self._strictly(), outputs)
        finally:
            if begun:
                begun.counted.exception()  # its thread has the file open until then
        rejected = self._rejects.count if self._rejects else 0
        manifest = self._manifest(outputs.name, tidy.rows, rejected)
        outputs.publish(manifest, self._rejects.path if self._rejects and rejected else None)
        main = manifest["files"][0]["name"]
        return Made(outputs.name, main, tidy.rows, len(self._columns), rejected, manifest)

    def _new_folder(self) -> Path:
        self._passes += 1
        folder = self._part / f"pass-{self._passes}"
        folder.mkdir()
        return folder

    def _told_bytes(self) -> Callable[[int], None]:
        size = max(1, self._data.stat().st_size)
        return lambda read: self._tell("checking", read / size)

    def _strictly(self) -> Tidy:
        """The good rows by the strict reader; bad ones are refused or rejected."""
        folder = self._new_folder()
        path = folder / "rejects" if self._wanted.on_bad_row == "reject" else None
        with Rejects(path) as self._rejects:
            rows = strict.read(self._data, len(self._columns))
            tidy = cleaned(self._rejects.good(rows, self._judge), folder)
        if self._rejects.count and not tidy.rows:
            raise bad_data("Not one row of the data file fits its metadata.")
        return tidy

    def _written(self, tidy: Tidy, outputs: Outputs) -> Tidy:
        """Write every form. Where a value is in the way, the kinds are settled by what the columns
        hold, then each row is judged; where DuckDB is, the strict reader reads for it."""
        for _ in range(_TRIES):
            try:
                if self._in_the_way is _InTheWay.KIND:
                    self._settle(tidy)
                outputs.write(self._material(tidy))
                if tidy.vouched:
                    return tidy
                tidy = self._in_pieces()
            except (NotPlain, Unfit, Misread, Cramped) as trouble:
                tidy = self._after(trouble, tidy) if tidy.vouched else self._in_pieces()
        raise Refused(
            "The data file was read in two ways, and they differ.",
            code="dataset_fault",
            advice="Nothing was written. Report this as a fault; as csv the file can be written.",
        )

    def _in_pieces(self) -> Tidy:
        """The rows of a file that only began like a plain one."""
        folder = self._new_folder()
        pieces = in_pieces(self._data, len(self._columns), folder, self._told_bytes())
        return pieces or self._strictly()

    def _after(self, trouble: Exception, tidy: Tidy) -> Tidy:
        """What to try next with a file whose look found nothing."""
        if isinstance(trouble, Misread):
            return self._strictly()
        if isinstance(trouble, Cramped):
            self._duck.work_slowly()
            return tidy
        if self._in_the_way is not _InTheWay.NOTHING:
            self._judge = rejects.by_kind(self._columns, self._kinds, self._limits)
            tidy = self._strictly()
        self._in_the_way = _InTheWay(self._in_the_way + 1)
        return tidy

    def _settle(self, tidy: Tidy) -> None:
        self._kinds, self._notes = settled_kinds(self._duck, tidy, self._columns, self._limits)

    def _material(self, tidy: Tidy) -> Material:
        return Material(
            self._duck,
            tidy,
            self._columns,
            self._kinds,
            self._limits,
            self._origin.at,
            self._origin.task,
            self._wanted.bom,
            self._wanted.reserve,
        )

    def _manifest(self, name: str, rows: int, rejected: int) -> dict[str, Any]:
        origin = self._origin
        return {
            "dataset": name,
            "task": origin.task,
            "occurrence": origin.occurrence,
            "delivery": origin.delivery,
            "responseTrackingCode": origin.tracking_code,
            "rows": rows,
            "rejectedRows": rejected,
            "columns": list(map(_column_facts, self._columns, self._kinds, self._notes)),
            "files": [],
            "startedAt": self._started.isoformat(timespec="seconds"),
            "finishedAt": datetime.now(UTC).isoformat(timespec="seconds"),
            "madeBy": f"connector-proxy {__version__}",
        }


def _column_facts(column: Column, kind: Kind, note: str) -> dict[str, str]:
    facts = {"name": column.name, "type": str(kind), "dataType": column.data_type, "note": note}
    return {name: text for name, text in facts.items() if text}
