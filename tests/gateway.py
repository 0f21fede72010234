"""A pretend gateway for the tests, and settings that report to it."""

from __future__ import annotations

from dataclasses import replace

from connector_proxy.ci360.letter import Identity
from connector_proxy.emulator.gateway import PretendGateway
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
