"""One line of log an attempt with everything on it, and what of an attempt may be shown."""

from __future__ import annotations

import logging
from dataclasses import replace

from connector_proxy import masking
from connector_proxy.carrier import Carried
from connector_proxy.intake import parse
from connector_proxy.ledger import Begun
from connector_proxy.loglines import Facts
from connector_proxy.records import Delivery, Verdict
from connector_proxy.schedule import Next
from connector_proxy.settings import Settings

_log = logging.getLogger(__name__)


def masked(carried: Carried, own: Settings, body: bytes) -> tuple[Carried, str]:
    """The same without our secrets in its message, and what the other side said, fit for the
    log: either may quote our request. ``own`` are the settings of the stored process, ``body`` is
    that of the webhook."""
    outcome = carried.outcome
    if not outcome.cause:
        return carried, ""
    secrets = masking.secrets_of(own)
    message = masking.mask(outcome.message, secrets)
    shown = replace(carried, outcome=replace(outcome, message=message))
    return shown, masking.foreign(outcome.cause, secrets, masking.private_texts(parse(body)))


def write(begun: Begun, carried: Carried, cause: str, following: Next | None) -> None:
    """The line, as JSON; ``status`` is the HTTP status of the SAS server, ``cause`` what it or
    the network said, ``state`` what became of the delivery."""
    delivery: Delivery = begun.delivery
    outcome = carried.outcome
    at = following.at if following else None
    facts: dict[str, object] = {
        "stp": delivery.stp_name,
        "task": masking.shorten(delivery.task_name),
        "occurrence": masking.shorten(delivery.occurrence_id),
        "attempt": delivery.attempt_count,
        "destination": carried.destination or None,
        "verdict": str(outcome.verdict),
        "state": str(following.state) if following else "taken over elsewhere",
        "next": at.isoformat(timespec="seconds") if at else None,
        "code": outcome.code,
        "status": outcome.status or None,
        "ms": carried.milliseconds,
        "result": dict(outcome.result) or None,
        "message": outcome.message or None,
        "cause": cause or None,
    }
    level = logging.INFO if outcome.verdict is Verdict.DONE else logging.WARNING
    _log.log(level, "attempt %s", Facts({k: v for k, v in facts.items() if v is not None}))
