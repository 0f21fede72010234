"""The agent of the general access point, as it sends webhooks: its headers, ``text/plain``, many at
once, without order, an answer that comes late is lost, the same webhook now and then twice."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Late

HEADERS = {
    "user-agent": "CI360",
    "content-type": "text/plain;charset=UTF-8",
    "accept": "application/json, application/cbor, application/*+json, */*",
    "accept-encoding": "gzip,deflate",
}
"""What the agent sends, besides an id for the call."""
PARALLEL, TIMEOUT = 50, 15.0
LATE, CUT = "no answer in time", "no answer"


@dataclass
class Sent:
    """What came of webhooks: how many got which answer (a status, or words), the slowest in
    seconds, and the ids of the deliveries."""

    answers: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    deliveries: set[str] = field(default_factory=set)


class Agent:
    """Sends webhooks to ``url``: ``parallel`` at once, each with ``timeout`` seconds."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        parallel: int = PARALLEL,
        timeout: float = TIMEOUT,
    ) -> None:
        self._url, self._parallel, self._timeout = url, parallel, timeout
        self._headers = {**HEADERS, **(headers or {})}
        self._pool = urllib3.PoolManager(maxsize=parallel)

    def send(self, bodies: Iterable[bytes]) -> Sent:
        """Send all of them, and wait for what comes of each."""
        sent = Sent()
        with ThreadPoolExecutor(self._parallel) as threads:
            for answer, seconds, delivery_id in threads.map(self._one, bodies):
                sent.answers[answer] += 1
                sent.slowest = max(sent.slowest, seconds)
                if delivery_id:
                    sent.deliveries.add(delivery_id)
        return sent

    def _one(self, body: bytes) -> tuple[str, float, str]:
        began = time.monotonic()
        headers = {**self._headers, "x-ci360-con-inv-trace-id": f"emulated-{uuid.uuid4()}"}
        try:
            response = self._pool.request(
                "POST", self._url, body=body, headers=headers, timeout=self._timeout, retries=False
            )
            answer, delivery_id = str(response.status), _delivery(response.data)
        except Late:
            answer, delivery_id = LATE, ""
        except HTTPError:
            answer, delivery_id = CUT, ""
        return answer, time.monotonic() - began, delivery_id

    def close(self) -> None:
        """Close what is open."""
        self._pool.clear()


def runs(payload: Mapping[str, Any], times: int, doubled: int) -> Iterator[bytes]:
    """Bodies for ``times`` runs of a task or event, in no order; ``doubled`` of them come twice."""
    bodies = [json.dumps(_another(payload)).encode() for _ in range(times)]
    bodies += bodies[:doubled]
    random.shuffle(bodies)
    yield from bodies


def _another(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The same task or event, run once more."""
    fresh = str(uuid.uuid4())
    task = payload.get("task")
    rtc = {"contactResponse": {"responseTrackingCode": str(uuid.uuid4())}}
    if isinstance(task, dict):
        return {**payload, **rtc, "task": {**task, "occurrenceId": fresh}}
    return {**payload, **rtc, "guid": fresh}


def _delivery(raw: bytes) -> str:
    try:
        body = json.loads(raw)
    except ValueError:
        return ""
    return str(body.get("deliveryId", "")) if isinstance(body, dict) else ""
