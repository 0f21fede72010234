"""To whom a webhook goes: one delivery for each destination that the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from connector_proxy import objectname
from connector_proxy.addresses import STP, UPLOAD, address, section_of
from connector_proxy.errors import Detail, Unprocessable
from connector_proxy.intake import read_upload, read_webhook, upload_target
from connector_proxy.records import Kind, Webhook
from connector_proxy.settings import Settings

_CHOSEN = address(UPLOAD)
"""The target that a payload may choose another one for."""


def of_stp(raw: bytes, query: Mapping[str, str], settings: Settings, at: datetime) -> list[Webhook]:
    """A webhook that names a stored process, once for each of its destinations.

    Raises ``NotJson`` and ``Unprocessable``; then nothing of it may be accepted.
    """
    webhook = read_webhook(
        raw, query=query, default_stp=settings.defaultstp, allowed_stps=settings.allowedstps
    )
    names = settings.for_stp(webhook.stp_name).destinations
    if names == (STP,):
        return [webhook]
    payload = webhook.payload
    chosen = [upload_target(payload, query) if one == _CHOSEN else one for one in names]
    return [
        webhook if one == STP else _checked(replace(webhook, stp_name=one), settings, at)
        for one in dict.fromkeys(chosen)
    ]


def of_upload(
    raw: bytes, query: Mapping[str, str], settings: Settings, at: datetime
) -> list[Webhook]:
    """A webhook whose files go to an object store; raises as ``of_stp``."""
    return [_checked(read_upload(raw, query), settings, at)]


def _checked(webhook: Webhook, settings: Settings, at: datetime) -> Webhook:
    """A webhook for another destination than a stored process, if that can be carried out."""
    own = settings.for_stp(webhook.stp_name)
    if own.kind == STP:
        section = section_of(webhook.stp_name)
        raise Unprocessable(
            "The target of the upload is not configured.",
            advice=f"Name another target in the task, or write the section {section} in "
            "serviceConfig.ini.",
            details=[Detail("sendParameters.uploadTarget", f"there is no section {section}")],
        )
    if own.kind == UPLOAD:
        if webhook.kind is not Kind.BULK:
            raise Unprocessable(
                "An event has no file to upload.",
                advice="Let the connector send bulk tasks only to this address.",
                details=[Detail("presignedUrls", "is missing")],
            )
        objectname.named(webhook.payload, own.own, at)
    return webhook
