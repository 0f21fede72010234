"""What would be sent for a payload, in words, without sending anything."""

from __future__ import annotations

from collections.abc import Iterator

from connector_proxy.intake import read_webhook
from connector_proxy.masking import MASK, mask
from connector_proxy.records import Stream
from connector_proxy.settings import Settings
from connector_proxy.stream import build_request, encode


def preview(raw: bytes, settings: Settings) -> Iterator[str]:
    """The lines to show for one request body.

    Raises ``NotJson`` and ``Unprocessable`` as the webhook does. Credentials and the query
    strings of URLs are masked.
    """
    webhook = read_webhook(raw, default_stp=settings.defaultstp, allowed_stps=settings.allowedstps)
    own = settings.for_stp(webhook.stp_name)
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
