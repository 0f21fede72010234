"""Alerts in a durable queue of their own (DBOS): what was decided is sent once the mail server
takes it, by whichever instance has the time, and never holds up a delivery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dbos import EnqueueOptions
from sqlalchemy import Connection, Engine

from connector_proxy.dbosqueue import VERSION, client

WORKFLOW = "alert"
_QUEUE = "alerts"
_POLLING_SECONDS = 1.0


@dataclass(frozen=True)
class Letter:
    """A message on its way through one channel. ``course`` and ``serial`` tell which alert it is
    and whether something newer was told meanwhile; ``number`` counts the tries from 1."""

    letter_id: str
    channel: str
    course: str
    serial: int
    number: int
    message: Mapping[str, Any]


class AlertQueue:
    """Where letters wait; ``alerts/teller.py`` sends what comes out."""

    def __init__(self, engine: Engine) -> None:
        self._client = client(engine)

    def register(self) -> None:
        """Make the queue known."""
        self._client.register_queue(
            _QUEUE, worker_concurrency=1, polling_interval_sec=_POLLING_SECONDS
        )

    def put(self, connection: Connection, letter: Letter, delay: float = 0.0) -> None:
        """Place a letter in the queue with the commit of ``connection``; it comes out after
        ``delay`` seconds at the earliest. The same try twice is one place."""
        options: EnqueueOptions = {
            "queue_name": _QUEUE,
            "workflow_name": WORKFLOW,
            "workflow_id": f"{WORKFLOW}.{letter.letter_id}.{letter.number}",
            "app_version": VERSION,
        }
        if delay > 0:
            options["delay_seconds"] = delay
        self._client.enqueue_in_transaction(connection, options, asdict(letter))

    def close(self) -> None:
        """Let go of the client; the engine stays open."""
        self._client.destroy()
