"""The gateway as it is called, and the pretend one that stands for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from connector_proxy.ci360.gateway import Gateway
from connector_proxy.ci360.letter import EVENTS, RERUN, Identity, Letter, event
from connector_proxy.ci360.token import token
from connector_proxy.emulator.gateway import PretendGateway
from connector_proxy.errors import OutcomeUnknown, Unavailable
from connector_proxy.settings import Settings
from connector_proxy.values import Secret
from tests.gateway import SECRET, TENANT, pretend, reporting

DONE = event("stp_done", Identity("subject_id", "1"), {"rows": "5"}, ("", ""))


@pytest.fixture
def pretended() -> Iterator[PretendGateway]:
    with pretend() as running:
        yield running


@pytest.fixture
def gateway(settings: Settings, pretended: PretendGateway) -> Gateway:
    return Gateway(reporting(settings, pretended.url))


def test_an_event_arrives(gateway: Gateway, pretended: PretendGateway) -> None:
    assert gateway.post(DONE).status == 200
    assert pretended.received.events == [{"eventName": "stp_done", "subject_id": "1", "rows": "5"}]


def test_the_configuration_shows_that_the_credentials_are_right(gateway: Gateway) -> None:
    assert gateway.configuration().status == 200


@pytest.mark.parametrize(
    "wrong", [{"tenantid": Secret("another")}, {"gatewaysecret": Secret("x" * 44)}]
)
def test_a_token_of_others_is_refused(
    settings: Settings, pretended: PretendGateway, wrong: dict[str, Any]
) -> None:
    made = Gateway(reporting(settings, pretended.url, **wrong))
    assert made.post(DONE).status == 401
    assert made.configuration().status == 401
    assert not pretended.received.events


@pytest.mark.parametrize(
    "body",
    [
        {"eventName": "unknown", "subject_id": "1"},
        {"eventName": "stp_done"},
        {"eventName": "stp_done", "subject_id": "1", "login_id": "2"},
        {"eventName": "stp_done", "subject_id": "1", "rows": [1]},
    ],
)
def test_an_event_that_ci_360_does_not_know_is_refused(
    gateway: Gateway, pretended: PretendGateway, body: dict[str, Any]
) -> None:
    assert gateway.post(Letter(EVENTS, body)).status == 400
    assert not pretended.received.events


def test_a_task_is_run_again(gateway: Gateway, pretended: PretendGateway) -> None:
    assert gateway.post(Letter(RERUN, {"version": 1, "taskId": "t1"})).status == 201
    assert pretended.received.jobs == ["t1"]
    assert gateway.post(Letter(RERUN, {"version": 1})).status == 400


def test_above_its_limit_it_denies_access(gateway: Gateway, pretended: PretendGateway) -> None:
    pretended.limit, pretended.limit_seconds = 2, 0.5
    told = [gateway.post(DONE).status for _ in range(3)]
    assert told == [200, 200, 403]
    threading.Event().wait(0.6)
    assert gateway.post(DONE).status == 200


@pytest.mark.parametrize(
    ("fail", "status", "retry_after"),
    [
        ("unauthorized", 401, None),
        ("forbidden", 403, None),
        ("failed", 500, None),
        ("busy", 503, 1),
        ("timeout", 504, None),
        ("moved", 302, None),
    ],
)
def test_it_fails_on_command_and_no_redirect_is_followed(
    gateway: Gateway, pretended: PretendGateway, fail: str, status: int, retry_after: int | None
) -> None:
    pretended.fail = fail
    got = gateway.post(DONE)
    assert (got.status, got.retry_after) == (status, retry_after)


def test_a_connection_that_is_cut_after_the_event_leaves_open_whether_it_arrived(
    gateway: Gateway, pretended: PretendGateway
) -> None:
    pretended.fail = "silent"
    with pytest.raises(OutcomeUnknown):
        gateway.post(DONE)
    assert len(pretended.received.events) == 1


def test_an_address_where_nobody_listens_is_unavailable(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        made = Gateway(reporting(settings, url))
        with pytest.raises(Unavailable, match="no connection"):
            made.post(DONE)


def test_a_host_that_does_not_exist_is_told(settings: Settings) -> None:
    made = Gateway(reporting(settings, "https://gateway.invalid"))
    with pytest.raises(Unavailable, match="host name is not known"):
        made.post(DONE)


def test_what_does_not_speak_tls_gets_no_token(settings: Settings) -> None:
    """It sees the beginning of TLS, and nothing else."""
    seen: list[bytes] = []
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://localhost:{listening.getsockname()[1]}"
        made = Gateway(reporting(settings, url))
        with pytest.raises(Unavailable, match="no TLS connection"):
            made.post(DONE)
        thread.join()
    assert not any(token(TENANT, SECRET).encode() in one for one in seen)


def test_the_agent_is_told_without_a_token(settings: Settings) -> None:
    with PretendGateway("", "", frozenset(("stp_done",))) as agent:
        seen: list[str] = []
        taken = agent.answer

        def answer(method: str, path: str, shown: str, raw: bytes) -> tuple[int, Any]:
            seen.append(shown)
            return taken(method, path, shown, raw)

        agent.answer = answer  # type: ignore[method-assign]
        own = reporting(settings, agent.url, reportvia="agent")
        made = Gateway(replace(own, outboundproxy="http://127.0.0.1:1"))
        assert made.post(DONE).status == 200
    assert seen == [""]


def test_a_file_of_events_is_taken_at_the_place_that_was_given(
    gateway: Gateway, pretended: PretendGateway
) -> None:
    body = {"version": 1, "applicationId": "connector-proxy"}
    got = requests.post(
        pretended.url + "/marketingGateway/bulkEventsFileLocation",
        json=body,
        headers={"Authorization": f"Bearer {token(TENANT, SECRET)}"},
        timeout=10,
    )
    (place,) = (link["href"] for link in got.json()["links"] if link["rel"] == "self")
    rows = b"row_rejected,datahub_id,a1,line,2\nrow_rejected,datahub_id,a2,line,7\n"
    assert requests.put(place, data=rows, timeout=10).status_code == 200
    assert requests.put(place, data=rows, timeout=10).status_code == 403
    assert pretended.received.events[1] == {
        "eventName": "row_rejected",
        "datahub_id": "a2",
        "line": "7",
    }
