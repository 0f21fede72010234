"""What an administrator does with reports: look at one, send it now, send again what failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from connector_proxy import audit, lookup
from connector_proxy.ci360 import answer, rowevents
from connector_proxy.ci360.answer import Answered
from connector_proxy.ci360.book import OFF, Book, Key, key_of
from connector_proxy.ci360.letter import EVENTS, Letter
from connector_proxy.ci360.sending import Sending, written_letter
from connector_proxy.database import Database
from connector_proxy.dbosqueue import Queue
from connector_proxy.errors import NotPossible
from connector_proxy.masking import MASK
from connector_proxy.records import OPEN, Decision, Kind, Report, ReportKind, ReportState
from connector_proxy.settings import Settings
from connector_proxy.tables import reports


class ByHand:
    """Works beside a running service, or without one."""

    def __init__(self, settings: Settings, database: Database, queue: Queue) -> None:
        self._settings = settings
        self._database = database
        self._book = Book(settings, queue)

    def preview(self, delivery_id: str, by: Decision) -> list[Letter | Answered]:
        """What would be sent for the last end of a delivery, with the identity of a customer
        masked, or why it cannot be. Changes nothing. Raises as ``send``."""
        with self._database.write() as connection, connection.begin_nested() as taken_back:
            due = self._due(connection, delivery_id, by)
            shown = [self._letter(connection, key, place, by) for key, place in due]
            taken_back.rollback()
        return shown

    def _letter(
        self, connection: Connection, key: Key, place: int, by: Decision
    ) -> Letter | Answered:
        begun = self._book.begin(connection, key, place, "preview", by.at)
        assert begun is not None
        if key.kind is ReportKind.ROWS:
            told = f"a file of one event {begun.report.event} for each rejected row"
            return replace(rowevents.PLACE, body={**rowevents.PLACE.body, "then": told})
        made = written_letter(begun, self._settings)
        if (
            isinstance(made, Letter)
            and made.path == EVENTS
            and begun.delivery.kind is Kind.TRIGGERED
        ):
            return replace(made, body={**made.body, "datahub_id": MASK})
        return made

    def send(self, delivery_id: str, by: Decision) -> list[Report]:
        """Send what is not sent of the last end of a delivery, now; returns how it stands then.

        Raises ``NotPossible`` for a delivery that has not ended, was reported, or is being
        reported, and where the settings name nothing to send.
        """
        with self._database.write() as connection:
            due = self._due(connection, delivery_id, by)
            audit.record(
                connection, "report", by, "sent by hand", delivery_id=due[0][0].delivery_id
            )
        sending = Sending(self._settings, self._book, self._written, threading.Event())
        stand = (sending.turn(key.delivery_id, key.turn, key.kind, place) for key, place in due)
        return [one for one in stand if one]

    def send_all(self, by: Decision) -> int:
        """Let the service send what is unreported and surely did not arrive; returns how many."""
        own = reports.c
        wanted = sa.select(reports).where(
            own.state == ReportState.UNREPORTED, own.code != answer.unknown().code
        )
        self._refuse_off()
        with self._database.write() as connection:
            keys = [key_of(row) for row in connection.execute(wanted)]
            for key in keys:
                self._book.place_again(connection, key, by.at)
            if keys:
                audit.record(connection, "report", by, f"{len(keys)} reports placed again")
        return len(keys)

    def _due(self, connection: Connection, delivery_id: str, by: Decision) -> list[tuple[Key, int]]:
        """The reports of the last end that are not sent, each with a place in this hand."""
        self._refuse_off()
        row = lookup.found(connection, delivery_id, lock=True)
        if row.state in OPEN:
            raise NotPossible(f"The delivery is {row.state}; CI 360 is told of ends only.")
        placed = self._placed(connection, row)
        if not placed:
            self._book.place(connection, row, by.at)
            placed = self._placed(connection, row)
        if not placed:
            raise NotPossible(
                "The settings name nothing to report for this end.",
                advice="Set doneevent, failedevent and heldevent, and reportidentity for tasks.",
            )
        left = [one for one in placed if one.state != ReportState.SENT]
        if not left:
            raise NotPossible("CI 360 was told of the end of this delivery.")
        if any(one.run and one.state == ReportState.WAITING for one in left):
            raise NotPossible(
                "CI 360 is being told at this moment, or the service died while it was told.",
                advice="Look again in a minute; after a death the service lists it as unreported "
                "when it has started again.",
            )
        keys = [key_of(one) for one in left]
        again = self._book.place_again
        return [(key, again(connection, key, by.at, queued=False)) for key in keys]

    def _placed(self, connection: Connection, row: Row[Any]) -> list[Row[Any]]:
        own = reports.c
        of_end = sa.and_(own.delivery_id == row.delivery_id, own.turn == row.turn)
        return list(connection.execute(sa.select(reports).where(of_end).with_for_update()))

    def _refuse_off(self) -> None:
        if self._settings.reportvia == OFF:
            raise NotPossible(
                "Reports are switched off.", advice="Set reportvia in serviceConfig.ini."
            )

    def _written(self, write: Callable[[Connection], Any]) -> Any:
        with self._database.write() as connection:
            return write(connection)
