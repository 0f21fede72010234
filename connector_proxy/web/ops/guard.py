"""Who may open the page and its API: this machine and ``opsnetworks``, with ``opssecret``.

For everybody else the page is not there (404). Every change needs more than a cookie: a page the
token of its form, the API the token in a header or the secret itself.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Response, g, redirect, request, url_for
from werkzeug.exceptions import NotFound, abort

from connector_proxy.access import plain
from connector_proxy.errors import Forged, Unauthorized
from connector_proxy.records import Decision
from connector_proxy.secrethash import Presented
from connector_proxy.settings import Settings
from connector_proxy.web.access import Bearer, Gate
from connector_proxy.web.ops.sessions import Session, Sessions
from connector_proxy.web.proxies import is_local
from connector_proxy.web.tries import Tries

COOKIE = "connector_proxy_session"
FORM_TOKEN = "token"  # noqa: S105 - the name of a field
HEADER_TOKEN = "X-Form-Token"  # noqa: S105 - the name of a header
_REFRESH = "X-Refresh"
_ADVICE = "The secret of the page and its API is opssecret in credentials.ini."
_log = logging.getLogger(__name__)


class OpsGuard:
    """Decides for the request at hand; ``sessions`` are those who are logged in."""

    def __init__(self, settings: Settings) -> None:
        self.sessions = Sessions()
        self.has_secret = bool(settings.opssecret)
        self._networks = settings.opsnetworks
        tries = Tries()
        self._bearer = Gate(Bearer(settings.opssecret.reveal()), tries, _ADVICE)
        self._form = Gate(_Form(settings.opssecret.reveal()), tries, _ADVICE)

    def near(self) -> None:
        """Raises ``NotFound`` for everybody else than this machine and ``opsnetworks``."""
        if not self.is_near():
            raise NotFound
        if request.method == "POST" and not _same_site():
            raise Forged

    def is_near(self) -> bool:
        """Whether there is anything at all for who asks."""
        return is_local(request.environ) or self._is_named(request.remote_addr or "")

    def _is_named(self, address: str) -> bool:
        try:
            known = plain(ipaddress.ip_address(address))
        except ValueError:
            return False
        return any(known in network for network in self._networks)

    def page(self) -> None:
        """Leads to the login who is not logged in; raises ``Forged`` for a change without the
        token of the form."""
        self.near()
        session = self._session()
        if session is None:
            abort(redirect(url_for("ops.login"), 303))
        if request.method == "POST":
            _check_token(session, request.form.get(FORM_TOKEN, ""))
        g.session, g.door = session, "page"

    def api(self) -> None:
        """Raises ``Unauthorized`` without session and secret, ``Forged`` for a change with a
        cookie and without the token."""
        self.near()
        g.door = "api"
        session = None if "Authorization" in request.headers else self._session()
        if session is None:
            if not self.has_secret:
                raise Unauthorized(Bearer.challenge, advice=f"{_ADVICE} It is not set.")
            self._bearer()
        elif request.method not in ("GET", "HEAD"):
            _check_token(session, request.headers.get(HEADER_TOKEN, ""))

    def _session(self) -> Session | None:
        by_person = _REFRESH not in request.headers
        return self.sessions.of(request.cookies.get(COOKIE, ""), by_person=by_person)

    def log_in(self, answer: Response) -> None:
        """Open a session for who sent the secret in a form, with its cookie in ``answer``.
        Raises ``Unauthorized`` and ``TooManyTries``."""
        self._form()
        session = self.sessions.open()
        _log.info("logged in at the page: %s", request.remote_addr)
        answer.set_cookie(
            COOKIE,
            session.token,
            httponly=True,
            secure=request.is_secure,
            samesite="Strict",
        )

    def log_out(self, answer: Response) -> None:
        """Close the session of this request."""
        self.sessions.close(g.session)
        answer.delete_cookie(COOKIE, httponly=True, secure=request.is_secure, samesite="Strict")
        _log.info("logged out at the page: %s", request.remote_addr)


class _Form:
    """The secret in a field of the login page."""

    challenge = Bearer.challenge

    def __init__(self, secret: str) -> None:
        self._secrets = Presented(secret)

    def issue(self, environ: Mapping[str, Any]) -> str:
        presented = request.form.get("secret", "").encode("utf-8", "replace")
        return "" if self._secrets.matches(presented) else "wrong secret"


def _same_site() -> bool:
    """Whether a browser says that a page of ours sent this, or no browser says anything."""
    return request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")


def _check_token(session: Session, token: str) -> None:
    if not hmac.compare_digest(token.encode("utf-8", "replace"), session.form_token.encode()):
        raise Forged


def decision(note: str) -> Decision:
    """What the sender of this request decides."""
    return Decision(g.door, request.remote_addr or "", datetime.now(UTC), note)
