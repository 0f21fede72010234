"""Carry one delivery out: fetch its files where that is ours to do, hand it to its destination,
say how that ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from connector_proxy.destinations import Destination, Destinations
from connector_proxy.download import Progress
from connector_proxy.errors import OutcomeUnknown, Refused, Unavailable
from connector_proxy.intake import file_urls, parse
from connector_proxy.records import Delivery, Kind, Outcome, Payload, Verdict
from connector_proxy.settings import Settings
from connector_proxy.staging import Files, Staging

DOWNLOAD = "download"
"""The destination of an attempt that ended before its stored process was called."""


@dataclass(frozen=True)
class Carried:
    """How an attempt ended, at which destination, after how many milliseconds. ``reached``:
    whether the destination was called at all."""

    outcome: Outcome
    destination: str
    milliseconds: int
    reached: bool = True


class Carrier:
    """Makes attempts; safe to use from many threads at once."""

    def __init__(self, settings: Settings, staging: Staging) -> None:
        self._settings = settings
        self._staging = staging
        self._destinations = Destinations(settings)

    def fetch(
        self, delivery: Delivery, body: bytes, progress: Progress | None = None
    ) -> Carried | None:
        """Fetch the files of a bulk task ahead of its attempt; how the attempt ended, if they
        cannot be had. ``progress`` may raise to end it early."""
        started = time.monotonic()
        try:
            self._files(delivery, parse(body), self._own(delivery), progress)
        except (Refused, Unavailable) as error:
            return Carried(_outcome(error), DOWNLOAD, _since(started), reached=False)
        return None

    def has_files(self, delivery_id: str) -> bool:
        """Whether the files that were fetched for a delivery are here, whole."""
        return self._staging.is_here(delivery_id)

    def carry_out(self, delivery: Delivery, body: bytes) -> Carried:
        """Make one attempt with the ``body`` of a webhook that was checked on arrival."""
        own, payload, started = self._own(delivery), parse(body), time.monotonic()
        try:
            files = self._files(delivery, payload, own)
            if files and own.on_sas:
                payload = self._staging.handed_over(delivery.delivery_id, payload, own)
        except (Refused, Unavailable) as error:
            return Carried(_outcome(error), DOWNLOAD, _since(started), reached=False)
        destination = self._destinations.of(delivery.stp_name)
        return _called(lambda: destination.deliver(delivery, payload, own, files), destination)

    def _own(self, delivery: Delivery) -> Settings:
        return self._settings.for_stp(delivery.stp_name)

    def _files(
        self, delivery: Delivery, payload: Payload, own: Settings, progress: Progress | None = None
    ) -> Files | None:
        """The files of the delivery, where this service is the one to fetch them; as a rule they
        are there already."""
        if delivery.kind is not Kind.BULK or not own.fetches:
            return None
        return self._staging.fetch(delivery.delivery_id, file_urls(payload), own, progress)

    def repeats_unknown(self, stp_name: str) -> bool:
        """Whether an attempt that ended unknown may be repeated: the administrator says so for
        the stored process, or the destination replaces what it wrote before."""
        own = self._settings.for_stp(stp_name)
        return own.onunknown == "repeat" or self._destinations.of(stp_name).repeatable

    def close(self) -> None:
        """Close the connections; no attempt may be running."""
        self._destinations.close()


def _called(deliver: Callable[[], Outcome], destination: Destination) -> Carried:
    started = time.monotonic()
    try:
        outcome = deliver()
    except (Refused, Unavailable, OutcomeUnknown) as error:
        outcome = _outcome(error)
    except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:  # of a destination from outside
        raise RuntimeError(f"{destination.name} raised {type(error).__name__}") from error
    return Carried(outcome, destination.name, _since(started))


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _outcome(error: Refused | Unavailable | OutcomeUnknown) -> Outcome:
    verdict = Verdict.UNKNOWN
    if not isinstance(error, OutcomeUnknown):
        verdict = Verdict.REFUSED if isinstance(error, Refused) else Verdict.RETRY
    return Outcome(
        verdict,
        error.code,
        str(error),
        error.advice,
        cause=error.cause,
        retry_after=getattr(error, "retry_after", None),
    )
