"""Who may call what: every view names it, and the secret is looked at before anything else.

An address that leads nowhere is 404 for everybody, so that nobody learns by a refusal what there
is.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from flask import Flask, request

from connector_proxy.errors import TooManyTries, Unauthorized
from connector_proxy.secrethash import Presented, TooBusy
from connector_proxy.settings import Settings
from connector_proxy.web.tries import Tries

View = TypeVar("View", bound=Callable[..., object])
Guard = Callable[[], None]
"""Raises what a request that may not pass is answered with."""

Environ = Mapping[str, Any]

_MARK = "may_call"


class Caller(StrEnum):
    """Who may call a view: whoever presents the secret of the webhooks, whoever may look at health
    and figures, or everybody; of the page whoever is near enough to see it, who is logged in, who
    may use its API."""

    WEBHOOK = "webhook"
    WATCH = "watch"
    EVERYBODY = "everybody"
    NEAR = "near"
    PAGE = "page"
    API = "api"


def may_call(caller: Caller) -> Callable[[View], View]:
    """Mark a view with who may call it."""

    def mark(view: View) -> View:
        vars(view)[_MARK] = caller
        return view

    return mark


def install(app: Flask, guards: Mapping[Caller, Guard | None]) -> None:
    """Put a guard before each view of ``app``, which has all of its views by now; None lets
    everybody pass. Raises ``KeyError`` for a view that does not say who may call it."""
    of_views = {name: guards[vars(view)[_MARK]] for name, view in app.view_functions.items()}

    @app.before_request
    def check() -> None:
        guard = of_views.get(request.endpoint or "")
        if guard:
            guard()


class _Scheme(Protocol):
    challenge: str

    def issue(self, environ: Environ) -> str: ...


class Gate:
    """Lets those pass who present the right secret, and does not listen to those who fail often."""

    def __init__(self, scheme: _Scheme, tries: Tries | None = None, advice: str = "") -> None:
        """``tries`` are shared by the gates before one secret; ``advice`` is for who fails."""
        self._scheme = scheme
        self._tries = tries or Tries()
        self._advice = advice

    def __call__(self) -> None:
        """Raises ``Unauthorized`` and ``TooManyTries`` for the request at hand."""
        address = request.remote_addr or ""
        wait = self._tries.wait(address)
        if wait:
            raise TooManyTries(wait, cause=f"from {address}", advice=self._advice)
        try:
            issue = self._scheme.issue(request.environ)
        except TooBusy:
            cause = f"from {address}: other secrets are looked at"
            raise TooManyTries(1, cause=cause, advice=self._advice) from None
        if issue:
            count = self._tries.failed(address)
            last = ", the last one for a while" if count >= self._tries.most else ""
            cause = f"from {address}: {issue} (failed try {count}{last})"
            raise Unauthorized(self._scheme.challenge, cause=cause, advice=self._advice)


def webhook_guard(settings: Settings) -> Guard | None:
    """The guard of the webhooks, as ``auth`` says; None for ``none``."""
    scheme = _scheme(settings)
    return Gate(scheme) if scheme else None


def _scheme(settings: Settings) -> _Scheme | None:
    if settings.auth == "basic":
        return Basic(settings.basicuser.reveal(), settings.basicpassword.reveal())
    if settings.auth == "bearer":
        return Bearer(settings.bearertoken.reveal())
    if settings.auth == "header":
        return Header(settings.headername, settings.headervalue.reveal())
    return None


class Basic:
    """User and password (RFC 7617), in UTF-8; ``user`` None: any user."""

    challenge = 'Basic realm="connector-proxy", charset="UTF-8"'

    def __init__(self, user: str | None, passwords: str) -> None:
        self._user = None if user is None else user.encode()
        self._passwords = Presented(passwords)

    def issue(self, environ: Environ) -> str:
        """What is wrong with the environment of a request, in words without its secret; empty:
        nothing."""
        issue, text = _credentials(environ, "basic")
        if issue:
            return issue
        try:
            user, colon, password = base64.b64decode(text, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return "user and password are not base64"
        known = self._user is None or hmac.compare_digest(user, self._user)
        good = self._passwords.matches(password) and known and colon
        return "" if good else "wrong user or password"


class Bearer:
    """A token (RFC 6750)."""

    challenge = 'Bearer realm="connector-proxy"'

    def __init__(self, tokens: str) -> None:
        self._tokens = Presented(tokens)

    def issue(self, environ: Environ) -> str:
        """See ``Basic``."""
        issue, text = _credentials(environ, "bearer")
        return issue or ("" if self._tokens.matches(text.encode("latin-1")) else "wrong token")


class Header:
    """A secret in a header of its own."""

    challenge = 'Header realm="connector-proxy"'

    def __init__(self, name: str, presented: str) -> None:
        self._name = name
        self._key = "HTTP_" + name.upper().replace("-", "_")
        self._values = Presented(presented)

    def issue(self, environ: Environ) -> str:
        """See ``Basic``."""
        text = environ.get(self._key)
        if text is None:
            return f"no header {self._name}"
        return "" if self._values.matches(text.encode("latin-1")) else "wrong value of the header"


def _credentials(environ: Environ, scheme: str) -> tuple[str, str]:
    """What is wrong with the header ``Authorization``, and what stands behind its scheme."""
    given = environ.get("HTTP_AUTHORIZATION", "")
    if not given:
        return "no header Authorization", ""
    word, _, text = given.partition(" ")
    if word.lower() != scheme:
        return f"the header Authorization is not of the scheme {scheme}", ""
    return "", text.strip(" ")
