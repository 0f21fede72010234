"""An alert as mail: one connection to the mail server for each, with STARTTLS unless the
administrator says otherwise."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from connector_proxy import masking, trust
from connector_proxy.alerts.words import Message
from connector_proxy.errors import Unavailable
from connector_proxy.settings import Settings

NAME = "mail"
_SECONDS, _MOST_SECONDS = 30.0, 60.0
"""For each answer of the mail server, and for all of it."""
_FAULTS: tuple[tuple[type[Exception], str, str], ...] = (
    (smtplib.SMTPAuthenticationError, "it does not accept user and password",
     "Check smtpuser and smtppassword."),
    (smtplib.SMTPRecipientsRefused, "it accepts none of the addresses", "Check alertto."),
    (smtplib.SMTPSenderRefused, "it does not accept alertfrom",
     "Check alertfrom, and whether it wants a user."),
    (smtplib.SMTPNotSupportedError, "it offers no STARTTLS, or no way to log in that is known",
     "Name another port in smtphost (587), or set smtpstarttls = False in a closed network."),
    (smtplib.SMTPResponseException, "it refuses the mail", "Ask who runs the mail server."),
    (UnicodeError, "user and password can only be sent as ASCII", "Change the password."),
    (ssl.SSLError, "no TLS that can be trusted",
     "Name the PEM file of your certificate authority in cabundle."),
    (Exception, "no connection", "Check smtphost, the mail server and the firewall."),
)  # fmt: skip
"""What a failure says and what to do about it, the first that fits."""


def send(message: Message, settings: Settings) -> str:
    """Hand a message to the mail server; returns what it says of addresses that it does not take
    among others that it does. Raises ``Unavailable`` where it does not take the mail at all."""
    host, _, port = settings.smtphost.partition(":")
    try:
        with _Bounded(host, int(port), timeout=_SECONDS) as server:
            if settings.smtpstarttls:
                server.starttls(context=trust.context(settings.cabundle))
            if settings.smtpuser:
                server.login(settings.smtpuser.reveal(), settings.smtppassword.reveal())
            refused = server.send_message(as_mail(message, settings))
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise _failed(error, settings) from None
    if not refused:
        return ""
    told = "; ".join(f"{address}: {_said(*why)}" for address, why in refused.items())
    return str(_unavailable(f"not every address is accepted ({told})", "", settings))


class _Bounded(smtplib.SMTP):
    """A conversation that ends in time, however slowly or much the other side talks."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        self._timer = threading.Timer(_MOST_SECONDS, self._cut, (connected,))
        self._timer.daemon = True
        self._timer.start()
        return connected

    def _cut(self, connected: socket.socket) -> None:
        with suppress(OSError):
            (self.sock or connected).shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See smtplib."""
        timer = getattr(self, "_timer", None)
        if timer:
            timer.cancel()
        super().close()


def as_mail(message: Message, settings: Settings) -> EmailMessage:
    """The mail. Its headers say that no person sent it, so that nobody's absence answers."""
    mail = EmailMessage()
    mail["Subject"] = masking.printable(message.subject)
    mail["From"] = settings.alertfrom
    mail["To"] = ", ".join(settings.alertto)
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = make_msgid(domain=settings.alertfrom.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(message.text)
    return mail


def _failed(error: Exception, settings: Settings) -> Unavailable:
    """What failed, by stage."""
    words, advice = next((words, what) for kind, words, what in _FAULTS if isinstance(error, kind))
    why = getattr(error, "verify_message", "") or getattr(error, "strerror", "")
    code, said = getattr(error, "smtp_code", 0), getattr(error, "smtp_error", b"")
    words = f"{words}: {why}" if why else words
    return _unavailable(words, advice, settings, _said(code, said) if code else "")


def _said(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {text}"


def _unavailable(words: str, advice: str, settings: Settings, said: str = "") -> Unavailable:
    shown = masking.foreign(words, masking.secrets_of(settings))
    cause = masking.foreign(said, masking.secrets_of(settings))
    return Unavailable(f"The mail server {settings.smtphost}: {shown}.", advice=advice, cause=cause)
