"""Who may look at health and figures: everybody on this machine, and from elsewhere whoever
presents ``opssecret``."""

from __future__ import annotations

import base64
import binascii

from flask import request

from connector_proxy.errors import NotFromHere
from connector_proxy.secrethash import Presented
from connector_proxy.settings import Settings
from connector_proxy.web.access import Environ, Gate, Guard
from connector_proxy.web.proxies import is_local


def watch_guard(settings: Settings) -> Guard:
    """The guard of ``GET /health`` and ``GET /metrics``."""
    gate = Gate(_OpsSecret(settings.opssecret.reveal()))

    def guard() -> None:
        if is_local(request.environ):
            return
        if not settings.opssecret:
            raise NotFromHere("Health and figures are shown to this machine alone.")
        gate()

    return guard


class _OpsSecret:
    """The secret as a bearer token, or as the password of any user: what monitoring can send."""

    challenge = 'Basic realm="connector-proxy", charset="UTF-8"'

    def __init__(self, secrets: str) -> None:
        self._secrets = Presented(secrets)

    def issue(self, environ: Environ) -> str:
        """What is wrong with the environment of a request; empty: nothing."""
        scheme, _, text = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._matched(text.strip(" ").encode("latin-1"))
        if scheme.lower() != "basic":
            return "no header Authorization of the scheme bearer or basic"
        try:
            return self._matched(base64.b64decode(text, validate=True).partition(b":")[2])
        except (binascii.Error, ValueError):
            return "user and password are not base64"

    def _matched(self, presented: bytes) -> str:
        return "" if self._secrets.matches(presented) else "wrong secret"
