"""Many webhooks, slow stored processes and limits: who waits, who is answered, who goes first."""

from __future__ import annotations

import json
import random
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from connector_proxy import minutes, outcomes
from connector_proxy import service as whole
from connector_proxy.destinations import embedded
from connector_proxy.emulator import Behaviour, Emulator, Ran
from connector_proxy.records import Outcome, State
from connector_proxy.schedule import Pauses, Rate
from connector_proxy.settings import Settings
from tests.conftest import Service, StubCarrier, another, decided, payload
from tests.crashing import triggered, wait_until

Start = Callable[..., Service]


class Slow:
    """A deed of the stub that ends when it is let through; ``most`` tells how many were under
    way at the same time, in all and for each stored process."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.gate = threading.Event()
        self.most: Counter[str] = Counter()
        self.began: list[float] = []
        self._seconds = seconds
        self._now: Counter[str] = Counter()
        self._counting = threading.Lock()

    def __call__(self, stp_name: str, body: bytes) -> Outcome:
        with self._counting:
            self.began.append(time.monotonic())
            for name in (stp_name, "all"):
                self._now[name] += 1
                self.most[name] = max(self.most[name], self._now[name])
        if self._seconds:
            time.sleep(self._seconds)
        else:
            assert self.gate.wait(60)
        with self._counting:
            self._now.subtract((stp_name, "all"))
        return outcomes.done(200)


@pytest.fixture
def slow(carrier: StubCarrier) -> Iterator[Slow]:
    slow = Slow()
    carrier.deed = slow
    yield slow
    slow.gate.set()


def at_once(service: Service, bodies: list[bytes]) -> list[requests.Response]:
    """All of them sent in parallel."""
    with ThreadPoolExecutor(len(bodies)) as agents:
        return list(agents.map(service.post, bodies))


def all_done(service: Service, count: int, seconds: float = 30.0) -> None:
    def done() -> bool:
        return service.deliveries.counts()[State.DONE] == count

    wait_until(f"{count} are done", done, seconds)


# -- too many -----------------------------------------------------------------------------


def test_webhooks_are_refused_while_too_many_wait_and_accepted_afterwards(
    start: Start, settings: Settings, carrier: StubCarrier, slow: Slow
) -> None:
    service = start(replace(settings, waitseconds=0, maxwaiting=3, concurrency=1), carrier)
    accepted: dict[str, bytes] = {}

    def one_more() -> bool:
        body = triggered()
        answer = service.post(body)
        if answer.status_code == 202:
            accepted[answer.json()["deliveryId"]] = body
        return answer.status_code == 503

    wait_until("one is refused", one_more)
    assert len(accepted) > 3
    refused = service.post(triggered())
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
    error = refused.json()["error"]
    assert error["code"] == "too_many_waiting"
    assert "raise maxwaiting" in error["advice"]
    again = service.post(next(iter(accepted.values())))
    assert again.status_code == 503, "a repeat may come again like everybody else"
    assert {one.delivery_id for one in service.deliveries.search()} == set(accepted)
    slow.gate.set()
    all_done(service, len(accepted))
    body = triggered()
    wait_until("it accepts again", lambda: service.post(body))  # true when it is a 2xx
    all_done(service, len(accepted) + 1)
    assert set(Counter(body for _, body in carrier.seen).values()) == {1}


# -- waiting for the first verdict --------------------------------------------------------


def test_requests_that_wait_leave_threads_for_the_others(
    start: Start, settings: Settings, carrier: StubCarrier, slow: Slow
) -> None:
    service = start(replace(settings, waitseconds=20, threads=4), carrier)
    with ThreadPoolExecutor(10) as agents:
        answers = [agents.submit(service.post, triggered()) for _ in range(10)]
        wait_until("all but three are answered", lambda: sum(one.done() for one in answers) == 7)
        for _ in range(10):
            began = time.monotonic()
            answer = service.post(triggered())
            assert answer.status_code == 202
            assert service.record(answer)["state"] in ("waiting", "running")
            assert time.monotonic() - began < 1
        assert sum(one.done() for one in answers) == 7
        slow.gate.set()
        statuses = Counter(one.result(30).status_code for one in answers)
    assert statuses == {202: 7, 200: 3}
    all_done(service, 20)


def test_nobody_waits_where_it_is_said_so(
    start: Start, settings: Settings, carrier: StubCarrier, slow: Slow
) -> None:
    own = {"hasty": {"waitseconds": 0.0}, "patient": {"waitseconds": 1.5}}
    service = start(replace(settings, waitseconds=0.5, overrides=own), carrier)
    for stp_name, least, most in (("Hasty", 0, 0.45), ("Other", 0.5, 1.4), ("Patient", 1.5, 4)):
        began = time.monotonic()
        answer = service.post(triggered(stp_name))
        assert answer.status_code == 202
        assert answer.json()["statusUrl"] == f"/deliveries/{answer.json()['deliveryId']}"
        assert least <= time.monotonic() - began < most, stp_name


def test_nobody_waits_for_a_paused_stored_process(
    start: Start, settings: Settings, carrier: StubCarrier
) -> None:
    service = start(replace(settings, waitseconds=20), carrier)
    service.deliveries.pause("OneCustomer", decided())
    began = time.monotonic()
    answer = service.post(triggered())
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    assert time.monotonic() - began < 5
    assert service.record(answer)["paused"]
    service.deliveries.resume("OneCustomer", decided())
    assert service.ended(answer)["state"] == "done"


# -- the same again -----------------------------------------------------------------------


def test_the_same_webhook_fifty_times_at_once_runs_once(
    start: Start, settings: Settings, carrier: StubCarrier
) -> None:
    carrier.deed = Slow(0.3)
    service = start(settings, carrier)
    answers = at_once(service, [triggered(guid="the same")] * 50)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["deliveryId"] for answer in answers}) == 1
    assert sum(answer.json().get("duplicate", False) for answer in answers) == 49
    record = service.ended(answers[0])
    assert (record["state"], record["round"], len(record["attempts"])) == ("done", 1, 1)
    assert len(carrier.seen) == 1


def test_the_same_webhook_after_a_refusal_begins_a_second_round(
    start: Start, settings: Settings, carrier: StubCarrier
) -> None:
    carrier.deed = lambda stp_name, body: outcomes.credentials(401, "401")
    service = start(settings, carrier)
    body = triggered()
    first = service.post(body)
    assert (first.status_code, first.json()["error"]["code"]) == (502, "credentials")
    carrier.deed = lambda stp_name, body: outcomes.done(200)
    answers = at_once(service, [body] * 20)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["deliveryId"] for answer in answers} == {first.json()["deliveryId"]}
    assert sum(answer.json().get("duplicate", False) for answer in answers) == 19
    record = service.record(first)
    assert (record["state"], record["round"]) == ("done", 2)
    assert [one["code"] for one in record["attempts"]] == ["credentials", "done"]
    assert len(carrier.seen) == 2


def test_with_identity_body_only_the_same_bytes_are_the_same(
    start: Start, settings: Settings, carrier: StubCarrier
) -> None:
    service = start(replace(settings, overrides={"a": {"identity": "body"}}), carrier)
    for stp_name, deliveries in (("A", 2), ("B", 1)):
        body = triggered(stp_name, "one guid")
        answers = [service.post(sent) for sent in (body, body, body + b" ")]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert len({answer.json()["deliveryId"] for answer in answers}) == deliveries
        assert answers[1].json()["duplicate"]


# -- order and limits ---------------------------------------------------------------------


class Nobody:
    """Carries nothing out: what is accepted waits."""

    def start(self, tell: object) -> None:
        pass

    def stop(self) -> None:
        pass


def bulk(deadline: datetime, occurrence: str) -> bytes:
    document = payload()
    now = datetime.now(UTC).replace(microsecond=0)
    signed = f"{now:%Y%m%dT%H%M%SZ}&X-Amz-Expires={(deadline - now).total_seconds():.0f}"
    document["presignedUrls"] = {
        name: f"https://bucket.s3.amazonaws.com/{name}?X-Amz-Date={signed}"
        for name in ("dataFile", "metadataFile")
    }
    document["task"]["occurrenceId"] = occurrence
    return json.dumps(document).encode()


def test_the_nearest_deadline_goes_first(
    start: Start, settings: Settings, carrier: StubCarrier
) -> None:
    sas = "http://127.0.0.1:1/{{stpName}}"  # no files are fetched for it
    own = replace(settings, stpurl=sas, waitseconds=0, concurrency=1, defaultstp="A")
    now = datetime.now(UTC)
    bodies = {one: bulk(now + timedelta(minutes=one), f"{one}") for one in (4, 8, 12, 20, 60, 600)}  # fmt: skip
    bodies[15] = triggered("Download File")  # an event counts as if it had 15 minutes
    parts = whole.Service(own, Nobody())
    client = parts.app.test_client()
    sent = list(bodies)
    random.Random(360).shuffle(sent)
    for one in sent:
        assert client.post("/ExecuteSTP", data=bodies[one]).status_code == 202
    parts.stop()
    parts.run()
    service = start(own, carrier)
    all_done(service, len(bodies))
    assert [body for _, body in carrier.seen] == [bodies[one] for one in sorted(bodies)]


def test_no_more_run_at_the_same_time_than_the_settings_say(
    start: Start, settings: Settings, carrier: StubCarrier
) -> None:
    slow = Slow(0.1)
    carrier.deed = slow
    own = replace(
        settings,
        waitseconds=0,
        concurrency=2,
        instanceconcurrency=4,
        overrides={"three": {"concurrency": 3}, "one": {"concurrency": 1}},
    )
    service = start(own, carrier)
    at_once(service, [triggered(name) for name in ("Three", "One", "Two", "Another") * 8])
    all_done(service, 32)
    assert slow.most["all"] == 4, "as many as may"
    assert slow.most["Three"] <= 3
    assert slow.most["One"] == 1
    assert slow.most["Two"] <= 2
    assert slow.most["Another"] <= 2
    slow.most.clear()
    at_once(service, [triggered(name) for name in ("Three",) * 9 + ("Two",) * 6])
    all_done(service, 47)
    assert (slow.most["Three"] <= 3, slow.most["Two"] <= 2) == (True, True)


def test_a_rate_limit_is_kept_for_each_stored_process(
    start: Start, settings: Settings, carrier: StubCarrier
) -> None:
    slow = Slow(0.001)
    carrier.deed = slow
    own = replace(settings, waitseconds=0, overrides={"limited": {"ratelimit": Rate(2, 1)}})
    service = start(own, carrier)
    at_once(service, [triggered("Limited") for _ in range(8)])
    all_done(service, 8)
    began = sorted(slow.began)
    # A file counts by whole seconds of the clock: two at the end of one, two at the beginning of
    # the next.
    assert all(later - at > 0.8 for at, later in zip(began, began[4:], strict=False)), began
    assert 1.8 < began[-1] - began[0] < 8, began
    at = time.monotonic()
    at_once(service, [triggered("Other") for _ in range(8)])
    all_done(service, 16)
    assert time.monotonic() - at < 2.5


# -- a stored process that is down --------------------------------------------------------


def quick(instream: bytes) -> Ran:
    return Ran(embedded.result_document("ok"))


def seconds_of(service: Service, answer: requests.Response) -> float:
    """From its acceptance to the end of its only attempt."""
    record: dict[str, Any] = service.ended(answer)
    assert (record["state"], len(record["attempts"])) == ("done", 1)
    moments = (record["acceptedAt"], record["attempts"][0]["endedAt"])
    accepted, ended = map(datetime.fromisoformat, moments)
    return (ended - accepted).total_seconds()


@pytest.mark.parametrize("how", ["refuses connections", "hangs"])
def test_a_stored_process_that_is_down_does_not_delay_another_one(
    how: str, start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minutes, "_MINUTE", 0.3)
    with ExitStack() as stack:
        sas = stack.enter_context(Emulator(quick))
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        stack.callback(bound.close)
        if how == "hangs":
            bound.close()
            behaviour = Behaviour(delay=2)
            hanging = stack.enter_context(Emulator(quick, port=port, behaviour=behaviour))
        down = {
            "stpurl": sas.stpurl.replace(str(sas.port), str(port)),
            "readtimeout": 0.5,
            "onunknown": "repeat",
            "retryschedule": Pauses((1,) * 100),
        }
        own = replace(
            settings, stpurl=sas.stpurl, waitseconds=0, concurrency=2, overrides={"down": down}
        )
        service = start(own)
        with ThreadPoolExecutor(8) as agents:
            sent = list(agents.map(service.post, [triggered("Down") for _ in range(500)]))
        assert {answer.status_code for answer in sent} == {202}
        wait_until("it is paused", lambda: service.deliveries.stored_processes())
        took = []
        for _ in range(20):
            answer = service.post(triggered("Healthy"))
            assert answer.status_code == 202
            took.append(seconds_of(service, answer))
            time.sleep(0.1)
        assert max(took) < 1, took
        counts = service.deliveries.counts()
        assert (counts[State.DONE], counts[State.REFUSED], counts[State.HELD]) == (20, 0, 0)
        [paused] = service.deliveries.stored_processes()
        assert paused.failures > 5, "it was tried again and again"
        if how == "hangs":
            hanging.behave(delay=0)
        else:
            bound.close()
            stack.enter_context(Emulator(quick, port=port))
        took = []
        while service.deliveries.counts()[State.DONE] < 20 + len(took) + 500:
            assert len(took) < 1000
            took.append(seconds_of(service, service.post(triggered("Healthy"))))
            time.sleep(0.05)  # what waits for the other one is to be carried out meanwhile
        assert max(took) < 1, took
        assert service.deliveries.stored_processes() == []


def test_a_database_that_is_held_leaves_threads_for_the_others(
    start: Callable[..., Service], settings: Settings, carrier: StubCarrier
) -> None:
    """Six threads, twenty webhooks that cannot be kept: another address is answered, though
    behind them."""
    service = start(replace(settings, threads=6, waitseconds=0), carrier)
    assert service.post(another(payload())).status_code == 202, "it runs"
    holder = sqlite3.connect(settings.datafolder / "deliveries.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    statuses: list[int] = []
    webhooks = [
        threading.Thread(
            target=lambda: statuses.append(service.post(another(payload())).status_code)
        )
        for _ in range(20)
    ]
    try:
        for webhook in webhooks:
            webhook.start()
        wait_until("the first is refused", lambda: 503 in statuses)
        started = time.monotonic()
        assert requests.get(f"{service.url}/deliveries/{'0' * 32}", timeout=30).status_code == 404
        assert time.monotonic() - started < 8
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    for webhook in webhooks:
        webhook.join(30)
    assert set(statuses) <= {202, 503} and len(statuses) == 20
