"""A real SMTP server on loopback, with STARTTLS and login where a test wants them, and a receiver
of webhooks."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from dataclasses import replace
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from connector_proxy.settings import Settings


class MailServer:
    """``mails`` are those it took. ``refuse`` is an answer of SMTP with which it takes none,
    ``unknown`` an address that it does not know, ``says`` its answer to a wrong login."""

    def __init__(
        self,
        authority: trustme.CA | None = None,
        login: tuple[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.logins: list[tuple[str, str]] = []
        self.tries = 0
        self.refuse = ""
        self.unknown = ""
        self.says = ""
        self._login = login
        self._controller = _Controller(
            self,
            hostname="127.0.0.1",
            port=port,
            tls_context=_server_side(authority) if authority else None,
            require_starttls=authority is not None,
            authenticator=self._authenticate,
            auth_required=login is not None,
        )

    def __enter__(self) -> MailServer:
        self._controller.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._controller.stop()

    @property
    def address(self) -> str:
        """As ``smtphost`` names it."""
        return f"127.0.0.1:{self._controller.port}"

    def _authenticate(self, server: Any, session: Any, envelope: Any, way: str, data: Any) -> Any:
        given = cast(LoginPassword, data)
        self.logins.append((given.login.decode(), given.password.decode()))
        good = self.logins[-1] == self._login
        return AuthResult(success=good, handled=False, message=self.says or None)

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Envelope, address: str, options: Any
    ) -> str:
        if address == self.unknown:
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        self.tries += 1
        if self.refuse:
            return self.refuse
        mail = BytesParser(policy=default).parsebytes(cast(bytes, envelope.content))
        self.mails.append(cast(EmailMessage, mail))
        return "250 OK"


def by_mail(settings: Settings, server: MailServer, **more: Any) -> Settings:
    """Settings of a service that sends its alerts to ``server``, in the clear."""
    own = {
        "smtphost": server.address,
        "smtpstarttls": False,
        "alertfrom": "connector-proxy@example.com",
        "alertto": ("one@example.com", "two@example.com"),
    }
    return replace(settings, **(own | more))


class _Controller(Controller):
    """Takes a free port, and keeps it from the first start on."""

    def start(self) -> None:
        if not self.port:
            with socket.socket() as free:
                free.bind((self.hostname, 0))
                self.port = free.getsockname()[1]
        super().start()


def _server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


class Receiver:
    """Takes what is posted to it; ``status`` is what it answers."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.status = 204
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posted.append(json.loads(body))
                self.send_response(outer.status)
                self.send_header("Location", f"http://{self.headers['Host']}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks/SECRETPATH?key=SECRETKEY"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
