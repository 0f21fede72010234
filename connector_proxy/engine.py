"""Accept a webhook, and carry a delivery out: two steps that know nothing of each other."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from connector_proxy import logs, stream
from connector_proxy.destinations import Destinations
from connector_proxy.errors import OutcomeUnknown, Refused, Unavailable
from connector_proxy.intake import read_webhook
from connector_proxy.records import Delivery, Outcome, Verdict
from connector_proxy.settings import Settings

_log = logging.getLogger(__name__)


class Engine:
    """The work of the service. Safe to use from many threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._destinations = Destinations(settings)

    def accept(self, raw: bytes, query: Mapping[str, str], request_id: str) -> Delivery:
        """Check the body of a webhook and give it an id.

        Raises ``NotJson`` or ``Unprocessable``; nothing has happened then.
        """
        webhook = read_webhook(
            raw,
            query=query,
            default_stp=self._settings.defaultstp,
            allowed_stps=self._settings.allowedstps,
        )
        return Delivery(uuid.uuid4().hex, request_id, datetime.now(UTC), webhook)

    def carry_out(self, delivery: Delivery) -> Outcome:
        """Make one attempt: write the stream, hand it to its destination, say how it ended."""
        webhook = delivery.webhook
        settings = self._settings.for_stp(webhook.stp_name)
        destination = self._destinations.of(settings)
        document = stream.encode(webhook.payload, webhook.stp_name)
        for renaming in document.renamings:
            _log.debug("renamed %s to %s", renaming.path, renaming.name)
        if document.blanked:
            _log.warning("%d characters that XML forbids became blanks", document.blanked)
        started = time.monotonic()
        try:
            outcome = destination.deliver(webhook.stp_name, document, settings)
        except (Refused, Unavailable, OutcomeUnknown) as error:
            outcome = _outcome(error)
        milliseconds = (time.monotonic() - started) * 1000
        _log_attempt(delivery, destination.name, outcome, milliseconds, settings)
        return outcome

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


def _log_attempt(
    delivery: Delivery,
    destination: str,
    outcome: Outcome,
    milliseconds: float,
    settings: Settings,
) -> None:
    """One line with everything on it, as JSON; ``status`` is the HTTP status of the SAS server,
    ``cause`` what it or the network said."""
    webhook = delivery.webhook
    facts: dict[str, object] = {
        "stp": webhook.stp_name,
        "task": logs.shorten(webhook.task_name),
        "occurrence": logs.shorten(webhook.occurrence_id),
        "destination": destination,
        "verdict": str(outcome.verdict),
        "code": outcome.code,
        "status": outcome.status or None,
        "ms": round(milliseconds),
        "result": dict(outcome.result) or None,
        "message": outcome.message or None,
        "cause": logs.foreign(outcome.cause, logs.secrets_of(settings)) if outcome.cause else None,
    }
    level = logging.INFO if outcome.verdict is Verdict.DONE else logging.WARNING
    _log.log(level, "attempt %s", json.dumps({k: v for k, v in facts.items() if v is not None}))
