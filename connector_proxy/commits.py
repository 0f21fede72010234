"""Writes of many threads in few transactions: those that come while one is committed share the
next. On a disk where a commit takes 8 ms that is the difference between 115 and thousands a
second (docs/benchmarks.md)."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

import sqlalchemy as sa

from connector_proxy.database import Database
from connector_proxy.errors import Collision, QueueUnavailable
from connector_proxy.patientfile import LOCK_SECONDS

Item = TypeVar("Item")
Result = TypeVar("Result")
_AT_ONCE = 64
_LINGER_SECONDS = 0.003
_STEP_SECONDS = 0.0003


class Commits(Generic[Item, Result]):
    """Hands items to ``apply`` in groups, each group in one transaction of ``database``.

    ``apply`` returns one result an item, in their order. It may be called again with a part of
    them when the transaction failed. What collided with another process is tried once more,
    alone: then it finds what the other one wrote.
    """

    def __init__(
        self,
        database: Database,
        apply: Callable[[sa.Connection, Sequence[Item]], Sequence[Result]],
    ) -> None:
        self._database = database
        self._apply = apply
        self._waiting: queue.SimpleQueue[tuple[Item, Future[Result], float] | None]
        self._waiting = queue.SimpleQueue()
        self._last = 0
        self._thread = threading.Thread(target=self._run, name="commits", daemon=True)
        self._thread.start()

    def run(self, item: Item) -> Result:
        """The result of ``item``, after its transaction was committed.

        Raises ``QueueUnavailable`` where it could not be, and what ``apply`` raises for it.
        """
        future: Future[Result] = Future()
        self._waiting.put((item, future, time.monotonic()))
        return future.result()

    def close(self) -> None:
        """Finish what waits, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        going_on = True
        while going_on:
            group, going_on = self._group()
            self._commit(group)

    def _group(self) -> tuple[list[tuple[Item, Future[Result], float]], bool]:
        """What waits, at least one item; and whether there may be more."""
        group: list[tuple[Item, Future[Result], float]] = []
        first = self._waiting.get()
        self._linger()
        while first is not None:
            group.append(first)
            if len(group) == _AT_ONCE or self._waiting.empty():
                self._last = len(group)
                return group, True
            first = self._waiting.get()
        return group, False

    def _linger(self) -> None:
        """Wait a moment for as many as last time: those that were answered send again, and a
        commit for one costs nearly as much as one for eight."""
        give_up = time.monotonic() + _LINGER_SECONDS
        while self._waiting.qsize() + 1 < self._last and time.monotonic() < give_up:
            time.sleep(_STEP_SECONDS)

    def _commit(
        self, group: list[tuple[Item, Future[Result], float]], *, again: bool = True
    ) -> None:
        if not group:
            return
        # Whoever came while the one before waited for the lock does not wait twice as long.
        patience = LOCK_SECONDS - (time.monotonic() - group[0][2])
        try:
            with self._database.write(patience) as connection:
                results = self._apply(connection, [item for item, _, _ in group])
        except Exception as error:  # the thread must live, and the others must not suffer
            collided = isinstance(error, sa.exc.IntegrityError | Collision)
            alone = len(group) == 1
            hopeless = isinstance(error, QueueUnavailable) or alone
            if hopeless and not (collided and again):
                _fail(group, error)
                return
            for one in group:
                self._commit([one], again=not alone)
        else:
            for (_, future, _), result in zip(group, results, strict=True):
                future.set_result(result)


def _fail(group: list[tuple[Item, Future[Result], float]], error: Exception) -> None:
    for _, future, _ in group:
        future.set_exception(error)
