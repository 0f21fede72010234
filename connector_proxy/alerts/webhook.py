"""An alert as JSON, posted to ``alerturl``."""

from __future__ import annotations

import urllib3
from urllib3.exceptions import HTTPError

from connector_proxy import __version__, trust
from connector_proxy.alerts.words import Message
from connector_proxy.errors import Unavailable
from connector_proxy.settings import Settings

NAME = "webhook"
_SECONDS = 30.0


def send(message: Message, settings: Settings) -> str:
    """POST a message; 2xx is success, and a redirect is not followed: it would take the message
    elsewhere. Raises ``Unavailable`` for anything else; returns an empty text."""
    timeout = urllib3.Timeout(connect=settings.connecttimeout, read=_SECONDS)
    with trust.pool(trust.context(settings.cabundle), settings.outboundproxy) as pool:
        try:
            answer = pool.request(
                "POST",
                settings.alerturl.reveal(),
                json=message.record(),
                headers={"User-Agent": f"connector-proxy/{__version__}"},
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,  # whatever it says, the status has told
            )
            answer.close()
        except HTTPError as error:  # its text holds the whole address
            raise _failed(settings, f"no answer ({type(error).__name__})") from None
    if not 200 <= answer.status < 300:
        raise _failed(settings, f"it answered with status {answer.status}")
    return ""


def _failed(settings: Settings, words: str) -> Unavailable:
    advice = "Check alerturl, outboundproxy, cabundle and the firewall."
    return Unavailable(f"The webhook {settings.alerturl}: {words}.", advice=advice)
