"""Where deliveries go: one small file a kind, and the registry that picks one."""

from __future__ import annotations

from typing import Protocol

from connector_proxy import kinds
from connector_proxy.addresses import STP, UPLOAD, kind_of, section_of
from connector_proxy.destinations.embedded import Embedded
from connector_proxy.destinations.sas import Sas
from connector_proxy.destinations.upload import Upload
from connector_proxy.errors import Refused
from connector_proxy.records import Delivery, Outcome, Payload
from connector_proxy.settings import Settings
from connector_proxy.staging import Files


class Destination(Protocol):
    """Carries one delivery out.

    ``name`` is the word for logs; ``repeatable`` says that the same delivery twice does no harm,
    since the second result replaces the first. ``deliver`` gets the payload, the settings of this
    destination and the files of a bulk task where this service fetched them; it returns how that
    ended, or raises ``Refused``, ``Unavailable`` (nothing was carried out) or ``OutcomeUnknown``.
    It is called by many threads at once, for one delivery by one.
    """

    name: str
    repeatable: bool

    def deliver(
        self, delivery: Delivery, payload: Payload, settings: Settings, files: Files | None
    ) -> Outcome: ...

    def close(self) -> None: ...


class Gone:
    """A destination that an older configuration had."""

    name = "none"
    repeatable = False

    def deliver(
        self, delivery: Delivery, payload: Payload, settings: Settings, files: Files | None
    ) -> Outcome:
        """Refuse; see ``Destination``."""
        section = section_of(delivery.stp_name)
        raise Refused(
            f"The destination {delivery.stp_name} is not configured any more.",
            code="destination_gone",
            advice=f"Write the section {section} again and replay the delivery, or leave it.",
        )

    def close(self) -> None:
        """Nothing is open."""


class Destinations:
    """Every kind of destination once, for the life of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sas = Sas(pool_size=settings.instanceconcurrency)
        self._embedded = Embedded()
        self._others: dict[str, Destination] = {UPLOAD: Upload(), **kinds.made()}
        self._gone = Gone()

    def of(self, name: str) -> Destination:
        """The destination of that name: a stored process, or a kind and a name."""
        own = self._settings.for_stp(name)
        if kind_of(name) != own.kind:
            return self._gone
        if own.kind == STP:
            return self._embedded if own.embedded else self._sas
        return self._others[own.kind]

    def close(self) -> None:
        """Close what the destinations hold open."""
        every: list[Destination] = [self._sas, self._embedded, *self._others.values()]
        for one in every:
            one.close()
