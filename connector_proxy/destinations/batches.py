"""The rows of a bulk task some at a time, for destinations that send rows: what was acknowledged is
not handed out again by a later attempt, what failed is listed with its line and reason.

The folder of the delivery has ``batches.sent``, the number of each batch that was acknowledged;
``outputfolder`` has ``<delivery id>_rejects.csv``, laid out as the rejects of a dataset.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from types import TracebackType

from connector_proxy import dataset
from connector_proxy.dataset import strict
from connector_proxy.dataset.packed import unpacked
from connector_proxy.dataset.strict import Row
from connector_proxy.errors import Refused
from connector_proxy.records import Delivery, Outcome, Verdict
from connector_proxy.settings import Settings
from connector_proxy.staging import Files

_HEADER = ("line", "reason", "row")


@dataclass(frozen=True)
class Batch:
    """Some rows, each a value by the name of its column. ``key`` is the same whenever this batch
    is sent, and no other one has it."""

    key: str
    rows: list[dict[str, str]]
    number: int
    source: Sequence[Row]


class Batches:
    """The batches of ``size`` rows that no attempt has sent yet. A context manager: what ``sent``
    and ``failed`` are told is on the disk when they return.

    Raises ``Refused`` for an event, which has no rows, and for files that cannot be used.
    """

    def __init__(
        self, delivery: Delivery, files: Files | None, settings: Settings, size: int
    ) -> None:
        if files is None:
            raise Refused(
                "An event has no rows.",
                code="no_file",
                advice="Let the connector send bulk tasks only to this stored process.",
            )
        self._files, self._size = files, size
        self._id, self._reserve = delivery.delivery_id, settings.diskreservemb << 20
        self._rejects = settings.outputfolder / f"{self._id}_rejects.csv"
        self._open = ExitStack()
        self._total = self._failed = 0

    def __enter__(self) -> Batches:
        self._rejects.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            note = self._files.data.with_name("batches.sent")
            self._note = opened.enter_context(note.open("a+", buffering=1))
            listed = self._rejects.open("w", encoding="utf-8", errors="surrogateescape", newline="")
            self._listed = csv.writer(opened.enter_context(listed))
            self._listed.writerow(_HEADER)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def __iter__(self) -> Iterator[Batch]:
        """Each batch that is not sent yet, in the order of the file. A row that does not fit its
        metadata has failed at once."""
        columns = dataset.read_metadata(self._files.metadata.read_bytes())
        names = [column.name for column in columns]
        self._note.seek(0)
        sent = set(self._note.read().split())
        rows = self._good(len(names))
        for number, some in enumerate(iter(lambda: list(islice(rows, self._size)), [])):
            if str(number) not in sent:
                named = [dict(zip(names, row.values, strict=True)) for row in some]
                yield Batch(f"{self._id}-{number}", named, number, some)

    def _good(self, width: int) -> Iterator[Row]:
        data = unpacked(self._files.data, self._files.data.parent, self._reserve)
        for row in strict.read(data, width):
            self._total += 1
            if row.fault:
                self._list(row, f"The row {row.fault}.")
            else:
                yield row

    def _list(self, row: Row, why: str) -> None:
        self._failed += 1
        self._listed.writerow((row.line, why, row.raw.rstrip("\r\n")))

    def sent(self, batch: Batch) -> None:
        """The other side has acknowledged it."""
        self._note.write(f"{batch.number}\n")

    def failed(self, batch: Batch, why: str) -> None:
        """The other side does not take it; the next attempt tries it again."""
        for row in batch.source:
            self._list(row, why)

    def outcome(self) -> Outcome:
        """How the attempt ended, once all batches were tried: done, or ``rows_failed``."""
        result: dict[str, str | int] = {"rows": self._total, "rejectedRows": self._failed}
        self._open.close()
        if not self._failed:
            self._rejects.unlink()
            return Outcome(Verdict.DONE, "done", result=result)
        return Outcome(
            Verdict.REFUSED,
            "rows_failed",
            f"{self._failed} of {self._total} rows were not taken; {self._rejects.name} in "
            "outputfolder lists them.",
            "Mend the cause, then replay the delivery: it sends those rows alone.",
            result=result | {"rejects": self._rejects.name},
        )
