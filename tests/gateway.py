"""A pretend gateway for the tests, and settings that report to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from connector_proxy.ci360.letter import Identity
from connector_proxy.emulator.gateway import PretendGateway
from connector_proxy.records import Delivery, ReportState
from connector_proxy.schedule import Pauses
from connector_proxy.settings import Settings
from connector_proxy.values import Secret

TENANT = "0123456789abcdef01234567"
SECRET = "a-client-secret-of-an-access-point-of-nobody"
EVENTS = frozenset(("stp_done", "stp_failed", "stp_held", "row_rejected"))


def pretend(**changes: object) -> PretendGateway:
    """A gateway that knows ``EVENTS``."""
    return PretendGateway(TENANT, SECRET, EVENTS, **changes)  # type: ignore[arg-type]


def reporting(settings: Settings, url: str, **changes: object) -> Settings:
    """``settings`` that tell the gateway at ``url`` of every end."""
    told = replace(
        settings,
        reportvia="gateway",
        gatewayurl=url,
        tenantid=Secret(TENANT),
        gatewaysecret=Secret(SECRET),
        doneevent="stp_done",
        failedevent="stp_failed",
        heldevent="stp_held",
        reportidentity=Identity("subject_id", "1"),
        reportschedule=Pauses((1, 1)),
    )
    return replace(told, **changes)  # type: ignore[arg-type]


def as_texts(url: str) -> dict[str, str]:
    """The same settings as their texts; each event tells its delivery."""
    return {
        "reportvia": "gateway",
        "gatewayurl": url,
        "tenantid": TENANT,
        "gatewaysecret": SECRET,
        "doneevent": "stp_done",
        "failedevent": "stp_failed",
        "heldevent": "stp_held",
        "reportidentity": "subject_id:1",
        "reportattributes": "delivery={deliveryId}",
        "reportschedule": "1s 1s 1s",
    }


def faults_of_reports(ended: Iterable[Delivery], gateway: PretendGateway) -> Iterator[str]:
    """What is wrong with the reports of deliveries that ended once: each is told exactly once, or
    listed as unreported, and then arrived once at most."""
    came = Counter(event["delivery"] for event in gateway.received.events)
    for one in ended:
        states = [report.state for report in one.reports]
        allowed = {ReportState.SENT: {1}, ReportState.UNREPORTED: {0, 1}}
        if len(states) != 1 or came[one.delivery_id] not in allowed.get(states[0], set()):
            yield f"{one.delivery_id} was told {came[one.delivery_id]} times, reports: {states}"
