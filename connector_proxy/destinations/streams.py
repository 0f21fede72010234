"""The stream of a delivery, and what the log is to know of how it was made."""

from __future__ import annotations

import logging

from connector_proxy import stream
from connector_proxy.loglines import Facts
from connector_proxy.masking import shown_payload
from connector_proxy.records import Payload, Stream

_log = logging.getLogger(__name__)


def stream_of(payload: Payload, stp_name: str) -> Stream:
    """``payload`` as the stream for a stored process."""
    if _log.isEnabledFor(logging.DEBUG):
        shown = shown_payload(payload)
        _log.debug("payload %s", Facts(shown))
        _log.debug("stream %s", stream.encode(shown, stp_name).document.decode())
    document = stream.encode(payload, stp_name)
    for renaming in document.renamings:
        _log.debug("renamed %s to %s", renaming.path, renaming.name)
    if document.blanked:
        _log.warning("%d characters that XML forbids became blanks", document.blanked)
    return document
