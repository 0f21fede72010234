"""Who may look at health and figures: everybody on this machine, and from elsewhere whoever
presents ``opssecret``."""

from __future__ import annotations

from flask import request

from connector_proxy.errors import NotFromHere
from connector_proxy.settings import Settings
from connector_proxy.web.access import Basic, Bearer, Environ, Gate, Guard
from connector_proxy.web.proxies import is_local

_ADVICE = (
    "Present opssecret (credentials.ini) as a bearer token, or as the password of any user. What "
    "comes from an address of trustedproxy does not count as this machine."
)


def watch_guard(settings: Settings) -> Guard:
    """The guard of ``GET /health`` and ``GET /metrics``."""
    gate = Gate(_OpsSecret(settings.opssecret.reveal()), advice=_ADVICE)

    def guard() -> None:
        if is_local(request.environ):
            return
        if not settings.opssecret:
            raise NotFromHere("Health and figures are shown to this machine alone.")
        gate()

    return guard


class _OpsSecret:
    """The secret as a bearer token, or as the password of any user: what monitoring can send."""

    challenge = Basic.challenge

    def __init__(self, secrets: str) -> None:
        self._ways: dict[str, Bearer | Basic] = {
            "bearer": Bearer(secrets),
            "basic": Basic(None, secrets),
        }

    def issue(self, environ: Environ) -> str:
        """What is wrong with the environment of a request; empty: nothing."""
        scheme = environ.get("HTTP_AUTHORIZATION", "").partition(" ")[0].lower()
        way = self._ways.get(scheme)
        return way.issue(environ) if way else "no header Authorization of a scheme that is known"
