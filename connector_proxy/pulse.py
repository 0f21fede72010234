"""What the working side did, told once a second: few messages cost the other side little, and one
that stays away tells as much."""

from __future__ import annotations

import threading
from collections.abc import Callable

from connector_proxy import tally
from connector_proxy.carrier import Carried
from connector_proxy.ledger import Begun
from connector_proxy.records import State, Verdict
from connector_proxy.reports import Attempted, Report, Reporting, Sent
from connector_proxy.schedule import Next

_SECONDS = 1.0


class Pulse:
    """Gathers from many threads and reports from one. ``in_hand`` tells how many attempts are
    at hand."""

    def __init__(self, in_hand: Callable[[], int]) -> None:
        self._in_hand = in_hand
        self._lock = threading.Lock()
        self._attempts: list[Attempted] = []
        self._sent: list[Sent] = []
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, report: Reporting) -> None:
        """Report once a second, and at once that work begins."""
        report(Report(started=True))
        self._thread = threading.Thread(target=self._run, args=(report,), name="pulse", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell what is left, and end."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, report: Reporting) -> None:
        going_on = True
        while going_on:
            going_on = not self._stopping.wait(_SECONDS)
            report(self._gathered())

    def _gathered(self) -> Report:
        with self._lock:
            attempts, self._attempts = tuple(self._attempts), []
            sent, self._sent = tuple(self._sent), []
        told = tally.take()
        return Report(
            attempts=attempts,
            expired=told.expired,
            sent=sent,
            in_hand=self._in_hand(),
            downloaded=told.downloaded,
            drift=told.drift,
        )

    def attempted(self, begun: Begun, carried: Carried, following: Next | None) -> None:
        """An attempt has ended; ``following`` is what became of its delivery."""
        attempted = _attempted(begun, carried, following)
        with self._lock:
            self._attempts.append(attempted)

    def sent(self, sent: Sent) -> None:
        """An alert was sent, or could not be."""
        with self._lock:
            self._sent.append(sent)


def _attempted(begun: Begun, carried: Carried, following: Next | None) -> Attempted:
    delivery, outcome, row = begun.delivery, carried.outcome, begun.row
    ended: Verdict | None = None
    if following is not None and following.state is not State.WAITING:
        ended = following.verdict or outcome.verdict
    began = delivery.changed_at.timestamp()
    due = (row.next_attempt_at or row.changed_at) / 1000
    seconds = carried.milliseconds / 1000
    return Attempted(
        stp_name=delivery.stp_name,
        destination=carried.destination,
        verdict=outcome.verdict,
        ended=ended,
        seconds=seconds,
        waited=max(0.0, began - due),
        age=max(0.0, began + seconds - delivery.accepted_at.timestamp()),
        rows=_number(outcome.result.get("rows")),
        rejected=_number(outcome.result.get("rejectedRows")),
    )


def _number(told: str | int | None) -> int:
    """A stored process may tell anything."""
    return told if isinstance(told, int) and told > 0 else 0
