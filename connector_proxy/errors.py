"""Every failure that a caller acts on: one family, told apart by who has to act.

Each class knows its ``code`` (stable, for machines), its HTTP ``status`` and an ``advice`` for
the administrator. A message never holds a URL, a path of the server, a credential or a value out
of the customer's data: it may travel in an answer. ``cause`` goes to the log only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Detail:
    """One fault of a request: ``field`` is its path in the JSON, ``issue`` what is wrong there."""

    field: str
    issue: str


class ConnectorProxyError(Exception):
    """Base of the family; raised itself only where nothing more is known."""

    code = "internal_error"
    status = 500
    advice = "Look for the request id in the log of connector-proxy."

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        advice: str = "",
        cause: str = "",
        details: Iterable[Detail] = (),
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.code = code or self.code
        self.advice = advice or self.advice
        self.details = tuple(details)


class ConfigurationError(ConnectorProxyError):
    """The configuration cannot be used; raised at start, before a port is opened."""

    code = "configuration"
    advice = "Correct it and start again; 'connector-proxy check' then shows what is in force."


class Unauthorized(ConnectorProxyError):
    """The request does not hold the secret that it needs (401).

    ``challenge`` is what ``WWW-Authenticate`` says (RFC 9110).
    """

    code = "unauthorized"
    status = 401
    advice = "Let the connector send what auth asks for; the log says what was wrong."

    def __init__(self, challenge: str, *, cause: str = "", advice: str = "") -> None:
        message = "This needs a secret, and the request has none that is right."
        super().__init__(message, cause=cause, advice=advice)
        self.challenge = challenge


class TooManyTries(ConnectorProxyError):
    """The address failed too often with its secret and is not listened to for ``retry_after``
    seconds (429)."""

    code = "too_many_tries"
    status = 429
    advice = "Correct the secret of the connector; the log says which address failed."

    def __init__(self, retry_after: int, *, cause: str = "", advice: str = "") -> None:
        super().__init__("Too many tries with a wrong secret.", cause=cause, advice=advice)
        self.retry_after = retry_after


class FromAPage(ConnectorProxyError):
    """A page in a browser sent a webhook (403): whoever has it open may not know."""

    code = "from_a_page"
    status = 403
    advice = "Webhooks come from programs; what you try out by hand send with curl."

    def __init__(self) -> None:
        super().__init__("A page of another site sent this webhook.")


class Forged(ConnectorProxyError):
    """A change was asked for with the cookie of a session, but by none of its pages (403)."""

    code = "forged"
    status = 403
    advice = "Load the page anew and try again; a program sends opssecret as a bearer token."

    def __init__(self) -> None:
        super().__init__("This change was not asked for by a page of this session.")


class NotFromHere(ConnectorProxyError):
    """What is asked for is for other addresses than that of the caller (403)."""

    code = "not_from_here"
    status = 403
    advice = "Ask from this machine, or set opssecret in credentials.ini and present it."


class NotJson(ConnectorProxyError):
    """The body is not one clean JSON object (400)."""

    code = "not_json"
    status = 400
    advice = "Let the connector of the custom task type send the payload as it is, as JSON."


class Unprocessable(ConnectorProxyError):
    """The JSON is clean, but something needed is missing or not allowed (422)."""

    code = "unprocessable"
    status = 422
    advice = "Correct the send parameters of the custom task."


class Refused(ConnectorProxyError):
    """An attempt failed for good: the same again would fail the same way (502)."""

    code = "refused"
    status = 502


class Unavailable(ConnectorProxyError):
    """An attempt failed before anything happened: the same may be tried again (503).

    ``retry_after`` is the wait in seconds that the other side asked for, or None.
    """

    code = "unavailable"
    status = 503
    advice = "Nothing was carried out; it is tried again."

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        advice: str = "",
        cause: str = "",
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, code=code, advice=advice, cause=cause)
        self.retry_after = retry_after


class QueueUnavailable(ConnectorProxyError):
    """A webhook cannot be kept, or the deliveries cannot be read (503); nothing was accepted.

    ``retry_after`` is in seconds.
    """

    code = "queue_unavailable"
    status = 503
    advice = "Nothing was accepted; send it again later."
    retry_after = 30


class Collision(QueueUnavailable):
    """Another process held what this one needed, and each waited for the other; the same again
    will do."""


class NotPossible(ConnectorProxyError):
    """What an administrator asked for does not fit the state of the delivery (409)."""

    code = "not_possible"
    status = 409
    advice = "Look at the delivery: connector-proxy deliveries show ID."


class NoSuchDelivery(ConnectorProxyError):
    """There is no delivery of this id (404)."""

    code = "no_such_delivery"
    status = 404
    advice = (
        "Finished deliveries are kept for keepdays; connector-proxy deliveries list shows them."
    )


class NoSuchFile(ConnectorProxyError):
    """There is no staged file at this address (404)."""

    code = "no_such_file"
    status = 404
    advice = (
        "Staged files stay until their delivery has ended, and keepfilesminutes longer; replay "
        "the delivery."
    )


class OutcomeUnknown(ConnectorProxyError):
    """The request was sent and no verdict came back: it may or may not have run (504)."""

    code = "outcome_unknown"
    status = 504
    advice = (
        "The stored process may have run, or may still be running. Look at its log and its "
        "dataset before the task is sent again."
    )
