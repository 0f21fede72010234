"""One POST, and at which stage it failed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from connector_proxy.errors import OutcomeUnknown, Unavailable
from connector_proxy.records import Request
from connector_proxy.sasbiws import MAX_REPLY, Caller, Reply

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@contextmanager
def server(talk: Callable[[socket.socket], None], connections: int = 1) -> Iterator[int]:
    """Accepts ``connections`` and lets ``talk`` handle each."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(connections):
                connection, _ = listener.accept()
                with connection:
                    talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def caller() -> Iterator[Caller]:
    caller = Caller(4)
    yield caller
    caller.close()


def post(caller: Caller, port: int, body: bytes = b"x", read_timeout: float = 2.0) -> Reply:
    request = Request(f"http://127.0.0.1:{port}/a%20b", {"X": "1"}, body)
    return caller.post(request, connect_timeout=1.0, read_timeout=read_timeout)


def test_a_reply_is_returned_whole(caller: Caller) -> None:
    seen: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(HELLO)

    with server(talk) as port:
        reply = post(caller, port)
    assert (reply.status, reply.body, reply.complete) == (200, b"hi", True)
    assert seen[0].startswith(b"POST /a%20b HTTP/1.1\r\n")


def test_one_connection_serves_many_calls(caller: Caller) -> None:
    def talk(connection: socket.socket) -> None:
        for _ in range(5):
            while not connection.recv(65536).endswith(b"x"):
                pass
            connection.sendall(HELLO)

    with server(talk) as port:
        assert [post(caller, port).body for _ in range(5)] == [b"hi"] * 5


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTT", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", b"nonsense\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhi"],
)  # fmt: skip
def test_a_cut_after_sending_leaves_the_outcome_unknown(answer: bytes, caller: Caller) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    words = "was sent, but (the connection was cut|its answer is not)"
    with server(talk) as port, pytest.raises(OutcomeUnknown, match=words) as caught:
        post(caller, port)
    assert caught.value.cause


def test_a_server_that_hangs_up_before_reading_leaves_the_outcome_unknown(caller: Caller) -> None:
    """It accepted the connection and got bytes: nobody can tell what it did with them."""
    with server(lambda connection: None) as port, pytest.raises(OutcomeUnknown):
        post(caller, port, b"x" * 5_000_000)


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nX: ", HELLO[:-1].replace(b": 2", b": 500")]
)
def test_a_dripping_reply_ends_with_the_time_out(start: bytes, caller: Caller) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        try:
            connection.sendall(start)
            while True:
                connection.sendall(b"y")
                threading.Event().wait(0.05)
        except OSError:
            return  # the caller gave up, as it should

    words = "no whole answer in 0.4 s" if start else "was sent, but"
    with server(talk) as port, pytest.raises(OutcomeUnknown, match=words):
        post(caller, port, read_timeout=0.4)


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"]
)
def test_an_interim_answer_never_shifts_the_answers_of_others(
    interim: bytes, caller: Caller
) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(interim)
        threading.Event().wait(0.1)
        connection.sendall(HELLO)

    with server(talk, 2) as port:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                post(caller, port)


def test_chunk_sizes_that_lie_do_not_fill_the_memory(caller: Caller) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
        try:
            for _ in range(2000):
                connection.sendall(b"y" * 65536)
        except OSError:
            return  # the caller gave up, as it should

    with server(talk) as port, pytest.raises(OutcomeUnknown):
        post(caller, port)


def test_an_answer_tells_whether_its_end_was_known(caller: Caller) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of")

    with server(talk) as port:
        reply = post(caller, port)
    assert (reply.body, reply.delimited) == (b"half of", False)


def test_a_silent_server_ends_with_the_time_out(caller: Caller) -> None:
    done = threading.Event()
    with server(lambda connection: done.wait(5) and None) as port:
        with pytest.raises(OutcomeUnknown, match=r"no whole answer in 0\.3 s"):
            post(caller, port, read_timeout=0.3)
        done.set()


def test_a_refused_connection_sent_nothing(caller: Caller) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable, match="Connection refused"):
            post(caller, unused.getsockname()[1])


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall may have forgotten it; the POST would go nowhere, and nobody would know."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HELLO)
        connection.settimeout(2)
        assert connection.recv(65536) == b"", "closed, not used"

    with server(talk, 2) as port:
        assert post(caller, port).body == b"hi"
        monkeypatch.setattr("connector_proxy.sasbiws.KEPT_SECONDS", 0)
        assert post(caller, port).body == b"hi"
        caller.close()


def test_a_reply_without_an_end_is_cut_at_the_limit(caller: Caller) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
        try:
            while True:
                connection.sendall(b"y" * 65536)
        except OSError:
            return  # the caller closed, as it should

    with server(talk) as port:
        reply = post(caller, port)
    assert (len(reply.body), reply.complete) == (MAX_REPLY, False)
