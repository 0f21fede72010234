"""Carry one delivery out: write the stream, hand it to its destination, say how that ended."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from connector_proxy import stream
from connector_proxy.destinations import Destinations
from connector_proxy.errors import OutcomeUnknown, Refused, Unavailable
from connector_proxy.intake import parse
from connector_proxy.records import Outcome, Verdict
from connector_proxy.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Carried:
    """How an attempt ended, at which destination, after how many milliseconds."""

    outcome: Outcome
    destination: str
    milliseconds: int


class Carrier:
    """Makes attempts; safe to use from many threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._destinations = Destinations(settings)

    def carry_out(self, stp_name: str, body: bytes) -> Carried:
        """Make one attempt with the ``body`` of a webhook that was checked on arrival."""
        settings = self._settings.for_stp(stp_name)
        destination = self._destinations.of(settings)
        document = stream.encode(parse(body), stp_name)
        for renaming in document.renamings:
            _log.debug("renamed %s to %s", renaming.path, renaming.name)
        if document.blanked:
            _log.warning("%d characters that XML forbids became blanks", document.blanked)
        started = time.monotonic()
        try:
            outcome = destination.deliver(stp_name, document, settings)
        except (Refused, Unavailable, OutcomeUnknown) as error:
            outcome = _outcome(error)
        milliseconds = round((time.monotonic() - started) * 1000)
        return Carried(outcome, destination.name, milliseconds)

    def repeats_unknown(self, stp_name: str) -> bool:
        """Whether an attempt that ended unknown may be repeated: the administrator says so for
        the stored process, or the destination replaces what it wrote before."""
        own = self._settings.for_stp(stp_name)
        return own.onunknown == "repeat" or self._destinations.of(own).repeatable

    def close(self) -> None:
        """Close the connections; no attempt may be running."""
        self._destinations.close()


def _outcome(error: Refused | Unavailable | OutcomeUnknown) -> Outcome:
    verdicts = {Refused: Verdict.REFUSED, Unavailable: Verdict.RETRY}
    return Outcome(
        verdicts.get(type(error), Verdict.UNKNOWN),
        error.code,
        str(error),
        error.advice,
        cause=error.cause,
        retry_after=getattr(error, "retry_after", None),
    )
