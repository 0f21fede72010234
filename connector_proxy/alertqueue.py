"""Alerts in a durable queue of their own (DBOS): what was decided is sent once the mail server
takes it, by whichever instance has the time, and never holds up a delivery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from connector_proxy.sidequeue import Kind, SideQueue

ALERTS = Kind("alerts", "alert", at_once=1, polling_seconds=1.0)


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

    def __init__(self, engine: Engine, instance: str) -> None:
        self._queue = SideQueue(engine, ALERTS, instance)

    def register(self) -> None:
        """Make the queue known."""
        self._queue.register()

    def put(self, connection: Connection, letter: Letter, delay: float = 0.0) -> None:
        """Place a letter in the queue with the commit of ``connection``; it comes out after
        ``delay`` seconds at the earliest. The same try twice is one place."""
        place = f"{letter.letter_id}.{letter.number}"
        self._queue.put(connection, place, asdict(letter), delay=delay)

    def close(self) -> None:
        """Let go of the queue; the engine stays open."""
        self._queue.close()
