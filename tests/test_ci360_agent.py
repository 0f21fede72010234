"""The agent as it sends webhooks: its headers, many at once, duplicates, answers that come late."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from connector_proxy.emulator.agent import CUT, LATE, Agent, runs
from tests.conftest import AGENT_HEADERS, payload


class Endpoint:
    """Answers webhooks as it is told, and counts how many it has in hand at once."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.at_once = self.most = 0
        self.seconds = 0.0
        self.cut = False
        self.lock = threading.Lock()
        self.free = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/ExecuteSTP"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with endpoint.lock:
                    endpoint.seen.append((dict(self.headers.items()), body))
                    endpoint.at_once += 1
                    endpoint.most = max(endpoint.most, endpoint.at_once)
                endpoint.free.wait(endpoint.seconds)
                with endpoint.lock:
                    endpoint.at_once -= 1
                if endpoint.cut:
                    self.close_connection = True
                    return
                answer = b'{"deliveryId": "d1"}'
                self.send_response(202)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        return Handler


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield made
    made.free.set()
    made.server.shutdown()
    made.server.server_close()


def test_runs_are_runs_of_the_same_task_and_some_come_twice() -> None:
    bodies = list(runs(payload(), 10, 3))
    assert len(bodies) == 13
    assert len(set(bodies)) == 10
    tasks = [json.loads(body)["task"] for body in bodies]
    assert len({task["occurrenceId"] for task in tasks}) == 10
    assert len({task["taskId"] for task in tasks}) == 1


def test_a_webhook_looks_as_the_agent_sends_it(endpoint: Endpoint) -> None:
    agent = Agent(endpoint.url, headers={"x-api-key": "k"})
    sent = agent.send([b"{}"])
    agent.close()
    ((headers, body),) = endpoint.seen
    known = {name.lower(): value for name, value in headers.items()}
    assert body == b"{}"
    assert known["content-type"] == "text/plain;charset=UTF-8"
    assert known["user-agent"] == AGENT_HEADERS["user-agent"]
    assert known["x-api-key"] == "k"
    assert known["x-ci360-con-inv-trace-id"]
    assert "content-encoding" not in known
    assert (sent.answers, sent.deliveries) == ({"202": 1}, {"d1"})


def test_so_many_are_sent_at_once(endpoint: Endpoint) -> None:
    endpoint.seconds = 0.5
    agent = Agent(endpoint.url, parallel=5)
    sent = agent.send([b"{}"] * 10)
    agent.close()
    assert endpoint.most == 5
    assert sent.answers.total() == 10


def test_an_answer_that_comes_late_is_lost(endpoint: Endpoint) -> None:
    endpoint.seconds = 30
    agent = Agent(endpoint.url, timeout=0.3)
    sent = agent.send([b"{}"])
    agent.close()
    assert sent.answers == {LATE: 1}
    assert len(endpoint.seen) == 1


def test_a_connection_that_is_cut_is_no_answer(endpoint: Endpoint) -> None:
    endpoint.cut = True
    agent = Agent(endpoint.url)
    sent = agent.send([b"{}"])
    agent.close()
    assert sent.answers == {CUT: 1}
