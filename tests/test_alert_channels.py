"""The channels of alerts: mail to a real SMTP server, a webhook, and the test of both."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from connector_proxy.alerts import mail, webhook
from connector_proxy.alerts.course import Event, Kind, Sight
from connector_proxy.alerts.words import Message, message
from connector_proxy.cli import cli
from connector_proxy.errors import Unavailable
from connector_proxy.loading import load
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from tests.mailserver import MailServer, Receiver, by_mail

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ONE = message(Kind.HELD, Event.BEGAN, Sight(1, NOON, NOON, ("04752c5e  Übertragung",)), NOON, "a")


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return path


def refused(
    settings: Settings, send: Callable[[Message, Settings], None] = mail.send
) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        send(ONE, settings)
    return caught.value


def test_a_mail_arrives_encrypted_after_login(
    settings: Settings, authority: trustme.CA, bundle: Path
) -> None:
    with MailServer(authority, login=("cp", "hunter2")) as server:
        own = by_mail(
            settings,
            server,
            smtpstarttls=True,
            cabundle=bundle,
            smtpuser=Secret("cp"),
            smtppassword=Secret("hunter2"),
        )
        mail.send(ONE, own)
    [got] = server.mails
    assert server.logins == [("cp", "hunter2")]
    assert got["Subject"] == "connector-proxy on a: 1 delivery is held"
    assert (got["From"], got["To"]) == ("connector-proxy@example.com", "one@example.com, two@example.com")  # fmt: skip
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["Message-ID"].endswith("@example.com>")
    assert got["Date"]
    assert got.get_content().replace("\r\n", "\n").strip() == ONE.text
    assert "Übertragung" in got.get_content()


def test_a_wrong_password_is_told_and_not_shown(
    settings: Settings, authority: trustme.CA, bundle: Path
) -> None:
    with MailServer(authority, login=("cp", "right")) as server:
        own = by_mail(
            settings,
            server,
            smtpstarttls=True,
            cabundle=bundle,
            smtpuser=Secret("cp"),
            smtppassword=Secret("wrongpassword"),
        )
        error = refused(own)
    assert "does not accept user and password" in str(error)
    assert error.cause.startswith("535")
    assert "wrongpassword" not in f"{error}{error.cause}{error.advice}"
    assert server.mails == []


def test_a_mail_server_that_repeats_the_password_is_not_repeated(
    settings: Settings, authority: trustme.CA, bundle: Path
) -> None:
    plain = base64.b64encode(b"\0cp\0hunter2secret").decode()
    login = base64.b64encode(b"hunter2secret").decode()
    with MailServer(authority, login=("cp", "right")) as server:
        server.says = f"535 wrong: hunter2secret {plain} {login}"
        own = by_mail(settings, server, smtpstarttls=True, cabundle=bundle)
        error = refused(replace(own, smtpuser=Secret("cp"), smtppassword=Secret("hunter2secret")))
    assert error.cause == "535 wrong: <masked> <masked> <masked>"


def test_a_password_that_smtp_cannot_carry_is_told(
    settings: Settings, authority: trustme.CA, bundle: Path
) -> None:
    with MailServer(authority, login=("cp", "right")) as server:
        own = by_mail(settings, server, smtpstarttls=True, cabundle=bundle)
        error = refused(replace(own, smtpuser=Secret("cp"), smtppassword=Secret("hünter2")))
    assert "can only be sent as ASCII" in str(error)
    assert "hünter2" not in f"{error}{error.cause}{error.advice}"


def test_nothing_is_sent_to_a_server_that_is_not_trusted(
    settings: Settings, authority: trustme.CA
) -> None:
    with MailServer(authority) as server:
        error = refused(by_mail(settings, server, smtpstarttls=True))
    assert "no TLS that can be trusted" in str(error)
    assert "cabundle" in error.advice
    assert server.mails == []


def test_nothing_is_sent_in_the_clear_where_starttls_is_wanted(settings: Settings) -> None:
    with MailServer() as server:
        error = refused(by_mail(settings, server, smtpstarttls=True))
    assert "offers no STARTTLS" in str(error)
    assert server.mails == []


def test_a_server_that_is_not_there_is_told(settings: Settings) -> None:
    with MailServer() as server:
        own = by_mail(settings, server)
    assert "no connection: Connection refused" in str(refused(own))


@pytest.mark.parametrize(
    ("answer", "words"),
    [("451 later", "it refuses the mail"), ("552 too large", "it refuses the mail")],
)
def test_a_mail_that_is_refused_is_told_in_the_words_of_the_server(
    settings: Settings, answer: str, words: str
) -> None:
    with MailServer() as server:
        server.refuse = answer
        error = refused(by_mail(settings, server))
    assert words in str(error)
    assert error.cause == answer


def test_an_address_that_is_not_known_is_told_while_the_others_get_their_mail(
    settings: Settings,
) -> None:
    with MailServer() as server:
        server.unknown = "two@example.com"
        told = mail.send(ONE, by_mail(settings, server))
        assert "two@example.com: 550 no such user here" in told
        assert len(server.mails) == 1
        assert "accepts none of the addresses" in str(
            refused(by_mail(settings, server, alertto=("two@example.com",)))
        )


def test_a_mail_server_that_never_comes_to_an_end_is_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector_proxy.alerts.mail._MOST_SECONDS", 0.5)

    def talk(listener: socket.socket) -> None:
        with suppress(OSError), listener.accept()[0] as connection:
            for _ in range(600):
                connection.sendall(b"220-more\r\n")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=talk, args=(listener,), daemon=True).start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        own = replace(settings, smtphost=address, smtpstarttls=False, alertfrom="a@example.com",
                      alertto=("b@example.com",))  # fmt: skip
        assert "no connection" in str(refused(own))


def test_what_a_webhook_says_without_an_end_is_not_read(settings: Settings) -> None:
    def talk(listener: socket.socket) -> None:
        with suppress(OSError), listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(600):
                connection.sendall(b"x")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, args=(listener,))
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        webhook.send(ONE, replace(settings, alerturl=Secret(address)))
        thread.join(10)
        assert not thread.is_alive(), "the connection is closed"


def test_a_task_cannot_write_headers(settings: Settings) -> None:
    evil = replace(ONE, subject="a\r\nBcc: evil@example.com", text="x\r\n.\r\nMAIL FROM:<evil@x>")
    with MailServer() as server:
        mail.send(evil, by_mail(settings, server))
    [got] = server.mails
    assert got["Bcc"] is None
    assert got["Subject"] == "a\\r\\nBcc: evil@example.com"
    assert "MAIL FROM:<evil@x>" in got.get_content()


def test_a_webhook_gets_the_same_as_json(settings: Settings) -> None:
    with Receiver() as receiver:
        webhook.send(ONE, replace(settings, alerturl=Secret(receiver.url)))
    [got] = receiver.posted
    assert got == ONE.record()
    assert (got["kind"], got["event"], got["instance"], got["count"]) == ("held", "began", "a", 1)
    assert got["since"] == NOON.isoformat()
    assert got["text"].startswith("1 delivery is held")


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_other_answer_is_a_failure_that_does_not_show_the_address(
    settings: Settings, conf: Path, status: int
) -> None:
    with Receiver() as receiver:
        receiver.status = status
        own = loaded_with(conf, receiver.url)
        error = refused(own, webhook.send)
    assert f"it answered with status {status}" in str(error)
    assert len(receiver.posted) == 1, "a redirect is not followed"
    assert "SECRET" not in f"{error}{error.cause}{error.advice}"
    away = refused(own, webhook.send)
    assert "no answer" in str(away)
    assert "SECRET" not in f"{away}{away.cause}{away.advice}"


def loaded_with(conf: Path, alerturl: str) -> Settings:
    return load(conf, {"CONNECTOR_PROXY_ALERTURL": alerturl})


def check(conf: Path, **environment: str) -> tuple[int, str]:
    given = {f"CONNECTOR_PROXY_{name.upper()}": text for name, text in environment.items()}
    result = CliRunner().invoke(cli, ["check", "--alert", "--conf", str(conf)], env=given)
    return result.exit_code, result.output


def test_check_sends_a_test_through_each_channel(conf: Path) -> None:
    with MailServer() as server, Receiver() as receiver:
        code, output = check(
            conf,
            smtphost=server.address,
            smtpstarttls="False",
            alertfrom="a@example.com",
            alertto="b@example.com",
            alerturl=receiver.url,
        )
    assert code == 0, output
    assert "OK    alert by mail: a test was sent" in output
    assert "OK    alert by webhook: a test was sent" in output
    assert "SECRET" not in output
    assert server.mails[0]["Subject"].endswith("test of alerts")
    assert receiver.posted[0]["kind"] == "test"


def test_check_tells_what_is_wrong_with_a_channel(conf: Path) -> None:
    with MailServer() as server:
        server.refuse = "554 no"
        code, output = check(
            conf,
            smtphost=server.address,
            smtpstarttls="False",
            alertfrom="a@example.com",
            alertto="b@example.com",
        )
    assert code == 1
    assert "FAIL  alert by mail: The mail server" in output
    assert "554 no" in output


def test_check_says_that_nobody_would_be_told(conf: Path) -> None:
    code, output = check(conf)
    assert code == 0
    assert "WARN  alerts: nobody would be told" in output
