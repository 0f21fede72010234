"""Alerts get to people: by mail from a real SMTP server, by a webhook, through the durable queue."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from connector_proxy import minutes, outcomes
from connector_proxy.alertqueue import Letter
from connector_proxy.alerts import teller
from connector_proxy.alerts.teller import Teller
from connector_proxy.database import Database
from connector_proxy.records import Outcome, State
from connector_proxy.reports import Sent
from connector_proxy.settings import Settings
from connector_proxy.tables import alerts, deliveries
from connector_proxy.values import Secret
from tests.conftest import Service, StubCarrier, decided
from tests.crashing import triggered, wait_until
from tests.mailserver import MailServer, Receiver, by_mail
from tests.monitoring import figures, health, value

Start = Callable[..., Service]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Books:
    """A database with a teller beside it, and deliveries as a test says. ``letters`` are those
    that the teller put into the queue."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings)
        self.database.set_up()
        self.tries: list[Sent] = []
        self.teller = Teller(settings, self.database, self._written, self.tries.append)
        self.teller.register()

    def _written(self, write: Callable[[sa.Connection], Any]) -> Any:
        with self.database.write() as connection:
            return write(connection)

    def add(self, delivery_id: str, state: State, changed_at: datetime, **more: Any) -> None:
        row: dict[str, Any] = dict.fromkeys(
            (column.name for column in deliveries.columns if isinstance(column.type, sa.Text)), ""
        )
        row |= dict.fromkeys(("round", "turn", "tries", "attempt_count"), 1)
        row |= dict.fromkeys(("probing", "paused", "payload_kept"), False)
        moment = int(changed_at.timestamp() * 1000)
        row |= {"delivery_id": delivery_id, "identity": delivery_id, "kind": "bulk", "result": "{}"}
        row |= {"state": state, "accepted_at": moment, "changed_at": moment, "stp_name": "Download"}
        self._written(lambda c: c.execute(sa.insert(deliveries).values(row | more)))

    def change(self, delivery_id: str, state: State, now: datetime) -> None:
        own = deliveries.c.delivery_id == delivery_id
        values = {"state": state, "changed_at": int(now.timestamp() * 1000)}
        self._written(lambda c: c.execute(sa.update(deliveries).where(own).values(values)))

    @property
    def letters(self) -> list[dict[str, Any]]:
        schema = "" if self.database.is_file else "dbos."
        query = f"SELECT inputs FROM {schema}workflow_input ORDER BY workflow_uuid"
        with self.database.read() as connection:
            found = connection.execute(sa.text(query)).scalars().all()
        letters = [json.loads(one)["positionalArgs"][0] for one in found]
        return sorted(letters, key=lambda one: (one["course"], one["serial"], one["channel"]))

    def told(self) -> list[str]:
        return [one["message"]["subject"].partition(": ")[2] for one in self.letters]

    def close(self) -> None:
        self.teller.close()
        self.database.close()


@pytest.fixture
def books(settings: Settings) -> Iterator[Books]:
    own = Books(replace(settings, alerturl=Secret("http://127.0.0.1:1/x"), instance="a"))
    yield own
    own.close()


def test_each_kind_is_seen_once_and_its_end_too(books: Books) -> None:
    books.add("held1", State.HELD, NOON, task_name="Spring", code="outcome_unknown")
    books.add("refused1", State.REFUSED, NOON)
    books.add("expired1", State.EXPIRED, NOON)
    books.add("waiting1", State.WAITING, NOON - timedelta(minutes=31))
    for minute in range(9):
        books.teller.look(NOON + timedelta(minutes=minute))
    assert books.told() == [
        "1 delivery has expired within an hour",
        "1 delivery is held",
        "1 delivery was refused within an hour",
        "1 delivery has waited for too long",
    ]
    text = books.letters[1]["message"]["text"]
    assert "held1  Download  Spring  outcome_unknown" in text
    for one in ("held1", "refused1", "waiting1"):
        books.change(one, State.DONE, NOON + timedelta(minutes=20))
    books.teller.look(NOON + timedelta(minutes=20))
    books.teller.look(NOON + timedelta(minutes=61))
    assert books.told()[1::2] == [
        "No delivery has expired in the last hour",
        "No delivery is held any more",
        "No delivery was refused in the last hour, or all were carried out since",
        "No delivery waits for too long any more",
    ]


