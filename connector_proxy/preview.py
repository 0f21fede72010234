"""What would be sent for a payload, in words, without sending anything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from connector_proxy import addressees, objectname
from connector_proxy.addresses import STP, UPLOAD
from connector_proxy.masking import MASK, mask
from connector_proxy.records import Stream, Webhook
from connector_proxy.settings import Settings
from connector_proxy.stream import build_request, encode


def preview(raw: bytes, settings: Settings) -> Iterator[str]:
    """The lines to show for one request body.

    Raises ``NotJson`` and ``Unprocessable`` as the webhook does. Credentials and the query
    strings of URLs are masked.
    """
    now = datetime.now(UTC)
    for number, webhook in enumerate(addressees.of_stp(raw, {}, settings, now)):
        if number:
            yield ""
        own = settings.for_stp(webhook.stp_name)
        yield from _of_stp(webhook, own) if own.kind == STP else _of_other(webhook, own, now)


def _of_other(webhook: Webhook, own: Settings, now: datetime) -> Iterator[str]:
    yield f"destination:    {webhook.stp_name} ({webhook.kind})"
    if own.kind == UPLOAD:
        name = objectname.named(webhook.payload, own.own, now).name
        yield f"object:         {own.own['url']}/{name}"


def _of_stp(webhook: Webhook, own: Settings) -> Iterator[str]:
    stream = encode(webhook.payload, webhook.stp_name)
    yield f"stored process: {webhook.stp_name} ({webhook.kind})"
    yield from _embedded(own, stream) if own.embedded else _sas(own, webhook.stp_name, stream)
    yield f"renamed:        {len(stream.renamings)}"
    for renaming in stream.renamings:
        yield f"  {renaming.path} -> {renaming.name}"
    yield f"characters that XML forbids, now blanks: {stream.blanked}"


def _embedded(own: Settings, stream: Stream) -> Iterator[str]:
    yield f"destination:    embedded stored process, dataset in {own.outputfolder}"
    yield pretty(stream.document)


def _sas(own: Settings, stp_name: str, stream: Stream) -> Iterator[str]:
    user = MASK if own.stpusername else ""
    request = build_request(own.stpurl, stp_name, stream, user, MASK)
    yield f"destination:    POST {request.url}"
    for name, value in request.headers.items():
        yield f"  {name}: {f'Basic {MASK}' if name == 'Authorization' else value}"
    yield pretty(request.body)


def pretty(document: bytes) -> str:
    """One element a line, for the eye; what is sent has no line breaks."""
    return mask(document.decode("ascii").replace("><", ">\n<").replace("&lt;masked&gt;", MASK))
