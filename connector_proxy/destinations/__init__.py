"""Where deliveries go: one small file a kind, and the registry that picks one."""

from __future__ import annotations

from typing import Protocol

from connector_proxy.destinations.embedded import Embedded
from connector_proxy.destinations.sas import Sas
from connector_proxy.records import Outcome, Stream
from connector_proxy.settings import Settings
from connector_proxy.staging import Files


class Destination(Protocol):
    """Carries one stream out.

    ``name`` is the word for logs; ``repeatable`` says that the same delivery twice does no harm,
    since the second result replaces the first. ``deliver`` gets the files of a bulk task where
    this service fetched them, and returns what the stored process said, or raises ``Refused``,
    ``Unavailable`` (nothing was carried out) or ``OutcomeUnknown``.
    """

    name: str
    repeatable: bool

    def deliver(
        self, stp_name: str, stream: Stream, settings: Settings, files: Files | None
    ) -> Outcome: ...

    def close(self) -> None: ...


class Destinations:
    """Every kind of destination once, for the life of the process."""

    def __init__(self, settings: Settings) -> None:
        self._sas = Sas(pool_size=settings.instanceconcurrency)
        self._embedded = Embedded()

    def of(self, settings: Settings) -> Destination:
        """The destination that the settings of one stored process name."""
        return self._embedded if settings.embedded else self._sas

    def close(self) -> None:
        """Close what the destinations hold open."""
        self._sas.close()
        self._embedded.close()
