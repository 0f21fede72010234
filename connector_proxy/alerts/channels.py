"""The ways in which an alert leaves, as the settings name them."""

from __future__ import annotations

from collections.abc import Iterator

from connector_proxy.alerts import mail, webhook
from connector_proxy.alerts.words import Message, trial_message
from connector_proxy.errors import Unavailable
from connector_proxy.health.check import Check, Condition
from connector_proxy.settings import Settings

_SEND = {mail.NAME: mail.send, webhook.NAME: webhook.send}


def configured(settings: Settings) -> list[str]:
    """Their names."""
    ways = {mail.NAME: settings.smtphost, webhook.NAME: settings.alerturl}
    return [name for name, there in ways.items() if there]


def send(channel: str, message: Message, settings: Settings) -> str:
    """Send through one of them; returns what is wrong although it was sent. Raises
    ``Unavailable`` where it was not."""
    return _SEND[channel](message, settings)


def try_out(settings: Settings) -> Iterator[Check]:
    """Send a test through each."""
    ways = configured(settings)
    if not ways:
        advice = "Set smtphost, alertfrom and alertto, or alerturl."
        yield Check("alerts", Condition.WARN, "nobody would be told", advice)
    for channel in ways:
        name = f"alert by {channel}"
        try:
            problem = send(channel, trial_message(settings.instance), settings)
        except Unavailable as error:
            said = f" {error.cause}" if error.cause else ""
            yield Check(name, Condition.FAIL, f"{error}{said}", error.advice)
        else:
            if problem:
                yield Check(name, Condition.FAIL, problem, "Correct alertto.")
            else:
                yield Check(name, Condition.OK, "a test was sent")