def test_what_an_administrator_decided_is_no_news_to_him(books: Books) -> None:
    books.add("resolved", State.REFUSED, NOON, code="resolved")
    books.add("cancelled", State.CANCELLED, NOON, code="cancelled")
    books.add("early", State.WAITING, NOON - timedelta(minutes=29))
    books.add("long ago", State.REFUSED, NOON - timedelta(hours=2))
    books.teller.look(NOON)
    assert books.told() == []


def test_a_flood_is_a_few_messages_with_numbers_and_examples(books: Books) -> None:
    for second in range(0, 1200, 10):
        books.add(f"id{second}", State.REFUSED, NOON + timedelta(seconds=second))
        books.teller.look(NOON + timedelta(seconds=second))
    assert books.told() == [
        "1 delivery was refused within an hour",
        "61 deliveries were refused within an hour",
    ]
    text = books.letters[1]["message"]["text"]
    assert "  and 56 more" in text
    assert text.count("Download") == 5


def test_a_disk_is_told_of_for_each_instance(
    books: Books, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=300 << 20))
    books.teller.look(NOON)
    other = Books(replace(books.settings, instance="b"))
    other.teller.look(NOON)
    other.close()
    subjects = [one["message"]["subject"] for one in books.letters]
    assert subjects == [f"connector-proxy on {name}: 3 disks have little room left" for name in "ab"]  # fmt: skip
    assert "room in datafolder: 300 MB free" in books.letters[0]["message"]["text"]
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 << 30))
    books.teller.look(NOON + timedelta(minutes=10))
    assert "The disks have room again" in books.told()


def test_without_a_channel_nothing_is_looked_at(settings: Settings) -> None:
    own = Books(settings)
    own.add("held1", State.HELD, NOON)
    own.teller.look(NOON)
    with own.database.read() as connection:
        assert connection.execute(sa.select(alerts)).all() == []
    own.close()


