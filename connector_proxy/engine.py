"""The working side of the queue: what comes out of it becomes attempts.

DBOS Transact hands out each turn once, keeps what is in hand, plans later turns and resumes
after a crash. A turn is one workflow without steps: the mark that an attempt began and the
record of its end are our own transactions, and tell a turn that is run again what happened.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSPortableJSONSerializer

from connector_proxy import alertqueue, attemptlog, dbosclient, dbosqueue, logs
from connector_proxy.alertqueue import Letter
from connector_proxy.alerts.teller import Teller
from connector_proxy.carrier import Carried, Carrier
from connector_proxy.ci360.sending import Sending
from connector_proxy.commits import Commits
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.errors import QueueUnavailable
from connector_proxy.fetching import Fetching
from connector_proxy.ledger import Begun, Ledger
from connector_proxy.minutes import Minutes
from connector_proxy.pulse import Pulse
from connector_proxy.records import Outcome, Verdict
from connector_proxy.reports import Reporting
from connector_proxy.schedule import Next
from connector_proxy.settings import Settings
from connector_proxy.staging import Staging

_log = logging.getLogger(__name__)
_RECORD_RETRY_SECONDS = 2.0

Write = Callable[[sa.Connection], Any]


class Engine:
    """Carries deliveries out in threads of this process. One a process: DBOS knows only one."""

    def __init__(self, settings: Settings, carrier: Carrier | None = None) -> None:
        self._settings = settings
        self._database = Database(settings, relaxed=True)
        self._queue = Queue(self._database.engine, settings)
        self._ledger = Ledger(settings, self._queue)
        self._staging = Staging(settings.downloadfolder)
        self._carrier = carrier or Carrier(settings, self._staging)
        self._commits: Commits[Write, Any] = Commits(self._database, _each)
        self._room = threading.BoundedSemaphore(settings.instanceconcurrency)
        self._stopping = threading.Event()
        self._in_hand: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._pulse = Pulse(lambda: len(self._busy_with()))
        self._fetching = Fetching(
            settings,
            self._database,
            self._carrier,
            self._ledger,
            self._written,
            self._tell,
            self._stopping,
        )
        self._teller = Teller(settings, self._database, self._written, self._pulse.sent)
        book = self._ledger.turns.reports
        self._reports = Sending(settings, book, self._written, self._stopping)
        minutes = Minutes(
            settings,
            self._database,
            self._queue,
            self._staging,
            self._busy_with,
            self._reports.place_lost,
            self._teller.look,
        )
        self._timer = threading.Thread(
            target=minutes.run, args=(self._stopping,), name="minutes", daemon=True
        )
        self._seldom = logs.Seldom()

    def start(self, report: Reporting) -> None:
        """Resume what this instance had in hand, and take what waits in the queue; ``report`` is
        told once a second what was done."""
        DBOS(
            config={
                "name": dbosclient.APPLICATION,
                "system_database_engine": self._database.engine,
                "application_version": dbosclient.VERSION,
                "executor_id": self._settings.instance,
                "serializer": DBOSPortableJSONSerializer(),
                "run_migrations": False,
                "notification_listener_polling_interval_sec": 0.1,  # unused; holds up the end
                "log_level": "WARNING",
            }
        )

        @DBOS.workflow(name=dbosqueue.WORKFLOW, max_recovery_attempts=None)
        def attempt(delivery_id: str, turn: int) -> None:
            self._turn(self._attempt, delivery_id, turn)

        @DBOS.workflow(name=dbosqueue.FETCHING, max_recovery_attempts=None)
        def fetch(delivery_id: str, turn: int) -> None:
            self._turn(self._fetching.turn, delivery_id, turn)

        @DBOS.workflow(name=alertqueue.ALERTS.workflow, max_recovery_attempts=None)
        def alert(letter: dict[str, Any]) -> None:
            self._teller.send(Letter(**letter))

        @DBOS.workflow(name=dbosqueue.REPORTS.workflow, max_recovery_attempts=None)
        def tell(delivery_id: str, turn: int, kind: str, place: int) -> None:
            self._reports.turn(delivery_id, turn, kind, place)

        self._queue.register()
        self._teller.register()
        DBOS.launch()
        its_log = logging.getLogger("dbos")  # has set up a console of its own
        its_log.handlers.clear()
        its_log.propagate = True
        its_log.filters[:] = [self._seldom]
        self._timer.start()
        self._pulse.start(report)

    def stop(self) -> bool:
        """Take nothing more from the queue, give attempts in hand ``drainseconds``, and end;
        returns whether all have ended. The others are looked at when this instance starts
        again."""
        self._stopping.set()
        busy = self._in_hand or self._reports.in_hand()
        patience = math.ceil(self._settings.drainseconds) if busy else 0
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=patience)
        self._timer.join()
        self._pulse.stop()
        if self._in_hand or self._reports.in_hand():
            _log.warning("ended with %d attempts unfinished", len(self._in_hand))
            return False
        self._teller.close()
        self._commits.close()
        self._carrier.close()
        self._database.close()
        return True

    # -- one turn ------------------------------------------------------------------------

    def _turn(self, deed: Callable[[str, int], None], delivery_id: str, turn: int) -> None:
        with self._counting:
            self._in_hand[delivery_id] += 1
        try:
            deed(delivery_id, turn)
        except Exception:  # a fault of ours: DBOS would end the turn, and nobody would know
            _log.exception("a delivery could not be carried out and is held")
            self._written(
                lambda connection: self._ledger.hold(connection, delivery_id, turn, _now())
            )
        finally:
            with self._counting:
                self._in_hand[delivery_id] -= 1
                self._in_hand += Counter()  # drops what came to zero

    def _attempt(self, delivery_id: str, turn: int) -> None:
        with self._room:
            self._make_attempt(delivery_id, turn)

    def _make_attempt(self, delivery_id: str, turn: int) -> None:
        logs.work_on(delivery=delivery_id)
        if self._stopping.is_set():
            self._written(
                lambda connection: self._ledger.put_back(connection, delivery_id, turn, _now())
            )
            return
        run = f"{self._settings.instance}/{uuid.uuid4().hex}"
        begun = self._written(
            lambda connection: self._ledger.begin(
                connection, delivery_id, turn, run, _now(), self._carrier.has_files
            )
        )
        if begun is None:
            return
        logs.work_on(request=begun.delivery.request_id, delivery=delivery_id)
        stp_name = begun.delivery.stp_name
        own = self._settings.for_stp(stp_name)
        carried, cause = attemptlog.masked(self._carry_out(begun), own, begun.body)
        repeat_unknown = self._carrier.repeats_unknown(stp_name)
        following = self._written(
            lambda connection: self._ledger.finish(
                connection, begun, carried, _now(), cause=cause, repeat_unknown=repeat_unknown
            )
        )
        self._tell(begun, carried, cause, following)

    def _tell(self, begun: Begun, carried: Carried, cause: str, following: Next | None) -> None:
        attemptlog.write(begun, carried, cause, following)
        self._pulse.attempted(begun, carried, following)

    def _carry_out(self, begun: Begun) -> Carried:
        if begun.interrupted:
            return _INTERRUPTED
        if not begun.body:
            return _PAYLOAD_GONE
        return self._carrier.carry_out(begun.delivery, begun.body)

    def _written(self, write: Write) -> Any:
        """The result of a write that must not be lost: repeated until the database takes it."""
        while True:
            try:
                return self._commits.run(write)
            except QueueUnavailable as error:
                _log.error("the database does not take a record, trying on: %s", error)
                time.sleep(_RECORD_RETRY_SECONDS)

    def _busy_with(self) -> set[str]:
        with self._counting:
            return set(self._in_hand)


def _each(connection: sa.Connection, writes: Sequence[Write]) -> list[Any]:
    return [write(connection) for write in writes]


_INTERRUPTED = Carried(
    Outcome(
        Verdict.UNKNOWN,
        "outcome_unknown",
        "The service ended while the stored process was called; nobody can tell whether it ran.",
        "Look at its log and its dataset, then resolve the delivery or replay it.",
    ),
    "",
    0,
    reached=False,
)
_PAYLOAD_GONE = Carried(
    Outcome(
        Verdict.REFUSED,
        "payload_gone",
        "The payload of the delivery is not in the database any more.",
        "Run the task again in CI 360.",
    ),
    "",
    0,
    reached=False,
)


def _now() -> datetime:
    return datetime.now(UTC)
