"""The rows of a bulk task some at a time, for destinations that send rows: what was acknowledged is
not handed out again by a later attempt, what failed is listed with its line and reason.

The folder of the delivery has ``batches.sent``, the number of each batch that was acknowledged;
``outputfolder`` has ``<delivery id>_rejects.csv``, laid out as the rejects of a dataset.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from types import TracebackType

from connector_proxy import dataset
from connector_proxy.dataset import rejects, strict
from connector_proxy.dataset.packed import unpacked
from connector_proxy.dataset.rejects import Rejects
from connector_proxy.dataset.strict import Row
from connector_proxy.errors import Refused
from connector_proxy.records import Delivery, Outcome, Verdict
from connector_proxy.settings import Settings
from connector_proxy.staging import Files


@dataclass(frozen=True)
class Batch:
    """Some rows, each a value by the name of its column. ``key`` is the same whenever this batch
    is sent, and no other one has it."""

    key: str
    rows: list[dict[str, str]]
    number: int
    source: Sequence[Row]


class Batches:
    """The batches of ``size`` rows that no attempt has sent yet. A context manager: what
    ``sent`` is told outlives this process.

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
        self._path = settings.outputfolder / f"{self._id}_rejects.csv"
        self._open = ExitStack()
        self._good = 0

    def __enter__(self) -> Batches:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            note = self._files.data.with_name("batches.sent")
            self._note = opened.enter_context(note.open("a+", buffering=1))
            self._rejects = opened.enter_context(Rejects(self._path))
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
        data = unpacked(self._files.data, self._files.data.parent, self._reserve)
        rows = self._rejects.good(strict.read(data, len(names)), rejects.any_text)
        for number, some in enumerate(iter(lambda: list(islice(rows, self._size)), [])):
            self._good += len(some)
            if str(number) not in sent:
                named = [dict(zip(names, row.values, strict=True)) for row in some]
                yield Batch(f"{self._id}-{number}", named, number, some)

    def sent(self, batch: Batch) -> None:
        """The other side has acknowledged it."""
        self._note.write(f"{batch.number}\n")

    def failed(self, batch: Batch, why: str) -> None:
        """The other side does not take it; the next attempt tries it again."""
        self._good -= len(batch.source)
        for row in batch.source:
            self._rejects.add(row, why)

    def outcome(self) -> Outcome:
        """How the attempt ended, once all batches were tried: done, or ``rows_failed``."""
        failed, total = self._rejects.count, self._good + self._rejects.count
        result: dict[str, str | int] = {"rows": total, "rejectedRows": failed}
        self._open.close()
        if not failed:
            self._path.unlink()
            return Outcome(Verdict.DONE, "done", result=result)
        return Outcome(
            Verdict.REFUSED,
            "rows_failed",
            f"{failed} of {total} rows were not taken; {self._path.name} in "
            "outputfolder lists them.",
            "Mend the cause, then replay the delivery: it sends those rows alone.",
            result=result | {"rejects": self._path.name},
        )
