"""A queue beside that of the deliveries, with a workflow of its own: what waits in it never holds
up a delivery, and is carried out by whichever instance has the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from dbos import EnqueueOptions
from sqlalchemy import Connection, Engine

from connector_proxy import dbosclient
from connector_proxy.dbosclient import VERSION, WAITING


@dataclass(frozen=True)
class Kind:
    """``name`` is that of the queue, ``workflow`` what is run for each of its places; ``at_once``
    of them at the same time in each instance, taken out every ``polling_seconds``."""

    name: str
    workflow: str
    at_once: int
    polling_seconds: float


class SideQueue:
    """Where things wait; the engine runs what comes out."""

    def __init__(self, engine: Engine, kind: Kind, instance: str) -> None:
        self._client = dbosclient.client(engine)
        self._kind = kind
        self._instance = instance

    def register(self) -> None:
        """Make the queue known."""
        self._client.register_queue(
            self._kind.name,
            worker_concurrency=self._kind.at_once,
            polling_interval_sec=self._kind.polling_seconds,
        )

    def put(self, connection: Connection, place: str, *words: Any, delay: float = 0.0) -> None:
        """Place what ``words`` tell the workflow in the queue with the commit of ``connection``;
        it comes out after ``delay`` seconds at the earliest. The same ``place`` twice is one."""
        options: EnqueueOptions = {
            "queue_name": self._kind.name,
            "workflow_name": self._kind.workflow,
            "workflow_id": self._own(place),
            "app_version": VERSION,
        }
        if delay > 0:
            options["delay_seconds"] = delay
        self._client.enqueue_in_transaction(connection, options, *words)

    def has_place(
        self, connection: Connection, place: sa.ColumnElement[str], forgotten_since: int
    ) -> sa.ColumnElement[bool]:
        """A condition: this place waits, or is in hand. What this instance took out before
        ``forgotten_since`` (milliseconds of the epoch) counts as in hand no more."""
        table = dbosclient.places(connection)
        forgotten = sa.and_(
            table.c.status == "PENDING",
            table.c.executor_id == self._instance,
            table.c.started_at_epoch_ms < forgotten_since,
        )
        return sa.exists().where(
            table.c.workflow_uuid == sa.literal(f"{self._kind.workflow}.") + place,
            table.c.status.in_((*WAITING, "PENDING")),
            sa.not_(forgotten),
        )

    def close(self) -> None:
        """Let go of the client; the engine stays open."""
        self._client.destroy()

    def _own(self, place: str) -> str:
        return f"{self._kind.workflow}.{place}"