def test_of_several_instances_one_tells(settings: Settings, queueurl: str) -> None:
    shared = replace(settings, queueurl=Secret(queueurl), alerturl=Secret("http://127.0.0.1:1/x"))
    instances = [Books(replace(shared, instance=f"i{number}")) for number in range(4)]
    instances[0].add("held1", State.HELD, NOON)
    with ThreadPoolExecutor(len(instances)) as pool:
        list(pool.map(lambda one: one.teller.look(NOON), instances * 5))
    assert instances[0].told() == ["1 delivery is held"]
    for one in instances:
        one.close()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes and pauses are short."""
    monkeypatch.setattr(minutes, "_MINUTE", 0.2)
    monkeypatch.setattr(teller, "PAUSES", (1,) * 30)


def fails(outcome: Outcome) -> Callable[[str, bytes], Outcome]:
    return lambda stp_name, body: outcome


@pytest.mark.usefixtures("soon")
def test_a_held_delivery_is_told_by_mail_and_webhook_and_its_end_ten_minutes_later(
    start: Start, settings: Settings, carrier: StubCarrier
) -> None:
    carrier.deed = fails(outcomes.unknown(0, "cut"))
    with MailServer() as server, Receiver() as receiver:
        own = by_mail(settings, server, alerturl=Secret(receiver.url), instance="prod1")
        service = start(own, carrier)
        answer = service.post(triggered("Send Letter"))
        wait_until("the mail", lambda: server.mails)
        wait_until("the webhook", lambda: receiver.posted)
        [got] = server.mails
        assert got["Subject"] == "connector-proxy on prod1: 1 delivery is held"
        assert answer.json()["deliveryId"][:8] in got.get_content()
        assert receiver.posted[0]["text"] == got.get_content().replace("\r\n", "\n").strip()
        service.deliveries.resolve(answer.json()["deliveryId"], State.DONE, decided())
        time.sleep(1)
        assert len(server.mails) == 1, "its end is told ten minutes after its beginning"
        with Database(own).write() as connection:
            connection.execute(sa.update(alerts).values(told_at=alerts.c.told_at - 600_000))
        wait_until("its end", lambda: len(server.mails) == 2)
        assert server.mails[1]["Subject"].endswith("No delivery is held any more")
        wait_until("counted", lambda: value(figures(service), "alerts_total", channel="mail", result="sent") == 2)  # fmt: skip
        assert health(service)["alerts"]["condition"] == "ok"


@pytest.mark.usefixtures("soon")
def test_a_mail_server_that_fails_is_tried_again_and_disturbs_no_delivery(
    start: Start, settings: Settings, carrier: StubCarrier, caplog: pytest.LogCaptureFixture
) -> None:
    carrier.deed = fails(outcomes.unknown(0, "cut"))
    caplog.set_level(logging.INFO)
    with MailServer() as server:
        server.refuse = "451 try again later"
        service = start(by_mail(settings, server), carrier)
        service.post(triggered("Send Letter"))
        wait_until("two tries", lambda: server.tries > 1)
        wait_until("it is told", lambda: health(service)["alerts"]["condition"] == "warn")
        carrier.deed = fails(outcomes.done(200))
        started = time.monotonic()
        assert service.post(triggered("Another")).status_code == 200
        assert time.monotonic() - started < 5
        server.refuse = ""
        wait_until("the mail", lambda: server.mails)
        wait_until("the alert is over", lambda: health(service)["alerts"]["condition"] == "ok")
        time.sleep(2)
        assert len(server.mails) == 1
    assert "alert not sent, again in 1 s: The mail server" in caplog.text
    assert "451 try again later" in caplog.text


@pytest.mark.usefixtures("soon")
def test_an_alert_outlives_the_service(
    start: Start, settings: Settings, carrier: StubCarrier
) -> None:
    carrier.deed = fails(outcomes.unknown(0, "cut"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = MailServer(port=port)
    own = by_mail(settings, server)
    service = start(own, carrier)
    service.post(triggered("Send Letter"))
    wait_until("a try", lambda: health(service)["alerts"]["condition"] == "warn")
    service.stop()
    with server:
        start(own, carrier)
        wait_until("the mail of the first service", lambda: server.mails)
        time.sleep(2)
        assert [one["Subject"].partition(": ")[2] for one in server.mails] == ["1 delivery is held"]


@pytest.mark.usefixtures("soon")
def test_what_is_overtaken_by_something_newer_is_not_sent_any_more(books: Books) -> None:
    books.add("held1", State.HELD, NOON)
    books.teller.look(NOON)
    books.add("held2", State.HELD, NOON + timedelta(minutes=20))
    books.teller.look(NOON + timedelta(minutes=20))
    first, second = (Letter(**one) for one in books.letters)
    books.teller.send(replace(first, number=2))
    assert books.tries == []
    books.teller.send(replace(second, number=2))
    assert [one.channel for one in books.tries] == ["webhook"]
    assert books.tries[0].problem.startswith("The webhook")


def test_an_alert_that_cannot_be_sent_for_a_day_is_given_up(
    books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    books.add("held1", State.HELD, NOON)
    books.teller.look(NOON)
    [one] = books.letters
    books.teller.send(replace(Letter(**one), number=len(teller.PAUSES) + 1))
    assert "alert given up after 9 tries: connector-proxy on a: 1 delivery is held" in caplog.text
    assert len(books.letters) == 1


def test_a_channel_that_is_not_configured_any_more_gets_nothing(books: Books) -> None:
    books.add("held1", State.HELD, NOON)
    books.teller.look(NOON)
    [one] = books.letters
    books.teller.send(replace(Letter(**one), channel="mail"))
    assert books.tries == []
