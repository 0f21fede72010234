"""The circle on one machine: a pretend CI 360 sends webhooks and is told how they ended."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from connector_proxy.ci360.attributes import IDENTITIES
from connector_proxy.emulator.agent import Agent, runs
from connector_proxy.emulator.gateway import PretendGateway
from connector_proxy.errors import ConnectorProxyError
from connector_proxy.masking import MASK

_DONE = "stp_done"
_RTC = "response_tracking_code"
_PATIENCE_SECONDS, _LATE_SECONDS = 60.0, 1.0
_EVENTS, _DOUBLED = 10, 3
Say = Callable[[str], None]


class CircleBroken(ConnectorProxyError):
    """CI 360 was not told, or was told something else; the message says what."""


class Circle:
    """A gateway that is told, and what it came to."""

    def __init__(self, gateway: PretendGateway, tenant: str, secret: str, say: Say) -> None:
        self._gateway, self._say = gateway, say
        self.settings = {
            "reportvia": "gateway",
            "gatewayurl": gateway.url,
            "tenantid": tenant,
            "gatewaysecret": secret,
            "doneevent": _DONE,
            "reportidentity": "subject_id:demo",
        }

    def show(self, payload: dict[str, Any], url: str) -> None:
        """Wait for the event of the task with this payload, then let the agent send events of
        customers to ``url``, some of them twice, and wait for theirs. Raises ``CircleBroken``."""
        self._say("what CI 360 was told of the task:")
        (told,) = self._told({_code(payload)})
        for name, value in told.items():
            self._say(f"  {name}: {MASK if name in IDENTITIES else value}")
        bodies = list(runs(_event(), _EVENTS, _DOUBLED))
        agent = Agent(f"{url}/ExecuteSTP")
        sent = agent.send(bodies)
        agent.close()
        self._say(
            f"the agent sent {len(bodies)} webhooks of customers, {_DOUBLED} of them twice: "
            f"{len(sent.deliveries)} deliveries"
        )
        count = len(self._told({_code(json.loads(body)) for body in bodies}))
        self._say(f"CI 360 was told of {count} deliveries, of each once")

    def _told(self, codes: set[str]) -> list[dict[str, str]]:
        """The events of these tracking codes; raises ``CircleBroken`` unless each has one."""

        def found() -> list[dict[str, str]]:
            return [one for one in self._gateway.received.events if one.get(_RTC) in codes]

        self._wait(lambda: len(found()) >= len(codes))
        time.sleep(_LATE_SECONDS)  # one too many would come now
        events = found()
        if len(events) != len(codes) or {one[_RTC] for one in events} != codes:
            raise CircleBroken(
                f"CI 360 was told of {len(events)} ends instead of {len(codes)}",
                advice="Look at the log of the service in output/demo.",
            )
        return events

    def _wait(self, happened: Callable[[], bool]) -> None:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while not happened() and time.monotonic() < give_up:
            time.sleep(0.1)


@contextmanager
def circle(say: Say) -> Iterator[Circle]:
    """A pretend gateway for the length of the demonstration."""
    tenant, secret = uuid.uuid4().hex[:24], uuid.uuid4().hex + uuid.uuid4().hex
    with PretendGateway(tenant, secret, frozenset((_DONE,))) as gateway:
        say(f"the pretend gateway of CI 360 listens at {gateway.url}")
        yield Circle(gateway, tenant, secret, say)


def _code(payload: dict[str, Any]) -> str:
    return str(payload["contactResponse"]["responseTrackingCode"])


def _event() -> dict[str, Any]:
    """The event of a customer; ``runs`` makes each of its own."""
    return {
        "guid": "",
        "eventType": "outboundSystem",
        "eventName": "Greeting",
        "identityId": str(uuid.uuid4()),
        "contactResponse": {"responseTrackingCode": ""},
        "outboundProperties": {"properties": {"stpName": "Greeting", "greeting": "hello"}},
    }
