"""A pretend external gateway of CI 360, for trying things out and for tests.

Seen in published clients of SAS's and followed here: the paths, the token (HS256 over the Base64
text of the secret, ``clientID``), the members of an event, the configuration of an access point,
the order to run a task again, the two steps of a file of events. Documented: 403 above the limit
of requests in five minutes.

Inferred, and to be confirmed with a tenant: every status but 200 and 403, that an unknown event
or attribute is refused (400), and what the answers to an event and to a task hold.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

import jwt

from connector_proxy.ci360.attributes import IDENTITIES
from connector_proxy.ci360.token import key
from connector_proxy.emulator.gatewayhandler import Handler, Refused

FAILURES: Mapping[str, str] = {
    "unauthorized": "401: the token is refused",
    "forbidden": "403: access is denied",
    "failed": "500",
    "busy": "503 with Retry-After 1",
    "timeout": "504: a front end gave up waiting",
    "moved": "a redirect to another place",
    "silent": "the event is taken, and the connection is cut before the answer",
    "hang": "no answer",
}
LIMIT, LIMIT_SECONDS = 700_000, 300.0


@dataclass
class Received:
    """What the gateway took: ``events`` single ones and those of files, ``jobs`` the ids of tasks
    to run again, ``requests`` how many requests came."""

    events: list[dict[str, str]] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    requests: int = 0


class PretendGateway:
    """A server on ``host:port`` (0: a free one) for one tenant. ``events`` are the external
    events that exist; ``fail`` (one of ``FAILURES``, or empty), ``delay`` (seconds between
    what it takes and its answer) and ``limit`` (requests in ``limit_seconds``) may be changed while
    it runs. Without a ``secret`` no token is asked for,
    as at the agent's own address. ``on_event`` is called with each event. A context manager."""

    def __init__(
        self,
        tenant: str,
        secret: str,
        events: frozenset[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        fail: str = "",
        delay: float = 0.0,
        limit: int = LIMIT,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self.tenant, self._secret, self._events = tenant, secret, events
        self.fail, self.delay = fail, delay
        self.limit, self.limit_seconds = limit, limit_seconds
        self.received = Received()
        self.on_event: Callable[[dict[str, str]], None] = lambda event: None
        self._lock = threading.Lock()
        self._moments: deque[float] = deque()
        self._awaited: set[str] = set()
        self._server = _Server((host, port), type("Bound", (Handler,), {"gateway": self}))
        self.url = f"http://{self._server.server_address[0]!s}:{self._server.server_address[1]}"

    def answer(self, method: str, path: str, token: str, raw: bytes) -> tuple[int, Any]:
        """Status and JSON for a request; raises ``Refused``."""
        with self._lock:
            self.received.requests += 1
            self._count()
            if method == "PUT":
                return self._take_file(path.partition("?")[0].rpartition("/")[2], raw)
            self._check(token)
            if (method, path) == ("GET", "/marketingGateway/configuration"):
                return 200, {"agentName": "access_point", "type": "general", "properties": {}}
            body = _object(raw)
            match method, path:
                case "POST", "/marketingGateway/events":
                    self._take_event(body)
                    return 200, {}
                case "POST", "/marketingGateway/bulkEventsFileLocation":
                    return 201, {"links": [{"rel": "self", "href": self._place()}]}
                case "POST", "/marketingExecution/taskJobs":
                    return 201, self._start(body)
            raise Refused(404, "there is nothing at this path")

    def _count(self) -> None:
        now = time.monotonic()
        while self._moments and now - self._moments[0] > self.limit_seconds:
            self._moments.popleft()
        if len(self._moments) >= self.limit:
            raise Refused(403, "Forbidden")
        self._moments.append(now)

    def _check(self, token: str) -> None:
        if not self._secret:
            return
        try:
            claims = jwt.decode(token, key(self._secret), algorithms=["HS256"])
        except jwt.InvalidTokenError:
            raise Refused(401, "the token is not signed with the secret of this tenant") from None
        if claims.get("clientID") != self.tenant:
            raise Refused(401, "the token is that of another tenant")

    def _take_event(self, body: dict[str, Any]) -> None:
        if body.get("eventName") not in self._events:
            raise Refused(400, "there is no external event of this name")
        if sum(bool(body.get(kind)) for kind in IDENTITIES) != 1:
            raise Refused(400, f"an event needs one of {', '.join(IDENTITIES)}")
        if not all(isinstance(value, str | int | float) for value in body.values()):
            raise Refused(400, "attributes are texts and numbers")
        event = {name: str(value) for name, value in body.items()}
        self.received.events.append(event)
        self.on_event(event)

    def _start(self, body: dict[str, Any]) -> dict[str, str]:
        task_id = body.get("taskId")
        if not isinstance(task_id, str) or not task_id:
            raise Refused(400, "taskId is missing")
        self.received.jobs.append(task_id)
        return {"taskJobId": str(uuid.uuid4()), "taskId": task_id, "state": "running"}

    def _place(self) -> str:
        name = uuid.uuid4().hex
        self._awaited.add(name)
        return f"{self.url}/upload/{name}?X-Amz-Expires=900&X-Amz-Signature={uuid.uuid4().hex}"

    def _take_file(self, name: str, raw: bytes) -> tuple[int, Any]:
        if name not in self._awaited:
            raise Refused(403, "Request has expired")
        self._awaited.discard(name)
        self.received.files[name] = raw
        for row in csv.reader(io.StringIO(raw.decode("utf-8", "replace"))):
            self._take_event(_event(row))
        return 200, {}

    def __enter__(self) -> PretendGateway:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _event(row: list[str]) -> dict[str, Any]:
    """A row of a file of events: name, identity and its value, then attributes and their values."""
    if len(row) < 3 or len(row) % 2 == 0:
        raise Refused(400, "a row is eventName,identityType,identityValue,attribute,value,...")
    event, kind, value, *pairs = row
    return {"eventName": event, kind: value, **dict(zip(pairs[::2], pairs[1::2], strict=True))}


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body is not an object")
    return body


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no fault of the gateway; everything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
